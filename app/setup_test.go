package app

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// newcomer is a server that nobody has set up, and a person in front of it.
type newcomer struct {
	*App
	hub *forgetest.Server
	cfg Config
	log *remarks
	b   *browser
	api *api.Client
}

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	n := &newcomer{hub: forgetest.NewForTest(t, forgetest.Options{}), log: &remarks{}}
	_, err := n.hub.AddRepo(forgetest.Repo{Name: "ada/nixcfg", NotInstalled: true})
	must(t, err)
	_, err = n.hub.CommitFiles("ada/nixcfg", forgetest.Commit{Files: map[string]string{"flake.nix": "{}\n"}, Message: "First"})
	must(t, err)
	n.cfg = Config{
		Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: dbtest.Server(t),
		GitHubAPIURL: n.hub.APIURL(), GitHubWebURL: n.hub.URL(), AdminTokenFile: file(t, adminSecret),
		Log: zerolog.New(n.log),
	}
	n.start(t)
	return n
}

func (n *newcomer) start(t *testing.T) {
	t.Helper()
	var err error
	n.App, err = Start(t.Context(), n.cfg)
	must(t, err)
	n.cfg.Listen = n.listener.Addr().String() // where GitHub sends webhooks
	t.Cleanup(func() { must(t, n.Stop()) })
	n.b = (&replica{url: n.URL()}).browser(t)
	n.api = &api.Client{Server: n.URL(), Token: adminSecret}
}

// follow goes where a browser would go, and returns the last page.
func (n *newcomer) follow(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	for {
		must(t, err)
		to, locErr := resp.Location()
		if locErr != nil {
			_, page := n.b.answer(resp, nil)
			return page
		}
		_ = resp.Body.Close()
		resp, err = n.b.client.Get(to.String())
	}
}

var (
	action   = regexp.MustCompile(`<form method="post" action="([^"]*settings/apps/new[^"]*)"`)
	hidden   = regexp.MustCompile(`name="manifest" value="([^"]*)"`)
	repoForm = regexp.MustCompile(`name="repo" value="(\d+)"`)
	codeLine = regexp.MustCompile(`/login\?token=([A-Za-z0-9_-]+)`)
)

// form is the way to GitHub's page for new Apps, as the set-up page shows it.
func (n *newcomer) form(t *testing.T, path string) (address string, manifest url.Values) {
	t.Helper()
	resp, err := n.b.client.Get(n.URL() + path)
	must(t, err)
	csp := resp.Header.Get("Content-Security-Policy")
	_, page := n.b.answer(resp, nil)
	a, m := action.FindStringSubmatch(page), hidden.FindStringSubmatch(page)
	if a == nil || m == nil {
		t.Fatalf("the page has no form for GitHub:\n%s", page)
	}
	address = html.UnescapeString(a[1])
	exact, _, _ := strings.Cut(address, "?")
	if !strings.Contains(csp, "form-action 'self' "+exact+";") {
		t.Errorf("the browser may post to %s, want it to be %s and nowhere else", csp, exact)
	}
	return address, url.Values{"manifest": {html.UnescapeString(m[1])}}
}

// create presses the button, and the one on GitHub.
func (n *newcomer) create(t *testing.T) string {
	t.Helper()
	address, manifest := n.form(t, "/setup")
	resp, err := n.b.client.PostForm(address, manifest)
	return n.follow(t, resp, err)
}

func says(t *testing.T, where, page string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(html.UnescapeString(page), w) {
			t.Errorf("%s does not say %q:\n%s", where, w, page)
		}
	}
}

func TestAServerWithoutAnAppSetsItselfUp(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	if code, _ := n.b.get("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	for _, path := range []string{"/metrics", "/api/v1/hosts", "/updates/1/merge"} {
		if code, page := n.b.get(path); code != http.StatusServiceUnavailable || !strings.Contains(page, "/setup") {
			t.Errorf("%s before there is an App: %d %s", path, code, page)
		}
	}
	if code, _ := n.b.post("/api/github/hook", nil); code != http.StatusServiceUnavailable {
		t.Errorf("a webhook too early: %d, want one that GitHub notes as failed", code)
	}
	if code, _ := n.b.get("/setup"); code != http.StatusSeeOther {
		t.Errorf("the set-up is open to everybody: %d", code)
	}
	bustest.Eventually(t, "the log tells how to get in", func() bool { return codeLine.MatchString(n.log.String()) })
	if code := n.b.login(codeLine.FindStringSubmatch(n.log.String())[1]); code != http.StatusSeeOther {
		t.Fatalf("the code of the log: %d", code)
	}
	if address, _ := n.form(t, "/setup?org=acme"); !strings.HasPrefix(address, n.hub.URL()+"/organizations/acme/settings/apps/new?state=") {
		t.Errorf("for an organisation: %s", address)
	}
	if address, _ := n.form(t, "/setup?org=acme/../x;"); !strings.HasPrefix(address, n.hub.URL()+"/settings/apps/new?") {
		t.Errorf("for something that is no organisation: %s", address)
	}

	// GitHub's page brings the browser back, and the product is there.
	page := n.create(t)
	says(t, "after the App was created", page, "Created as", "/apps/nixfleet/installations/new", "Waiting for the first repository")
	if code, _ := n.b.get("/metrics"); code != http.StatusOK {
		t.Errorf("the product did not begin: /metrics answers %d", code)
	}
	must(t, n.hub.AddToInstallation("ada/nixcfg"))
	bustest.Eventually(t, "the page finds the repository", func() bool {
		_, page = n.b.get("/setup")
		return repoForm.MatchString(page)
	})
	says(t, "with a repository", page, "ada/nixcfg", "Open a pull request with the file")

	for range 2 {
		code, _ := n.b.post("/setup/policy", url.Values{"repo": {repoForm.FindStringSubmatch(page)[1]}})
		if code != http.StatusSeeOther {
			t.Errorf("proposing the policy: %d", code)
		}
	}
	_, proposed := n.b.get("/setup")
	says(t, "once proposed", proposed, "pull request is open", n.hub.URL()+"/ada/nixcfg/pull/1")
	setup, err := n.api.Setup(t.Context())
	if err != nil || setup.App == nil || len(setup.Repos) != 1 || setup.Repos[0].Policy != "proposed" {
		t.Errorf("over the API: %+v, %v", setup, err)
	}

	// The keys are nowhere in clear, and a restart knows them.
	n.keepsSecrets(t)
	must(t, n.Stop())
	n.start(t)
	if !n.b.in() && n.b.login(adminSecret) != http.StatusSeeOther {
		t.Error("after a restart nobody gets in")
	}
	report, err := n.api.Examine(t.Context())
	must(t, err)
	for _, f := range report.Findings {
		if f.State != fine {
			t.Errorf("after the set-up, %s: %s, %s (%s)", f.Check, f.State, f.Found, f.Remedy)
		}
	}
	if len(report.Findings) < 12 {
		t.Errorf("only %d findings: %+v", len(report.Findings), report.Findings)
	}
}

// keepsSecrets looks for the App's private key in the database and the log.
func (n *newcomer) keepsSecrets(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), n.cfg.DatabaseURL)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	var sealed []byte
	must(t, conn.QueryRow(t.Context(), "select sealed from github_app").Scan(&sealed))
	_, webhook, _ := strings.Cut(string(n.hub.PrivateKeyPEM), "\n")
	for where, text := range map[string]string{"the database": string(sealed), "the log": n.log.String()} {
		if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, webhook[:40]) {
			t.Errorf("%s holds the private key", where)
		}
	}
	info, err := os.Stat(filepath.Join(n.cfg.DataDir, sealKeyFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v", info.Mode())
	}
}

func TestOnlyTheVisitThatWasSentComesBack(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	if code := n.b.login(adminSecret); code != http.StatusSeeOther {
		t.Fatalf("the admin token: %d", code)
	}
	address, manifest := n.form(t, "/setup")
	resp, err := n.b.client.PostForm(address, manifest)
	must(t, err)
	_ = resp.Body.Close()
	back, err := resp.Location()
	must(t, err)
	for name, path := range map[string]string{
		"made up state": "/setup/callback?code=" + back.Query().Get("code") + "&state=x",
		"no state":      "/setup/callback?code=" + back.Query().Get("code"),
	} {
		if code, page := n.b.get(path); code != http.StatusConflict || !strings.Contains(page, "Start again") {
			t.Errorf("%s: %d", name, code)
		}
	}
	stranger := (&replica{url: n.URL()}).browser(t)
	if code, _ := stranger.get(back.RequestURI()); code != http.StatusSeeOther {
		t.Errorf("a stranger: %d, want the sign-in page", code)
	}
	if other := n.loginAs(t, "eve"); other.status(back.RequestURI()) != http.StatusConflict {
		t.Error("another admin finished a visit that was not hers")
	}
	// Eve's attempt used the visit up; the next is as good.
	says(t, "the second visit", n.create(t), "Created as")
	if code, _ := n.b.get(back.RequestURI()); code != http.StatusConflict {
		t.Errorf("the first visit again: %d", code)
	}
}

func (n *newcomer) loginAs(t *testing.T, who string) *browser {
	t.Helper()
	link, err := n.LoginLink(t.Context(), who, "admin")
	must(t, err)
	b := (&replica{url: n.URL()}).browser(t)
	_, token, _ := strings.Cut(link, "token=")
	b.login(token)
	return b
}

func (b *browser) status(path string) int {
	b.t.Helper()
	code, _ := b.get(path)
	return code
}

func TestALostSealingKeyIsShownAndRepaired(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	n.b.login(adminSecret)
	n.create(t)
	must(t, n.Stop())
	key := filepath.Join(n.cfg.DataDir, sealKeyFile)
	kept, err := os.ReadFile(key)
	must(t, err)
	must(t, os.Remove(key))

	n.start(t)
	n.b.login(adminSecret)
	bustest.Eventually(t, "the page says what is wrong", func() bool {
		_, page := n.b.get("/setup")
		return strings.Contains(page, "Put back the key file") && strings.Contains(page, sealKeyFile)
	})
	report, err := n.api.Examine(t.Context())
	if err != nil || report.OK {
		t.Errorf("the examination finds nothing: %+v, %v", report, err)
	}
	must(t, n.Stop())
	must(t, os.WriteFile(key, kept, 0o600))
	n.start(t)
	if setup, err := n.api.Setup(t.Context()); err != nil || setup.App == nil {
		t.Errorf("with the key put back: %+v, %v", setup, err)
	}
	must(t, n.Stop())
	must(t, os.Remove(key))
	n.start(t)
	n.b.login(adminSecret)
	bustest.Eventually(t, "the stored App may be replaced", func() bool { return n.setup.replaces.Load() != 0 })
	says(t, "a new App in place of the old", n.create(t), "Created as")
}
