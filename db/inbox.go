package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// Delivery is one webhook as it was received. HookID and GUID name it; GitHub
// repeats the GUID when it delivers again.
type Delivery struct {
	ID         int64 // ours, set by ClaimDeliveries
	HookID     int64
	GUID       string
	Event      string
	Action     string
	Headers    map[string]string
	Payload    []byte // the exact bytes
	ReceivedAt time.Time
	Attempt    int // 1 the first time that it is claimed

	fence int64
}

// ClaimDeliveries hands out up to n deliveries that are due, oldest first. They
// stay out of sight of other workers until the lease has run out.
func (d *DB) ClaimDeliveries(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Delivery, error) {
	rows, err := d.pool.Query(ctx, `
		with due as (
			select id from inbox where due_at <= @now
			order by due_at, id limit @n for update skip locked
		), claimed as (
			update inbox i set due_at = @until, lease_until = @until, fence = fence + 1, attempt = attempt + 1
			from due where i.id = due.id
			returning i.*
		)
		select id, hook_id, guid, event, action, headers, payload, received_at, attempt, fence
		from claimed order by received_at, id`,
		args{"now": now, "until": now.Add(lease), "n": n})
	if err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Delivery, error) {
		var v Delivery
		err := r.Scan(&v.ID, &v.HookID, &v.GUID, &v.Event, &v.Action, &v.Headers, &v.Payload, &v.ReceivedAt, &v.Attempt, &v.fence)
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	return claimed, nil
}

// FinishDelivery records what v said and that it has been worked on, in one
// transaction. A worker whose lease another has taken over gets ErrConflict.
func (d *DB) FinishDelivery(ctx context.Context, v Delivery, facts []fleet.Fact, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		err := guarded(ctx, tx, `
			update inbox set due_at = null, lease_until = null, processed_at = @now, error = ''
			where id = @id and fence = @fence and processed_at is null`,
			args{"id": v.ID, "fence": v.fence, "now": now})
		if err != nil {
			return err
		}
		return d.record(ctx, tx, now, facts)
	})
	if err != nil {
		return fmt.Errorf("finish delivery %s: %w", v.GUID, err)
	}
	return nil
}

// FailDelivery notes why v could not be worked on and when to try again; a zero
// time gives it up.
func (d *DB) FailDelivery(ctx context.Context, v Delivery, cause error, again time.Time) error {
	err := guarded(ctx, d.pool, `
		update inbox set due_at = @again, lease_until = null, error = @error
		where id = @id and fence = @fence and processed_at is null`,
		args{"id": v.ID, "fence": v.fence, "again": again, "error": errorText(cause)})
	if err != nil {
		return fmt.Errorf("fail delivery %s: %w", v.GUID, err)
	}
	return nil
}

// maxErrorText bounds what is kept of an error.
const maxErrorText = 4 << 10

func errorText(err error) string {
	if err == nil {
		err = errors.New("no reason given")
	}
	return clip(err.Error())
}

func clip(s string) string {
	if len(s) > maxErrorText {
		return s[:maxErrorText]
	}
	return s
}

// PruneDeliveries forgets up to n deliveries that were worked on before the given
// time and returns how many. Kept ones make repeated deliveries recognisable, so
// the time must lie further back than GitHub redelivers (3 days).
func (d *DB) PruneDeliveries(ctx context.Context, before time.Time, n int) (int, error) {
	tag, err := d.pool.Exec(ctx, `
		delete from inbox where id in (
			select id from inbox where processed_at < @before order by processed_at limit @n for update skip locked)`,
		args{"before": before, "n": n})
	if err != nil {
		return 0, fmt.Errorf("prune deliveries: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// UnknownDeliveries returns those of the given webhooks that we never stored, in the
// order in which they were given.
func (d *DB) UnknownDeliveries(ctx context.Context, guids []string) ([]string, error) {
	if len(guids) == 0 {
		return nil, nil
	}
	type row struct{ GUID string }
	rows, err := all[row](ctx, d.pool, `
		select k.guid from unnest(@guids::text[]) with ordinality as k (guid, n)
		where not exists (select from inbox i where i.guid = k.guid) order by k.n`, args{"guids": guids})
	if err != nil {
		return nil, fmt.Errorf("look for deliveries that never came: %w", err)
	}
	unknown := make([]string, len(rows))
	for i, r := range rows {
		unknown[i] = r.GUID
	}
	return unknown, nil
}
