package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	if !before.State.Blocks() && s.move.State.Blocks() {
		if err := onlyOne(ctx, tx, before.ID); err != nil {
			return err
		}
	}
	if before.State != s.move.State {
		// Updates first: whoever holds an update may want a rollout.
		if err := wakeOpenUpdates(ctx, tx, before.RepoID, s.now); err != nil {
			return err
		}
	}
	if err := lockAround(ctx, tx, before.ID, s.touched()); err != nil {
		return err
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
	if err := notOutrun(ctx, tx, s); err != nil {
		return err
	}
	if err := assignOrders(ctx, tx, s, issued); err != nil {
		return err
	}
	if err := followMove(ctx, tx, s); err != nil {
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
func onlyOne(ctx context.Context, tx pgx.Tx, id string) error {
	repo, err := value[int64](ctx, tx, `select repo_id from rollouts where id = @id`, args{"id": id})
	if err != nil {
		return err
	}
	if err := lockRollouts(ctx, tx, repo); err != nil {
		return err
	}
	blocked, err := value[bool](ctx, tx, `select `+otherBlocks+` from rollouts r where r.id = @id`, args{"id": id})
	if err == nil && blocked {
		return fmt.Errorf("%w: another rollout of the repository is under way", ErrConflict)
	}
	return err
}

// lockRollouts keeps others from beginning rollouts of a repository until the
// transaction ends.
func lockRollouts(ctx context.Context, tx pgx.Tx, repo int64) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('rollouts of repository', @repo))`, args{"repo": repo})
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

// gives reports whether the move gives a host an order of the rollout.
func (s saving) gives(host string) bool {
	return slices.Contains(s.move.Orders, host) || slices.Contains(s.move.Reboots, host)
}

// stillToCancel is the orders of a move without those that would take back what a
// host does not hold any more: its newest order may be a later rollout's, or a
// person's, and what replaces that would keep the host from it.
func stillToCancel(ctx context.Context, tx pgx.Tx, s saving) ([]fleet.Order, error) {
	if len(s.move.Cancel) == 0 {
		return s.orders, nil
	}
	held, err := holding(ctx, tx, s.claim.Rollout.ID, s.move.Cancel)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(s.orders), func(o fleet.Order) bool {
		return slices.Contains(s.move.Cancel, o.Host) && !s.gives(o.Host) &&
			!slices.Contains(held, o.Host)
	}), nil
}

// holding are those of the hosts whose newest order is the rollout's. Their rows stay
// locked, so that none gets another one meanwhile.
func holding(ctx context.Context, tx pgx.Tx, rollout string, hosts []string) ([]string, error) {
	rows, err := tx.Query(ctx, `
		with locked as materialized (
			select id, name, last_gen from hosts where name = any(@hosts) order by id for no key update
		)
		select l.name from locked l join orders o on o.host = l.name and o.gen = l.last_gen
		where o.rollout_id = @rollout`,
		args{"hosts": hosts, "rollout": rollout})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// notOutrun keeps a rollout that has succeeded from giving its older commit to a host
// that a newer rollout has taken on since the claim. The hosts are locked by now: an
// order that the newer one gives from here on comes after.
func notOutrun(ctx context.Context, tx pgx.Tx, s saving) error {
	hosts := slices.Concat(s.move.Orders, s.move.Reboots)
	if len(hosts) == 0 || s.claim.Rollout.State != fleet.RolloutSucceeded {
		return nil
	}
	outrun, err := value[bool](ctx, tx, `
		select exists (select from rollouts r join rollouts o on `+takesOver+`
			join rollout_hosts n on n.rollout_id = o.id and n.host = any(@hosts) and n.state <> 'excluded'
			where r.id = @id)`,
		args{"id": s.claim.Rollout.ID, "hosts": hosts})
	if err == nil && outrun {
		err = fmt.Errorf("%w: a newer rollout has taken on one of %s", ErrConflict, strings.Join(hosts, ", "))
	}
	return err
}

// assignOrders notes which order each host works on.
func assignOrders(ctx context.Context, tx pgx.Tx, s saving, issued []fleet.Order) error {
	var hosts, ids []string
	for _, o := range issued {
		if s.gives(o.Host) && o.Rollout == s.claim.Rollout.ID {
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
