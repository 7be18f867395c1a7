package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	if c.Quarantine != "" && keptBack(c) {
		why := fmt.Sprintf("%.7s is in quarantine: %s", c.Rollout.Commit, c.Quarantine)
		return taken(a.db.EndRollout(ctx, c, fleet.RolloutAborted, why, now))
	}
	l, err := a.look(c, now)
	if err != nil {
		// The policy was valid when it was read, so this names hosts that are gone.
		return taken(a.db.EndRollout(ctx, c, fleet.RolloutFailed, fmt.Sprintf("no plan could be made: %v", err), now))
	}
	err = a.db.SaveRollout(ctx, c, l.move, l.plan, l.orders, now)
	if errors.Is(err, db.ErrConflict) {
		return nil // someone else moved it; they also made it due again
	}
	if err != nil {
		return fmt.Errorf("save rollout %s: %w", c.Rollout.ID, err)
	}
	if l.move.State != c.Rollout.State && l.move.State.Terminal() {
		a.meters.rollouts.WithLabelValues(string(c.Rollout.Kind), string(l.move.State)).Inc()
		a.tellRollout(ctx, c.Rollout, l.move.State, now)
	}
	if l.move.State != c.Rollout.State || len(l.orders) > 0 {
		a.log.Info().Ctx(ctx).Str("rollout", c.Rollout.ID).Str("state", string(l.move.State)).Int("ordered", len(l.orders)).Msg(l.move.Headline)
	}
	if l.restores {
		return a.restore(ctx, c.Rollout)
	}
	return nil
}

// tellRollout tells of a rollout that has ended, in the trace of its update.
func (a *App) tellRollout(ctx context.Context, r fleet.Rollout, to fleet.RolloutState, now time.Time) {
	if !a.traces.on {
		return
	}
	number := 0
	if r.UpdateID != 0 {
		if u, err := a.db.Update(ctx, r.UpdateID); err == nil {
			number = u.Number
		}
	}
	a.traces.rollout(r, number, to, now)
}

// look is what one look at a rollout came to.
type look struct {
	move     fleet.Move
	plan     *fleet.Plan // where it was frozen just now
	orders   []fleet.Order
	restores bool // the rollout that leads back is to be started once the move is stored
}

// restoreAgain is how soon a rollout that turns back is looked at again, should nobody
// have come to start the one that leads back.
const restoreAgain = 10 * time.Second

func (a *App) look(c db.RolloutClaim, now time.Time) (look, error) {
	facts := fleet.RolloutFacts{
		Rollout: c.Rollout, Hosts: c.Hosts, Newer: c.Newer, NewerHosts: c.NewerHosts, Busy: c.OtherRunning,
		Quarantined: c.Quarantine != "" && !c.ByPerson, Restoring: c.Restoring, Hearing: a.hearing,
	}
	var l look
	if c.Rollout.State == fleet.RolloutPlanned {
		p, progress, err := planFor(c)
		if err != nil {
			return l, err
		}
		l.plan = &p
		facts.Rollout.Plan, facts.Rollout.Hosts = p, progress
	}
	l.move = fleet.Advance(facts, now)
	l.orders = a.ordersOf(facts.Rollout, l.move, now)
	if l.restores = l.move.Restore && c.Restoring == nil; l.restores {
		l.move.Again = now.Add(restoreAgain)
	}
	return l, nil
}

// keptBack reports whether a rollout has to wait for its commit's quarantine to be
// lifted: one that nobody asked for, and that has not begun. One that found the commit
// bad itself halts or turns back by its own policy.
func keptBack(c db.RolloutClaim) bool {
	return c.Rollout.State == fleet.RolloutPlanned && c.Rollout.Kind == fleet.RolloutDeploy && !c.ByPerson
}

// planFor freezes the plan of a rollout that begins.
func planFor(c db.RolloutClaim) (fleet.Plan, []fleet.HostProgress, error) {
	if c.Rollout.Kind == fleet.RolloutRestore {
		if c.Parent == nil {
			return fleet.Plan{}, nil, errors.New("the rollout that it restores is gone")
		}
		plan, progress := fleet.MakeRestore(*c.Parent, c.Hosts)
		return plan, progress, nil
	}
	return fleet.MakePlan(c.Deploy, only(hostList(c.Hosts), c.Only))
}

// only are those of the hosts that are named; no names means all.
func only(hosts []fleet.Host, names []string) []fleet.Host {
	if len(names) == 0 {
		return hosts
	}
	return slices.DeleteFunc(hosts, func(h fleet.Host) bool { return !slices.Contains(names, h.Name) })
}

// ordersOf are the orders that follow from a move.
func (a *App) ordersOf(r fleet.Rollout, move fleet.Move, now time.Time) []fleet.Order {
	orders := make([]fleet.Order, 0, len(move.Orders)+len(move.Reboots)+len(move.Cancel))
	of := make(map[string]fleet.HostProgress, len(move.Hosts))
	for _, p := range move.Hosts {
		of[p.Host] = p
	}
	give := func(host string, kind agentbus.Kind) *fleet.Order {
		o := a.newOrder(host, kind, r, now)
		o.Rollout, o.ExpiresAt = r.ID, r.Plan.OrderExpires(now)
		orders = append(orders, o)
		return &orders[len(orders)-1]
	}
	for _, host := range move.Orders {
		switch r.Kind {
		case fleet.RolloutRestore:
			o, target := give(host, agentbus.KindRollback), of[host].Target
			o.Commit, o.Detail.Target = wireCommit(target.Commit), target.Path
		case fleet.RolloutBackward:
			give(host, agentbus.KindRollback)
		default:
			give(host, agentbus.KindDeploy)
		}
	}
	for _, host := range move.Reboots {
		give(host, agentbus.KindReboot).Detail.Target = of[host].Target.Path
	}
	for _, host := range move.Cancel {
		// It takes the place of the order in the bucket, so that a host that comes
		// back finds nothing to do; the rollout does not wait for its answer.
		orders = append(orders, a.newOrder(host, agentbus.KindNoop, r, now))
	}
	return orders
}

// wireCommit is a commit as a host may have told it, if it is one.
func wireCommit(commit string) string {
	if fullSHA.MatchString(commit) {
		return commit
	}
	return ""
}

// restore starts the rollout that leads the hosts of r back. A crash before it leaves r
// rolling back without one, which the next look finds, see restoreAgain.
func (a *App) restore(ctx context.Context, r fleet.Rollout) error {
	now := a.cfg.Now()
	id, err := a.db.StartRestore(ctx, r.ID, db.NewRollout{ID: newID(now), Actor: cmp.Or(r.Actor, "policy")}, now)
	if errors.Is(err, db.ErrConflict) {
		return nil // it was aborted meanwhile
	}
	if err == nil {
		a.log.Info().Ctx(ctx).Str("rollout", id).Str("restores", r.ID).Msg("going back")
	}
	return err
}

// newID is a ULID.
func newID(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String()
}

func (a *App) newOrder(host string, kind agentbus.Kind, r fleet.Rollout, now time.Time) fleet.Order {
	return fleet.Order{
		ID: newID(now), Host: host, Kind: string(kind), RepoID: r.RepoID, Commit: r.Commit,
		Actor: r.Actor, Reason: r.Reason, IssuedAt: now, ExpiresAt: now.Add(fleet.OrderWaits),
	}
}

func hostList(hosts map[string]fleet.Host) []fleet.Host {
	list := make([]fleet.Host, 0, len(hosts))
	for _, h := range hosts {
		list = append(list, h)
	}
	return list
}
