package db

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

type receiverPayload struct {
	Receiver int64 `json:"receiver"`
}

func notifyEffect(receiver int64) Effect {
	return newEffect("notify", strconv.FormatInt(receiver, 10), receiverPayload{Receiver: receiver})
}

// RaiseNotices asks for an effect for each receiver that something is due for. One
// that waits because the receiver failed keeps to its time.
func (d *DB) RaiseNotices(ctx context.Context, now time.Time) error {
	rows, err := all[repoID](ctx, d.pool, `
		select distinct receiver_id as id from notice_deliveries d where state = 'waiting' and due_at <= @now
			and not exists (select from outbox o where o.key = 'notify:' || d.receiver_id)`, args{"now": now})
	if err != nil {
		return fmt.Errorf("find due notices: %w", err)
	}
	effects := make([]Effect, len(rows))
	for i, r := range rows {
		effects[i] = notifyEffect(r.ID)
	}
	return keepEffects(ctx, d.pool, now, effects...)
}

// NoticeDelivery is one notice for one receiver.
type NoticeDelivery struct {
	ID        int64
	Receiver  string
	Notice    fleet.Notice
	Kind      fleet.NoticeKind
	Collected bool
	DueAt     time.Time
	State     string // waiting, sent, failed or dropped
	Attempts  int
	Error     string
	EndedAt   time.Time
}

// dueMost bounds what is read for one message, which is about fewer.
const dueMost = 200

const deliveryColumns = `d.id, r.name as receiver, n.facts as notice, d.kind, d.collected, d.due_at, d.state, d.attempts, d.error, d.ended_at`

// DueNotices reads a receiver with its sealed address, nil where that is in the file, and
// what is due for it, oldest first. One that was removed is ErrNotFound.
func (d *DB) DueNotices(ctx context.Context, receiver int64, now time.Time) (fleet.Receiver, []byte, []NoticeDelivery, error) {
	type row struct {
		receiverRow
		Sealed []byte
	}
	r, err := one[row](ctx, d.pool, `select `+receiverColumns+`, r.sealed from receivers r where r.id = @id`, args{"id": receiver})
	if err != nil {
		return fleet.Receiver{}, nil, nil, fmt.Errorf("read receiver %d: %w", receiver, err)
	}
	due, err := all[NoticeDelivery](ctx, d.pool, `
		select `+deliveryColumns+` from notice_deliveries d join notices n on n.id = d.notice_id join receivers r on r.id = d.receiver_id
		where d.receiver_id = @id and d.state = 'waiting' and d.due_at <= @now order by d.notice_id limit @n`,
		args{"id": receiver, "now": now, "n": dueMost})
	if err != nil {
		return fleet.Receiver{}, nil, nil, fmt.Errorf("read due notices of receiver %d: %w", receiver, err)
	}
	return r.receiver(), r.Sealed, due, nil
}

// NoticesSent ends deliveries that went well.
func (d *DB) NoticesSent(ctx context.Context, receiver int64, ids []int64, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		// The receiver first, as everybody who locks both does.
		if _, err := tx.Exec(ctx, `update receivers set last_sent = @now, failing_since = null, last_error = '' where id = @id`,
			args{"id": receiver, "now": now}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			update notice_deliveries set state = 'sent', ended_at = @now, attempts = attempts + 1, error = ''
			where id = any(@ids) and state = 'waiting'`, args{"ids": ids, "now": now}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("end notices of receiver %d: %w", receiver, err)
	}
	return nil
}

// NoticesFailed stores a failed attempt. Whatever has been due for the receiver for
// longer than patience is given up with it.
func (d *DB) NoticesFailed(ctx context.Context, receiver int64, ids []int64, reason string, patience time.Duration, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			update receivers set failing_since = coalesce(failing_since, @now), last_error = @reason where id = @id`,
			args{"id": receiver, "now": now, "reason": clip(reason)}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			update notice_deliveries set attempts = attempts + 1, error = @reason where id = any(@ids) and state = 'waiting'`,
			args{"ids": ids, "reason": clip(reason)}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			update notice_deliveries set state = 'failed', ended_at = @now, error = @reason
			where receiver_id = @id and state = 'waiting' and due_at <= @old`,
			args{"id": receiver, "now": now, "reason": clip(reason), "old": now.Add(-patience)}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("note a failed attempt of receiver %d: %w", receiver, err)
	}
	return nil
}

// NoticeDeliveries lists the newest deliveries, of one receiver or of all, newest first.
func (d *DB) NoticeDeliveries(ctx context.Context, receiver string, n int) ([]NoticeDelivery, error) {
	list, err := all[NoticeDelivery](ctx, d.pool, `
		select `+deliveryColumns+` from notice_deliveries d join notices n on n.id = d.notice_id join receivers r on r.id = d.receiver_id
		where @receiver = '' or r.name = @receiver order by d.id desc limit @n`, args{"receiver": receiver, "n": n})
	if err != nil {
		return nil, fmt.Errorf("list deliveries of notices: %w", err)
	}
	return list, nil
}

// PruneNotices forgets up to n notices from before a time that wait for nobody, and
// reports how many.
func (d *DB) PruneNotices(ctx context.Context, before time.Time, n int) (int, error) {
	tag, err := d.pool.Exec(ctx, `
		delete from notices where id in (
			select id from notices n where at < @before and facts is not null
				and not exists (select from notice_deliveries d where d.notice_id = n.id and d.state = 'waiting')
			order by id limit @n
		)`, args{"before": before, "n": n})
	if err != nil {
		return 0, fmt.Errorf("prune notices: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
