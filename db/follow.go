package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// RepoStates lists the repositories that we act for, as they were last read.
func (d *DB) RepoStates(ctx context.Context) ([]fleet.RepoView, error) {
	var v fleet.Overview
	var b pgx.Batch
	queueRepoViews(&b, &v, `true`, args{})
	if err := d.pool.SendBatch(ctx, &b).Close(); err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	return v.Repos, nil
}

// ReposToFollow lists the repositories whose policy and head are known and that have
// hosts in the mode automatic which do not run the head.
func (d *DB) ReposToFollow(ctx context.Context) ([]int64, error) {
	type row struct{ ID int64 }
	rows, err := all[row](ctx, d.pool, `
		select r.id from repos r
		where `+watched+` and r.policy is not null and r.policy_error = '' and r.head_sha <> '' and exists (
			select from hosts h where h.repo_id = r.id and h.mode = 'automatic' and h.enrolled_at is not null
				and h.revoked_at is null and h.facts->>'running_commit' is distinct from r.head_sha)
		order by r.id`, args{})
	if err != nil {
		return nil, fmt.Errorf("list repositories to follow: %w", err)
	}
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids, nil
}

// FollowHead lets decide say which orders the hosts of a repository that follow it
// get, and issues these, all in one transaction: two servers that look at the same
// moment look one after the other.
func (d *DB) FollowHead(ctx context.Context, repoID int64, now time.Time, decide func(fleet.FollowFacts) ([]fleet.Order, error)) ([]fleet.Order, error) {
	var issued []fleet.Order
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('hosts that follow repository', @repo))`, args{"repo": repoID}); err != nil {
			return err
		}
		facts, err := readFollowing(ctx, tx, repoID)
		if err != nil {
			return err
		}
		orders, err := decide(facts)
		if err != nil || len(orders) == 0 {
			return err
		}
		if issued, err = insertOrders(ctx, tx, orders, now); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("follow the head of repository %d: %w", repoID, err)
	}
	return issued, nil
}

func readFollowing(ctx context.Context, tx pgx.Tx, repoID int64) (fleet.FollowFacts, error) {
	type repo struct {
		HeadSHA    string
		Policy     fleet.Policy
		Quarantine string
	}
	r, err := one[repo](ctx, tx, `
		select r.head_sha, r.policy, coalesce((select q.reason from quarantine q
			where q.repo_id = r.id and q.commit_sha = r.head_sha and q.lifted_at is null), '') as quarantine
		from repos r where r.id = @repo and r.policy is not null`, args{"repo": repoID})
	if err != nil {
		return fleet.FollowFacts{}, err
	}
	type row struct {
		hostRow
		Open    bool
		Tried   string
		State   fleet.HostState
		Failure *fleet.HostError
		Stopped bool
	}
	rows, err := all[row](ctx, tx, `
		select `+hostColumns+`,
			exists (select from orders o where o.host = h.name and o.ended_at is null) as open,
			coalesce(t.id, '') as tried, coalesce(t.state, '') as state, t.failure,
			coalesce(exists (select from orders o where o.host = h.name and o.gen > t.gen and (o.kind = any(@system) or o.detail->>'cancels' = t.id)
				and o.actor <> @policy), false) as stopped
		from hosts h left join lateral (
			select o.id, o.gen, o.state, o.failure from orders o
			where o.host = h.name and o.kind = 'deploy' and o.commit_sha = @head order by o.gen desc limit 1
		) t on true
		where h.repo_id = @repo and h.mode = 'automatic' and h.enrolled_at is not null and h.revoked_at is null
		order by h.name`,
		args{"repo": repoID, "head": r.HeadSHA, "system": fleet.SystemKinds(), "policy": fleet.PolicyActor})
	if err != nil {
		return fleet.FollowFacts{}, err
	}
	f := fleet.FollowFacts{Head: r.HeadSHA, Quarantine: r.Quarantine, Deploy: r.Policy.Unasked(), Hosts: make([]fleet.Following, len(rows))}
	for i, h := range rows {
		f.Hosts[i] = fleet.Following{
			Host: h.host(), Open: h.Open, Stopped: h.Stopped,
			Tried: fleet.Order{ID: h.Tried, State: h.State, Failure: h.Failure},
		}
	}
	return f, nil
}
