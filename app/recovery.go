package app

import (
	"context"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

const (
	// deliveriesKept is how long GitHub can bring a webhook once more.
	// https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
	deliveriesKept = 3 * 24 * time.Hour

	// An attempt that failed just now may be followed by another, of a person's or of
	// another replica's.
	attemptRests = time.Minute

	attemptsMost   = 4   // of one delivery, ours and others'
	redeliverMost  = 100 // in one round; the next follows soon
	learnReposEach = time.Hour
)

// recover looks for what webhooks did not bring, now and then: deliveries that never
// arrived, and installations or repositories that came or went unseen. The first
// look comes at once: whatever befell us while we were away is found at the start.
func (a *App) recover(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var learned time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if now := a.cfg.Now(); now.Sub(learned) >= learnReposEach {
			if err := a.learnRepos(ctx); err != nil {
				return err
			}
			learned = now
		}
		if err := a.redeliver(ctx); err != nil {
			return err
		}
		if err := a.adoptSecret(ctx); err != nil {
			return err
		}
		timer.Reset(reconcileEvery)
	}
}

// redeliver asks GitHub for the webhooks that it could not bring and that we do not
// have. What we answered for and lost would not be among them; reconciliation finds
// what it was about.
func (a *App) redeliver(ctx context.Context) error {
	const cursor = "deliveries" // all attempts before it arrived, or are given up
	now := a.cfg.Now()
	seen, err := a.db.Cursor(ctx, cursor)
	if err != nil {
		return err
	}
	since := now.Add(-deliveriesKept)
	if at := time.Unix(int64(seen), 0); at.After(since) {
		since = at
	}
	attempts, err := a.forge.Deliveries(ctx, since)
	if err != nil {
		return err
	}
	missing, err := a.missing(ctx, attempts)
	if err != nil {
		return err
	}
	settled, asked := now, 0
	for _, m := range missing {
		if m.oldest.Before(settled) {
			settled = m.oldest // looked at again in the next round
		}
		if now.Sub(m.newest.At) < attemptRests || asked == redeliverMost {
			continue
		}
		asked++
		if err := a.forge.Redeliver(ctx, m.newest.ID); err != nil {
			return err
		}
		a.log.Info().Ctx(ctx).Str("delivery", m.newest.GUID).Str("event", m.newest.Event).Int("code", m.newest.Code).Msg("a webhook did not arrive; GitHub is asked for it once more")
	}
	a.lost.Store(int64(len(missing)))
	// A little before, because attempts are listed once they have ended.
	return a.db.ResetCursor(ctx, cursor, uint64(settled.Add(-attemptRests).Unix()))
}

// gap is a webhook that no attempt has brought.
type gap struct {
	newest forge.HookDelivery
	oldest time.Time
	count  int
}

// missing finds the webhooks that are worth another attempt. Attempts come newest
// first.
func (a *App) missing(ctx context.Context, attempts []forge.HookDelivery) ([]*gap, error) {
	arrived, gaps := map[string]bool{}, map[string]*gap{}
	var order []string
	for _, d := range attempts {
		if d.Arrived() {
			arrived[d.GUID] = true
		}
		g := gaps[d.GUID]
		if g == nil {
			g = &gap{newest: d}
			gaps[d.GUID] = g
			order = append(order, d.GUID)
		}
		g.oldest, g.count = d.At, g.count+1
	}
	var open []string
	for _, guid := range order {
		if !arrived[guid] && gaps[guid].count < attemptsMost {
			open = append(open, guid)
		}
	}
	unknown, err := a.db.UnknownDeliveries(ctx, open)
	if err != nil {
		return nil, err
	}
	list := make([]*gap, len(unknown))
	for i, guid := range unknown {
		list[i] = gaps[guid]
	}
	return list, nil
}

// learnRepos records what the App may see, as far as it could be read: what keeps one
// installation from it must not keep the others. What is watched and no longer
// listed was taken from us while we were away.
func (a *App) learnRepos(ctx context.Context) error {
	found, unread := a.forge.Installations(ctx)
	facts := make([]fleet.Fact, 0, len(found.Read))
	for _, in := range found.Read {
		facts = append(facts, in)
	}
	now := a.cfg.Now()
	if err := a.db.Record(ctx, now, facts...); err != nil {
		return fmt.Errorf("record installations: %w", err)
	}
	watched, err := a.db.Repos(ctx)
	if err != nil {
		return err
	}
	if err := a.db.Record(ctx, now, gone(watched, found)...); err != nil {
		return fmt.Errorf("record what the App no longer sees: %w", err)
	}
	if unread != nil {
		return fmt.Errorf("read installations: %w", unread)
	}
	return nil
}

// gone lists what is watched and was not found. Of an installation that could not be
// read nothing is known, and without the whole list of installations nothing at all.
func gone(watched []fleet.Repo, found forge.Installed) []fleet.Fact {
	if !found.Complete {
		return nil
	}
	listed := map[int64]bool{}
	for _, id := range found.Listed {
		listed[id] = true
	}
	seen, read := map[int64]bool{}, map[int64]bool{}
	for _, in := range found.Read {
		read[in.ID] = !in.Suspended
		for _, r := range in.Added {
			seen[r.ID] = true
		}
	}
	var facts []fleet.Fact
	uninstalled := map[int64]bool{}
	for _, r := range watched {
		switch id := r.Installation; {
		case !listed[id] && !uninstalled[id]:
			uninstalled[id] = true
			facts = append(facts, fleet.InstallationChanged{ID: id, Account: r.Owner, Removed: true, Cause: "catch-up"})
		case listed[id] && read[id] && !seen[r.ID]:
			facts = append(facts, fleet.InstallationChanged{ID: id, Account: r.Owner, Dropped: []fleet.Repo{r}, Cause: "catch-up"})
		}
	}
	return facts
}
