package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// RepoClaim is a repository handed out for a look.
type RepoClaim struct {
	Repo              fleet.Repo
	HeadSHA           string // of the default branch at the last look
	LastRolloutCommit string // of the newest rollout; empty if there was none
	Attempt           int    // claims since the last look that was stored, this one included

	fence, wake int64
}

// RepoChange is what a look at a repository found.
type RepoChange struct {
	DefaultBranch string
	HeadSHA       string
	PolicyError   string           // why the policy file is broken
	Policy        *fleet.Policy    // as read; nil keeps the one that was read last
	OpenPulls     []fleet.OpenPull // nil when they were not listed
	Rollout       *NewRollout      // to start; nil for none
	Again         time.Time
}

type repoRow struct {
	ID             int64
	InstallationID int64
	Owner          string
	Name           string
	DefaultBranch  string
}

func (r repoRow) repo() fleet.Repo {
	return fleet.Repo{ID: r.ID, Installation: r.InstallationID, Owner: r.Owner, Name: r.Name, DefaultBranch: r.DefaultBranch}
}

// Repos lists the repositories that we act for.
func (d *DB) Repos(ctx context.Context) ([]fleet.Repo, error) {
	rows, err := all[repoRow](ctx, d.pool, `
		select id, installation_id, owner, name, default_branch from repos r where `+watched+` order by owner, name, id`, args{})
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	repos := make([]fleet.Repo, len(rows))
	for i, r := range rows {
		repos[i] = r.repo()
	}
	return repos, nil
}

// ClaimRepos hands out up to n repositories that are due. They stay out of sight
// of other workers until the lease has run out.
func (d *DB) ClaimRepos(ctx context.Context, now time.Time, lease time.Duration, n int) ([]RepoClaim, error) {
	type row struct {
		repoRow
		HeadSHA           string
		LastRolloutCommit string
		Attempt           int
		Fence             int64
		Wake              int64
	}
	rows, err := all[row](ctx, d.pool, `
		with due as (
			select id from repos r
			where due_at <= @now and (lease_until is null or lease_until <= @now) and `+watched+`
			order by due_at limit @n for update skip locked
		), r as (
			update repos set due_at = @until, lease_until = @until, fence = fence + 1, attempt = attempt + 1
			from due where repos.id = due.id
			returning repos.*
		)
		select id, installation_id, owner, name, default_branch, head_sha, attempt, fence, wake,
			coalesce((select o.commit_sha from rollouts o where o.repo_id = r.id and o.kind <> 'restore'
				order by o.created_at desc, o.id desc limit 1), '') as last_rollout_commit
		from r order by id`,
		args{"now": now, "until": now.Add(lease), "n": n})
	if err != nil {
		return nil, fmt.Errorf("claim repositories: %w", err)
	}
	claims := make([]RepoClaim, len(rows))
	for i, r := range rows {
		claims[i] = RepoClaim{
			Repo: r.repo(), HeadSHA: r.HeadSHA, LastRolloutCommit: r.LastRolloutCommit,
			Attempt: r.Attempt, fence: r.Fence, wake: r.Wake,
		}
	}
	return claims, nil
}

// SaveRepo stores a look at a repository and wakes the updates that it listed and
// those that we believe to be open. ErrConflict means that the lease had run out.
func (d *DB) SaveRepo(ctx context.Context, c RepoClaim, v RepoChange, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.saveRepo(ctx, tx, c, v, now) })
	if err != nil {
		return fmt.Errorf("save repository %s: %w", c.Repo.FullName(), err)
	}
	return nil
}

func (d *DB) saveRepo(ctx context.Context, tx pgx.Tx, c RepoClaim, v RepoChange, now time.Time) error {
	var policy any
	if v.Policy != nil {
		policy = *v.Policy
	}
	err := guarded(ctx, tx, `
		update repos set
			default_branch = coalesce(nullif(@branch, ''), default_branch),
			head_sha = coalesce(nullif(@head, ''), head_sha),
			head_at = case when @head <> '' then @now::timestamptz else head_at end,
			policy_error = @policy_error, policy = coalesce(@policy::jsonb, policy), lease_until = null, attempt = 0,
			due_at = case when wake = @wake then @again::timestamptz else due_at end
		where id = @id and fence = @fence and lease_until is not null`,
		args{
			"id": c.Repo.ID, "fence": c.fence, "wake": c.wake, "branch": v.DefaultBranch, "head": v.HeadSHA,
			"policy_error": v.PolicyError, "policy": policy, "now": now, "again": v.Again,
		})
	if err != nil {
		return err
	}
	if v.OpenPulls != nil {
		if err := wakeListed(ctx, tx, c.Repo.ID, v.OpenPulls, now); err != nil {
			return err
		}
	}
	if v.HeadSHA != "" && v.HeadSHA != c.HeadSHA {
		if err := wakeOpenUpdates(ctx, tx, c.Repo.ID, now); err != nil { // policy, locks and mergeability go by it
			return err
		}
		if err := doubtIgnored(ctx, tx, c.Repo.ID); err != nil {
			return err
		}
	}
	if v.Rollout != nil {
		if _, err := d.startRollout(ctx, tx, *v.Rollout, 0, now); err != nil {
			return err
		}
	}
	return d.notify(ctx, tx)
}

// PostponeRepo gives a claim back without a result, to be looked at again at the
// given time, or at once if it was woken meanwhile.
func (d *DB) PostponeRepo(ctx context.Context, c RepoClaim, again time.Time) error {
	err := guarded(ctx, d.pool, `
		update repos set lease_until = null, due_at = case when wake = @wake then @again else least(due_at, @again) end
		where id = @id and fence = @fence and lease_until is not null`,
		args{"id": c.Repo.ID, "fence": c.fence, "wake": c.wake, "again": again})
	if err != nil {
		return fmt.Errorf("postpone repository %s: %w", c.Repo.FullName(), err)
	}
	return nil
}
