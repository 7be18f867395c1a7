package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// SaveRollout stores one move of a rollout in one transaction: its state, its
// hosts, the orders that follow with their generations, and the effects that send
// them. plan is set when the rollout leaves planned. ErrConflict means that the
// rollout, or a host that the move changes, was moved since the claim; nothing is
// stored then and the rollout is due at once.
func (d *DB) SaveRollout(ctx context.Context, c RolloutClaim, m fleet.Move, plan *fleet.Plan, orders []fleet.Order, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.saveRollout(ctx, tx, saving{c, m, plan, orders, now}) })
	if errors.Is(err, ErrConflict) {
		_, released := d.pool.Exec(ctx, `
			update rollouts set lease_until = null, due_at = least(due_at, @now) where id = @id and fence = @fence`,
			args{"id": c.Rollout.ID, "fence": c.fence, "now": now})
		err = errors.Join(err, released)
	}
	if err != nil {
		return fmt.Errorf("save rollout %s: %w", c.Rollout.ID, err)
	}
	return nil
}

// EndRollout ends a claimed rollout that cannot go on, with the reason.
func (d *DB) EndRollout(ctx context.Context, c RolloutClaim, to fleet.RolloutState, reason string, now time.Time) error {
	m := fleet.Move{State: to, Hosts: c.Rollout.Hosts, Headline: reason, Reason: reason}
	return d.SaveRollout(ctx, c, m, nil, nil, now)
}

// saving is one call of SaveRollout.
type saving struct {
	claim  RolloutClaim
	move   fleet.Move
	plan   *fleet.Plan
	orders []fleet.Order
	now    time.Time
}

func (d *DB) saveRollout(ctx context.Context, tx pgx.Tx, s saving) error {
	before := s.claim.Rollout
	if before.State == fleet.RolloutPlanned && s.move.State.Blocks() {
		if err := onlyOne(ctx, tx, before); err != nil {
			return err
		}
	}
	if before.State != s.move.State {
		// Updates first: whoever holds an update may want a rollout.
		if err := wakeOpenUpdates(ctx, tx, before.RepoID, s.now); err != nil {
			return err
		}
	}
	if err := storeMove(ctx, tx, s); err != nil {
		return err
	}
	changed, err := storeProgress(ctx, tx, s)
	if err != nil {
		return err
	}
	orders, err := stillToCancel(ctx, tx, s)
	if err != nil {
		return err
	}
	issued, err := insertOrders(ctx, tx, orders, s.now)
	if err != nil {
		return err
	}
	if err := assignOrders(ctx, tx, s, issued); err != nil {
		return err
	}
	if before.State != s.move.State {
		return d.rolloutMoved(ctx, tx, before, move{to: s.move.State, actor: actorOf(before), reason: s.move.Reason}, s.now)
	}
	if changed || len(issued) > 0 || before.Headline != s.move.Headline {
		return d.showRollout(ctx, tx, before.UpdateID, s.now)
	}
	return nil
}

// onlyOne makes two replicas that start two rollouts of one repository at the same
// moment go one after the other: what the claim saw may be over. The lock ends
// with the transaction; it is taken before any row.
func onlyOne(ctx context.Context, tx pgx.Tx, r fleet.Rollout) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('rollouts of repository', @repo))`, args{"repo": r.RepoID}); err != nil {
		return err
	}
	blocked, err := value[bool](ctx, tx, `
		select exists (select from rollouts where repo_id = @repo and id <> @id and state in `+blockingStates+`)`,
		args{"repo": r.RepoID, "id": r.ID})
	if err == nil && blocked {
		return ErrConflict
	}
	return err
}

func actorOf(r fleet.Rollout) string {
	if r.Actor == "" {
		return "policy"
	}
	return r.Actor
}

func storeMove(ctx context.Context, tx pgx.Tx, s saving) error {
	from, to := s.claim.Rollout.State, s.move.State
	var plan any
	if s.plan != nil {
		plan = *s.plan
	}
	return guarded(ctx, tx, `
		update rollouts set state = @to, headline = @headline, plan = coalesce(@plan::jsonb, plan),
			started_at = case when @begun then coalesce(started_at, @now) else started_at end,
			ended_at = case when @ended then coalesce(ended_at, @now) end,
			lease_until = null, attempt = 0,
			due_at = case when wake = @wake then @again::timestamptz else due_at end
		where id = @id and fence = @fence and state = @from and lease_until is not null`,
		args{
			"id": s.claim.Rollout.ID, "fence": s.claim.fence, "wake": s.claim.wake, "from": from, "to": to,
			"headline": s.move.Headline, "plan": plan, "begun": s.plan != nil && to != fleet.RolloutPlanned,
			"ended": to.Terminal(), "again": s.move.Again, "now": s.now,
		})
}

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
		a.StartedAt.Equal(b.StartedAt) && a.EndedAt.Equal(b.EndedAt) && (a.Failure == nil) == (b.Failure == nil)
}

// progressArgs are the columns of hosts of a rollout, for unnest.
func progressArgs(rollout string, hosts []fleet.HostProgress) args {
	n := len(hosts)
	host, state, order := make([]string, n), make([]string, n), make([]string, n)
	failure, wave := make([]*fleet.HostError, n), make([]int, n)
	since, started, ended := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	for i, h := range hosts {
		host[i], state[i], order[i], failure[i], wave[i] = h.Host, string(h.State), h.Order, h.Failure, h.Wave
		since[i], started[i], ended[i] = h.Since, h.StartedAt, h.EndedAt
	}
	return args{
		"rollout": rollout, "host": host, "state": state, "order": order, "failure": failures(failure), "wave": wave,
		"since": since, "started": started, "ended": ended,
	}
}

// failures encodes failures as texts that unnest casts to jsonb; no failure is null.
func failures(list []*fleet.HostError) []*string {
	texts := make([]*string, len(list))
	for i, f := range list {
		if f == nil {
			continue
		}
		b, err := marshalJSON(f)
		if err != nil { // strings and numbers always encode
			continue
		}
		text := string(b)
		texts[i] = &text
	}
	return texts
}

func insertProgress(ctx context.Context, tx pgx.Tx, rollout string, hosts []fleet.HostProgress, positions []int) error {
	a := progressArgs(rollout, hosts)
	a["position"] = positions
	_, err := tx.Exec(ctx, `
		insert into rollout_hosts (rollout_id, host, position, wave, state, order_id, since, started_at, ended_at, failure)
		select @rollout, c.* from unnest(@host::text[], @position::int[], @wave::int[], @state::text[], @order::text[],
			@since::timestamptz[], @started::timestamptz[], @ended::timestamptz[], @failure::jsonb[]) c`, a)
	return err
}

func updateProgress(ctx context.Context, tx pgx.Tx, rollout string, before map[string]fleet.HostProgress, hosts []fleet.HostProgress) error {
	a := progressArgs(rollout, hosts)
	from, held := make([]string, len(hosts)), make([]string, len(hosts))
	for i, h := range hosts {
		from[i], held[i] = string(before[h.Host].State), before[h.Host].Order
	}
	a["from"], a["held"] = from, held
	tag, err := tx.Exec(ctx, `
		update rollout_hosts h set wave = c.wave, state = c.state, order_id = c.order_id, since = c.since,
			started_at = c.started_at, ended_at = c.ended_at, failure = c.failure
		from unnest(@host::text[], @from::text[], @held::text[], @wave::int[], @state::text[], @order::text[],
			@since::timestamptz[], @started::timestamptz[], @ended::timestamptz[], @failure::jsonb[])
			c (host, from_state, from_order, wave, state, order_id, since, started_at, ended_at, failure)
		where h.rollout_id = @rollout and h.host = c.host and h.state = c.from_state and h.order_id = c.from_order`, a)
	if err == nil && tag.RowsAffected() != int64(len(hosts)) {
		return fmt.Errorf("%w: %d of %d hosts", ErrConflict, len(hosts)-int(tag.RowsAffected()), len(hosts))
	}
	return err
}

// stillToCancel is the orders of a move without those that would take back what a
// host does not hold any more: its newest order may be a later rollout's, or a
// person's, and what replaces that would keep the host from it.
func stillToCancel(ctx context.Context, tx pgx.Tx, s saving) ([]fleet.Order, error) {
	if len(s.move.Cancel) == 0 {
		return s.orders, nil
	}
	held, err := all[struct{ Host string }](ctx, tx, `
		with locked as materialized (
			select id, name, last_gen from hosts where name = any(@hosts) order by id for no key update
		)
		select l.name as host from locked l join orders o on o.host = l.name and o.gen = l.last_gen
		where o.rollout_id = @rollout`,
		args{"hosts": s.move.Cancel, "rollout": s.claim.Rollout.ID})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(s.orders), func(o fleet.Order) bool {
		return slices.Contains(s.move.Cancel, o.Host) && !slices.Contains(s.move.Orders, o.Host) &&
			!slices.ContainsFunc(held, func(h struct{ Host string }) bool { return h.Host == o.Host })
	}), nil
}

// assignOrders notes which order each host works on.
func assignOrders(ctx context.Context, tx pgx.Tx, s saving, issued []fleet.Order) error {
	var hosts, ids []string
	for _, o := range issued {
		if slices.Contains(s.move.Orders, o.Host) && o.Rollout == s.claim.Rollout.ID {
			hosts, ids = append(hosts, o.Host), append(ids, o.ID)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		update rollout_hosts h set order_id = c.id from unnest(@hosts::text[], @ids::text[]) c (host, id)
		where h.rollout_id = @rollout and h.host = c.host`,
		args{"rollout": s.claim.Rollout.ID, "hosts": hosts, "ids": ids})
	return err
}

// endOrders ends the orders of hosts that the move ended, or that no longer hold
// theirs: what an expired or cancelled host still says is kept and moves nothing.
func endOrders(ctx context.Context, tx pgx.Tx, before map[string]fleet.HostProgress, hosts []fleet.HostProgress, now time.Time) error {
	var ids, states, names []string
	for _, h := range hosts {
		held, state := before[h.Host].Order, fleet.HostCancelled
		if h.State.Terminal() {
			state = h.State
		}
		if held != "" && (h.State.Terminal() || h.Order == "") {
			ids, states, names = append(ids, held), append(states, string(state)), append(names, h.Host)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var batch pgx.Batch
	batch.Queue(`
		update orders o set state = c.state, ended_at = @now from unnest(@ids::text[], @states::text[]) c (id, state)
		where o.id = c.id and o.ended_at is null`,
		args{"ids": ids, "states": states, "now": now})
	batch.Queue(`select id from hosts where name = any(@hosts) order by id for no key update`, args{"hosts": names})
	queueNext(&batch, names, now)
	return tx.SendBatch(ctx, &batch).Close()
}
