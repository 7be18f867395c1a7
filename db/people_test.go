package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
)

func TestARoleIsAskedForAsLongAsItIsOfUse(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	begin(t, d, "a", adaOnGitHub, t0)
	due, until := t0.Add(10*time.Minute), t0.Add(11*time.Minute)
	nobody := func(when string, at time.Time) {
		t.Helper()
		if p, err := d.ClaimPerson(t.Context(), at, until); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s: claimed %+v, %v", when, p, err)
		}
	}
	nobody("too early", due.Add(-time.Second))
	p, err := d.ClaimPerson(t.Context(), due, until)
	must(t, err)
	equal(t, "who is due", p, db.Person{ID: 7, Login: "ada", Role: "operator", Because: "write on octo/fleet", CheckedAt: t0, SignedInAt: t0})
	nobody("claimed by another", due)
	must(t, d.UncheckedPerson(t.Context(), 7, "no answer", due.Add(time.Minute)))
	p, err = d.ClaimPerson(t.Context(), due.Add(time.Minute), until.Add(time.Minute))
	must(t, err)
	if p.Problem != "no answer" || !p.CheckedAt.Equal(t0) {
		t.Errorf("after a look in vain: %+v", p)
	}
	_, err = d.EndSessions(t.Context(), adaOnGitHub, db.SessionEnd{}, due)
	must(t, err)
	nobody("nothing of theirs lasts", t0.Add(5*time.Hour))
	must(t, d.CreateToken(t.Context(), db.Token{ID: "T", Name: "ci", Role: "viewer", Owner: adaOnGitHub, Created: due}, []byte("t"), "ada"))
	if _, err := d.ClaimPerson(t.Context(), t0.Add(5*time.Hour), t0.Add(6*time.Hour)); err != nil {
		t.Errorf("a token lasts: %v", err)
	}
}

func TestAnotherRoleEndsTheSessions(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	later := t0.Add(10 * time.Minute)
	check := func(role, login string, asked time.Time) {
		t.Helper()
		must(t, d.CheckedPerson(t.Context(), db.Person{ID: 7, Login: login, Role: role, Because: role + " it is", CheckedAt: asked}, later.Add(10*time.Minute), later))
	}
	lasts := func(name string) bool {
		t.Helper()
		_, err := d.Session(t.Context(), []byte(name), later, idle)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	begin(t, d, "a", adaOnGitHub, t0)
	check("operator", "lovelace", t0.Add(time.Minute))
	if s, err := d.Session(t.Context(), []byte("a"), later, idle); err != nil || s.Owner.Actor != "lovelace" {
		t.Errorf("after a rename: %+v, %v", s, err)
	}
	check("none", "ada", t0.Add(time.Second)) // asked before, answered later
	if !lasts("a") {
		t.Error("an older answer counts for more than a newer one")
	}
	check("viewer", "ada", t0.Add(2*time.Minute))
	if why, err := d.WhyEnded(t.Context(), []byte("a")); lasts("a") || err != nil || why != "Your role is viewer now: you have viewer it is." {
		t.Errorf("after another role it lasts: %v; why: %q, %v", lasts("a"), why, err)
	}
	events, err := d.History(t.Context(), 1)
	must(t, err)
	equal(t, "history", events[0].Detail, map[string]any{"from": "operator", "to": "viewer"})

	// Signing in anew with another role ends what has the former one.
	begin(t, d, "b", adaOnGitHub, later)
	check("admin", "ada", later.Add(time.Second))
	if lasts("b") {
		t.Error("a session outlives its role")
	}
}

func TestPeopleAreListedWithWhatLasts(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	begin(t, d, "a", adaOnGitHub, t0)
	begin(t, d, "b", adaOnGitHub, t0.Add(time.Minute))
	begin(t, d, "l", local, t0.Add(2*time.Minute))
	begin(t, d, "o", db.Owner{Person: 8, Actor: "olga"}, t0.Add(-5*time.Hour))
	must(t, d.CreateToken(t.Context(), db.Token{ID: "T", Name: "ci", Role: "admin", Owner: local, Created: t0}, []byte("t"), "ada"))
	list, err := d.People(t.Context(), t0.Add(time.Hour), idle)
	must(t, err)
	type short struct {
		login, role      string
		local            bool
		sessions, tokens int
	}
	var got []short
	for _, p := range list {
		got = append(got, short{p.Login, p.Role, p.Local(), p.Sessions, p.Tokens})
	}
	want := []short{{"ada", "admin", true, 1, 1}, {"ada", "operator", false, 2, 0}, {"olga", "operator", false, 0, 0}}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestTokensLastUntilTheyAreRevoked(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	begin(t, d, "a", adaOnGitHub, t0)
	create := func(id, name string, o db.Owner, expires time.Time) error {
		return d.CreateToken(t.Context(), db.Token{ID: id, Name: name, Role: "operator", Owner: o, Created: t0, Expires: expires}, []byte(id), o.Actor)
	}
	must(t, create("1", "ci", adaOnGitHub, t0.Add(time.Hour)))
	must(t, create("2", "ci", local, time.Time{}))
	if err := create("3", "ci", adaOnGitHub, time.Time{}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a second one of that name: %v", err)
	}
	use := func(id string, at time.Time) (db.Token, error) {
		return d.UseToken(t.Context(), []byte(id), "10.1.1.1", at)
	}
	if got, err := use("1", t0.Add(time.Minute)); err != nil || got.Owner != adaOnGitHub || got.PersonRole != "operator" || got.Role != "operator" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := use("1", t0.Add(time.Hour)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("expired: %v", err)
	}
	if _, err := use("2", t0.Add(24*365*time.Hour)); err != nil {
		t.Errorf("one that never expires: %v", err)
	}
	if _, err := d.RevokeToken(t.Context(), &adaOnGitHub, "2", "ada", t0); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("revoked somebody else's: %v", err)
	}
	for range 2 {
		if got, err := d.RevokeToken(t.Context(), nil, "2", "root", t0.Add(time.Minute)); err != nil || got.By != "root" {
			t.Errorf("revoking: %+v, %v", got, err)
		}
	}
	if _, err := use("2", t0.Add(time.Minute)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("revoked: %v", err)
	}
	must(t, create("4", "ci", local, time.Time{})) // the name is free again
	mine, err := d.Tokens(t.Context(), &adaOnGitHub, t0)
	must(t, err)
	everybodys, err := d.Tokens(t.Context(), nil, t0)
	must(t, err)
	if len(mine) != 1 || mine[0].From != "10.1.1.1" || !mine[0].Used.Equal(t0.Add(time.Minute)) || len(everybodys) != 3 || everybodys[2].ID != "2" {
		t.Errorf("listed %+v and %+v", mine, everybodys)
	}
	must(t, d.PruneSignIn(t.Context(), t0.Add(91*24*time.Hour)))
	if left, err := d.Tokens(t.Context(), nil, t0); err != nil || len(left) != 1 || left[0].ID != "4" {
		t.Errorf("after pruning: %+v, %v", left, err)
	}
}
