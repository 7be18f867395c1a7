package db

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// VerdictChange is what one look at an update came to.
type VerdictChange struct {
	Verdict      fleet.Verdict
	Pull         fleet.Pull // zero where it could not be read
	Ignored      bool       // it is not an update: kept out of sight until woken
	ChecksPassed time.Time  // for Verdict.HeadSHA; zero if they have not all passed

	// Set when the look found the pull request merged.
	MergeSHA string
	MergedBy string
	Rollout  *NewRollout // to start with the merge; nil for none
}

// MergeRecord is a merge that happened.
type MergeRecord struct {
	HeadSHA  string
	MergeSHA string
	By       string
	At       time.Time
	Rollout  *NewRollout // nil for none
}

// SaveVerdict stores a look in one transaction: state, reasons, when to look
// again, history, and the effects that follow. It returns ErrConflict when the
// update was moved since the claim, in which case it is due again by itself.
//
// While a merge is being asked for, only its outcome counts (see package fleet):
// any other verdict leaves the update as it is.
func (d *DB) SaveVerdict(ctx context.Context, c UpdateClaim, v VerdictChange, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.saveVerdict(ctx, tx, c, v, now) })
	if err != nil {
		return fmt.Errorf("save verdict of update %d: %w", c.Update.ID, err)
	}
	return nil
}

func (d *DB) saveVerdict(ctx context.Context, tx pgx.Tx, c UpdateClaim, v VerdictChange, now time.Time) error {
	id, from := c.Update.ID, c.Update.State
	held, err := value[bool](ctx, tx, `
		select fence = @fence and state = @from from updates where id = @id for update`,
		args{"id": id, "fence": c.fence, "from": from})
	if err != nil {
		return err
	}
	if !held {
		return ErrConflict
	}
	to := fleet.NextUpdateState(from, fleet.Judged(v.Verdict.State))
	again := v.Verdict.Again
	switch {
	case v.Ignored && from != fleet.UpdateMerging:
		return d.ignore(ctx, tx, c, v)
	case from == fleet.UpdateMerging && to == fleet.UpdateMerging:
		if err := keepEffects(ctx, tx, now, mergeEffect(id, c.Update.HeadSHA)); err != nil {
			return err
		}
		return release(ctx, tx, c, again)
	}
	if to != v.Verdict.State {
		v.Verdict = c.Update.Verdict // the state is final, and so is what led to it
	}
	v.Verdict.State = to
	if err := storeVerdict(ctx, tx, c, v, now); err != nil {
		return err
	}
	if err := release(ctx, tx, c, again); err != nil {
		return err
	}
	return d.followVerdict(ctx, tx, c, v, now)
}

// release ends a claim: the update is due again at the given time, or at once if
// it was woken meanwhile.
func release(ctx context.Context, tx pgx.Tx, c UpdateClaim, again time.Time) error {
	_, err := tx.Exec(ctx, `
		update updates set lease_until = null, attempt = 0, due_at = case when wake = @wake then @again::timestamptz else due_at end
		where id = @id`,
		args{"id": c.Update.ID, "wake": c.wake, "again": again})
	return err
}

// ignore keeps a pull request that is not an update out of sight. Who asks for it by
// name is told why.
func (d *DB) ignore(ctx context.Context, tx pgx.Tx, c UpdateClaim, v VerdictChange) error {
	_, err := tx.Exec(ctx, `
		update updates set ignored = true, verdict = @verdict, title = @title, url = @url, head_sha = @head where id = @id`,
		args{"id": c.Update.ID, "verdict": v.Verdict, "title": v.Pull.Title, "url": v.Pull.URL, "head": v.Pull.HeadSHA})
	if err != nil {
		return err
	}
	return release(ctx, tx, c, time.Time{})
}

func storeVerdict(ctx context.Context, tx pgx.Tx, c UpdateClaim, v VerdictChange, now time.Time) error {
	merged := v.Verdict.State == fleet.UpdateMerged
	_, err := tx.Exec(ctx, `
		update updates set
			ignored = false, state = @state, verdict = @verdict, changed_at = case when @visible then @now else changed_at end,
			title = coalesce(nullif(@title, ''), title), url = coalesce(nullif(@url, ''), url),
			head_sha = coalesce(nullif(@head, ''), head_sha),
			merge_sha = coalesce(nullif(merge_sha, ''), @merge_sha), merged_by = coalesce(nullif(merged_by, ''), @merged_by),
			merged_at = case when @merged then coalesce(merged_at, @now) end
		where id = @id`,
		args{
			"id": c.Update.ID, "state": v.Verdict.State, "verdict": v.Verdict, "visible": visible(c.Update, v), "now": now,
			"title": v.Pull.Title, "url": v.Pull.URL, "head": v.Verdict.HeadSHA,
			"merge_sha": v.MergeSHA, "merged_by": v.MergedBy, "merged": merged,
		})
	if err != nil || v.Verdict.HeadSHA == "" {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into head_sightings (update_id, sha, seen_at, checks_passed) values (@id, @sha, @now, @passed)
		on conflict (update_id, sha) do update set checks_passed = excluded.checks_passed`,
		args{"id": c.Update.ID, "sha": v.Verdict.HeadSHA, "now": now, "passed": v.ChecksPassed})
	return err
}

// followVerdict asks for what follows from a stored verdict.
func (d *DB) followVerdict(ctx context.Context, tx pgx.Tx, c UpdateClaim, v VerdictChange, now time.Time) error {
	id, from, to := c.Update.ID, c.Update.State, v.Verdict.State
	if from != to {
		actor := "policy"
		if to == fleet.UpdateMerged {
			actor = v.MergedBy
		}
		if err := remember(ctx, tx, updateMoved(c.Update, to, actor, v.Verdict.HeadSHA, now, v.Verdict.Headline)); err != nil {
			return err
		}
	}
	if to == fleet.UpdateMerging {
		if err := putEffects(ctx, tx, now, mergeEffect(id, v.Verdict.HeadSHA)); err != nil {
			return err
		}
	}
	if to == fleet.UpdateMerged && from != to && deletesBranch(c.Update) {
		if err := putEffects(ctx, tx, now, branchEffect(id)); err != nil {
			return err
		}
	}
	if to == fleet.UpdateMerged && from != to && v.Rollout != nil {
		if _, err := d.startRollout(ctx, tx, *v.Rollout, id, now); err != nil {
			return err
		}
	}
	if !visible(c.Update, v) {
		return nil
	}
	if err := putEffects(ctx, tx, now, commentEffect(id), checkEffect(id)); err != nil {
		return err
	}
	return d.notify(ctx, tx)
}

// deletesBranch reports whether the branch goes with the merge that we decided on.
// A merge by a person leaves the branch to that person.
func deletesBranch(u fleet.Update) bool {
	return u.Verdict.Merge != nil && u.Verdict.Merge.DeleteBranch != ""
}

func updateMoved(u fleet.Update, to fleet.UpdateState, actor, sha string, at time.Time, reason string) Event {
	return Event{
		At: at, Actor: actor, Kind: "update." + string(to), Subject: updateSubject(u.ID), Reason: reason,
		Detail: map[string]any{"from": u.State, "repo": u.Repo.FullName(), "number": u.Number, "head_sha": sha},
	}
}

// visible reports whether people would see a difference between the update and
// the new verdict. Times of reading differ with every look and do not count.
func visible(u fleet.Update, v VerdictChange) bool {
	if u.HeadSHA != v.Verdict.HeadSHA && v.Verdict.HeadSHA != "" || u.State != v.Verdict.State {
		return true
	}
	if v.Pull.Title != "" && cleanText(v.Pull.Title) != u.Title {
		return true
	}
	old, err1 := marshalJSON(timeless(u.Verdict))
	now, err2 := marshalJSON(timeless(v.Verdict))
	return err1 != nil || err2 != nil || !bytes.Equal(old, now)
}

func timeless(v fleet.Verdict) fleet.Verdict {
	v.At, v.Again, v.HoldUntil = time.Time{}, time.Time{}, v.HoldUntil.UTC().Truncate(time.Second)
	v.Conditions = slices.Clone(v.Conditions)
	for i := range v.Conditions {
		v.Conditions[i].At = time.Time{}
	}
	v.Inputs = slices.Clone(v.Inputs)
	for i := range v.Inputs {
		v.Inputs[i].FromDate, v.Inputs[i].ToDate = v.Inputs[i].FromDate.UTC(), v.Inputs[i].ToDate.UTC()
	}
	return v
}

// RecordMerge stores that an update in state merging was merged, and its rollout.
// Recording the same merge again changes nothing; an update that is in another
// state is ErrConflict.
func (d *DB) RecordMerge(ctx context.Context, updateID int64, m MergeRecord) error {
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.recordMerge(ctx, tx, updateID, m) })
	if err != nil {
		return fmt.Errorf("record merge of update %d: %w", updateID, err)
	}
	return nil
}

func (d *DB) recordMerge(ctx context.Context, tx pgx.Tx, updateID int64, m MergeRecord) error {
	u, err := lockUpdate(ctx, tx, updateID)
	if err != nil {
		return err
	}
	switch {
	case u.State == fleet.UpdateMerged && (u.MergeSHA == m.MergeSHA || u.MergeSHA == ""):
		// A look was faster, or this is a repetition.
		_, err := tx.Exec(ctx, `update updates set merge_sha = @sha where id = @id and merge_sha = ''`,
			args{"id": updateID, "sha": m.MergeSHA})
		if err != nil {
			return err
		}
	case u.State == fleet.UpdateMerging && u.HeadSHA == m.HeadSHA:
		if err := d.setMerged(ctx, tx, u, m); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: it is %s at %.12s", ErrConflict, u.State, u.HeadSHA)
	}
	if m.Rollout == nil {
		return nil
	}
	_, err = d.startRollout(ctx, tx, *m.Rollout, updateID, m.At)
	return err
}

func lockUpdate(ctx context.Context, tx pgx.Tx, id int64) (fleet.Update, error) {
	r, err := one[updateRow](ctx, tx, `
		select `+updateColumns+` from updates u `+updateJoins+` where u.id = @id for update of u`, args{"id": id})
	return r.update(), err
}

// setMerged also takes the update from whoever looks at it: what they read is
// older than the merge. It is looked at once more, now that it is merged.
func (d *DB) setMerged(ctx context.Context, tx pgx.Tx, u fleet.Update, m MergeRecord) error {
	u.Verdict.State, u.Verdict.Headline = fleet.UpdateMerged, "Merged as "+short(m.MergeSHA)+"."
	_, err := tx.Exec(ctx, `
		update updates set state = 'merged', verdict = @verdict, merge_sha = @sha, merged_by = @by, merged_at = @at, changed_at = @at,
			lease_until = null, due_at = @at, fence = fence + 1, wake = wake + 1
		where id = @id`,
		args{"id": u.ID, "verdict": u.Verdict, "sha": m.MergeSHA, "by": m.By, "at": m.At})
	if err != nil {
		return err
	}
	event := updateMoved(u, fleet.UpdateMerged, m.By, m.HeadSHA, m.At, "")
	event.Detail["merge_sha"] = m.MergeSHA
	if err := remember(ctx, tx, event); err != nil {
		return err
	}
	effects := []Effect{commentEffect(u.ID), checkEffect(u.ID)}
	if deletesBranch(u) {
		effects = append(effects, branchEffect(u.ID))
	}
	if err := putEffects(ctx, tx, m.At, effects...); err != nil {
		return err
	}
	return d.notify(ctx, tx)
}

func short(sha string) string { return sha[:min(len(sha), 7)] }

// RecordMergeRefused stores that GitHub did not carry out the merge of one head
// SHA. The update is looked at again from the start. ErrConflict means that it is
// not being merged at that head SHA any more.
func (d *DB) RecordMergeRefused(ctx context.Context, updateID int64, r fleet.MergeRefusal) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		u, err := lockUpdate(ctx, tx, updateID)
		if err != nil {
			return err
		}
		to := fleet.NextUpdateState(u.State, fleet.MergeRefused)
		if u.State != fleet.UpdateMerging || u.HeadSHA != r.HeadSHA {
			return fmt.Errorf("%w: it is %s at %.12s", ErrConflict, u.State, u.HeadSHA)
		}
		_, err = tx.Exec(ctx, `
			update updates set state = @to, refusal = @refusal, changed_at = @at,
				lease_until = null, due_at = @at, fence = fence + 1, wake = wake + 1
			where id = @id`,
			args{"id": updateID, "to": to, "refusal": r, "at": r.At})
		if err != nil {
			return err
		}
		if err := remember(ctx, tx, updateMoved(u, to, "github", r.HeadSHA, r.At, r.Message)); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("record refused merge of update %d: %w", updateID, err)
	}
	return nil
}
