package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// laterError postpones an effect to a moment that someone else named.
type laterError struct {
	until   time.Time
	why     string
	planned bool // it was no failure, and is due exactly then
}

func (e *laterError) Error() string { return e.why }
func (e *laterError) Unwrap() error { return errLater }

// merge carries out the merge of one head SHA, or finds that it has happened.
// The pull request is read first, always: after a crash, a time-out or a person's
// click the merge may be done already, and asking twice must not merge twice.
func (a *App) merge(ctx context.Context, updateID int64, headSHA string) error {
	u, err := a.db.Update(ctx, updateID)
	if err != nil {
		return err
	}
	if u.State != fleet.UpdateMerging || u.Verdict.Merge == nil || u.Verdict.Merge.HeadSHA != headSHA {
		return nil // decided otherwise meanwhile
	}
	pull := a.forge.Pull(ctx, u.Repo, u.Number)
	if !pull.Known() {
		return fmt.Errorf("read pull request before the merge: %s", pull.Err)
	}
	if pull.Value.Merged {
		return a.recordMerge(ctx, u, pull.Value)
	}
	if why := lapsed(u, pull.Value, a.cfg.Now()); why != "" {
		return a.refuse(ctx, u, why, a.cfg.Now())
	}
	result, err := a.forge.Merge(ctx, u.Repo, u.Number, *u.Verdict.Merge)
	if err != nil {
		return err
	}
	return a.merged(ctx, u, pull.Value, result)
}

// decisionHolds is how long a decision may wait for its merge. A check that is run
// again does not take back an update that is merging, so one that was kept up, by a limit of GitHub's or an outage of ours, is decided anew.
const decisionHolds = 2 * time.Minute

// lapsed says why the decision to merge no longer covers the pull request; it is
// empty while it does. The merge is pinned to the head SHA, but not to the base:
// that can be changed without a new head.
func lapsed(u fleet.Update, pull fleet.Pull, now time.Time) string {
	switch {
	case pull.State != "open":
		return "The pull request is closed."
	case pull.HeadSHA != u.Verdict.Merge.HeadSHA:
		return "The head SHA moved between the decision and the merge."
	case !onto(*u.Verdict.Merge, pull):
		return "The base branch was changed between the decision and the merge."
	case pull.Draft:
		return "The pull request was made a draft between the decision and the merge."
	case u.Hold.Active(now) && (u.Request == nil || !overrode(u.Verdict, "held")):
		return "A hold was put on between the decision and the merge."
	case fleet.HeldByLabel(pull) && !overrode(u.Verdict, "label"):
		return "The label " + fleet.HoldLabel + " was put on between the decision and the merge."
	case now.Sub(u.Verdict.At) > decisionHolds:
		return "The merge was kept up for so long that it has to be decided again."
	}
	return ""
}

// overrode reports whether a verdict knew of a hold and passed over it, because a
// person asked for the merge. A hold that is put on later takes that request back.
func overrode(v fleet.Verdict, condition string) bool {
	return slices.ContainsFunc(v.Conditions, func(c fleet.Condition) bool { return c.ID == condition && c.Overridden })
}

// onto reports whether pull still goes onto the branch that it was proven against.
// An order that an older version left does not name it.
func onto(o fleet.MergeOrder, pull fleet.Pull) bool { return o.Base == "" || o.Base == pull.BaseRef }

// merged stores what GitHub answered. An ambiguous answer stores nothing: the
// next attempt reads the pull request first.
func (a *App) merged(ctx context.Context, u fleet.Update, pull fleet.Pull, r forge.MergeResult) error {
	now := a.cfg.Now()
	switch r.Outcome {
	case forge.Merged:
		pull.MergeCommitSHA = r.SHA
		return a.recordMerge(ctx, u, pull)
	case forge.MergeHeadMoved:
		return a.refuse(ctx, u, r.Message, now)
	case forge.MergeRefused:
		return a.refuse(ctx, u, r.Message, refusedUntil(r.Class, now))
	case forge.MergeLimited:
		return &laterError{until: r.Until, why: "GitHub asked to wait: " + r.Message}
	case forge.MergeAmbiguous:
		return &laterError{until: now.Add(2 * time.Second), why: "no clear answer to the merge; the pull request is read before anything else: " + r.Message}
	default:
		return fmt.Errorf("merge ended with unknown outcome %q", r.Outcome)
	}
}

// refusedUntil is how long a refusal is taken as GitHub's word. What a person has
// to settle holds until the head SHA changes or somebody asks again.
func refusedUntil(class forge.RefusalClass, now time.Time) time.Time {
	switch class {
	case forge.RefusalRetry:
		return now.Add(10 * time.Second)
	case forge.RefusalWait:
		return now.Add(reconcileEvery)
	default:
		return time.Time{}
	}
}

// recordMerge stores the merge and, where wanted, its rollout in one transaction.
func (a *App) recordMerge(ctx context.Context, u fleet.Update, pull fleet.Pull) error {
	m, sha := u.Verdict.Merge, pull.MergeCommitSHA
	record := db.MergeRecord{HeadSHA: m.HeadSHA, MergeSHA: sha, By: m.By.Login, At: a.cfg.Now()}
	if m.Deploy && onto(*m, pull) {
		state, err := a.branch(ctx, u.Repo)
		if err != nil {
			return fmt.Errorf("read policy for the rollout: %w", err)
		}
		if !state.Policy.Known() {
			return fmt.Errorf("read policy for the rollout: %s", state.Policy.Err)
		}
		beyond, err := a.deployedBeyond(ctx, u.Repo, sha, state.HeadSHA)
		if err != nil {
			return err
		}
		if !beyond {
			record.Rollout = newRollout(u.Repo, sha, deployPolicy(state.Policy.Value, u.Request), record.At)
			record.Rollout.UpdateID = u.ID
			record.Rollout.Reason = fmt.Sprintf("pull request #%d was merged", u.Number)
			record.Rollout.Actor = m.By.Login
		}
	}
	err := a.db.RecordMerge(ctx, u.ID, record)
	if errors.Is(err, db.ErrConflict) {
		return nil // the webhook of the merge was faster
	}
	if err == nil {
		a.traces.update(u, fleet.UpdateMerged, record.At)
		a.log.Info().Ctx(ctx).Str("repo", u.Repo.FullName()).Int("update", u.Number).Str("merge", sha).Str("by", m.By.Login).Msg("merged")
	}
	return err
}

// deployedBeyond reports whether a commit that was pushed onto our merge is being
// rolled out already. It contains the merge, and a rollout of the merge alone,
// recorded later, would take it back.
func (a *App) deployedBeyond(ctx context.Context, repo fleet.Repo, merge, head string) (bool, error) {
	if head == merge {
		return false, nil
	}
	r, err := a.db.RolloutOf(ctx, repo.ID, head)
	return r != nil, err
}

func (a *App) refuse(ctx context.Context, u fleet.Update, message string, until time.Time) error {
	a.log.Info().Ctx(ctx).Str("repo", u.Repo.FullName()).Int("update", u.Number).Str("answer", message).Msg("not merged")
	err := a.db.RecordMergeRefused(ctx, u.ID, fleet.MergeRefusal{HeadSHA: u.HeadSHA, Message: message, At: a.cfg.Now(), Until: until})
	if errors.Is(err, db.ErrConflict) {
		return nil
	}
	return err
}
