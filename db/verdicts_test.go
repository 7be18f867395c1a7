package db_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestVerdictIsStoredAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	v := verdict(fleet.UpdateHolding, "aaa")
	v.Verdict.HoldUntil = t0.Add(time.Hour)
	v.Verdict.Again = t0.Add(time.Hour)
	v.Verdict.Conditions = []fleet.Condition{{ID: "open", Title: "Open", Outcome: fleet.Passed, Found: "nul � �", At: t0}}
	stored := v
	stored.Verdict.Conditions = []fleet.Condition{{ID: "open", Title: "Open", Outcome: fleet.Passed, Found: "nul \x00 \xff", At: t0}}
	must(t, w.d.SaveVerdict(t.Context(), c, stored, w.now))
	equal(t, "verdict", w.update(c.Update.ID).Verdict, v.Verdict)
	equal(t, "effects", w.effects(), []string{"check:1", "comment:1"})

	w.after(59 * time.Minute)
	if len(w.dueNumbers()) != 0 {
		t.Error("due before its time")
	}
	w.after(time.Minute)
	c = w.claimDue()
	must(t, w.d.SaveVerdict(t.Context(), c, stored, w.now))
	equal(t, "effects of the same verdict", w.effects(), []string{})
}

func TestStatesThatLeadToEffects(t *testing.T) {
	t.Parallel()
	rollout := &db.NewRollout{ID: "R1", RepoID: 7, Commit: "mmm"}
	for name, c := range map[string]struct {
		from, to fleet.UpdateState
		want     string
		rollouts int
	}{
		"merging asks for the merge": {fleet.UpdateHolding, fleet.UpdateMerging, "check:1 comment:1 merge:1:aaa", 0},
		"merged starts the rollout":  {fleet.UpdateHolding, fleet.UpdateMerged, "check:1 comment:1 deployment:R1", 1},
		"blocked says so":            {fleet.UpdateHolding, fleet.UpdateBlocked, "check:1 comment:1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.look(w.claim(1), c.from, "aaa")
			w.effects()
			v := verdict(c.to, "aaa")
			if c.to == fleet.UpdateMerged {
				v.MergeSHA, v.MergedBy, v.Rollout = "mmm", "ada", rollout
			}
			must(t, w.d.SaveVerdict(t.Context(), w.claim(1), v, w.now))
			if got := strings.Join(w.effects(), " "); got != c.want {
				t.Errorf("effects %q, want %q", got, c.want)
			}
			if n := w.count(`select count(*) from rollouts where update_id = 1`); n != c.rollouts {
				t.Errorf("%d rollouts, want %d", n, c.rollouts)
			}
			if n := w.count(`select count(*) from history where kind = $1 and detail->>'from' = $2`, "update."+string(c.to), c.from); n != 1 {
				t.Errorf("%d lines of history, want 1", n)
			}
		})
	}
}

func TestIgnoredPullRequestIsOutOfSight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := verdict(fleet.UpdateBlocked, "aaa")
	v.Ignored, v.Verdict.Again = true, t0.Add(time.Minute)
	must(t, w.d.SaveVerdict(t.Context(), w.claim(1), v, w.now))
	equal(t, "effects", w.effects(), []string{})
	w.after(time.Hour)
	equal(t, "due", w.dueNumbers(), map[int]bool{})
	if view, err := w.d.Overview(t.Context(), w.now); err != nil || len(view.Updates) != 0 {
		t.Errorf("shows %d updates, %v", len(view.Updates), err)
	}
	w.look(w.claim(1), fleet.UpdateChecks, "bbb") // it became one
	if view, err := w.d.Overview(t.Context(), w.now); err != nil || len(view.Updates) != 1 {
		t.Errorf("shows %d updates, %v, want it", len(view.Updates), err)
	}
}

func TestVerdictOfALostClaimIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := w.claim(1)
	w.after(lease)
	quick := w.claimDue()
	w.look(quick, fleet.UpdateChecks, "aaa")
	err := w.d.SaveVerdict(t.Context(), slow, verdict(fleet.UpdateMerging, "aaa"), w.now)
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if s := w.update(slow.Update.ID).State; s != fleet.UpdateChecks {
		t.Errorf("state %s, want the quick worker's", s)
	}
}

func TestMergingIsLeftByItsOutcomeOnly(t *testing.T) {
	t.Parallel()
	for _, s := range fleet.AllUpdateStates() {
		t.Run(string(s), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.look(w.claim(1), fleet.UpdateMerging, "aaa")
			c := w.claim(1)
			v := verdict(s, "bbb") // a force-push during the merge
			v.Ignored = s == fleet.UpdateBlocked
			must(t, w.d.SaveVerdict(t.Context(), c, v, w.now))
			u := w.update(c.Update.ID)
			if want := fleet.NextUpdateState(fleet.UpdateMerging, fleet.Judged(s)); u.State != want {
				t.Errorf("state %s, want %s", u.State, want)
			}
			if u.State == fleet.UpdateMerging && (u.HeadSHA != "aaa" || u.Verdict.Merge.HeadSHA != "aaa") {
				t.Errorf("the merge of aaa became one of %s", u.Verdict.Merge.HeadSHA)
			}
		})
	}
}

func TestMergingKeepsItsEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.look(w.claim(1), fleet.UpdateMerging, "aaa")
	w.effects() // carried out, and the worker died before it recorded the merge
	w.look(w.claim(1), fleet.UpdateMerging, "aaa")
	equal(t, "effects", w.effects(), []string{"merge:1:aaa"})
}

func TestRecordMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	w.look(c, fleet.UpdateMerging, "aaa")
	looking := w.claim(1)
	record := db.MergeRecord{HeadSHA: "aaa", MergeSHA: "mmm", By: "policy", At: w.after(time.Second),
		Rollout: &db.NewRollout{ID: "R1", RepoID: 7, Commit: "mmm"}}
	for range 2 { // a crash after the first leads to a second
		must(t, w.d.RecordMerge(t.Context(), c.Update.ID, record))
		record.Rollout = &db.NewRollout{ID: "R2", RepoID: 7, Commit: "mmm"}
	}
	u := w.update(c.Update.ID)
	if u.State != fleet.UpdateMerged || u.MergeSHA != "mmm" || u.MergedBy != "policy" || !u.MergedAt.Equal(record.At) {
		t.Errorf("update = %+v", u)
	}
	r, err := w.d.RolloutOf(t.Context(), 7, "mmm")
	must(t, err)
	if r == nil || r.ID != "R1" || r.UpdateID != u.ID {
		t.Errorf("rollout = %+v, want R1 of the update", r)
	}
	if n := w.count(`select count(*) from rollouts`); n != 1 {
		t.Errorf("%d rollouts, want 1", n)
	}
	err = w.d.SaveVerdict(t.Context(), looking, verdict(fleet.UpdateClosed, "aaa"), w.now)
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("a look from before the merge: %v, want ErrConflict", err)
	}
	record.MergeSHA = "other"
	if err := w.d.RecordMerge(t.Context(), u.ID, record); !errors.Is(err, db.ErrConflict) {
		t.Errorf("another merge: %v, want ErrConflict", err)
	}
}

func TestRecordMergeAfterTheWebhookWasFaster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	w.look(c, fleet.UpdateMerging, "aaa")
	must(t, w.d.SaveVerdict(t.Context(), w.claim(1), verdict(fleet.UpdateMerged, "aaa"), w.now)) // says not yet which commit
	must(t, w.d.RecordMerge(t.Context(), c.Update.ID, db.MergeRecord{HeadSHA: "aaa", MergeSHA: "mmm", At: w.now,
		Rollout: &db.NewRollout{ID: "R1", RepoID: 7, Commit: "mmm"}}))
	if u := w.update(c.Update.ID); u.MergeSHA != "mmm" {
		t.Errorf("merge commit %q", u.MergeSHA)
	}
	if r, err := w.d.RolloutOf(t.Context(), 7, "mmm"); err != nil || r == nil {
		t.Errorf("rollout = %v, %v", r, err)
	}
}

func TestRecordMergeNeedsTheMergeThatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	w.look(c, fleet.UpdateHolding, "aaa")
	for _, sha := range []string{"aaa", "bbb"} {
		if err := w.d.RecordMerge(t.Context(), c.Update.ID, db.MergeRecord{HeadSHA: sha, MergeSHA: "mmm", At: w.now}); !errors.Is(err, db.ErrConflict) {
			t.Errorf("holding, head %s: %v, want ErrConflict", sha, err)
		}
	}
	w.look(w.claim(1), fleet.UpdateMerging, "aaa")
	if err := w.d.RecordMerge(t.Context(), c.Update.ID, db.MergeRecord{HeadSHA: "bbb", MergeSHA: "mmm", At: w.now}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("merging another head: %v, want ErrConflict", err)
	}
}

func TestRefusedMergeIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.claim(1).Update.ID
	w.after(lease)
	w.look(w.claimDue(), fleet.UpdateMerging, "aaa")
	refusal := fleet.MergeRefusal{HeadSHA: "aaa", Message: "Base branch was modified.", At: w.after(time.Second), Until: w.now.Add(time.Minute)}
	must(t, w.d.RecordMergeRefused(t.Context(), id, refusal))
	c := w.claimDue()
	if c.Update.State != fleet.UpdateObserved {
		t.Errorf("state %s, want observed", c.Update.State)
	}
	equal(t, "refusal", c.Recorded.Refusal, &refusal)
	if err := w.d.RecordMergeRefused(t.Context(), id, refusal); !errors.Is(err, db.ErrConflict) {
		t.Errorf("refused twice: %v, want ErrConflict", err)
	}
}

// Every event of history leads from where the one before it led.
func TestHistoryIsAChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	states := []fleet.UpdateState{fleet.UpdateChecks, fleet.UpdateHolding, fleet.UpdateHolding, fleet.UpdateFailing, fleet.UpdateMerging, fleet.UpdateMerged}
	for i, s := range states {
		w.after(time.Minute)
		w.look(w.claim(1), s, fmt.Sprintf("sha%d", i))
	}
	events, err := w.d.History(t.Context(), 100)
	must(t, err)
	at := "merged"
	for _, e := range events {
		if e.Kind != "update."+at || e.Subject != "update/1" {
			t.Fatalf("found %s of %s, want update.%s", e.Kind, e.Subject, at)
		}
		at, _ = e.Detail["from"].(string)
	}
	if at != "observed" || len(events) != 5 {
		t.Errorf("%d events begin at %q", len(events), at)
	}
}
