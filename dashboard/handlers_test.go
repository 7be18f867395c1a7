package dashboard

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, newWorld(story(t, "holding").Overview), Config{})
	for _, path := range []string{"/", "/login", "/nowhere", "/static/x/y", assetURL("live.js")} {
		h := do(d, request(http.MethodGet, path, "op", nil)).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error("the policy allows something unsafe")
	}
}

func TestOnlyAssetsAreCached(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, newWorld(story(t, "idle").Overview), Config{})
	if got := do(d, request(http.MethodGet, "/", "op", nil)).Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("the page says Cache-Control: %s", got)
	}
	for name, kind := range map[string]string{"htmx.min.js": "text/javascript", "dashboard.css": "text/css", "icon.svg": "image/svg+xml"} {
		rec := do(d, request(http.MethodGet, assetURL(name), "", nil))
		if rec.Code != http.StatusOK || !strings.Contains(rec.Header().Get("Cache-Control"), "immutable") || !strings.HasPrefix(rec.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d %v", name, rec.Code, rec.Header())
		}
	}
	if rec := do(d, request(http.MethodGet, "/static/0123456789ab/live.js", "", nil)); rec.Code != http.StatusNotFound {
		t.Errorf("an asset of another build answers %d, want 404", rec.Code)
	}
}

func TestNobodyComesInWithoutASession(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "holding").Overview)
	d := newDashboard(t, w, Config{})
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/", http.StatusSeeOther},
		{"GET", "/events/", http.StatusUnauthorized},
		{"POST", "/updates/42/merge", http.StatusUnauthorized},
		{"POST", "/updates/42/hold", http.StatusUnauthorized},
		{"POST", "/updates/42/release", http.StatusUnauthorized},
		{"GET", "/login", http.StatusOK},
	} {
		for _, cookie := range []string{"", "forged"} {
			rec := do(d, request(tt.method, tt.path, cookie, nil))
			if rec.Code != tt.want {
				t.Errorf("%s %s with cookie %q answers %d, want %d", tt.method, tt.path, cookie, rec.Code, tt.want)
			}
			if strings.Contains(rec.Body.String(), "flake.lock") {
				t.Errorf("%s %s tells strangers about the fleet", tt.method, tt.path)
			}
		}
	}
	if len(w.asks) > 0 {
		t.Errorf("a stranger asked for %v", w.asks)
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	d := newDashboard(t, w, Config{})

	link := do(d, request(http.MethodGet, "/login?token=right", "", nil))
	if len(link.Result().Cookies()) > 0 || !strings.Contains(link.Body.String(), `value="right"`) {
		t.Error("a link must offer to sign in, and must not do it")
	}
	wrong := do(d, request(http.MethodPost, "/login", "", url.Values{"token": {"wrong"}}))
	if wrong.Code != http.StatusUnauthorized || len(wrong.Result().Cookies()) > 0 {
		t.Errorf("a wrong token answers %d with cookies %v", wrong.Code, wrong.Result().Cookies())
	}
	right := do(d, request(http.MethodPost, "/login", "", url.Values{"token": {" right\n"}}))
	if right.Code != http.StatusSeeOther || len(right.Result().Cookies()) != 1 {
		t.Fatalf("the right token answers %d with cookies %v", right.Code, right.Result().Cookies())
	}
	c := right.Result().Cookies()[0]
	if c.Name != "__Host-nixfleet" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("the session cookie is %+v", c)
	}
	if out := do(d, request(http.MethodPost, "/logout", c.Value, nil)); out.Code != http.StatusSeeOther || out.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("signing out answers %d with %v", out.Code, out.Result().Cookies())
	}
	if after := do(d, request(http.MethodGet, "/", c.Value, nil)); after.Code != http.StatusSeeOther {
		t.Errorf("after signing out the page answers %d", after.Code)
	}
}

func TestCookiesAreSecureWhereBrowsersTakeThem(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"https://fleet.example": true, "http://127.0.0.1:8080": true, "http://localhost:8080": true, "http://[::1]:8080": true,
		"http://fleet.lan:8080": false, "": false, "http://192.168.1.5": false, ":": false,
	} {
		if got := (&Dashboard{cfg: Config{PublicURL: address}}).secureCookies(); got != want {
			t.Errorf("%q: secure is %v, want %v", address, got, want)
		}
	}
}

func TestADatabaseThatDoesNotAnswerIsNotASignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	w.sessErr = errors.New("connection refused")
	d := newDashboard(t, w, Config{})
	for _, r := range []*http.Request{
		request(http.MethodGet, "/", "op", nil), request(http.MethodPost, "/login", "", url.Values{"token": {"right"}}),
		request(http.MethodGet, "/events/", "op", nil),
	} {
		if rec := do(d, r); rec.Code != http.StatusServiceUnavailable || len(rec.Result().Cookies()) > 0 {
			t.Errorf("%s %s answers %d", r.Method, r.URL, rec.Code)
		}
	}
	w.sessErr, w.readErr = nil, errors.New("connection refused")
	if rec := do(d, request(http.MethodGet, "/", "op", nil)); rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "refused") {
		t.Errorf("an unreadable fleet answers %d %s", rec.Code, rec.Body)
	}
}

// Browsers leave pages all the time, also half-way.
func TestWhoLeavesAPageIsNoFaultInTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := newWorld(story(t, "holding").Overview)
	d := newDashboard(t, w, Config{})
	d.cfg.Log = zerolog.New(&log)
	left, leave := context.WithCancel(t.Context())
	leave()
	for _, path := range []string{"/", "/settings/tokens", "/hosts/web1"} {
		do(d, request(http.MethodGet, path, "op", nil).WithContext(left))
	}
	if strings.Contains(log.String(), "error") {
		t.Errorf("the log says %s", log.String())
	}
}
