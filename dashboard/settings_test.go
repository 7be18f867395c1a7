package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestSavingSettingsLosesNothing(t *testing.T) {
	t.Parallel()
	const seen, text = "2026-11-19T12:00:00Z", "version: 1\nupdates: {auto_merge: {hold: <b>1 hour}}\n"
	escaped := "hold: &lt;b&gt;1 hour"
	for name, tt := range map[string]struct {
		role   string // admin where it is empty
		err    error
		change func(url.Values)
		code   int
		says   []string
		saved  string
	}{
		"it is saved":                       {code: http.StatusSeeOther, saved: `alice aurora/nixcfg 2026-11-19T12:00:00Z "version: 1\nupdates: {auto_merge: {hold: <b>1 hour}}\n"`},
		"line ends are made those of files": {change: func(v url.Values) { v.Set("settings", "version: 1\r\n") }, code: http.StatusSeeOther, saved: `alice aurora/nixcfg 2026-11-19T12:00:00Z "version: 1\n"`},
		"blanks are nothing":                {change: func(v url.Values) { v.Set("settings", " \r\n") }, code: http.StatusSeeOther, saved: `alice aurora/nixcfg 2026-11-19T12:00:00Z ""`},
		"the first settings":                {change: func(v url.Values) { v.Set("seen", "") }, code: http.StatusSeeOther, saved: `alice aurora/nixcfg 0001-01-01T00:00:00Z "version: 1\nupdates: {auto_merge: {hold: <b>1 hour}}\n"`},
		"faults stand beside the text": {err: Faults{{Line: 2, Column: 31, Field: "updates.auto_merge.hold", Text: "found \"1 hour\""}}, code: http.StatusUnprocessableEntity,
			says: []string{"line 2, column 31", "updates.auto_merge.hold", "Found &#34;1 hour&#34;", escaped, "1 setting is not right"}},
		"theirs stand beside ours":           {err: ErrChanged, code: http.StatusConflict, says: []string{"bob has changed the settings", escaped, "min_input_age: 24h", `name="seen" value="` + seen}},
		"a refusal is shown in its words":    {err: Refused("The file rules."), code: http.StatusConflict, says: []string{"The file rules.", escaped}},
		"an inner error is not":              {err: errors.New("password=hunter2"), code: http.StatusServiceUnavailable, says: []string{"Not saved", escaped}},
		"an operator may not":                {role: "op", code: http.StatusForbidden, says: []string{"admin role"}},
		"a viewer may not":                   {role: "view", code: http.StatusForbidden, says: []string{"admin role"}},
		"a form without settings is not one": {change: func(v url.Values) { v.Del("settings") }, code: http.StatusBadRequest, says: []string{"nothing was saved"}},
		"a form without what was seen":       {change: func(v url.Values) { v.Del("seen") }, code: http.StatusBadRequest, says: []string{"nothing was saved"}},
		"a form too large is not an empty one": {change: func(v url.Values) { v.Set("aaa", strings.Repeat("x", 1<<20)) }, code: http.StatusBadRequest,
			says: []string{"nothing was saved"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(fleet.Overview{})
			w.policy, w.saveErr = story(t, "settings").Policy, tt.err
			form := url.Values{"settings": {text}, "seen": {seen}, "do": {"save"}}
			if tt.change != nil {
				tt.change(form)
			}
			if tt.role == "" {
				tt.role = "admin"
			}
			rec := do(newDashboard(t, w, Config{}), request(http.MethodPost, "/settings/aurora/nixcfg", tt.role, form))
			body := rec.Body.String()
			if rec.Code != tt.code || strings.Contains(body, "hunter2") || strings.Contains(body, "<b>") {
				t.Errorf("it answers %d, want %d: %s", rec.Code, tt.code, body)
			}
			for _, words := range tt.says {
				if !strings.Contains(body, words) {
					t.Errorf("it does not say %q: %s", words, body)
				}
			}
			if diff := cmp.Diff(tt.saved, strings.Join(w.saves, ",")); diff != "" {
				t.Errorf("saved (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettingsOfWhichRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	w.policy = story(t, "settings").Policy
	d := newDashboard(t, w, Config{})
	get := func(path, cookie string) (int, string) {
		rec := do(d, request(http.MethodGet, path, cookie, nil))
		return rec.Code, rec.Header().Get("Location") + rec.Body.String()
	}
	if code, to := get("/settings", "view"); code != http.StatusSeeOther || to != "/settings/aurora/nixcfg" && !strings.HasPrefix(to, "/settings/aurora/nixcfg<") {
		t.Errorf("with one repository /settings answers %d %s", code, to)
	}
	w.overview.Repos = append(slices.Clone(w.overview.Repos), fleet.RepoView{Repo: fleet.Repo{ID: 2, Owner: "aurora", Name: "a/b"}})
	if code, body := get("/settings", "view"); code != http.StatusOK || !strings.Contains(body, `href="/settings/aurora/a%2Fb"`) {
		t.Errorf("with two repositories /settings answers %d %s", code, body)
	}
	if code, _ := get("/settings/aurora/other", "view"); code != http.StatusNotFound {
		t.Errorf("an unknown repository answers %d", code)
	}
	for _, path := range []string{"/settings", "/settings/aurora/nixcfg"} {
		if code, to := get(path, ""); code != http.StatusSeeOther || !strings.HasPrefix(to, "/login") {
			t.Errorf("%s answers a stranger %d %s", path, code, to)
		}
	}
	w.toldErr = errors.New("ghs_secret")
	if code, body := get("/settings/aurora/nixcfg", "admin"); code != http.StatusServiceUnavailable || strings.Contains(body, "ghs_") {
		t.Errorf("what can't be read answers %d %s", code, body)
	}
}

func TestPolicyInPlainWords(t *testing.T) {
	t.Parallel()
	p := fleet.DefaultPolicy()
	tell := func() string {
		var b strings.Builder
		for _, s := range inWords(p, noon) { // a Sunday
			b.WriteString(s.about + ": " + strings.Join(s.lines, " "))
			if !s.until.IsZero() {
				b.WriteString(" Until " + stamp(s.until))
			}
			b.WriteString("\n")
		}
		return b.String()
	}
	for _, words := range []string{
		"Hold: 1 h after NixFleet has first seen the head commit.", "Freeze: Never.", "Auto-merge: On: by squash",
		"Not while a rollout", "nothing merges.", "at most 3 hosts at a time", "The first failure stops it.",
	} {
		if !strings.Contains(tell(), words) {
			t.Errorf("the built-in policy does not say %q:\n%s", words, tell())
		}
	}
	p.Updates.AutoMerge = fleet.AutoMerge{Method: "rebase"}
	p.Updates.Strategy, p.Updates.RequireChecks = "host", false
	p.Updates.Freeze = []fleet.Freeze{{From: "Fri 18:00", To: "Mon 06:00", TZ: "Europe/Vienna", Reason: "weekend"}}
	p.Deploy.Auto, p.Deploy.MaxFailures = false, fleet.Amount{N: 20, Percent: true}
	for _, words := range []string{
		"Off: a person presses Merge & Deploy.", "Host-driven", "it merges all the same", "(weekend). Until 2026-11-23T05:00:00Z",
		"Nothing is rolled out by itself", "20 % of the hosts have failed", "Hold: Does not matter",
	} {
		if !strings.Contains(tell(), words) {
			t.Errorf("the other policy does not say %q:\n%s", words, tell())
		}
	}
}
