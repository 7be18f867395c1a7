package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// Exclusion is a person's decision that a host does not take part in a rollout.
type Exclusion struct {
	Rollout string
	Host    string
	Actor   string
	Reason  string
	Instead fleet.Order // takes the place of the host's order, where it has not taken that up
}

// ExcludeHost takes a host out of a rollout. One that is out already changes nothing;
// one that can't be taken out any more is ErrConflict, with the reason.
func (d *DB) ExcludeHost(ctx context.Context, x Exclusion, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.excludeHost(ctx, tx, x, now) })
	if err != nil {
		return fmt.Errorf("exclude %s from rollout %s: %w", x.Host, x.Rollout, err)
	}
	return nil
}

func (d *DB) excludeHost(ctx context.Context, tx pgx.Tx, x Exclusion, now time.Time) error {
	r, err := lockRolloutAfterUpdates(ctx, tx, x.Rollout, now, x.Host)
	if err != nil {
		return err
	}
	row, err := one[progressRow](ctx, tx, `
		select `+progressColumns+` from rollout_hosts h where h.rollout_id = @id and h.host = @host for no key update`,
		args{"id": x.Rollout, "host": x.Host})
	if err != nil || row.State == fleet.HostExcluded {
		return err
	}
	was := row.HostProgress
	is, takeBack, err := fleet.Exclude(was, now)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	before := map[string]fleet.HostProgress{x.Host: was}
	if err := updateProgress(ctx, tx, x.Rollout, before, []fleet.HostProgress{is}); err != nil {
		return err
	}
	if err := endOrders(ctx, tx, before, []fleet.HostProgress{is}, now); err != nil {
		return err
	}
	if takeBack {
		held, err := holding(ctx, tx, x.Rollout, []string{x.Host})
		if err != nil {
			return err
		}
		if len(held) > 0 {
			if _, err := insertOrders(ctx, tx, []fleet.Order{x.Instead}, now); err != nil {
				return err
			}
		}
	}
	// Whoever looks at it does not know of this.
	if _, err := tx.Exec(ctx, `
		update rollouts set lease_until = null, due_at = @now, fence = fence + 1, wake = wake + 1 where id = @id`,
		args{"id": x.Rollout, "now": now}); err != nil {
		return err
	}
	if err := remember(ctx, tx, Event{
		At: now, Actor: x.Actor, Kind: "rollout.host_excluded", Subject: "rollout/" + x.Rollout, Reason: x.Reason,
		Detail: map[string]any{"host": x.Host, "was": was.State, "repo_id": r.RepoID},
	}); err != nil {
		return err
	}
	return d.showRollout(ctx, tx, r.UpdateID, now)
}

// RolloutPage picks rollouts from the list of all of them, newest first.
type RolloutPage struct {
	State  fleet.RolloutState // empty means any
	Before string             // id of the last one of the page before; empty begins with the newest
	Limit  int
}

// Rollouts lists rollouts with their hosts, newest first. What is said of each host, and
// what it runs, [DB.Rollout] tells.
func (d *DB) Rollouts(ctx context.Context, p RolloutPage) ([]fleet.Rollout, error) {
	list, err := rolloutsWhere(ctx, d.pool, briefColumns, `(@state = '' or r.state = @state) and (@before = '' or r.id < @before)
		order by r.id desc limit @n`, args{"state": string(p.State), "before": p.Before, "n": p.Limit})
	if err != nil {
		return nil, fmt.Errorf("list rollouts: %w", err)
	}
	return list, nil
}

// RolloutsLike finds the rollouts whose id begins with a prefix, at most two.
func (d *DB) RolloutsLike(ctx context.Context, prefix string) ([]string, error) {
	rows, err := d.pool.Query(ctx, `select id from rollouts where starts_with(id, @prefix) order by id desc limit 2`, args{"prefix": prefix})
	if err != nil {
		return nil, fmt.Errorf("find rollout %s: %w", prefix, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Overtook finds the newest rollout of another commit that began after r did; empty
// where there is none. To bring r's commit to hosts again would take that one back.
func (d *DB) Overtook(ctx context.Context, r fleet.Rollout) (id string, err error) {
	id, err = value[string](ctx, d.pool, `
		select coalesce((select o.id from rollouts o join rollouts r on r.id = @id
			where `+newerThan+`
				and o.commit_sha <> r.commit_sha and o.started_at is not null
			order by o.created_at desc, o.id desc limit 1), '')`, args{"id": r.ID})
	if err != nil {
		return "", fmt.Errorf("look for what came after rollout %s: %w", r.ID, err)
	}
	return id, nil
}

// RolloutPolicy reads the policy that a rollout was asked for with.
func (d *DB) RolloutPolicy(ctx context.Context, id string) (fleet.DeployPolicy, error) {
	p, err := value[fleet.DeployPolicy](ctx, d.pool, `select deploy from rollouts where id = @id`, args{"id": id})
	if err != nil {
		return p, fmt.Errorf("read the policy of rollout %s: %w", id, err)
	}
	return p, nil
}
