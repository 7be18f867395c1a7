package app

import (
	"context"
	"maps"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
	"github.com/nixfleet/nixfleet/forge"
)

// kept is what we recorded of a repository that a look at it goes by.
func (a *App) kept(ctx context.Context, repoID int64) (forge.Kept, error) {
	var k forge.Kept
	var err error
	if k.Authors, err = a.db.Accounts(ctx, repoID); err != nil {
		return k, err
	}
	settings, err := a.db.PolicySettings(ctx, repoID)
	if err != nil || settings == nil || settings.Policy == "" {
		return k, err
	}
	r := fleet.Known(fleet.Policy{}, "settings", settings.ChangedAt)
	if r.Value, err = policyfile.Parse([]byte(settings.Policy), "settings"); err != nil {
		// They were valid when they were stored; a later version may read more strictly.
		r = fleet.Unknown[fleet.Policy]("settings", settings.ChangedAt, err.Error())
	}
	k.Settings = &r
	return k, nil
}

// recall completes a snapshot with what we saw ourselves before, and records what
// it shows for the first time.
func (a *App) recall(ctx context.Context, snap *fleet.Snapshot, kept forge.Kept, now time.Time) (err error) {
	if snap.Policy.Known() && snap.Authors.Known() && !maps.Equal(kept.Authors, snap.Authors.Value) {
		if err := a.db.KeepAccounts(ctx, snap.Repo.ID, snap.Policy.Value.Updates.Authors, snap.Authors.Value, now); err != nil {
			return err
		}
	}
	if snap.Recorded.Proposed, err = a.proposedHead(ctx, *snap); err != nil {
		return err
	}
	snap.Recorded.InputsSeen, err = a.db.SeeInputs(ctx, fleet.InputsToSee(*snap), now)
	return err
}

// branch reads the default branch of a repository, and the policy that rules it.
func (a *App) branch(ctx context.Context, repo fleet.Repo) (forge.BranchState, error) {
	kept, err := a.kept(ctx, repo.ID)
	if err != nil {
		return forge.BranchState{}, err
	}
	return a.forge.Branch(ctx, repo, kept)
}
