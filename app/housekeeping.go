package app

import (
	"context"
	"time"
)

const (
	tidyEvery = time.Hour

	// GitHub redelivers webhooks of the last three days; a stored delivery must be
	// recognised for longer than that.
	keepDeliveries = 7 * 24 * time.Hour

	// pruneAtOnce bounds one delete, so that it never holds up a webhook.
	pruneAtOnce = 1000
)

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
		for n := pruneAtOnce; n == pruneAtOnce; {
			var err error
			if n, err = a.db.PruneDeliveries(ctx, now.Add(-keepDeliveries), pruneAtOnce); err != nil {
				return err
			}
		}
		timer.Reset(tidyEvery)
	}
}
