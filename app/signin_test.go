package app

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db/dbtest"
)

// browser is a person's: it keeps cookies and follows no redirects by itself.
type browser struct {
	t      *testing.T
	client *http.Client
	url    string
}

func (r *replica) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{t: t, url: r.url, client: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *browser) answer(resp *http.Response, err error) (code int, page string) {
	b.t.Helper()
	must(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return resp.StatusCode, string(text)
}

func (b *browser) get(path string) (int, string) {
	b.t.Helper()
	return b.answer(b.client.Get(b.url + path))
}

func (b *browser) post(path string, form url.Values) (int, string) {
	b.t.Helper()
	return b.answer(b.client.PostForm(b.url+path, form))
}

func (b *browser) login(token string) int {
	b.t.Helper()
	code, page := b.post("/login", url.Values{"token": {token}})
	if code == http.StatusUnauthorized && !strings.Contains(page, "ask for a new one") {
		b.t.Errorf("refused without a way on: %s", page)
	}
	return code
}

// in reports whether the dashboard lets the browser in.
func (b *browser) in() bool {
	b.t.Helper()
	code, _ := b.get("/")
	if code != http.StatusOK && code != http.StatusSeeOther {
		b.t.Errorf("the dashboard answers %d", code)
	}
	return code == http.StatusOK
}

func (r *replica) loginToken(t *testing.T) string {
	t.Helper()
	link, err := r.LoginLink(t.Context(), "ada", "operator")
	must(t, err)
	token, ok := strings.CutPrefix(link, r.url+"/login?token=")
	if !ok {
		t.Fatalf("the link %q does not lead to the server's sign-in page", link)
	}
	return token
}

func TestALinkSignsInOnePersonOnce(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	ada, eve := r.browser(t), r.browser(t)
	token := r.loginToken(t)
	// Previews and mail scanners fetch links.
	if code, page := ada.get("/login?token=" + token); code != http.StatusOK || !strings.Contains(page, token) || ada.in() {
		t.Errorf("opening the link: %d, want a form that holds the token, and nobody signed in", code)
	}
	if code := ada.login(token); code != http.StatusSeeOther || !ada.in() {
		t.Errorf("signing in: %d", code)
	}
	if code := eve.login(token); code != http.StatusUnauthorized || eve.in() {
		t.Errorf("the same link again: %d", code)
	}
	for day := time.Hour; day < sessionTTL; day += time.Hour {
		r.clock.forward(time.Hour)
		if !ada.in() {
			t.Error("signed out before the working day was over")
		}
	}
	r.clock.forward(time.Hour)
	if ada.in() {
		t.Error("signed in for longer than a working day")
	}
}

func TestALinkIsForRightNow(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	b, token := r.browser(t), r.loginToken(t)
	r.clock.forward(loginLinkTTL)
	if code := b.login(token); code != http.StatusUnauthorized || b.in() {
		t.Errorf("after a quarter of an hour: %d", code)
	}
}

func TestTheAdminTokenSignsInEveryTime(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	for range 2 {
		b := r.browser(t)
		if code := b.login(" " + adminSecret + "\n"); code != http.StatusSeeOther || !b.in() {
			t.Errorf("admin: %d", code)
		}
	}
	for _, wrong := range []string{"", "x", adminSecret + "x"} {
		if b := r.browser(t); b.login(wrong) != http.StatusUnauthorized || b.in() {
			t.Errorf("%q signed in", wrong)
		}
	}
	r.admin = nil // as where no token is set
	if b := r.browser(t); b.login("") != http.StatusUnauthorized || b.in() {
		t.Error("the empty token signed in")
	}
	if said := r.log.String(); said != "" {
		t.Errorf("the log complains:\n%s", said)
	}
}

func TestSigningOutEndsTheSessionEverywhere(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	b, stolen := r.browser(t), r.browser(t)
	b.login(r.loginToken(t))
	home, err := url.Parse(r.url)
	must(t, err)
	stolen.client.Jar.SetCookies(home, b.client.Jar.Cookies(home))
	if !b.in() || !stolen.in() {
		t.Fatal("not signed in")
	}
	if code, _ := b.post("/logout", nil); code != http.StatusSeeOther {
		t.Errorf("signing out: %d", code)
	}
	if b.in() || stolen.in() {
		t.Error("the session outlives signing out")
	}
}
