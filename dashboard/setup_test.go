package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// setupWorld is a set-up at one point.
type setupWorld struct {
	mu       sync.Mutex
	state    SetupState
	err      error
	returned []string
	proposed []int64
}

func (w *setupWorld) Setup(context.Context) (SetupState, error) { return w.state, nil }

func (w *setupWorld) Visit(_ context.Context, a fleet.Actor) (string, string, error) {
	return `{"name":"NixFleet <fleet>"}`, "state of " + a.Login, nil
}

func (w *setupWorld) Return(_ context.Context, _ fleet.Actor, code, state string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned = append(w.returned, code+" "+state)
	return w.err
}

func (w *setupWorld) ProposePolicy(_ context.Context, _ fleet.Actor, repo int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proposed = append(w.proposed, repo)
	return w.err
}

// setups are the points at which people see it.
func setups() map[string]SetupState {
	app := &SetupApp{Slug: "nixfleet-fleet-example-org", Page: "https://github.com/apps/nixfleet-fleet-example-org"}
	const public = "https://fleet.example.org"
	return map[string]SetupState{
		"new":     {PublicURL: public},
		"local":   {PublicURL: "http://127.0.0.1:8080", Local: true},
		"sealed":  {PublicURL: public, Problem: "open the credentials of App nixfleet (1): it was sealed with another key, or altered. Put back the key file."},
		"created": {PublicURL: public, App: app},
		"settings": {PublicURL: public, App: &SetupApp{Settings: true, Slug: "own", Page: "https://github.com/apps/own"},
			Repos: []SetupRepo{{ID: 1, Name: "ada/nixcfg", Policy: PolicyFile, URL: "https://github.com/ada/nixcfg/blob/main/.github/nixfleet.yml"}}},
		"installed": {PublicURL: public, App: app, LastHook: noon.Add(-12 * time.Second), Repos: []SetupRepo{
			{ID: 1, Name: "ada/nixcfg", Policy: PolicyNone},
			{ID: 2, Name: "ada/servers", Policy: PolicyProposed, URL: "https://github.com/ada/servers/pull/3"},
			{ID: 3, Name: "ada/<b>old</b>", Policy: PolicyDeclined, URL: "https://github.com/ada/old/pull/9"},
			{ID: 4, Name: "ada/away", Policy: PolicyUnknown},
		}},
	}
}

func newSetup(t *testing.T, s SetupState) (*Dashboard, *setupWorld) {
	t.Helper()
	w, sw := newWorld(fleet.Overview{}), &setupWorld{state: s}
	w.sessions["admin"] = RoleAdmin
	return newDashboard(t, w, Config{Setup: sw}), sw
}

func TestEveryPointOfTheSetUpRendersAsItDid(t *testing.T) {
	t.Parallel()
	for name, state := range setups() {
		d, _ := newSetup(t, state)
		rec := do(d, request(http.MethodGet, "/setup", "admin", nil))
		page := rec.Body.String()
		_, main, _ := strings.Cut(page, "<main")
		golden(t, filepath.Join("testdata", "golden", "setup-"+name+".html"), lines("<main"+main))
		for what, pattern := range forbidden {
			if bad := pattern.FindString(page); bad != "" {
				t.Errorf("%s holds %s: %.200s", name, what, bad)
			}
		}
		waits := state.App != nil && len(state.Repos) == 0
		if (rec.Header().Get("Refresh") != "") != waits {
			t.Errorf("%s: the page reloads itself: %q", name, rec.Header().Get("Refresh"))
		}
		if csp := rec.Header().Get("Content-Security-Policy"); strings.Contains(csp, "form-action 'self';") == (state.App == nil) {
			t.Errorf("%s: the policy is %s", name, csp)
		}
	}
}

func TestTheSetUpIsForAdminsAlone(t *testing.T) {
	t.Parallel()
	d, sw := newSetup(t, SetupState{})
	for _, r := range []struct{ method, path string }{{"GET", "/setup"}, {"GET", "/setup/callback?code=c&state=s"}, {"POST", "/setup/policy"}} {
		for cookie, want := range map[string]int{"op": http.StatusForbidden, "view": http.StatusForbidden} {
			if rec := do(d, request(r.method, r.path, cookie, url.Values{"repo": {"1"}})); rec.Code != want {
				t.Errorf("%s %s as %s: %d, want %d", r.method, r.path, cookie, rec.Code, want)
			}
		}
		if rec := do(d, request(r.method, r.path, "", nil)); rec.Code != http.StatusSeeOther && rec.Code != http.StatusUnauthorized {
			t.Errorf("%s %s as nobody: %d", r.method, r.path, rec.Code)
		}
	}
	if len(sw.returned)+len(sw.proposed) > 0 {
		t.Errorf("something was done: %v %v", sw.returned, sw.proposed)
	}
}

func TestTheSetUpShowsWhatWentWrong(t *testing.T) {
	t.Parallel()
	d, sw := newSetup(t, setups()["new"])
	if rec := do(d, request(http.MethodGet, "/setup/callback?code=c&state=s", "admin", nil)); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/setup" {
		t.Errorf("GitHub sent back: %d to %s", rec.Code, rec.Header().Get("Location"))
	}
	if len(sw.returned) != 1 || sw.returned[0] != "c s" {
		t.Errorf("returned %q", sw.returned)
	}
	for err, want := range map[error]struct {
		code int
		text string
	}{
		Refused("Start again."):        {http.StatusConflict, "Start again."},
		errors.New("password=hunter2"): {http.StatusServiceUnavailable, "could not be done"},
	} {
		sw.err = err
		for _, r := range []*http.Request{
			request(http.MethodGet, "/setup/callback?code=c&state=s", "admin", nil),
			request(http.MethodPost, "/setup/policy", "admin", url.Values{"repo": {"7"}}),
		} {
			rec := do(d, r)
			if body := rec.Body.String(); rec.Code != want.code || !strings.Contains(body, want.text) || strings.Contains(body, "hunter2") {
				t.Errorf("%s after %v: %d %s", r.URL.Path, err, rec.Code, body)
			}
		}
	}
}
