package dashboard

import (
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestSignInWithGitHub(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	d := newDashboard(t, w, Config{})
	away := do(d, request(http.MethodGet, "/login/github?next=%2Fhosts", "", nil))
	if to := away.Header().Get("Location"); away.Code != http.StatusSeeOther || to != "https://github.example/login/oauth/authorize?state=s&next=%2Fhosts" {
		t.Errorf("it leads to %d %s", away.Code, to)
	}
	kept := away.Result().Cookies()
	if len(kept) != 1 || kept[0].Name != "__Host-nixfleet-visit" || !kept[0].HttpOnly || !kept[0].Secure || kept[0].SameSite != http.SameSiteLaxMode || kept[0].MaxAge != 600 {
		t.Fatalf("the browser keeps %v", kept)
	}
	back := request(http.MethodGet, "/login/github/callback?code=c&state=s", "view", nil)
	back.AddCookie(kept[0])
	back.RemoteAddr = "10.0.0.5:4711"
	in := do(d, back)
	if to := in.Header().Get("Location"); in.Code != http.StatusSeeOther || to != "/" {
		t.Errorf("afterwards it leads to %d %s", in.Code, to)
	}
	values := map[string]string{}
	for _, c := range in.Result().Cookies() {
		values[c.Name] = c.Value
	}
	if values["__Host-nixfleet"] != "back" || values["__Host-nixfleet-visit"] != "" || len(values) != 2 {
		t.Errorf("the browser gets %v", values)
	}
	if _, lasts := w.sessions["view"]; lasts {
		t.Error("the session that the browser had lasts on")
	}
	if want := []string{"the secret s c 10.0.0.5"}; !slices.Equal(w.doors, want) {
		t.Errorf("asked %q, want %q", w.doors, want)
	}
}

func TestNobodyIsLedElsewhere(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/hosts?q=a%20b": "/hosts?q=a%20b", "/": "/", "": "/", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/",
		"/\tx": "/", "hosts": "/", "/login?next=/login": "/", "/%2F/evil.example": "/%2F/evil.example", "/" + strings.Repeat("a", 1000): "/", "javascript:alert(1)": "/",
	} {
		if got := local(path); got != want {
			t.Errorf("%.40q leads to %q, want %q", path, got, want)
		}
	}
	w := newWorld(story(t, "idle").Overview)
	d := newDashboard(t, w, Config{})
	for from, want := range map[string]string{"/": "/login", "/settings/you?x=1": "/login?next=%2Fsettings%2Fyou%3Fx%3D1"} {
		if got := do(d, request(http.MethodGet, from, "", nil)).Header().Get("Location"); got != want {
			t.Errorf("a stranger at %s is sent to %s, want %s", from, got, want)
		}
	}
	rec := do(d, request(http.MethodPost, "/login", "", url.Values{"token": {"right"}, "next": {"//evil.example"}}))
	if got := rec.Header().Get("Location"); got != "/" {
		t.Errorf("signing in leads to %s", got)
	}
}

func TestBrowsersAreKnownAgain(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0":               "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36":                   "Chrome on Android",
		"curl/8.9": "curl", "": "", "<script>alert(1)</script>": "", "Something on Linux": "a browser on Linux",
	} {
		if got := browserName(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}

func TestATokenIsShownOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	w.tell(story(t, "tokens"))
	d := newDashboard(t, w, Config{})
	form := url.Values{"name": {"ci"}, "role": {"operator"}, "days": {"90"}, "build": {d.build}}
	made := do(d, request(http.MethodPost, "/settings/tokens", "op", form))
	if made.Code != http.StatusCreated || made.Header().Get("Cache-Control") != "no-store" || len(made.Result().Cookies()) > 0 {
		t.Errorf("it answers %d, %v", made.Code, made.Header())
	}
	golden(t, filepath.Join("testdata", "golden", "tokens-made.html"), strings.ReplaceAll(lines(mainOf(made.Body.String())), d.build, "BUILD"))
	if later := do(d, request(http.MethodGet, "/settings/tokens", "op", nil)).Body.String(); strings.Contains(later, "nxf_") {
		t.Error("it is shown again")
	}
	for name, tt := range map[string]struct {
		change func(url.Values)
		err    error
		code   int
		says   string
	}{
		"refused":        {err: Refused("You have <b>one</b>."), code: http.StatusUnprocessableEntity, says: "You have &lt;b&gt;one&lt;/b&gt;."},
		"no database":    {err: http.ErrServerClosed, code: http.StatusServiceUnavailable, says: "No token was made"},
		"another build":  {change: func(v url.Values) { v.Set("build", "old") }, code: http.StatusConflict, says: "No token was made"},
		"no time at all": {change: func(v url.Values) { v.Del("days") }, code: http.StatusUnprocessableEntity, says: "Choose how long"},
		"a negative one": {change: func(v url.Values) { v.Set("days", "-1") }, code: http.StatusUnprocessableEntity, says: "Choose how long"},
	} {
		w.askErr = tt.err
		form := url.Values{"name": {"ci"}, "role": {"operator"}, "days": {"90"}, "build": {d.build}}
		if tt.change != nil {
			tt.change(form)
		}
		rec := do(d, request(http.MethodPost, "/settings/tokens", "op", form))
		if rec.Code != tt.code || !strings.Contains(rec.Body.String(), tt.says) || strings.Contains(rec.Body.String(), "nxf_") {
			t.Errorf("%s: %d", name, rec.Code)
		}
	}
	if want := []string{"alice makes ci operator 90"}; !slices.Equal(w.doors, want) {
		t.Errorf("asked %q", w.doors)
	}
}

func TestSessionsAndTokensEndAfterAQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	w.tell(story(t, "tokens"))
	w.access.Sessions, w.access.People = story(t, "you").Access.Sessions, story(t, "people").Access.People
	d := newDashboard(t, w, Config{})
	for _, tt := range []struct{ ask, says, post, field, value, did string }{
		{"/settings/you/end?session=S2", "End this session", "/settings/you/end", "session", "S2", "alice ends S2"},
		{"/settings/you/end", "Sign out of 3 sessions", "/settings/you/end", "", "", "alice ends all"},
		{"/settings/people/end?person=github%2F2", "End 1 session of bob", "/settings/people/end", "person", "github/2", "alice ends all of bob"},
		{"/settings/people/end?person=local%2Fada", "End 1 session of ada", "/settings/people/end", "person", "local/ada", "alice ends all of ada"},
		{"/settings/tokens/revoke?token=T1", "Revoke ci", "/settings/tokens/revoke", "token", "T1", "alice revokes T1"},
	} {
		asked := do(d, request(http.MethodGet, tt.ask, "admin", nil))
		if !strings.Contains(asked.Body.String(), tt.says) || !strings.Contains(asked.Body.String(), `action="`+tt.post+`"`) {
			t.Errorf("%s answers %d without %q", tt.ask, asked.Code, tt.says)
		}
		form := url.Values{"build": {d.build}}
		if tt.field != "" {
			form.Set(tt.field, tt.value)
		}
		if rec := do(d, request(http.MethodPost, tt.post, "admin", form)); rec.Code != http.StatusSeeOther || w.doors[len(w.doors)-1] != tt.did {
			t.Errorf("%s answers %d, did %q", tt.post, rec.Code, w.doors)
		}
	}
	for _, path := range []string{"/settings/you/end?session=S1", "/settings/you/end?session=X", "/settings/people/end?person=github%2F99", "/settings/tokens/revoke?token=T5"} {
		if rec := do(d, request(http.MethodGet, path, "admin", nil)); rec.Code != http.StatusNotFound {
			t.Errorf("%s answers %d", path, rec.Code)
		}
	}
	for _, role := range []string{"op", "view"} {
		w.sessions["op"] = RoleOperator
		if rec := do(d, request(http.MethodPost, "/settings/people/end", role, url.Values{"person": {"github/2"}, "build": {d.build}})); rec.Code != http.StatusForbidden {
			t.Errorf("%s ends sessions of others: %d", role, rec.Code)
		}
	}
}

// A browser follows the link to GitHub under our policy, and is in when it comes back.
func TestBrowserSignsInWithGitHub(t *testing.T) {
	b := browse(t, fleet.Overview{})
	b.change(func() {
		b.access = stories.Access{Repos: []string{"aurora/nixcfg"}}
		delete(b.sessions, "op")
		b.github = b.server.URL
	})
	b.Do(chromedp.Navigate(b.server.URL + "/settings/you"))
	b.Until(`location.pathname === "/login"`)
	b.Click("a.button.primary")
	b.Until(`location.pathname === "/" && document.querySelector("#live")?.dataset.state === "live"`)
	b.Blameless()
}
