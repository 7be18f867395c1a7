package db_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestAnUpdateIsToldWithWhatBefellIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.look(w.claim(1), fleet.UpdateHolding, "aaa")
	w.after(time.Minute)
	w.look(w.claim(1), fleet.UpdateMerging, "aaa")
	u, err := w.d.UpdateByNumber(t.Context(), w.repo.ID, 1)
	must(t, err)
	merge := db.MergeRecord{HeadSHA: "aaa", MergeSHA: "mmm", By: "policy", At: w.after(time.Second), Rollout: &db.NewRollout{
		ID: "R1", RepoID: w.repo.ID, Commit: "mmm", Deploy: fleet.DefaultPolicy().Deploy, Actor: "policy",
	}}
	must(t, w.d.RecordMerge(t.Context(), u.ID, merge))

	got, err := w.d.UpdateDetail(t.Context(), w.repo.ID, 1)
	must(t, err)
	var kinds []string
	for _, h := range got.History {
		kinds = append(kinds, h.Actor+" "+h.Kind)
	}
	equal(t, "history", kinds, []string{"policy rollout.planned", "policy update.merged", "policy update.merging", "policy update.holding"})
	if len(got.Rollouts) != 1 || got.Rollouts[0].ID != "R1" || got.State != fleet.UpdateMerged || got.MergeSHA != "mmm" {
		t.Errorf("it is told as %+v", got)
	}
	_, err = w.d.UpdateDetail(t.Context(), w.repo.ID, 2)
	equal(t, "one that nobody has seen", err, db.ErrNotFound, cmpopts.EquateErrors())
}

func TestWhatIsNoUpdateSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	v := verdict(fleet.UpdateBlocked, "aaa")
	v.Ignored, v.Verdict.Headline = true, "It changes no lock file."
	must(t, w.d.SaveVerdict(t.Context(), c, v, w.now))
	got, err := w.d.UpdateDetail(t.Context(), w.repo.ID, 1)
	must(t, err)
	if !got.Ignored || got.Verdict.Headline != "It changes no lock file." || got.State != fleet.UpdateObserved {
		t.Errorf("it is told as %+v", got)
	}
}

func TestAskingForALookMakesItDueOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.look(w.claim(1), fleet.UpdateHolding, "aaa")
	u, err := w.d.UpdateByNumber(t.Context(), w.repo.ID, 1)
	must(t, err)
	for range 3 {
		must(t, w.d.LookAgain(t.Context(), u.ID, "alice", w.now))
	}
	claims, err := w.d.ClaimUpdates(t.Context(), w.now, lease, 10)
	must(t, err)
	if len(claims) != 1 {
		t.Errorf("%d updates are due, want 1", len(claims))
	}
	equal(t, "lines of history", w.count(`select count(*) from history where kind = 'update.look_asked' and actor = 'alice'`), 1)
	equal(t, "one that is not there", w.d.LookAgain(t.Context(), 99, "alice", w.now), db.ErrNotFound, cmpopts.EquateErrors())
}
