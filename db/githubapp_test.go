package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
)

func TestThereIsOneGitHubApp(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	if _, err := d.GitHubApp(t.Context()); !errors.Is(err, db.ErrNotFound) {
		t.Fatalf("before the set-up: %v, want ErrNotFound", err)
	}
	app := func(id int64) db.GitHubApp {
		return db.GitHubApp{AppID: id, Slug: "nixfleet", HTMLURL: "https://github.com/apps/nixfleet", ClientID: "Iv1.x", Sealed: []byte{0, 1, byte(id)}}
	}
	for _, step := range []struct {
		id, replaces int64
		want         error
	}{
		{1, 9, db.ErrConflict}, // there is none to replace
		{1, 0, nil},
		{2, 0, db.ErrConflict}, // two replicas, or two people at once
		{2, 9, db.ErrConflict},
		{2, 1, nil},
		{3, 1, db.ErrConflict},
	} {
		if err := d.SaveGitHubApp(t.Context(), app(step.id), step.replaces, "ada", t0); !errors.Is(err, step.want) {
			t.Errorf("save %d in place of %d: %v, want %v", step.id, step.replaces, err, step.want)
		}
	}
	got, err := d.GitHubApp(t.Context())
	must(t, err)
	want := app(2)
	want.CreatedAt = t0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if err := d.ResealGitHubApp(t.Context(), app(1), []byte("x")); !errors.Is(err, db.ErrConflict) {
		t.Errorf("resealed credentials that were replaced: %v", err)
	}
	must(t, d.ResealGitHubApp(t.Context(), got, []byte("again")))
	if err := d.ResealGitHubApp(t.Context(), got, []byte("twice")); !errors.Is(err, db.ErrConflict) {
		t.Errorf("resealed what somebody else resealed meanwhile: %v", err)
	}
	events, err := d.History(t.Context(), 10)
	must(t, err)
	if len(events) != 2 || events[0].Kind != "github_app.created" || events[0].Actor != "ada" {
		t.Errorf("history: %+v", events)
	}
}

func TestAVisitToGitHubComesBackOnce(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, state := range []string{"a", "b"} {
		must(t, d.CreateSetupVisit(t.Context(), []byte(state), "ada", t0.Add(time.Hour)))
	}
	actor, err := d.UseSetupVisit(t.Context(), []byte("a"), t0)
	if err != nil || actor != "ada" {
		t.Errorf("came back: %q, %v", actor, err)
	}
	for name, back := range map[string]struct {
		state string
		at    time.Time
	}{"again": {"a", t0}, "too late": {"b", t0.Add(time.Hour)}, "never sent": {"c", t0}} {
		if _, err := d.UseSetupVisit(t.Context(), []byte(back.state), back.at); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	must(t, d.CreateLogin(t.Context(), []byte("code"), "set-up", "admin", t0.Add(time.Hour)))
	must(t, d.CreateLogin(t.Context(), []byte("ada's"), "ada", "viewer", t0.Add(time.Hour)))
	must(t, d.RevokeLogins(t.Context(), "set-up"))
	if _, _, err := d.UseLogin(t.Context(), []byte("code"), t0); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a revoked code: %v", err)
	}
	if _, _, err := d.UseLogin(t.Context(), []byte("ada's"), t0); err != nil {
		t.Errorf("somebody else's: %v", err)
	}
}
