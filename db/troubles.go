package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// troubleRests is how long trouble has to be away before it is over. Replicas look
	// at different moments, and what comes and goes is told once.
	troubleRests = 10 * time.Minute

	// lostLasts is how long webhooks have to be missing: GitHub is asked for them once
	// more, and most come then.
	lostLasts = 10 * time.Minute
)

type troubleRow struct {
	Key, Kind, Subject string
	Since, SeenAt      time.Time
	Told               bool

	begins, over bool   // to be told now
	reason       string // of what begins
}

// Watch stores what is wrong now. What is new gets a line of history, and so does what
// is over; what begins at the same look is one line, so that a network that is cut
// tells of its hosts once. Looking twice changes nothing.
func (d *DB) Watch(ctx context.Context, found []fleet.Trouble, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `lock table troubles in share row exclusive mode`); err != nil {
			return err
		}
		known, err := all[troubleRow](ctx, tx, `select key, kind, subject, since, seen_at, told from troubles order by key`, args{})
		if err != nil {
			return err
		}
		rows := meet(known, found, now)
		events := newsOf(rows, now)
		if err := storeTroubles(ctx, tx, rows); err != nil || len(events) == 0 {
			return err
		}
		if err := remember(ctx, tx, events...); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("watch for trouble: %w", err)
	}
	return nil
}

// meet brings together what is known and what was found.
func meet(known []troubleRow, found []fleet.Trouble, now time.Time) []troubleRow {
	rows := slices.Clone(known)
	for _, f := range found {
		i := slices.IndexFunc(rows, func(r troubleRow) bool { return r.Key == f.Key() })
		if i < 0 {
			i = len(rows)
			rows = append(rows, troubleRow{Key: f.Key(), Kind: string(f.Kind), Subject: f.Subject, Since: now})
		}
		r := &rows[i]
		r.SeenAt, r.reason = now, f.Reason
		if !r.Told && (f.Kind != fleet.NoticeWebhooksLost || now.Sub(r.Since) >= lostLasts) {
			r.begins, r.Told = true, true
		}
	}
	for i := range rows {
		rows[i].over = now.Sub(rows[i].SeenAt) >= troubleRests
	}
	return rows
}

// newsOf is the history of what begins and what is over, one line for each kind.
func newsOf(rows []troubleRow, now time.Time) []Event {
	var events []Event
	add := func(what string, r troubleRow, reason string) {
		i := slices.IndexFunc(events, func(e Event) bool { return e.Kind == "trouble."+what && e.Detail["kind"] == r.Kind })
		if i < 0 || r.Kind == string(fleet.NoticePolicyBroken) || r.Kind == string(fleet.NoticeGitHubUnreadable) {
			events = append(events, Event{
				At: now, Kind: "trouble." + what, Subject: r.Subject, Reason: reason,
				Detail: map[string]any{"kind": r.Kind, "subjects": []string{r.Subject}},
			})
			return
		}
		e := &events[i]
		e.Subject, e.Reason = "fleet", ""
		e.Detail["subjects"] = append(e.Detail["subjects"].([]string), r.Subject)
	}
	for _, r := range rows {
		switch {
		case r.begins:
			add(r.Kind, r, r.reason)
		case r.over && r.Told:
			add(string(fleet.NoticeRecovered), r, recovered[fleet.NoticeKind(r.Kind)])
		}
	}
	return events
}

// recovered says what is well again.
var recovered = map[fleet.NoticeKind]string{
	fleet.NoticeHostOffline:      "It is back.",
	fleet.NoticePolicyBroken:     "The policy can be read again.",
	fleet.NoticeWebhooksLost:     "Webhooks arrive again.",
	fleet.NoticeGitHubUnreadable: "GitHub can be read again.",
}

func storeTroubles(ctx context.Context, tx pgx.Tx, rows []troubleRow) error {
	for _, r := range rows {
		sql := `insert into troubles (key, kind, subject, since, seen_at, told) values (@key, @kind, @subject, @since, @seen, @told)
			on conflict (key) do update set seen_at = excluded.seen_at, told = excluded.told`
		a := args{"key": r.Key, "kind": r.Kind, "subject": r.Subject, "since": r.Since, "seen": r.SeenAt, "told": r.Told}
		if r.over {
			sql, a = `delete from troubles where key = @key`, args{"key": r.Key}
		}
		if _, err := tx.Exec(ctx, sql, a); err != nil {
			return err
		}
	}
	return nil
}
