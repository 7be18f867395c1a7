package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

// ErrNameTaken says that another one has the name.
var ErrNameTaken = errors.New("the name is taken")

// SaveReceiver is what becomes of a receiver.
type SaveReceiver struct {
	ID      int64 // 0 makes a new one
	Name    string
	Service string
	Sealed  []byte // its address, sealed; nil keeps the one that is stored
	InFile  bool   // the address is in the server's file: what is stored is forgotten
	Enabled bool
	Rule    fleet.ReceiverRule
	Seen    time.Time // ChangedAt of what was edited; zero: whatever it is
	Request string    // names the form that makes a new one
	By      string
}

type receiverRow struct {
	ID           int64
	Name         string
	Service      string
	InFile       bool
	Enabled      bool
	Rule         fleet.ReceiverRule
	ChangedBy    string
	ChangedAt    time.Time
	LastSent     time.Time
	FailingSince time.Time
	LastError    string
	Waiting      int
}

const receiverColumns = `r.id, r.name, r.service, r.sealed is null as in_file, r.enabled, r.rule, r.changed_by, r.changed_at, r.last_sent,
	r.failing_since, r.last_error,
	(select count(*) from notice_deliveries d where d.receiver_id = r.id and d.state = 'waiting') as waiting`

func (r receiverRow) receiver() fleet.Receiver { return fleet.Receiver(r) }

// Receivers lists all receivers by name.
func (d *DB) Receivers(ctx context.Context) ([]fleet.Receiver, error) {
	list, err := receivers(ctx, d.pool)
	if err != nil {
		return nil, fmt.Errorf("list receivers: %w", err)
	}
	return list, nil
}

func receivers(ctx context.Context, q querier) ([]fleet.Receiver, error) {
	rows, err := all[receiverRow](ctx, q, `select `+receiverColumns+` from receivers r order by r.name`, args{})
	if err != nil {
		return nil, err
	}
	list := make([]fleet.Receiver, len(rows))
	for i, r := range rows {
		list[i] = r.receiver()
	}
	return list, nil
}

// Receiver reads one receiver by its name.
func (d *DB) Receiver(ctx context.Context, name string) (fleet.Receiver, error) {
	r, err := one[receiverRow](ctx, d.pool, `select `+receiverColumns+` from receivers r where r.name = @name`, args{"name": name})
	if err != nil {
		return fleet.Receiver{}, fmt.Errorf("read receiver %s: %w", cleanText(name), err)
	}
	return r.receiver(), nil
}

// SaveReceiver makes or changes a receiver, with who did it in the history. What
// waits for one that was changed is tried again at once. One that is not there any more
// is ErrNotFound, one that was changed since it was seen is ErrConflict, and a name of
// another's ErrNameTaken.
func (d *DB) SaveReceiver(ctx context.Context, s SaveReceiver, now time.Time) (id int64, err error) {
	err = d.tx(ctx, func(tx pgx.Tx) error {
		// One change at a time: names are checked, and people seldom save.
		if _, err := tx.Exec(ctx, `lock table receivers in share row exclusive mode`); err != nil {
			return err
		}
		known, err := all[receiverRow](ctx, tx, `select `+receiverColumns+` from receivers r
			where r.id = @id or (@id = 0 and @request <> '' and r.request = @request)`, args{"id": s.ID, "request": s.Request})
		if err != nil {
			return err
		}
		switch {
		case s.ID == 0 && len(known) == 1:
			id = known[0].ID // the same form, sent again
			return nil
		case s.ID != 0 && len(known) == 0:
			return ErrNotFound
		case s.ID != 0 && !s.Seen.IsZero() && !known[0].ChangedAt.Equal(s.Seen):
			return ErrConflict
		}
		taken, err := value[bool](ctx, tx, `select exists (select from receivers where name = @name and id <> @id)`, args{"name": s.Name, "id": s.ID})
		if err != nil {
			return err
		}
		if taken {
			return ErrNameTaken
		}
		if id, err = storeReceiver(ctx, tx, s, now); err != nil {
			return err
		}
		return d.receiverChanged(ctx, tx, s, id, now)
	})
	if err != nil {
		return 0, fmt.Errorf("save receiver %s: %w", cleanText(s.Name), err)
	}
	return id, nil
}

func storeReceiver(ctx context.Context, tx pgx.Tx, s SaveReceiver, now time.Time) (int64, error) {
	a := args{
		"name": s.Name, "service": s.Service, "sealed": s.Sealed, "enabled": s.Enabled, "rule": s.Rule, "by": s.By, "now": now,
	}
	if s.ID == 0 {
		a["request"] = s.Request
		return value[int64](ctx, tx, `
			insert into receivers (name, service, sealed, enabled, rule, request, changed_by, changed_at)
			values (@name, @service, @sealed, @enabled, @rule, @request, @by, @now) returning id`, a)
	}
	a["id"], a["file"] = s.ID, s.InFile
	return value[int64](ctx, tx, `
		update receivers set name = @name, enabled = @enabled, rule = @rule, changed_by = @by, changed_at = @now,
			sealed = case when @file then null else coalesce(@sealed::bytea, sealed) end,
			service = case when @file or @sealed::bytea is not null then @service else service end,
			failing_since = case when @file or @sealed::bytea is not null or not @enabled then null else failing_since end
		where id = @id returning id`, a)
}

// receiverChanged does what follows from a saved receiver. Policies may name it, so
// open updates are judged again.
func (d *DB) receiverChanged(ctx context.Context, tx pgx.Tx, s SaveReceiver, id int64, now time.Time) error {
	did := "changed"
	if s.ID == 0 {
		did = "added"
	}
	if err := remember(ctx, tx, Event{
		At: now, Actor: s.By, Kind: "receiver." + did, Subject: receiverSubject(id),
		Detail: map[string]any{"name": s.Name, "service": s.Service, "enabled": s.Enabled, "rule": s.Rule},
	}); err != nil {
		return err
	}
	if !s.Enabled {
		if err := dropWaiting(ctx, tx, id, "The receiver was switched off.", now); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `update outbox set due_at = @now where key = @key and lease_until is null`,
		args{"key": notifyEffect(id).Key, "now": now}); err != nil {
		return err
	}
	if err := wakeAllOpen(ctx, tx, now); err != nil {
		return err
	}
	return d.notify(ctx, tx)
}

func receiverSubject(id int64) string { return fmt.Sprintf("receiver/%d", id) }

func dropWaiting(ctx context.Context, tx pgx.Tx, receiver int64, why string, now time.Time) error {
	_, err := tx.Exec(ctx, `
		update notice_deliveries set state = 'dropped', ended_at = @now, error = @why where receiver_id = @id and state = 'waiting'`,
		args{"id": receiver, "why": why, "now": now})
	return err
}

func wakeAllOpen(ctx context.Context, tx pgx.Tx, now time.Time) error {
	repos, err := all[repoID](ctx, tx, `select id from repos order by id`, args{})
	if err != nil {
		return err
	}
	for _, r := range repos {
		if err := wakeOpenUpdates(ctx, tx, r.ID, now); err != nil {
			return err
		}
	}
	return nil
}

type repoID struct{ ID int64 }

// RemoveReceiver forgets a receiver with all that waits for it. One that is not there
// is ErrNotFound.
func (d *DB) RemoveReceiver(ctx context.Context, name, by string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		id, err := value[int64](ctx, tx, `delete from receivers where name = @name returning id`, args{"name": name})
		if err != nil {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: by, Kind: "receiver.removed", Subject: receiverSubject(id), Detail: map[string]any{"name": name},
		}); err != nil {
			return err
		}
		if err := wakeAllOpen(ctx, tx, now); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("remove receiver %s: %w", cleanText(name), err)
	}
	return nil
}

// TestReceiver has a test sent to a receiver, the way of every other notice. A test
// that waits already is the same one.
func (d *DB) TestReceiver(ctx context.Context, name, by string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		id, err := value[int64](ctx, tx, `select id from receivers where name = @name for update`, args{"name": name})
		if err != nil {
			return err
		}
		waits, err := value[bool](ctx, tx, `
			select exists (select from notices n join history h on h.id = n.id and h.kind = 'receiver.tested' and h.subject = @subject where n.facts is null)
				or exists (select from notice_deliveries where receiver_id = @id and kind = 'test' and state = 'waiting')`,
			args{"id": id, "subject": receiverSubject(id)})
		if err != nil {
			return err
		}
		if waits {
			// Not kept waiting by what failed before: somebody wants to know now.
			_, err := tx.Exec(ctx, `update outbox set due_at = @now where key = @key and lease_until is null`, args{"key": notifyEffect(id).Key, "now": now})
			return errors.Join(err, d.notify(ctx, tx))
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: by, Kind: "receiver.tested", Subject: receiverSubject(id), Detail: map[string]any{"name": name},
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("test receiver %s: %w", cleanText(name), err)
	}
	return nil
}
