package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// branchesEvery is how often it is looked who follows. Each answer of each host wakes
// the loops, and a look goes through all hosts that are behind.
const branchesEvery = 5 * time.Second

// workFollow brings hosts in the mode automatic to the heads of their repositories.
// Everything is derived anew at each look, so nothing has to be remembered between
// them.
func (a *App) workFollow(ctx context.Context) (int, error) {
	now := a.cfg.Now()
	if now.Sub(a.branches) < branchesEvery && !now.Before(a.branches) {
		return 0, nil
	}
	a.branches = now
	repos, err := a.db.ReposToFollow(ctx)
	if err != nil {
		return 0, err
	}
	ordered := 0
	var errs []error
	for _, id := range repos {
		issued, err := a.db.FollowHead(ctx, id, now, a.follow)
		if errors.Is(err, db.ErrConflict) {
			continue // a host was revoked meanwhile; the next look knows
		}
		errs = append(errs, err)
		ordered += len(issued)
		if len(issued) > 0 {
			a.log.Info().Ctx(ctx).Str("commit", issued[0].Commit).Int("hosts", len(issued)).Msg("hosts follow the default branch")
		}
	}
	return ordered, errors.Join(errs...)
}

// follow is the orders that hosts get which follow by themselves.
func (a *App) follow(f fleet.FollowFacts) ([]fleet.Order, error) {
	now := a.cfg.Now()
	followed, err := fleet.Follow(f, now)
	if err != nil {
		return nil, err
	}
	repo := map[string]int64{}
	for _, h := range f.Hosts {
		repo[h.Host.Name] = h.Host.RepoID
	}
	policy := &fleet.Policy{Deploy: f.Deploy}
	orders := make([]fleet.Order, 0, len(followed.Hosts))
	for _, name := range followed.Hosts {
		o := a.newOrder(name, agentbus.KindDeploy, fleet.Rollout{RepoID: repo[name], Commit: f.Head}, now)
		o.Actor, o.Reason = fleet.PolicyActor, fmt.Sprintf("the host follows the default branch, which is at %.7s", f.Head)
		o.Detail.Deploy = ownPolicy(policy)
		orders = append(orders, o)
	}
	return orders, nil
}
