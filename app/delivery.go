package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/forge"
)

// deliverWithin is how long GitHub may take to bring a webhook once more.
const deliverWithin = 15 * time.Second

// deliverAgain has GitHub bring a webhook once more and returns the attempt. known are
// the attempts that were there before. It fails with context.DeadlineExceeded when
// there was none in time.
func (a *App) deliverAgain(ctx context.Context, d forge.HookDelivery, known []forge.HookDelivery) (forge.HookDelivery, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	if err := a.forge.Redeliver(ctx, d.ID); err != nil {
		return forge.HookDelivery{}, err
	}
	pause := 250 * time.Millisecond
	for {
		latest, err := a.forge.LatestDeliveries(ctx)
		if err != nil {
			return forge.HookDelivery{}, err
		}
		i := slices.IndexFunc(latest, func(l forge.HookDelivery) bool {
			return l.GUID == d.GUID && !slices.ContainsFunc(known, func(k forge.HookDelivery) bool { return k.ID == l.ID })
		})
		if i >= 0 {
			return latest[i], nil
		}
		select {
		case <-ctx.Done():
			return forge.HookDelivery{}, ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second) // GitHub's limits are for work
		}
	}
}

// signed is the last webhook that a replica stored.
type signed struct {
	mu     sync.Mutex
	at     time.Time
	secret int // counted from 0
}

func (a *App) noteSigned(secret int) {
	a.signed.mu.Lock()
	defer a.signed.mu.Unlock()
	a.signed.at, a.signed.secret = a.cfg.Now(), secret
}

// lastSigned says when this replica last stored a webhook, and which of the live
// secrets had signed it; -1 where there was none.
func (a *App) lastSigned() (at string, secret int) {
	a.signed.mu.Lock()
	defer a.signed.mu.Unlock()
	if a.signed.at.IsZero() {
		return "", -1
	}
	return a.signed.at.UTC().Format("2006-01-02 15:04 UTC"), a.signed.secret
}
