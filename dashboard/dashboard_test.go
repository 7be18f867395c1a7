package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// noon is when every story of these tests is told.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// story finds a story by its name.
func story(t *testing.T, name string) stories.Story {
	t.Helper()
	for _, s := range stories.All(noon) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no story %q", name)
	return stories.Story{}
}

// world is everything behind a dashboard, in memory and changeable.
type world struct {
	mu       sync.Mutex
	overview fleet.Overview
	reads    int
	readErr  error
	sessions map[string]string // role by cookie
	sessErr  error
	asks     []string // "login wish id head", and what else it names
	askErr   error
	told     *fleet.Explanation
	supposed fleet.WhatIf // of the last explanation
	toldErr  error
	policy   *fleet.PolicyView
	saves    []string // "login repo seen settings"
	saveErr  error

	acts      []fleet.Act // newest first
	actsAsked []fleet.ActQuery
	actsErr   error

	newcomer *fleet.Newcomer
	enrolErr error
	access   stories.Access // who may come in, and who has
	doors    []string       // what was asked for at the doors, and of people
	github   string         // where GitHub is; it sends people straight back

	desk desk

	changed func()
	updateShelf

	rolls     rolloutWorld
	receivers receiverShelf
	hostWorld
}

func newWorld(o fleet.Overview) *world {
	return &world{overview: o, sessions: map[string]string{"op": RoleOperator, "view": RoleViewer, "admin": RoleAdmin}}
}

// tell makes the world that of a story. Its reader is the session op.
func (w *world) tell(s stories.Story) {
	w.overview, w.told, w.policy, w.access = s.Overview, s.Explanation, s.Policy, s.Access
	w.receivers.list, w.receivers.notices = s.Receivers, s.Notices
	w.updateShelf = updateShelf{detail: s.Detail, past: s.Past, works: s.Locks}
	w.rolls.tell(s)
	w.desk = desk{open: s.Open, generations: s.Generations}
	w.sessions["op"] = s.Role
	if s.Role == "" {
		delete(w.sessions, "op")
	}
	w.story = s
}

func (w *world) Overview(context.Context) (fleet.Overview, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	return w.overview, w.readErr
}

func (w *world) Merge(_ context.Context, a fleet.Actor, seen Seen, deploy bool) error {
	return w.ask(a, seen, map[bool]string{true: "deploy", false: "merge"}[deploy])
}

func (w *world) Hold(_ context.Context, a fleet.Actor, seen Seen, until time.Time) error {
	what := "hold"
	if !until.IsZero() {
		what += " " + until.Sub(noon).String()
	}
	return w.ask(a, seen, what)
}

func (w *world) Release(_ context.Context, a fleet.Actor, seen Seen) error {
	return w.ask(a, seen, "release "+seen.HeldAt.Format(time.RFC3339))
}

func (w *world) ask(a fleet.Actor, seen Seen, what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.askErr == nil {
		w.asks = append(w.asks, fmt.Sprintf("%s %d %s %s", a.Login, seen.Update, seen.HeadSHA, what))
	}
	return w.askErr
}

func (w *world) Explain(_ context.Context, repo string, number int, what fleet.WhatIf) (fleet.Explanation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.supposed = what
	switch {
	case w.toldErr != nil:
		return fleet.Explanation{}, w.toldErr
	case w.told == nil || repo != w.told.Repo.FullName() || number != w.told.Number:
		return fleet.Explanation{}, ErrUnknown
	}
	return *w.told, nil
}

func (w *world) Repos(context.Context) ([]fleet.Repo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []fleet.Repo
	for _, r := range w.overview.Repos {
		list = append(list, r.Repo)
	}
	return list, w.readErr
}

func (w *world) Policy(_ context.Context, repo string) (fleet.PolicyView, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.toldErr != nil:
		return fleet.PolicyView{}, w.toldErr
	case w.policy == nil || repo != w.policy.Repo.FullName():
		return fleet.PolicyView{}, ErrUnknown
	}
	return *w.policy, nil
}

func (w *world) SavePolicy(_ context.Context, by fleet.Actor, repo, settings string, seen time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.saveErr == nil {
		w.saves = append(w.saves, fmt.Sprintf("%s %s %s %q", by.Login, repo, stamp(seen), settings))
	}
	return w.saveErr
}

// listen stands for LISTEN of the database: change wakes it.
func (w *world) listen(ctx context.Context, changed func()) error {
	w.mu.Lock()
	w.changed = changed
	w.mu.Unlock()
	<-ctx.Done()
	return nil
}

// change changes the world under its lock, then says so.
func (w *world) change(f func()) {
	w.mu.Lock()
	f()
	changed := w.changed
	w.mu.Unlock()
	if changed != nil {
		changed()
	}
}

func newDashboard(t testing.TB, w *world, cfg Config) *Dashboard {
	t.Helper()
	cfg.Views, cfg.Actions, cfg.Sessions, cfg.People, cfg.Explainer, cfg.Policies, cfg.Listen = w, w, w, w, w, w, w.listen
	cfg.Activity = w
	cfg.Receivers = &w.receivers
	cfg.Updates, cfg.Locks = w, w
	cfg.Newcomers = w
	cfg.Rollouts = &w.rolls
	cfg.Orders = w
	cfg.Hosts = w
	cfg.Build, cfg.PublicURL = "test", cmp.Or(cfg.PublicURL, "http://127.0.0.1:8080")
	cfg.Log = zerolog.Nop()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// request is one request to a dashboard, by somebody who is signed in as cookie.
func request(method, path, cookie string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-nixfleet", Value: cookie})
	}
	return r
}

func do(d *Dashboard, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	return rec
}

func TestNewRefusesAHalfConfiguredDashboard(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("New accepted a configuration without views")
	}
}
