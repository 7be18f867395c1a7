package db_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
)

const idle = 2 * time.Hour

func TestLoginIsGoodOnceAndNotForLong(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, token := range []string{"a", "b"} {
		must(t, d.CreateLogin(t.Context(), []byte(token), "ada", "admin", t0.Add(time.Minute)))
	}
	actor, role, err := d.UseLogin(t.Context(), []byte("a"), t0)
	if err != nil || actor != "ada" || role != "admin" {
		t.Errorf("got %q, %q, %v", actor, role, err)
	}
	for name, use := range map[string]struct {
		token string
		at    time.Time
	}{"used": {"a", t0}, "expired": {"b", t0.Add(time.Minute)}, "unknown": {"c", t0}} {
		if _, _, err := d.UseLogin(t.Context(), []byte(use.token), use.at); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}

// begin is a session of an owner, with the role of an operator; its token and its id
// are its name.
func begin(t *testing.T, d *db.DB, name string, o db.Owner, at time.Time) db.NewSession {
	t.Helper()
	s := db.NewSession{
		Hash: []byte(name), ID: name, Owner: o, Role: "operator", Because: "write on octo/fleet", Asked: at, Again: at.Add(10 * time.Minute),
		Expires: at.Add(12 * time.Hour), Address: "10.0.0.5", Browser: "Firefox", By: o.Actor, Reason: "signed in",
	}
	must(t, d.BeginSession(t.Context(), s, at))
	return s
}

var (
	adaOnGitHub = db.Owner{Person: 7, Actor: "ada"}
	local       = db.Owner{Actor: "ada"} // of the same name, and somebody else
)

func names(list []db.Session) (names []string) {
	for _, s := range list {
		names = append(names, s.ID)
	}
	slices.Sort(names)
	return names
}

func TestSessionLastsWhileItIsUsed(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	begin(t, d, "a", adaOnGitHub, t0)
	begin(t, d, "b", local, t0)
	use := func(name string, after time.Duration) error {
		_, err := d.Session(t.Context(), []byte(name), t0.Add(after), idle)
		return err
	}
	for after := time.Hour; after < 12*time.Hour; after += time.Hour {
		if err := use("a", after); err != nil {
			t.Errorf("after %v: %v", after, err)
		}
	}
	if err := use("b", idle); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("unused for two hours: %v", err)
	}
	if err := use("a", 12*time.Hour); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("after its time: %v", err)
	}
	got, err := d.Session(t.Context(), []byte("a"), t0.Add(11*time.Hour+30*time.Second), idle)
	want := db.Session{ID: "a", Owner: adaOnGitHub, Role: "operator", Began: t0, Seen: t0.Add(11 * time.Hour), Expires: t0.Add(12 * time.Hour),
		Address: "10.0.0.5", Browser: "Firefox", PersonRole: "operator", Because: "write on octo/fleet", Checked: t0}
	must(t, err)
	equal(t, "the session", got, want)
	must(t, d.PruneSignIn(t.Context(), t0.Add(12*time.Hour+24*time.Hour)))
	if list, err := d.Sessions(t.Context(), adaOnGitHub, t0, idle); err != nil || len(list) > 0 {
		t.Errorf("not pruned: %v, %v", list, err)
	}
}

func TestSessionsEndOneByOneAndTogether(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, name := range []string{"a", "b", "c"} {
		begin(t, d, name, adaOnGitHub, t0)
	}
	begin(t, d, "l", local, t0)
	end := func(o db.Owner, e db.SessionEnd) int {
		t.Helper()
		e.By = "bob"
		n, err := d.EndSessions(t.Context(), o, e, t0.Add(time.Minute))
		must(t, err)
		return n
	}
	if n := end(adaOnGitHub, db.SessionEnd{ID: "l"}); n != 0 {
		t.Errorf("ended %d sessions of somebody else", n)
	}
	for want := 1; want >= 0; want-- {
		if n := end(adaOnGitHub, db.SessionEnd{Only: []byte("a"), Why: "signed out"}); n != want {
			t.Errorf("ended %d, want %d", n, want)
		}
	}
	if why, err := d.WhyEnded(t.Context(), []byte("a")); err != nil || why != "signed out" {
		t.Errorf("it says %q, %v", why, err)
	}
	list, err := d.Sessions(t.Context(), adaOnGitHub, t0.Add(time.Minute), idle)
	must(t, err)
	equal(t, "what lasts", names(list), []string{"b", "c"})
	if n := end(adaOnGitHub, db.SessionEnd{Why: "everywhere"}); n != 2 {
		t.Errorf("ended %d, want 2", n)
	}
	list, err = d.Sessions(t.Context(), local, t0.Add(time.Minute), idle)
	must(t, err)
	equal(t, "sessions of another with that name", names(list), []string{"l"})
	events, err := d.History(t.Context(), 2)
	must(t, err)
	equal(t, "history", []string{events[0].Kind, events[0].Actor, events[0].Subject, events[0].Reason}, []string{"session.ended", "bob", "person/7", "everywhere"})
}

func TestASignInComesBackOnceInItsBrowser(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, state := range []string{"a", "b", "c"} {
		must(t, d.BeginSignIn(t.Context(), []byte(state), []byte("mine"), "/hosts", t0.Add(10*time.Minute)))
	}
	if next, err := d.UseSignIn(t.Context(), []byte("a"), []byte("mine"), t0); err != nil || next != "/hosts" {
		t.Errorf("%q, %v", next, err)
	}
	for name, use := range map[string]struct {
		state, browser string
		after          time.Duration
	}{
		"it came back before": {"a", "mine", 0}, "another browser": {"b", "theirs", 0},
		"it took too long": {"c", "mine", 10 * time.Minute}, "it never began": {"x", "mine", 0},
	} {
		if _, err := d.UseSignIn(t.Context(), []byte(use.state), []byte(use.browser), t0.Add(use.after)); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if _, err := d.UseSignIn(t.Context(), []byte("b"), []byte("mine"), t0); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a state that somebody else tried: %v", err)
	}
}

func TestHostileNamesAreStored(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	o := db.Owner{Actor: "a\x00'; drop table people --\xff"}
	s := begin(t, d, "h", o, t0)
	got, err := d.Session(t.Context(), s.Hash, t0, idle)
	if err != nil || strings.Contains(got.Owner.Actor, "\x00") || !strings.Contains(got.Owner.Actor, "drop table") {
		t.Errorf("%+v, %v", got, err)
	}
}
