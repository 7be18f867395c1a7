package db

import (
	"context"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Deployment is a rollout with what GitHub shows of it.
type Deployment struct {
	Rollout  fleet.Rollout // without its hosts
	Repo     fleet.Repo
	Restored bool               // a person had it undone after it ended
	Watched  bool               // we still act for the repository
	GitHubID int64              // of GitHub's deployment, 0 where none is known
	Shown    fleet.RolloutState // that GitHub was last told; empty if none
}

// Deployment reads a rollout with what GitHub shows of it.
func (d *DB) Deployment(ctx context.Context, rollout string) (Deployment, error) {
	type row struct {
		rolloutRow
		RepoOwner     string
		RepoName      string
		Installation  int64
		DefaultBranch string
		Watched       bool
		Restored      bool
		GitHubID      int64 `db:"github_id"`
		Shown         string
	}
	v, err := one[row](ctx, d.pool, `
		select `+rolloutColumns+`,
			exists (select from rollouts x where x.restores = r.id and x.state = 'succeeded') as restored, p.owner as repo_owner, p.name as repo_name, p.installation_id as installation, p.default_branch,
			exists (select from repos r where r.id = p.id and `+watched+`) as watched,
			coalesce(g.github_id, 0) as github_id, coalesce(g.state, '') as shown
		from rollouts r join repos p on p.id = r.repo_id left join deployments g on g.rollout_id = r.id
		where r.id = @id`, args{"id": rollout})
	if err != nil {
		return Deployment{}, fmt.Errorf("read deployment of rollout %s: %w", rollout, err)
	}
	return Deployment{
		Rollout: v.rollout(),
		Repo:    fleet.Repo{ID: v.RepoID, Installation: v.Installation, Owner: v.RepoOwner, Name: v.RepoName, DefaultBranch: v.DefaultBranch},
		Watched: v.Watched, Restored: v.Restored,
		GitHubID: v.GitHubID, Shown: fleet.RolloutState(v.Shown),
	}, nil
}

// SetDeployment records GitHub's deployment of a rollout and the state that it shows,
// which is empty where it was only made.
func (d *DB) SetDeployment(ctx context.Context, rollout string, githubID int64, shown fleet.RolloutState, now time.Time) error {
	_, err := d.pool.Exec(ctx, `
		insert into deployments (rollout_id, github_id, state, written_at) values (@rollout, @id, @shown, @now)
		on conflict (rollout_id) do update set github_id = @id, state = @shown, written_at = @now`,
		args{"rollout": rollout, "id": githubID, "shown": string(shown), "now": now})
	if err != nil {
		return fmt.Errorf("record deployment of rollout %s: %w", rollout, err)
	}
	return nil
}
