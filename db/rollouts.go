package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// RolloutClaim is a rollout handed out for a look, with what decides its next move.
type RolloutClaim struct {
	Rollout      fleet.Rollout
	Deploy       fleet.DeployPolicy
	Hosts        map[string]fleet.Host // all hosts of the repository, as they are now
	Newer        bool                  // a newer rollout of the repository exists that was not taken back
	NewerHosts   map[string]bool       // of the hosts that are away or put off, those that newer rollouts have taken on
	OtherRunning bool                  // another rollout of the repository blocks this one
	ByPerson     bool                  // a person asked for it, beside what follows from merges and pushes
	Only         []string              // of the hosts that Deploy picks, only these take part; none means all
	Quarantine   string                // why its commit must not spread by itself; empty where it may
	Parent       *fleet.Rollout        // what it restores
	Restoring    *fleet.Rollout        // what restores it: the newest one, ended or not
	Attempt      int                   // claims since the last look that was stored, this one included

	fence, wake int64
}

// rolloutRow is a rollout as it is read, see rolloutColumns.
type rolloutRow struct {
	ID        string
	Kind      fleet.RolloutKind
	Restores  string
	RepoID    int64
	UpdateID  int64
	Commit    string
	State     fleet.RolloutState
	Plan      fleet.Plan
	Reason    string
	Actor     string
	Headline  string
	StartedAt time.Time
	EndedAt   time.Time
	Revert    fleet.Revert
}

const rolloutColumns = `r.id, r.kind, coalesce(r.restores, '') as restores, r.repo_id, coalesce(r.update_id, 0) as update_id, r.commit_sha as commit, r.state, r.plan,
	r.reason, r.actor, r.headline, r.started_at, r.ended_at, r.revert`

func (r rolloutRow) rollout() fleet.Rollout {
	return fleet.Rollout{
		ID: r.ID, Kind: r.Kind, Restores: r.Restores, RepoID: r.RepoID, UpdateID: r.UpdateID, Commit: r.Commit, State: r.State, Plan: r.Plan,
		Reason: r.Reason, Actor: r.Actor, Headline: r.Headline, StartedAt: r.StartedAt, EndedAt: r.EndedAt, Revert: r.Revert,
	}
}

// progressRow is one host of a rollout as it is read, see progressColumns.
type progressRow struct {
	RolloutID string
	fleet.HostProgress
}

const progressColumns = `h.rollout_id, h.host, h.wave, h.state, h.order_id as "order", h.since, h.started_at, h.ended_at, h.failure,
	h.before, h.target, h.switched, h.note`

// briefColumns are progressColumns without what is said of each host: of thousands, in
// many rollouts, that would be gigabytes.
const briefColumns = `h.rollout_id, h.host, h.wave, h.state, h.order_id as "order", h.since, h.started_at, h.ended_at, null::jsonb as failure,
	'{}'::jsonb as before, '{}'::jsonb as target, h.switched, '' as note`

// wakeOtherRollouts makes the other rollouts of a repository due that have not ended.
func wakeOtherRollouts(ctx context.Context, tx pgx.Tx, repoID int64, but string, now time.Time) error {
	_, err := tx.Exec(ctx, `
		with open as materialized (
			select id from rollouts where repo_id = @repo and id <> @but and state not in `+endedRollouts+` order by id for no key update
		)
		update rollouts r set wake = wake + 1, due_at = least(due_at, @now) from open where r.id = open.id`,
		args{"repo": repoID, "but": but, "now": now})
	return err
}

// endedRollouts are the terminal states of a rollout.
const endedRollouts = `('succeeded', 'rolled_back', 'failed', 'aborted', 'superseded')`

// newerRollout asks of a rollout r whether a newer one was begun or is to begin. A
// restore brings no commit, so none is newer for it, and it is newer for none. Nor is
// one that a quarantine keeps from beginning.
const newerRollout = `(r.kind <> 'restore' and exists (select from rollouts o where o.repo_id = r.repo_id
	and (o.created_at, o.id) > (r.created_at, r.id) and o.kind <> 'restore' and o.state not in ('aborted', 'superseded')
	and not (o.state = 'planned' and o.kind = 'deploy' and not o.by_person and exists (
		select from quarantine q where q.repo_id = o.repo_id and q.commit_sha = o.commit_sha and q.lifted_at is null))))`

// otherBlocks asks of a rollout r whether another one blocks it. A restore and what it
// restores don't block each other: the one is the other's way back.
const otherBlocks = `exists (select from rollouts o where o.repo_id = r.repo_id and o.id <> r.id
	and o.id is distinct from r.restores and o.restores is distinct from r.id and o.state in ` + blockingStates + `)`

// ClaimRollouts hands out up to n rollouts that are due. They stay out of sight of
// other workers until the lease has run out.
func (d *DB) ClaimRollouts(ctx context.Context, now time.Time, lease time.Duration, n int) ([]RolloutClaim, error) {
	type row struct {
		rolloutRow
		Deploy       fleet.DeployPolicy
		Newer        bool
		OtherRunning bool
		ByPerson     bool
		OnlyHosts    []string
		Quarantine   string
		Attempt      int
		Fence        int64
		Wake         int64
	}
	var claims []RolloutClaim
	err := d.tx(ctx, func(tx pgx.Tx) error {
		rows, err := all[row](ctx, tx, `
			with due as (
				select id from rollouts
				where due_at <= @now and (lease_until is null or lease_until <= @now)
				order by due_at limit @n for no key update skip locked
			), r as (
				update rollouts set due_at = @until, lease_until = @until, fence = fence + 1, attempt = attempt + 1
				from due where rollouts.id = due.id
				returning rollouts.*
			)
			select `+rolloutColumns+`, r.deploy, r.by_person, r.only_hosts, r.attempt, r.fence, r.wake,
				`+newerRollout+` as newer, `+otherBlocks+` as other_running,
				coalesce((select q.reason from quarantine q where q.repo_id = r.repo_id and q.commit_sha = r.commit_sha
					and q.lifted_at is null), '') as quarantine
			from r order by r.created_at, r.id`,
			args{"now": now, "until": now.Add(lease), "n": n})
		if err != nil {
			return err
		}
		claims = make([]RolloutClaim, len(rows))
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.ID
			claims[i] = RolloutClaim{
				Rollout: r.rollout(), Deploy: r.Deploy, Newer: r.Newer, OtherRunning: r.OtherRunning,
				ByPerson: r.ByPerson, Only: r.OnlyHosts, Quarantine: r.Quarantine,
				Attempt: r.Attempt, fence: r.Fence, wake: r.Wake,
			}
		}
		return fillClaims(ctx, tx, claims, ids)
	})
	if err != nil {
		return nil, fmt.Errorf("claim rollouts: %w", err)
	}
	return claims, nil
}

func fillClaims(ctx context.Context, tx pgx.Tx, claims []RolloutClaim, ids []string) error {
	if len(claims) == 0 {
		return nil
	}
	progress, err := progressOf(ctx, tx, progressColumns, ids)
	if err != nil {
		return err
	}
	for i := range claims {
		c := &claims[i]
		c.Rollout.Hosts = progress[c.Rollout.ID]
		hosts, err := all[hostRow](ctx, tx, `select `+hostColumns+` from hosts h where h.repo_id = @repo order by name`,
			args{"repo": c.Rollout.RepoID})
		if err != nil {
			return err
		}
		c.Hosts = make(map[string]fleet.Host, len(hosts))
		for _, h := range hosts {
			c.Hosts[h.Name] = h.host()
		}
	}
	if err := fillNewerHosts(ctx, tx, claims, ids); err != nil {
		return err
	}
	return fillRestores(ctx, tx, claims, ids)
}

// takesOver asks of a rollout o whether it is newer than r and has begun, so that its
// hosts are no longer r's.
const takesOver = `o.repo_id = r.repo_id and (o.created_at, o.id) > (r.created_at, r.id)
	and o.kind <> 'restore' and o.state not in ('planned', 'aborted', 'superseded')`

// fillNewerHosts adds to each claim which of its hosts that may yet come back are hosts
// of a newer rollout that has begun, and so are left to that one.
func fillNewerHosts(ctx context.Context, tx pgx.Tx, claims []RolloutClaim, ids []string) error {
	rows, err := all[struct{ ID, Host string }](ctx, tx, `
		select distinct r.id, h.host from rollouts r
		join rollout_hosts h on h.rollout_id = r.id and h.state in ('offline', 'deferred')
		join rollouts o on `+takesOver+`
		join rollout_hosts n on n.rollout_id = o.id and n.host = h.host and n.state <> 'excluded'
		where r.id = any(@ids)`, args{"ids": ids})
	if err != nil {
		return err
	}
	at := make(map[string]map[string]bool, len(claims))
	for i, c := range claims {
		claims[i].NewerHosts = map[string]bool{}
		at[c.Rollout.ID] = claims[i].NewerHosts
	}
	for _, r := range rows {
		at[r.ID][r.Host] = true
	}
	return nil
}

func progressOf(ctx context.Context, q querier, columns string, rollouts []string) (map[string][]fleet.HostProgress, error) {
	rows, err := all[progressRow](ctx, q, `
		select `+columns+` from rollout_hosts h where h.rollout_id = any(@ids) order by h.rollout_id, h.position`,
		args{"ids": rollouts})
	if err != nil {
		return nil, err
	}
	progress := make(map[string][]fleet.HostProgress, len(rollouts))
	for _, r := range rows {
		progress[r.RolloutID] = append(progress[r.RolloutID], r.HostProgress)
	}
	return progress, nil
}

// PostponeRollout gives a claim back without a move, to be looked at again at the
// given time, or at once if it was woken meanwhile.
func (d *DB) PostponeRollout(ctx context.Context, c RolloutClaim, again time.Time) error {
	err := guarded(ctx, d.pool, `
		update rollouts set lease_until = null, due_at = case when wake = @wake then @again else least(due_at, @again) end
		where id = @id and fence = @fence and lease_until is not null`,
		args{"id": c.Rollout.ID, "fence": c.fence, "wake": c.wake, "again": again})
	if err != nil {
		return fmt.Errorf("postpone rollout %s: %w", c.Rollout.ID, err)
	}
	return nil
}

// StateChange is a person's decision about a rollout.
type StateChange struct {
	From   []fleet.RolloutState // it must be in one of these
	To     fleet.RolloutState
	Actor  string
	Reason string
}

// SetRolloutState pauses, resumes or aborts a rollout. It takes the rollout from
// whoever looks at it, and makes it due. A rollout in another state is ErrConflict.
func (d *DB) SetRolloutState(ctx context.Context, id string, c StateChange, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.setRolloutState(ctx, tx, id, c, now) })
	if err != nil {
		return fmt.Errorf("set rollout %s to %s: %w", id, c.To, err)
	}
	return nil
}

func (d *DB) setRolloutState(ctx context.Context, tx pgx.Tx, id string, c StateChange, now time.Time) error {
	if c.To.Blocks() {
		if err := onlyOne(ctx, tx, id); err != nil {
			return err
		}
	}
	r, err := lockRolloutAfterUpdates(ctx, tx, id, now)
	if err != nil {
		return err
	}
	allowed := make([]string, len(c.From))
	for i, s := range c.From {
		allowed[i] = string(s)
	}
	err = guarded(ctx, tx, `
		update rollouts set state = @to, ended_at = case when @ended then @now::timestamptz end,
			lease_until = null, due_at = @now, fence = fence + 1, wake = wake + 1
		where id = @id and state = any(@from)`,
		args{"id": id, "to": c.To, "from": allowed, "ended": c.To.Terminal(), "now": now})
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("%w: it is %s", err, r.State)
	}
	if err != nil {
		return err
	}
	if err := d.rolloutMoved(ctx, tx, r.rollout(), move{to: c.To, actor: c.Actor, reason: c.Reason}, now); err != nil {
		return err
	}
	if c.To != fleet.RolloutAborted || r.State != fleet.RolloutRollingBack {
		return nil
	}
	return d.abortRestore(ctx, tx, id, c, now)
}

// lockRolloutAfterUpdates wakes the open updates of the rollout's repository and
// locks the rollout, in this order: whoever holds an update may want a rollout. hosts
// are those that may get an order.
func lockRolloutAfterUpdates(ctx context.Context, tx pgx.Tx, id string, now time.Time, hosts ...string) (rolloutRow, error) {
	repo, err := value[int64](ctx, tx, `select repo_id from rollouts where id = @id`, args{"id": id})
	if err != nil {
		return rolloutRow{}, err
	}
	if err := wakeOpenUpdates(ctx, tx, repo, now); err != nil {
		return rolloutRow{}, err
	}
	if err := lockAround(ctx, tx, id, hosts); err != nil {
		return rolloutRow{}, err
	}
	return one[rolloutRow](ctx, tx, `select `+rolloutColumns+` from rollouts r where id = @id`, args{"id": id})
}

type move struct {
	to            fleet.RolloutState
	actor, reason string
}

// rolloutMoved does what follows from a new state of a rollout.
func (d *DB) rolloutMoved(ctx context.Context, tx pgx.Tx, r fleet.Rollout, m move, now time.Time) error {
	err := remember(ctx, tx, Event{
		At: now, Actor: m.actor, Kind: "rollout." + string(m.to), Subject: "rollout/" + r.ID, Reason: m.reason,
		Detail: map[string]any{"from": r.State, "commit": r.Commit, "repo_id": r.RepoID},
	})
	if err != nil {
		return err
	}
	if err := wakeOtherRollouts(ctx, tx, r.RepoID, r.ID, now); err != nil {
		return err
	}
	// GitHub knows no deployment that restores; what it restores is no longer deployed.
	if err := putEffects(ctx, tx, now, deploymentEffect(cmp.Or(r.Restores, r.ID))); err != nil {
		return err
	}
	return d.showRollout(ctx, tx, r.UpdateID, now)
}

// showRollout makes comment, check run and pages follow a rollout.
func (d *DB) showRollout(ctx context.Context, tx pgx.Tx, updateID int64, now time.Time) error {
	if updateID != 0 {
		if err := putEffects(ctx, tx, now, commentEffect(updateID), checkEffect(updateID)); err != nil {
			return err
		}
	}
	return d.notify(ctx, tx)
}

// Rollout reads one rollout with its hosts.
func (d *DB) Rollout(ctx context.Context, id string) (fleet.Rollout, error) {
	list, err := rolloutsWhere(ctx, d.pool, progressColumns, `r.id = @id`, args{"id": id})
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fleet.Rollout{}, fmt.Errorf("read rollout %s: %w", id, err)
	}
	return list[0], nil
}

// RolloutOf reads the newest rollout that brings one commit to hosts, with its hosts;
// nil if there is none.
func (d *DB) RolloutOf(ctx context.Context, repoID int64, commit string) (*fleet.Rollout, error) {
	list, err := rolloutsWhere(ctx, d.pool, progressColumns, `r.repo_id = @repo and r.commit_sha = @commit and r.kind <> 'restore'
		order by r.created_at desc, r.id desc limit 1`, args{"repo": repoID, "commit": commit})
	if err != nil {
		return nil, fmt.Errorf("read rollout of %s: %w", short(commit), err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return &list[0], nil
}

// rolloutsWhere reads rollouts with these columns of their hosts; where may go on with
// an order.
func rolloutsWhere(ctx context.Context, q querier, columns, where string, a args) ([]fleet.Rollout, error) {
	rows, err := all[rolloutRow](ctx, q, `select `+rolloutColumns+` from rollouts r where `+where, a)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	progress, err := progressOf(ctx, q, columns, ids)
	list := make([]fleet.Rollout, len(rows))
	for i, r := range rows {
		list[i] = r.rollout()
		list[i].Hosts = progress[r.ID]
	}
	return list, err
}
