package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// found is the finding of one check; of several the worst.
func found(r api.Report, check string) api.Finding {
	var worst api.Finding
	for _, f := range r.Findings {
		if f.Check == check && (worst.Check == "" || f.State != fine) {
			worst = f
		}
	}
	return worst
}

// A server that was set up is broken in one way after the other, and the doctor finds
// each, with its remedy, and nothing else.
func TestTheDoctorFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	n.b.login(adminSecret)
	n.create(t)
	must(t, n.hub.AddToInstallation("ada/nixcfg"))
	ctx := t.Context()
	must(t, n.hub.WaitDelivered(ctx))
	must(t, n.learnRepos(ctx))
	installation := n.hub.InstallationID("ada/nixcfg")
	all := map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write", "statuses": "read",
		"issues": "read", "actions": "write", "deployments": "write", "administration": "read",
	}
	without := func(name string) map[string]string {
		some := map[string]string{}
		for p, level := range all {
			if p != name {
				some[p] = level
			}
		}
		return some
	}
	events := []string{"check_run", "check_suite", "issue_comment", "pull_request", "pull_request_review", "push", "repository", "status", "workflow_run"}
	hook, secret := n.URL()+"/api/github/hook", n.setup.app.Load().webhook[0]
	for _, tt := range []struct {
		name         string
		spoil, mend  func()
		check, state string
		found, says  string // of the finding, and of its remedy
		others       string // a check that may be touched as well
	}{
		{
			"an event",
			func() { n.hub.Subscribe(events[1:]...) }, func() { n.hub.Subscribe(events...) },
			"events", wrong, "check_run", "/settings/apps/nixfleet/permissions", "",
		},
		{
			"a permission",
			func() { must(t, n.hub.GrantPermissions(installation, without("checks"))) },
			func() { must(t, n.hub.GrantPermissions(installation, all)) },
			"installation", wrong, "ada lacks checks: write", "/settings/installations/", "",
		},
		{
			"an optional permission",
			func() { must(t, n.hub.GrantPermissions(installation, without("deployments"))) },
			func() { must(t, n.hub.GrantPermissions(installation, all)) },
			"installation", remark, "Rollouts do not show", "accept", "",
		},
		{
			"the webhook's address",
			func() { n.hub.SetWebhook("http://127.0.0.1:1/hook", secret) }, func() { n.hub.SetWebhook(hook, secret) },
			"webhook", wrong, "http://127.0.0.1:1/hook", "NIXFLEET_URL", "delivery",
		},
		{
			"the webhook's secret",
			func() { n.hub.SetWebhook(hook, "another") }, func() { n.hub.SetWebhook(hook, secret) },
			"delivery", wrong, "401", "docs/setup.md", "",
		},
		{
			"no secret",
			func() { n.hub.SetWebhook(hook, "") }, func() { n.hub.SetWebhook(hook, secret) },
			"webhook", wrong, "No secret", "secret", "delivery",
		},
		{
			"the private key",
			func() {
				n.hub.Inject(forgetest.Fault{Method: "GET", Path: "/app", Status: 401, Message: "A JSON web token could not be decoded"})
			}, func() {},
			"app", wrong, "401", "private key", "",
		},
		{
			"the key file",
			func() { must(t, os.Chmod(n.seal.file, 0o644)) }, func() { must(t, os.Chmod(n.seal.file, 0o600)) },
			"credentials", remark, "0644", "chmod 600", "",
		},
		{
			"a suspension",
			func() { must(t, n.hub.Suspend(installation)) }, func() { must(t, n.hub.Unsuspend(installation)) },
			"installation", remark, "suspended", "Resume", "repositories",
		},
	} {
		// One after the other: there is one server. The suspension comes last, because the
		// repositories come back in their own time.
		tt.spoil()
		report, err := n.api.Examine(ctx)
		must(t, err)
		f := found(report, tt.check)
		if f.State != tt.state || !strings.Contains(f.Found, tt.found) || !strings.Contains(f.Remedy, tt.says) || (tt.others == "" && report.OK != (tt.state != wrong)) {
			t.Errorf("%s: %+v, all well: %v", tt.name, f, report.OK)
		}
		for _, f := range report.Findings {
			if f.State != fine && f.Check != tt.check && !strings.Contains(tt.others, f.Check) {
				t.Errorf("%s also spoils %+v", tt.name, f)
			}
			if strings.Contains(f.Found+f.Remedy, secret) {
				t.Errorf("%s: the finding shows the webhook's secret: %+v", tt.name, f)
			}
		}
		tt.mend()
		must(t, n.hub.WaitDelivered(ctx))
	}
}

func TestTheDoctorComparesClocks(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	n.b.login(adminSecret)
	n.create(t)
	for skew, says := range map[time.Duration]string{20 * time.Second: "", time.Hour: "ahead", -time.Hour: "behind"} {
		x := &examination{a: &App{cfg: Config{Now: func() time.Time { return time.Now().Add(skew) }}, forge: n.forge}}
		x.clock(t.Context())
		f := x.findings[0]
		if (f.State == wrong) != (says != "") || !strings.Contains(f.Found, says) {
			t.Errorf("off by %v: %+v", skew, f)
		}
	}
}

// The secret of the webhook is changed without a webhook being refused: both are live
// in between, and the doctor says which one GitHub uses.
func TestAWebhookSecretIsChangedWithoutAGap(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	n.b.login(adminSecret)
	n.create(t)
	was, next := n.setup.app.Load().webhook[0], "the next secret"
	hook := n.URL() + "/api/github/hook"
	send := func(secret, guid string) int {
		t.Helper()
		body := `{"zen":"Keep it logically awesome."}`
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hook, strings.NewReader(body))
		must(t, err)
		for name, value := range map[string]string{
			"Content-Type": "application/json", "X-GitHub-Event": "ping", "X-GitHub-Delivery": guid, "X-GitHub-Hook-ID": "1",
			"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
		} {
			req.Header.Set(name, value)
		}
		code, _ := n.b.answer(http.DefaultClient.Do(req))
		return code
	}
	examine := func() (api.Finding, api.Report) {
		t.Helper()
		report, err := n.api.Examine(t.Context())
		must(t, err)
		return found(report, "webhook secret"), report
	}
	restart := func(secrets string) {
		t.Helper()
		must(t, n.Stop())
		n.cfg.GitHubSecretFile = file(t, secrets)
		n.start(t)
	}

	if send(was, "a") != http.StatusAccepted || send(next, "b") != http.StatusUnauthorized {
		t.Error("before: want the old secret and no other")
	}
	restart(next + "\n") // 1. both are live: the stored one, too
	if send(was, "c") != http.StatusAccepted {
		t.Error("the old secret is refused while GitHub still uses it")
	}
	if f, _ := examine(); f.State != remark || !strings.Contains(f.Found, "the second") || !strings.Contains(f.Remedy, "not finished") {
		t.Errorf("GitHub uses the old one: %+v", f)
	}
	n.hub.SetWebhook(hook, next) // 2. GitHub uses the new one
	if send(next, "d") != http.StatusAccepted {
		t.Error("the new secret is refused")
	}
	if f, _ := examine(); f.State != remark || !strings.Contains(f.Found, "the first") || !strings.Contains(f.Remedy, "can end") {
		t.Errorf("GitHub uses the new one: %+v", f)
	}
	must(t, n.adoptSecret(t.Context())) // as the recovery loop does
	if send(was, "g") != http.StatusAccepted {
		t.Error("the old secret is refused before the restart")
	}
	restart(next + "\n") // 3. the old one is gone
	if send(was, "e") != http.StatusUnauthorized || send(next, "f") != http.StatusAccepted {
		t.Error("after: want the new secret and no other")
	}
	if f, _ := examine(); f.State != fine {
		t.Errorf("after: %+v", f)
	}
	must(t, n.Stop()) // 4. the file has done its work
	n.cfg.GitHubSecretFile = ""
	n.start(t)
	if send(was, "h") != http.StatusUnauthorized || send(next, "i") != http.StatusAccepted {
		t.Error("without the file: want the new secret and no other")
	}
	restart("x\ny\n") // two in the file are all there are
	if send(next, "j") != http.StatusUnauthorized || send("x", "k") != http.StatusAccepted || send("y", "l") != http.StatusAccepted {
		t.Error("with two secrets in the file: want those and no other")
	}
}
