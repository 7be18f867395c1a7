package db_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

var (
	ada = fleet.Actor{ID: 5, Login: "ada", Type: "User"}
	bob = fleet.Actor{ID: 6, Login: "bob", Type: "User"}
)

func (w *world) pressed(action, sha string, by fleet.Actor) fleet.Pressed {
	return fleet.Pressed{Repo: w.repo, Numbers: []int{1}, SHA: sha, Action: action, By: by}
}

func (w *world) press(action, sha string, by fleet.Actor) {
	w.t.Helper()
	must(w.t, w.d.Record(w.t.Context(), w.now, w.pressed(action, sha, by)))
}

// requests claims what is due and tells it as "action login".
func (w *world) requests() (claims []db.RequestClaim, said []string) {
	w.t.Helper()
	claims, err := w.d.ClaimRequests(w.t.Context(), w.now, lease, 10)
	must(w.t, err)
	for _, c := range claims {
		said = append(said, c.Action+" "+c.By.Login)
	}
	return claims, said
}

// ready is a world in which update 1 is ready at head aaa, and nothing is due.
func ready(t *testing.T) (*world, fleet.Update) {
	t.Helper()
	w := newWorld(t)
	c := w.claim(1)
	w.look(c, fleet.UpdateReady, "aaa")
	w.effects()
	return w, w.update(c.Update.ID)
}

func TestPressIsHandedOutUntilItIsHandled(t *testing.T) {
	t.Parallel()
	w, u := ready(t)
	w.press("merge", "aaa", ada)
	w.after(time.Second)
	claims, _ := w.requests()
	if len(claims) != 1 {
		t.Fatalf("%d claims, want 1", len(claims))
	}
	c := claims[0]
	if c.UpdateID != u.ID || c.Repo != w.repo || c.Number != 1 || c.Action != "merge" || c.SHA != "aaa" || c.By != ada || !c.At.Equal(t0) || c.Attempt != 1 {
		t.Errorf("claim = %+v", c)
	}
	if _, said := w.requests(); said != nil {
		t.Errorf("%v are handed out twice", said)
	}
	must(t, w.d.PostponeRequest(t.Context(), c, w.now.Add(time.Minute)))
	if _, said := w.requests(); said != nil {
		t.Errorf("%v are handed out before their time", said)
	}
	w.after(time.Minute)
	again, _ := w.requests()
	end := db.RequestEnd{Result: db.RequestDenied, Role: "read", Why: "May not."}
	if err := w.d.FinishRequest(t.Context(), c, end, w.now); !errors.Is(err, db.ErrConflict) {
		t.Errorf("the claim that was given back: %v, want ErrConflict", err)
	}
	must(t, w.d.FinishRequest(t.Context(), again[0], end, w.now))
	w.after(time.Hour)
	if _, said := w.requests(); said != nil {
		t.Errorf("%v are handed out once handled", said)
	}
	if n := w.count(`select count(*) from requests where outcome = 'denied: May not.' and handled_at is not null`); n != 1 {
		t.Error("the outcome is not stored")
	}
	events, err := w.d.History(t.Context(), 1)
	must(t, err)
	e := events[0]
	if e.Actor != "ada" || e.Kind != "request.denied" || e.Reason != "May not." || e.Detail["action"] != "merge" || e.Detail["head_sha"] != "aaa" || e.Detail["role"] != "read" {
		t.Errorf("history: %+v", e)
	}
	if got := w.update(u.ID); got.Request != nil || got.Hold != nil {
		t.Errorf("a denied request did something: %+v", got)
	}
}

func TestPressesOfOnePersonKeepTheirOrder(t *testing.T) {
	t.Parallel()
	w, _ := ready(t)
	for _, action := range []string{"hold", "unhold"} {
		w.after(time.Second)
		w.press(action, "aaa", ada)
	}
	w.press("hold", "aaa", bob)
	finish := func(c db.RequestClaim) {
		t.Helper()
		must(t, w.d.FinishRequest(t.Context(), c, db.RequestEnd{Result: db.RequestVoid}, w.now))
	}
	claims, said := w.requests()
	equal(t, "at first", said, []string{"hold ada", "hold bob"})
	if _, said := w.requests(); said != nil {
		t.Errorf("%v overtake what is under way", said)
	}
	must(t, w.d.PostponeRequest(t.Context(), claims[0], w.now.Add(time.Hour)))
	finish(claims[1])
	if _, said := w.requests(); said != nil {
		t.Errorf("%v overtake what waits", said)
	}
	w.after(time.Second)
	w.press("hold", "aaa", ada) // the last word
	claims, said = w.requests()
	equal(t, "then", said, []string{"unhold ada"})
	finish(claims[0])
	claims, said = w.requests()
	equal(t, "at last", said, []string{"hold ada"})
	w.after(time.Second)
	w.press("hold", "aaa", ada) // while that is handled
	finish(claims[0])
	claims, said = w.requests()
	equal(t, "pressed again", said, []string{"hold ada"})
	finish(claims[0])
	w.after(time.Hour)
	if _, said := w.requests(); said != nil {
		t.Errorf("%v remain", said)
	}
}

func TestOnlyRequestsOfWatchedRepositoriesAreHandedOut(t *testing.T) {
	t.Parallel()
	w, _ := ready(t)
	w.press("hold", "aaa", ada)
	must(t, w.d.Record(t.Context(), w.now, fleet.InstallationChanged{ID: 3, Suspended: true}))
	if _, said := w.requests(); said != nil {
		t.Errorf("%v is handed out of a suspended installation", said)
	}
	must(t, w.d.Record(t.Context(), w.now, fleet.InstallationChanged{ID: 3}))
	if _, said := w.requests(); len(said) != 1 {
		t.Errorf("handed out: %v, want the press", said)
	}
}

// grant presses a button and stores what it asks for.
func (w *world) grant(action string, end func(c db.RequestClaim) db.RequestEnd) error {
	w.t.Helper()
	w.after(time.Second)
	w.press(action, "aaa", ada)
	claims, _ := w.requests()
	if len(claims) != 1 {
		w.t.Fatalf("%d claims, want 1", len(claims))
	}
	return w.d.FinishRequest(w.t.Context(), claims[0], end(claims[0]), w.now)
}

func holds(c db.RequestClaim) db.RequestEnd {
	return db.RequestEnd{Result: db.RequestAllowed, Hold: &fleet.Hold{By: c.By, At: c.At}}
}

func releases(db.RequestClaim) db.RequestEnd {
	return db.RequestEnd{Result: db.RequestAllowed, Release: true}
}

func merges(c db.RequestClaim) db.RequestEnd {
	return db.RequestEnd{Result: db.RequestAllowed, Merge: &fleet.MergeRequest{By: c.By, HeadSHA: c.SHA, At: c.At, Deploy: true}}
}

func TestHoldIsStoredAndReleased(t *testing.T) {
	t.Parallel()
	w, u := ready(t)
	must(t, w.grant("merge", merges))
	if w.update(u.ID).Request == nil {
		t.Fatal("the merge is not asked for")
	}
	look := w.claimDue()
	must(t, w.grant("hold", holds))
	if err := w.d.SaveVerdict(t.Context(), look, verdict(fleet.UpdateMerging, "aaa"), w.now); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a look from before the hold: %v, want ErrConflict", err)
	}
	c := w.claimDue()
	want := &fleet.Hold{By: ada, At: w.now}
	equal(t, "recorded hold", c.Recorded.Hold, want)
	equal(t, "hold", w.update(u.ID).Hold, want)
	if c.Recorded.Request != nil {
		t.Error("the wish to merge outlives the hold that came after it")
	}
	w.look(c, fleet.UpdateReady, "aaa")
	err := w.asksMerge(u.ID, fleet.MergeRequest{HeadSHA: "aaa", At: w.now.Add(-time.Millisecond)})
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("a merge asked for before the hold: %v, want ErrConflict", err)
	}
	must(t, w.grant("merge", merges)) // a later one passes the hold over, and stays
	if got := w.update(u.ID); got.Request == nil || got.Hold == nil {
		t.Errorf("request %v, hold %v, want both", got.Request, got.Hold)
	}
	must(t, w.grant("unhold", releases))
	if c := w.claimDue(); c.Recorded.Hold != nil {
		t.Errorf("hold %+v after its release", c.Recorded.Hold)
	}
	if err := w.grant("unhold", releases); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a release of nothing: %v, want ErrConflict", err)
	}
}

func TestNothingIsGrantedForAnotherHeadOrAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state fleet.UpdateState
		head  string
		end   func(db.RequestClaim) db.RequestEnd
		want  error
	}{
		"merge of another head":   {fleet.UpdateReady, "bbb", merges, db.ErrConflict},
		"release of another head": {fleet.UpdateReady, "bbb", releases, db.ErrConflict},
		"hold at another head":    {fleet.UpdateReady, "bbb", holds, nil},
		"merge of what is merged": {fleet.UpdateMerged, "aaa", merges, db.ErrConflict},
		"hold of what is closed":  {fleet.UpdateClosed, "aaa", holds, db.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, u := ready(t)
			must(t, w.grant("hold", holds))
			w.look(w.claimDue(), c.state, c.head)
			before := w.update(u.ID)
			if err := w.grant("x", c.end); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if c.want != nil {
				equal(t, "update", w.update(u.ID), before)
				if n := w.count(`select count(*) from requests where handled_at is null`); n != 1 {
					t.Error("the request counts as handled though nothing was stored")
				}
			}
		})
	}
}

func TestARerunHasTheCheckRunWrittenAgain(t *testing.T) {
	t.Parallel()
	w, u := ready(t)
	must(t, w.d.SetCheckRun(t.Context(), u.ID, "aaa", db.Written{ID: 88, Sum: "sum", At: w.now}))
	must(t, w.grant("rerun", func(db.RequestClaim) db.RequestEnd {
		return db.RequestEnd{Result: db.RequestAllowed, Rewrite: true}
	}))
	if got := w.update(u.ID); got.CheckSum != "" || got.CheckRunID != 88 {
		t.Errorf("run %d says %q, want the same run to be written", got.CheckRunID, got.CheckSum)
	}
	if got := w.effects(); len(got) != 1 || got[0] != fmt.Sprint("check:", u.ID) {
		t.Errorf("effects %v", got)
	}
}

func TestIgnoredRequestsLeaveNoHistory(t *testing.T) {
	t.Parallel()
	w, _ := ready(t)
	before := w.count(`select count(*) from history`)
	must(t, w.grant("hold", func(db.RequestClaim) db.RequestEnd { return db.RequestEnd{Result: db.RequestIgnored, Why: "A bot."} }))
	if n := w.count(`select count(*) from history`); n != before {
		t.Errorf("%d lines of history, want %d", n, before)
	}
}
