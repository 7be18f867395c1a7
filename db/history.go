package db

import (
	"context"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Event is one line of history: who changed what, when and why.
type Event struct {
	At      time.Time
	Actor   string         // a login, "policy", "push" or "host:NAME"
	Kind    string         // e.g. "update.merging", "host.enrolled"
	Subject string         // e.g. "update/12", "rollout/01J…", "host/web1", "order/01J…"
	Detail  map[string]any // e.g. from-state and head SHA
	Reason  string
}

// History returns the newest events, newest first.
func (d *DB) History(ctx context.Context, limit int) ([]Event, error) {
	events, err := all[Event](ctx, d.pool, `
		select at, actor, kind, subject, detail, reason from history order by id desc limit @n`, args{"n": limit})
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return events, nil
}

// Remember adds a line of history that goes with no change in the database.
func (d *DB) Remember(ctx context.Context, e Event) error {
	if err := remember(ctx, d.pool, e); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// remember adds to the history.
func remember(ctx context.Context, q querier, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	sql, a := rememberAll(fleet.WayOf(ctx), events)
	_, err := q.Exec(ctx, sql, a)
	return err
}

// rememberAll is one statement however many the events are.
func rememberAll(way fleet.Way, events []Event) (string, args) {
	var at []time.Time
	var actor, kind, subject, reason, detail []string
	for _, e := range events {
		at, actor, kind = append(at, e.At), append(actor, e.Actor), append(kind, e.Kind)
		subject, reason = append(subject, e.Subject), append(reason, e.Reason)
		text := []byte("{}")
		if len(e.Detail) > 0 {
			// Details are made here of strings and numbers, which always encode.
			text, _ = marshalJSON(e.Detail)
		}
		detail = append(detail, string(text))
	}
	return `insert into history (way, at, actor, kind, subject, detail, reason)
		select @way, e.* from unnest(@at::timestamptz[], @actor::text[], @kind::text[], @subject::text[], @detail::jsonb[], @reason::text[]) e`,
		args{"way": string(way), "at": at, "actor": actor, "kind": kind, "subject": subject, "detail": detail, "reason": reason}
}
