package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
)

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

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, s := range []string{"a", "b"} {
		must(t, d.CreateSession(t.Context(), []byte(s), "ada", "viewer", t0.Add(time.Hour)))
	}
	if actor, role, err := d.Session(t.Context(), []byte("a"), t0); err != nil || actor != "ada" || role != "viewer" {
		t.Errorf("got %q, %q, %v", actor, role, err)
	}
	for range 2 {
		must(t, d.DeleteSession(t.Context(), []byte("a")))
	}
	must(t, d.PruneSignIn(t.Context(), t0))
	for name, s := range map[string]struct {
		token string
		at    time.Time
		want  error
	}{"deleted": {"a", t0, db.ErrNotFound}, "expired": {"b", t0.Add(time.Hour), db.ErrNotFound}, "kept": {"b", t0, nil}} {
		if _, _, err := d.Session(t.Context(), []byte(s.token), s.at); !errors.Is(err, s.want) {
			t.Errorf("%s: %v, want %v", name, err, s.want)
		}
	}
	must(t, d.PruneSignIn(t.Context(), t0.Add(time.Hour)))
	if _, _, err := d.Session(t.Context(), []byte("b"), t0); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("pruned: %v", err)
	}
}
