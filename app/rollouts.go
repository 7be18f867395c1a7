package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/oklog/ulid/v2"
)

func (a *App) workRollouts(ctx context.Context) (int, error) {
	claims, err := a.db.ClaimRollouts(ctx, a.cfg.Now(), lease, 8)
	if err != nil {
		return 0, err
	}
	for _, c := range claims {
		if err := a.advance(ctx, c); err != nil {
			return len(claims), err
		}
	}
	return len(claims), nil
}

// advance moves one rollout: the plan is frozen when it leaves planned, then each
// look orders what the plan allows now.
func (a *App) advance(ctx context.Context, c db.RolloutClaim) error {
	now := a.cfg.Now()
	facts := fleet.RolloutFacts{Rollout: c.Rollout, Hosts: c.Hosts, Newer: c.Newer, Busy: c.OtherRunning, Hearing: a.hearing}
	var plan *fleet.Plan
	if c.Rollout.State == fleet.RolloutPlanned {
		p, progress, err := fleet.MakePlan(c.Deploy, hostList(c.Hosts))
		if err != nil {
			// The policy was valid when it was read, so this names hosts that are gone.
			return a.db.EndRollout(ctx, c, fleet.RolloutFailed, fmt.Sprintf("no plan could be made: %v", err), now)
		}
		plan = &p
		facts.Rollout.Plan, facts.Rollout.Hosts = p, progress
	}
	move := fleet.Advance(facts, now)
	orders := make([]fleet.Order, 0, len(move.Orders)+len(move.Cancel))
	for _, host := range move.Orders {
		o := a.newOrder(host, agentbus.KindDeploy, facts.Rollout, now)
		o.Rollout, o.ExpiresAt = facts.Rollout.ID, facts.Rollout.Plan.OrderExpires(now)
		orders = append(orders, o)
	}
	for _, host := range move.Cancel {
		// It takes the place of the order in the bucket, so that a host that comes
		// back finds nothing to do; the rollout does not wait for its answer.
		orders = append(orders, a.newOrder(host, agentbus.KindNoop, facts.Rollout, now))
	}
	err := a.db.SaveRollout(ctx, c, move, plan, orders, now)
	if errors.Is(err, db.ErrConflict) {
		return nil // someone else moved it; they also made it due again
	}
	if err != nil {
		return fmt.Errorf("save rollout %s: %w", c.Rollout.ID, err)
	}
	if move.State != c.Rollout.State || len(orders) > 0 {
		a.log.Info().Str("rollout", c.Rollout.ID).Str("state", string(move.State)).Int("ordered", len(orders)).Msg(move.Headline)
	}
	return nil
}

func (a *App) newOrder(host string, kind agentbus.Kind, r fleet.Rollout, now time.Time) fleet.Order {
	return fleet.Order{
		ID:   ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String(),
		Host: host, Kind: string(kind), RepoID: r.RepoID, Commit: r.Commit,
		Actor: r.Actor, Reason: r.Reason, IssuedAt: now, ExpiresAt: now.Add(orderTTL),
	}
}

func hostList(hosts map[string]fleet.Host) []fleet.Host {
	list := make([]fleet.Host, 0, len(hosts))
	for _, h := range hosts {
		list = append(list, h)
	}
	return list
}
