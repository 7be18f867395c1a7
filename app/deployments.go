package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// deployment shows a rollout, as it is now, as a deployment on the repository's page,
// where the App may. Making one and telling its state are recorded apart, so that
// neither is done twice after a crash; the state is told only when it changed, for
// every telling stays in GitHub's list.
func (a *App) deployment(ctx context.Context, rollout string) error {
	known, err := a.db.Deployment(ctx, rollout)
	if err != nil {
		return err
	}
	if known.Restored {
		known.Rollout.State, known.Rollout.Headline = fleet.RolloutSuperseded, "It was rolled back."
	}
	if !known.Watched || known.Shown == known.Rollout.State {
		return nil
	}
	may, err := a.forge.Granted(ctx, known.Repo.Installation, "deployments", "write")
	if errors.Is(err, forge.ErrInstallationGone) || err == nil && !may {
		return nil // an optional permission, which was not given
	}
	if err != nil {
		return fmt.Errorf("show rollout %s as a deployment: %w", rollout, later(err))
	}
	d := forge.DeploymentFor(known.Rollout, a.rolloutURL(rollout))
	if d.ID = known.GitHubID; d.ID == 0 {
		if d.ID, err = a.forge.MakeDeployment(ctx, known.Repo, d); err != nil {
			return a.undeployed(rollout, err)
		}
		if err := a.db.SetDeployment(ctx, rollout, d.ID, "", a.cfg.Now()); err != nil {
			return err
		}
	}
	if err := a.forge.SetDeployment(ctx, known.Repo, d); err != nil {
		return a.undeployed(rollout, err)
	}
	return a.db.SetDeployment(ctx, rollout, d.ID, known.Rollout.State, a.cfg.Now())
}

// undeployed gives up what GitHub will never take: the rollout does not depend on it.
func (a *App) undeployed(rollout string, err error) error {
	if errors.Is(err, forge.ErrNoDeployment) {
		a.log.Info().Err(err).Str("rollout", rollout).Msg("the repository's page does not show this rollout")
		return nil
	}
	return fmt.Errorf("show rollout %s as a deployment: %w", rollout, later(err))
}

// rolloutURL is the page of a rollout.
func (a *App) rolloutURL(rollout string) string { return a.cfg.URL + "/rollouts/" + rollout }
