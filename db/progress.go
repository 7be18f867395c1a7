package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// storeProgress stores the hosts that the move changed, each only if it is still
// as the move knew it: hosts answer at any time.
func storeProgress(ctx context.Context, tx pgx.Tx, s saving) (changed bool, err error) {
	before := make(map[string]fleet.HostProgress, len(s.claim.Rollout.Hosts))
	for _, h := range s.claim.Rollout.Hosts {
		before[h.Host] = h
	}
	var added, moved []fleet.HostProgress
	var positions []int
	for i, h := range s.move.Hosts {
		was, known := before[h.Host]
		switch {
		case !known:
			added, positions = append(added, h), append(positions, i)
		case !sameProgress(was, h):
			moved = append(moved, h)
		}
	}
	if len(added) > 0 {
		if err := insertProgress(ctx, tx, s.claim.Rollout.ID, added, positions); err != nil {
			return false, err
		}
	}
	if len(moved) > 0 {
		if err := updateProgress(ctx, tx, s.claim.Rollout.ID, before, moved); err != nil {
			return false, err
		}
		if err := endOrders(ctx, tx, before, moved, s.now); err != nil {
			return false, err
		}
	}
	return len(added)+len(moved) > 0, nil
}

func sameProgress(a, b fleet.HostProgress) bool {
	return a.Wave == b.Wave && a.State == b.State && a.Order == b.Order && a.Since.Equal(b.Since) &&
		a.StartedAt.Equal(b.StartedAt) && a.EndedAt.Equal(b.EndedAt) && (a.Failure == nil) == (b.Failure == nil) &&
		a.Before == b.Before && a.Target == b.Target && a.Switched == b.Switched && a.Note == b.Note
}

// progressArgs are the columns of hosts of a rollout, for unnest.
func progressArgs(rollout string, hosts []fleet.HostProgress) args {
	n := len(hosts)
	host, state, order := make([]string, n), make([]string, n), make([]string, n)
	failure, wave := make([]*fleet.HostError, n), make([]int, n)
	since, started, ended := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	before, target, switched, note := make([]*string, n), make([]*string, n), make([]bool, n), make([]string, n)
	for i, h := range hosts {
		host[i], state[i], order[i], failure[i], wave[i] = h.Host, string(h.State), h.Order, h.Failure, h.Wave
		since[i], started[i], ended[i] = h.Since, h.StartedAt, h.EndedAt
		before[i], target[i], switched[i], note[i] = encoded(h.Before), encoded(h.Target), h.Switched, h.Note
	}
	return args{
		"rollout": rollout, "host": host, "state": state, "order": order, "failure": failures(failure), "wave": wave,
		"since": since, "started": started, "ended": ended,
		"before": before, "target": target, "switched": switched, "note": note,
	}
}

// failures encodes failures as texts that unnest casts to jsonb; no failure is null.
func failures(list []*fleet.HostError) []*string {
	texts := make([]*string, len(list))
	for i, f := range list {
		if f != nil {
			texts[i] = encoded(f)
		}
	}
	return texts
}

// encoded is a value as the text of a jsonb. What consists of strings and numbers
// always encodes.
func encoded(v any) *string {
	b, err := marshalJSON(v)
	if err != nil {
		return nil
	}
	text := string(b)
	return &text
}

func insertProgress(ctx context.Context, tx pgx.Tx, rollout string, hosts []fleet.HostProgress, positions []int) error {
	a := progressArgs(rollout, hosts)
	a["position"] = positions
	_, err := tx.Exec(ctx, `
		insert into rollout_hosts (rollout_id, host, position, wave, state, order_id, since, started_at, ended_at, failure,
			before, target, switched, note)
		select @rollout, c.* from unnest(@host::text[], @position::int[], @wave::int[], @state::text[], @order::text[],
			@since::timestamptz[], @started::timestamptz[], @ended::timestamptz[], @failure::jsonb[],
			@before::jsonb[], @target::jsonb[], @switched::bool[], @note::text[]) c`, a)
	return err
}

// updateProgress changes what the move changed. What only answers tell (that the host
// switched, what it came to run, what it says of itself) they tell at any time, without
// a change of state that the guard would notice: so of these only what the move did
// change is written.
func updateProgress(ctx context.Context, tx pgx.Tx, rollout string, before map[string]fleet.HostProgress, hosts []fleet.HostProgress) error {
	a := progressArgs(rollout, hosts)
	from, held := make([]string, len(hosts)), make([]string, len(hosts))
	was := make([]fleet.HostProgress, len(hosts))
	for i, h := range hosts {
		was[i] = before[h.Host]
		from[i], held[i] = string(was[i].State), was[i].Order
	}
	w := progressArgs(rollout, was)
	a["from"], a["held"], a["was_before"], a["was_target"], a["was_note"] = from, held, w["before"], w["target"], w["note"]
	tag, err := tx.Exec(ctx, `
		update rollout_hosts h set wave = c.wave, state = c.state, order_id = c.order_id, since = c.since,
			started_at = c.started_at, ended_at = c.ended_at, failure = c.failure, switched = h.switched or c.switched,
			before = case when c.before is distinct from c.was_before then c.before else h.before end,
			target = case when c.target is distinct from c.was_target then c.target else h.target end,
			note = case when c.note is distinct from c.was_note then c.note else h.note end
		from unnest(@host::text[], @from::text[], @held::text[], @wave::int[], @state::text[], @order::text[],
			@since::timestamptz[], @started::timestamptz[], @ended::timestamptz[], @failure::jsonb[], @switched::bool[],
			@before::jsonb[], @was_before::jsonb[], @target::jsonb[], @was_target::jsonb[], @note::text[], @was_note::text[])
			c (host, from_state, from_order, wave, state, order_id, since, started_at, ended_at, failure, switched,
				before, was_before, target, was_target, note, was_note)
		where h.rollout_id = @rollout and h.host = c.host and h.state = c.from_state and h.order_id = c.from_order`, a)
	if err == nil && tag.RowsAffected() != int64(len(hosts)) {
		return fmt.Errorf("%w: %d of %d hosts", ErrConflict, len(hosts)-int(tag.RowsAffected()), len(hosts))
	}
	return err
}

// learn keeps what an answer tells of a host's system in a rollout, also where it comes
// too late to move the host.
func (o *answered) learn(r AnswerRow) {
	if o.progress.State == "" {
		return
	}
	p := &o.progress
	if r.Step == "switching" || r.Step == "verifying" {
		p.Switched = true
	}
	if r.Note != "" {
		p.Note = clip(r.Note)
	}
	if c := r.Change; c != nil {
		if p.Before.Path == "" {
			p.Before = c.From // it was ordered before anybody knew what it runs
		}
		if c.To.Path != "" {
			p.Target = c.To
		}
	}
	if r.Step == "healthy" && r.Facts != nil && r.Facts.RunningPath != "" {
		p.Target = fleet.System{Path: r.Facts.RunningPath, Commit: r.Facts.RunningCommit}
	}
}

// moved reports whether there is anything to write of the order's host in its rollout.
func (o *answered) moved() bool {
	return o.progress.State != "" && !sameProgress(newAnswered(o.row).progress, o.progress)
}
