package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
)

// evaluateAtOnce is how many updates are looked at side by side; each waits on
// GitHub most of the time.
const evaluateAtOnce = 8

func (a *App) workUpdates(ctx context.Context) (int, error) {
	claims, err := a.db.ClaimUpdates(ctx, a.cfg.Now(), lease, evaluateAtOnce)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group // what befalls one must not cut short the others, which would wait out their lease
	for _, c := range claims {
		g.Go(func() error {
			return a.traces.within(ctx, c.Update.Repo.ID, c.Update.Number, "look", func(ctx context.Context) error { return taken(a.evaluate(ctx, c)) })
		})
	}
	return len(claims), g.Wait()
}

// evaluate looks at one update: facts from GitHub and from our own rows, the
// decision, and one transaction that stores what follows.
func (a *App) evaluate(ctx context.Context, c db.UpdateClaim) error {
	u, began := c.Update, time.Now()
	log := a.log.With().Str("repo", u.Repo.FullName()).Int("update", u.Number).Ctx(ctx).Logger()
	kept, err := a.kept(ctx, u.Repo.ID)
	if err != nil {
		return err
	}
	snap, err := a.forge.Snapshot(ctx, u.Repo, u.Number, kept)
	if ctx.Err() != nil {
		return ctx.Err() // the lease runs out and the update is due again
	}
	if err != nil {
		log.Warn().Err(err).Msg("GitHub could not be read; looked at again later")
		return a.db.PostponeUpdate(ctx, c, a.cfg.Now().Add(backoff(c.Attempt)))
	}
	now := a.cfg.Now()
	snap.Recorded = c.Recorded
	if err := a.recall(ctx, &snap, kept, now); err != nil {
		return err
	}
	if snap.Pull.Known() {
		if snap.Recorded.HeadSeen, err = a.db.SeeHead(ctx, u.ID, snap.Pull.Value.HeadSHA, now); err != nil {
			return err
		}
		// A request and a passed check are bound to the head that they were for.
		if r := snap.Recorded.Request; r != nil && r.HeadSHA != snap.Pull.Value.HeadSHA {
			snap.Recorded.Request = nil
		}
		if u.HeadSHA != snap.Pull.Value.HeadSHA {
			snap.Recorded.ChecksPassed = time.Time{}
		}
	}
	if !snap.Files.Known() && u.State == fleet.UpdateObserved {
		// Whether this is an update at all could not be read: nothing is shown yet.
		return a.db.PostponeUpdate(ctx, c, now.Add(backoff(c.Attempt)))
	}
	if snap.Pull.Known() && snap.Pull.Value.Merged && !snap.Policy.Known() && rollsOut(u, snap) {
		// Whether the merge is followed by a rollout is the policy's word, or a
		// person's in its terms; merged is a final state, so it waits for that.
		return a.db.PostponeUpdate(ctx, c, now.Add(backoff(c.Attempt)))
	}
	change := a.decide(u, snap, now)
	err = a.db.SaveVerdict(ctx, c, change, now)
	if errors.Is(err, db.ErrConflict) {
		log.Debug().Msg("someone else decided in the meantime; nothing is stored")
		return nil
	}
	if err != nil {
		return fmt.Errorf("save verdict of %s#%d: %w", u.Repo.FullName(), u.Number, err)
	}
	a.meters.looks.WithLabelValues(string(change.Verdict.State)).Observe(time.Since(began).Seconds())
	if change.Verdict.State != u.State && !change.Ignored {
		if ended(change.Verdict.State) {
			a.traces.update(u, change.Verdict.State, now)
		}
		log.Info().Str("from", string(u.State)).Str("to", string(change.Verdict.State)).Str("head", change.Verdict.HeadSHA).Msg(change.Verdict.Headline)
	}
	return nil
}

// decide asks the domain and adds what must be stored beside the verdict.
func (a *App) decide(u fleet.Update, snap fleet.Snapshot, now time.Time) db.VerdictChange {
	concerns, why := fleet.Concerns(snap)
	concerns = concerns || !snap.Files.Known()
	v := fleet.Decide(snap, now)
	if ended(v.State) && v.HeadSHA == u.HeadSHA {
		// What was proven of this head stays on show once there is nothing left to prove.
		v.Inputs, v.Conditions, v.Merge = u.Verdict.Inputs, u.Verdict.Conditions, u.Verdict.Merge
	}
	change := db.VerdictChange{Verdict: v, Pull: snap.Pull.Value, ChecksPassed: snap.Recorded.ChecksPassed}
	// One that was shown stays in sight: whoever adds a second file to it shall read why.
	change.Ignored = !concerns && u.State == fleet.UpdateObserved
	if change.Ignored {
		change.Verdict.Headline = why
	}
	if !v.ChecksPassed() {
		change.ChecksPassed = time.Time{}
	} else if change.ChecksPassed.IsZero() {
		change.ChecksPassed = now
	}
	if v.State == fleet.UpdateMerged && !change.Ignored {
		change.MergeSHA, change.MergedBy = snap.Pull.Value.MergeCommitSHA, mergedBy(u, snap.Pull.Value)
		if rollsOut(u, snap) && snap.Policy.Known() && deploys(snap.Policy.Value.Deploy, snap.Recorded.Request) {
			change.Rollout = newRollout(snap.Repo, change.MergeSHA, deployPolicy(snap.Policy.Value, snap.Recorded.Request), now)
			change.Rollout.Reason = fmt.Sprintf("pull request #%d was merged", snap.Number)
			change.Rollout.Actor = change.MergedBy
		}
	}
	return change
}

// mergedBy is who merged it: GitHub names us where we did, at the word of whom we
// know, should a look find the merge before its answer is stored.
func mergedBy(u fleet.Update, pull fleet.Pull) string {
	if m := u.Verdict.Merge; u.State == fleet.UpdateMerging && m != nil && m.HeadSHA == pull.HeadSHA && pull.MergedBy.Type == "Bot" {
		return m.By.Login
	}
	return pull.MergedBy.Login
}

// rollsOut reports whether a merge that was found starts a rollout: only one onto
// the default branch does, and of a pull request that was seen before it ended.
// Anybody may comment on one that was merged a year ago; what reached the default
// branch unseen is found there (see rolloutOfPush).
func rollsOut(u fleet.Update, snap fleet.Snapshot) bool {
	return u.HeadSHA != "" && snap.Pull.Value.BaseRef == snap.Repo.DefaultBranch
}

// deploys reports whether a merge is followed by a rollout: what the person asked
// for who had it merged, else what the policy says.
func deploys(p fleet.DeployPolicy, r *fleet.MergeRequest) bool {
	if r != nil {
		return r.Deploy
	}
	return p.Auto
}

// deployPolicy is how a merge is brought to hosts: a freeze does not hold up what a
// person asked for.
func deployPolicy(p fleet.Policy, asked *fleet.MergeRequest) fleet.DeployPolicy {
	if asked != nil {
		return p.Deploy
	}
	return p.Unasked()
}

func newRollout(repo fleet.Repo, commit string, deploy fleet.DeployPolicy, now time.Time) *db.NewRollout {
	return &db.NewRollout{ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String(), RepoID: repo.ID, Commit: commit, Deploy: deploy}
}

func ended(s fleet.UpdateState) bool {
	return s == fleet.UpdateMerged || s == fleet.UpdateClosed || s == fleet.UpdateSuperseded
}
