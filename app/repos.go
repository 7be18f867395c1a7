package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// reconcileEvery is how often a repository is looked at without being woken
// (SPEC 6, Rate).
const reconcileEvery = 5 * time.Minute

// unsettledAgain is how soon to look again while a merge is being found out.
const unsettledAgain = 3 * time.Second

func (a *App) workRepos(ctx context.Context) (int, error) {
	claims, err := a.db.ClaimRepos(ctx, a.cfg.Now(), lease, 4)
	if err != nil {
		return 0, err
	}
	for _, c := range claims {
		if err := a.reconcile(ctx, c); err != nil {
			a.log.Warn().Ctx(ctx).Err(err).Str("repo", c.Repo.FullName()).Msg("repository could not be read; looked at again later")
			if err := a.db.PostponeRepo(ctx, c, a.cfg.Now().Add(backoff(c.Attempt))); err != nil && !errors.Is(err, db.ErrConflict) {
				return len(claims), err
			}
		}
	}
	return len(claims), nil
}

// reconcile reads a repository's default branch and open pull requests. It finds
// what webhooks did not bring, and starts the rollout of a lock that reached the
// default branch without us.
func (a *App) reconcile(ctx context.Context, c db.RepoClaim) error {
	state, err := a.branch(ctx, c.Repo)
	if err != nil {
		return fmt.Errorf("read default branch: %w", err)
	}
	pulls, err := a.forge.OpenPulls(ctx, c.Repo)
	if err != nil {
		return fmt.Errorf("list open pull requests: %w", err)
	}
	now := a.cfg.Now()
	change := repoChange(state, pulls, now)
	unsettled, err := a.db.Unsettled(ctx, c.Repo.ID, pulls)
	if err != nil {
		return err
	}
	if unsettled && state.HeadSHA != c.HeadSHA {
		// The new head may be the merge of an update. That is found out first, and it
		// has its own say in whether it is deployed: until then the head stays new.
		change.HeadSHA, change.Again = "", now.Add(unsettledAgain)
		return a.db.SaveRepo(ctx, c, change, now)
	}
	if change.Rollout, err = a.rolloutOfPush(ctx, c, state.HeadSHA, state.Policy, now); err != nil {
		return err
	}
	return a.db.SaveRepo(ctx, c, change, now)
}

// repoChange is what a look found. While the policy can't be read, nothing can be
// said of what a new head brings: it stays new until a look that can.
func repoChange(state forge.BranchState, pulls []fleet.OpenPull, now time.Time) db.RepoChange {
	change := db.RepoChange{
		DefaultBranch: state.Repo.DefaultBranch, PolicyError: state.Policy.Err, OpenPulls: pulls, Again: now.Add(reconcileEvery),
	}
	if state.Policy.Known() {
		change.HeadSHA, change.Policy = state.HeadSHA, &state.Policy.Value
	}
	return change
}

// rolloutOfPush plans a rollout when the default branch moved and a lock file
// with it. The commits between are compared from the last one that was rolled
// out, so that a merge of our own is not deployed twice.
func (a *App) rolloutOfPush(ctx context.Context, c db.RepoClaim, head string, policy fleet.Reading[fleet.Policy], now time.Time) (*db.NewRollout, error) {
	since := c.LastRolloutCommit
	if since == "" {
		since = c.HeadSHA
	}
	if since == "" || since == head || c.HeadSHA == head || !policy.Known() || !policy.Value.Deploy.Auto {
		return nil, nil
	}
	// A merge is deployed, or not, where it is recorded.
	if u, err := a.db.MergedAs(ctx, c.Repo.ID, head); err != nil || u != nil {
		return nil, err
	}
	files, err := a.forge.FilesChanged(ctx, c.Repo, since, head)
	if err != nil {
		return nil, fmt.Errorf("compare %.7s with %.7s: %w", since, head, err)
	}
	if !slices.ContainsFunc(files, func(f string) bool { return slices.Contains(policy.Value.Updates.Files, f) }) {
		return nil, nil
	}
	r := newRollout(c.Repo, head, policy.Value.Unasked(), now)
	r.Reason, r.Actor = "the default branch moved and its lock changed", "push"
	return r, nil
}
