package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestClaimedUpdateCarriesWhatWasRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	equal(t, "recorded before the first look", c.Recorded, fleet.Recorded{FirstSeen: t0})
	v := verdict(fleet.UpdateHolding, "aaa")
	v.ChecksPassed = w.after(time.Minute)
	must(t, w.d.SaveVerdict(t.Context(), c, v, w.now))
	request := fleet.MergeRequest{By: fleet.Actor{ID: 5, Login: "ada"}, HeadSHA: "aaa", At: w.after(time.Minute), Deploy: true}
	must(t, w.asksMerge(c.Update.ID, request))
	w.running("R1", "old")

	got := w.claimDue()
	equal(t, "recorded", got.Recorded, fleet.Recorded{
		FirstSeen: t0, HeadSeen: t0.Add(time.Minute), ChecksPassed: t0.Add(time.Minute), Request: &request, RunningRollout: "old",
	})
	if got.Update.State != fleet.UpdateHolding || got.Update.Title != "Update flake.lock" || got.Update.Repo != w.repo {
		t.Errorf("update = %+v", got.Update)
	}
}

func TestHeadIsSeenFirstOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.claim(1).Update.ID
	for _, sha := range []string{"aaa", "bbb", "aaa"} { // forced away and back
		seen, err := w.d.SeeHead(t.Context(), id, sha, w.after(time.Minute))
		must(t, err)
		want := map[string]time.Time{"aaa": t0.Add(time.Minute), "bbb": t0.Add(2 * time.Minute)}[sha]
		if !seen.Equal(want) {
			t.Errorf("%s was first seen at %v, want %v", sha, seen, want)
		}
	}
}

func TestChecksPassedBelongToTheirHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, look := range []struct {
		sha          string
		passed, want time.Time
	}{
		{"aaa", t0, t0},
		{"bbb", time.Time{}, time.Time{}}, // a force-push
		{"bbb", t0.Add(time.Hour), t0.Add(time.Hour)},
		{"bbb", time.Time{}, time.Time{}}, // a check was run again
	} {
		c := w.claim(1)
		v := verdict(fleet.UpdateChecks, look.sha)
		v.ChecksPassed = look.passed
		must(t, w.d.SaveVerdict(t.Context(), c, v, w.now))
		if got := w.claim(1); !got.Recorded.ChecksPassed.Equal(look.want) {
			t.Errorf("checks of %s passed at %v, want %v", look.sha, got.Recorded.ChecksPassed, look.want)
		} else {
			must(t, w.d.PostponeUpdate(t.Context(), got, w.now))
		}
	}
}

func TestPostponedUpdateCountsItsAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.touch(1)
	for want := 1; want <= 3; want++ {
		c := w.claimDue()
		if c.Attempt != want {
			t.Errorf("attempt %d, want %d", c.Attempt, want)
		}
		must(t, w.d.PostponeUpdate(t.Context(), c, w.after(time.Second)))
		if err := w.d.PostponeUpdate(t.Context(), db.UpdateClaim{Update: c.Update}, w.now); !errors.Is(err, db.ErrConflict) {
			t.Errorf("someone else's claim: %v, want ErrConflict", err)
		}
	}
	w.look(w.claimDue(), fleet.UpdateChecks, "aaa")
	if c := w.claim(1); c.Attempt != 1 {
		t.Errorf("attempt %d after a look, want 1", c.Attempt)
	}
}

func TestRequestMergeOnlyForTheHeadThatWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	w.look(c, fleet.UpdateReady, "aaa")
	for name, m := range map[string]struct {
		id   int64
		head string
		want error
	}{
		"another head":  {c.Update.ID, "bbb", db.ErrConflict},
		"no such thing": {999, "aaa", db.ErrConflict},
		"its head":      {c.Update.ID, "aaa", nil},
	} {
		err := w.asksMerge(m.id, fleet.MergeRequest{HeadSHA: m.head, At: w.now})
		if !errors.Is(err, m.want) {
			t.Errorf("%s: %v, want %v", name, err, m.want)
		}
	}
	w.look(w.claimDue(), fleet.UpdateClosed, "aaa")
	if err := w.asksMerge(c.Update.ID, fleet.MergeRequest{HeadSHA: "aaa", At: w.now}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("closed: %v, want ErrConflict", err)
	}
}

func TestUpdateRemembersOurWordsOnGitHub(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.claim(12).Update.ID
	must(t, w.d.SetComment(t.Context(), id, db.Written{ID: 77, Sum: "sum1", At: w.now}))
	must(t, w.d.SetCheckRun(t.Context(), id, "aaa", db.Written{ID: 88, Sum: "sum2", At: w.now}))
	u, err := w.d.UpdateByNumber(t.Context(), w.repo.ID, 12)
	must(t, err)
	if u.ID != id || u.CommentID != 77 || u.CommentSum != "sum1" || u.CheckRunID != 88 || u.CheckSHA != "aaa" || u.CheckSum != "sum2" {
		t.Errorf("got %+v", u)
	}
	if _, err := w.d.Update(t.Context(), 999); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown one: %v, want ErrNotFound", err)
	}
	if _, err := w.d.UpdateByNumber(t.Context(), w.repo.ID, 13); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown number: %v, want ErrNotFound", err)
	}
}
