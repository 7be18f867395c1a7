package app

import (
	"context"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

const (
	tidyEvery = time.Hour

	// GitHub redelivers webhooks of the last three days; a stored delivery must be
	// recognised for longer than that.
	keepDeliveries = 7 * 24 * time.Hour

	// pruneAtOnce bounds one delete, so that it never holds up a webhook.
	pruneAtOnce = 1000

	// An output is up to some hundred rows.
	pruneLogsAtOnce = 50

	// How long is kept what nothing open needs: what hosts said to orders that ended and
	// what people pressed, whose outcome stands elsewhere; orders themselves and when
	// revisions were first seen; and effects that can't be carried out any more.
	keepAnswers   = 90 * 24 * time.Hour
	keepRequests  = 90 * 24 * time.Hour
	keepOrders    = 400 * 24 * time.Hour
	keepSightings = 400 * 24 * time.Hour
	keepEffects   = 30 * 24 * time.Hour
)

// mend compares the bus with the database at the start and now and then: one that lost messages, or
// was replaced while we were connected, does not say so.
func (a *App) mend(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := errors.Join(a.repairBus(ctx), a.cutOff(ctx)); err != nil {
			return err
		}
		timer.Reset(reconcileEvery)
	}
}

// tidy forgets what has no use any more, now and then.
func (a *App) tidy(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := a.cfg.Now()
		if err := a.db.PruneSignIn(ctx, now); err != nil {
			return err
		}
		if err := a.db.PruneOrderKeys(ctx, now.Add(-keepOrderKeys)); err != nil {
			return err
		}
		if err := a.pruneLogs(ctx, now); err != nil {
			return err
		}
		if err := a.prune(ctx, now); err != nil {
			return err
		}
		for n := pruneAtOnce; n == pruneAtOnce; {
			var err error
			if n, err = a.db.PruneNotices(ctx, now.Add(-keepNotices), pruneAtOnce); err != nil {
				return err
			}
		}
		timer.Reset(tidyEvery)
	}
}

// prune forgets rows by their age, a bounded number at a time.
func (a *App) prune(ctx context.Context, now time.Time) error {
	for _, p := range []struct {
		keep   time.Duration // for ever where it is 0
		forget func(ctx context.Context, before time.Time, n int) (int, error)
	}{
		{keepDeliveries, a.db.PruneDeliveries},
		{keepOnce, a.db.PruneOnce},
		{keepEvaluations, a.db.PruneEvaluations},
		{keepAnswers, a.db.PruneAnswers}, // before the orders, which stay as long as there are any
		{keepOrders, a.db.PruneOrders},
		{keepRequests, a.db.PruneRequests},
		{keepSightings, a.db.PruneSightings},
		{keepEffects, a.db.PruneEffects},
		{time.Duration(a.cfg.KeepHistory) * 24 * time.Hour, a.db.PruneHistory},
	} {
		for n := pruneAtOnce; n >= pruneAtOnce && p.keep > 0; {
			var err error
			if n, err = p.forget(ctx, now.Add(-p.keep), pruneAtOnce); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneLogs forgets the output of orders that a repository's policy does not keep
// any more. What belongs to no repository is kept as long as the built-in policy says.
func (a *App) pruneLogs(ctx context.Context, now time.Time) error {
	policies, err := a.db.RepoPolicies(ctx)
	if err != nil {
		return err
	}
	usual := fleet.DefaultPolicy().Deploy.KeepLogs
	policies[0] = fleet.DefaultPolicy()
	for repo, p := range policies {
		keep := p.Deploy.KeepLogs
		if keep <= 0 {
			keep = usual
		}
		for n := pruneLogsAtOnce; n == pruneLogsAtOnce; {
			if n, err = a.db.PruneLogs(ctx, repo, now.Add(-keep), pruneLogsAtOnce); err != nil {
				return err
			}
		}
	}
	return nil
}
