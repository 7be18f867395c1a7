package app

import (
	"context"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// DeployRequest is a person's wish to bring one commit to hosts now, outside of
// any rollout: all of them at once, without waves.
type DeployRequest struct {
	Hosts  []string
	Commit string // 40 hex digits, of the hosts' own repository
	Reason string
}

// Deploy issues a deploy order to each host.
func (a *App) Deploy(ctx context.Context, by fleet.Actor, d DeployRequest) error {
	orders, err := a.deployOrders(ctx, by, d, 0)
	if err != nil {
		return fmt.Errorf("deploy %.7s: %w", d.Commit, err)
	}
	if _, err := a.db.IssueOrders(ctx, orders, a.cfg.Now()); err != nil {
		return fmt.Errorf("deploy %.7s: %w", d.Commit, err)
	}
	a.log.Info().Ctx(ctx).Str("commit", d.Commit).Int("hosts", len(orders)).Str("by", by.Login).Msg("deploy asked for")
	return nil
}

// Await waits until the read model satisfies done, looking again after every
// change. what names the wait in the error when ctx ends first.
func (a *App) Await(ctx context.Context, what string, done func(fleet.Overview) bool) error {
	changed := make(chan struct{}, 1)
	listen, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- a.db.Listen(listen, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { stop(); <-ended }()
	look := time.NewTicker(pollEvery)
	defer look.Stop()
	for {
		o, err := overview{a}.Overview(ctx)
		if err == nil && done(o) {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-changed:
		case <-look.C:
		}
	}
}
