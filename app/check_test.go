package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// updating is a workflow that makes a new lock.
const updating = "on: workflow_dispatch\njobs: {lock: {steps: [{uses: DeterminateSystems/update-flake-lock@main}]}}\n"

func (p *pressing) check(repo string) fleet.Checked {
	p.t.Helper()
	checked, err := p.client().CheckForUpdates(p.t.Context(), repo)
	must(p.t, err)
	if len(checked) != 1 {
		p.t.Fatalf("checked %+v, want one repository", checked)
	}
	return checked[0]
}

func TestCheckingForUpdatesReadsGitHubAndStartsTheWorkflowOnce(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.commit(pressedRepo, "main", map[string]string{".github/workflows/lock.yml": updating})
	p.turn()
	claims, err := p.db.ClaimRepos(t.Context(), p.clock.now(), lease, 9)
	must(t, err)
	if len(claims) != 0 {
		t.Fatalf("%d repositories are due before anybody asked", len(claims))
	}
	want := fleet.Checked{Repo: pressedRepo, Started: []string{".github/workflows/lock.yml"}, Found: "Started .github/workflows/lock.yml on main."}
	if diff := cmp.Diff(want, p.check("")); diff != "" {
		t.Errorf("the first time (-want +got):\n%s", diff)
	}
	claims, err = p.db.ClaimRepos(t.Context(), p.clock.now(), lease, 9)
	must(t, err)
	if len(claims) != 1 {
		t.Errorf("%d repositories are due, want one", len(claims))
	}
	p.clock.forward(startEvery - time.Second)
	if again := p.check(pressedRepo); again.Started != nil || !strings.HasPrefix(again.Found, "admin (local) asked for the same at ") {
		t.Errorf("again, too soon: %+v", again)
	}
	p.clock.forward(2 * time.Second)
	if later := p.check(pressedRepo); len(later.Started) != 1 {
		t.Errorf("again, later: %+v", later)
	}
	started := forgetest.Dispatch{Path: ".github/workflows/lock.yml", Ref: "main"}
	if diff := cmp.Diff([]forgetest.Dispatch{started, started}, p.hub.Dispatches(pressedRepo)); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	history, err := p.db.Acts(t.Context(), fleet.ActQuery{Repo: pressedRepo, Kind: "workflow.started", Limit: 9})
	must(t, err)
	if len(history) != 2 || history[0].Actor != "admin (local)" || history[0].Text() != "admin (local) had the update workflow of "+pressedRepo+" started" {
		t.Errorf("the history says %+v", history)
	}
	if _, err := p.client().CheckForUpdates(t.Context(), "octo/other"); err == nil || !strings.Contains(err.Error(), "not watched") {
		t.Errorf("a stranger's: %v", err)
	}
}

func TestWhyNoWorkflowIsStarted(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	next := func(says string) {
		t.Helper()
		p.clock.forward(startEvery + time.Second)
		if c := p.check(""); c.Started != nil || !strings.Contains(c.Found, says) {
			t.Errorf("%+v, want %q", c, says)
		}
	}
	next("none of main makes a new lock and can be started by hand")
	p.commit(pressedRepo, "main", map[string]string{".github/workflows/lock.yml": updating})
	remove := p.hub.Inject(forgetest.Fault{Path: "/repos/*/actions/workflows", Status: http.StatusBadGateway})
	next("could not be read: list workflows of octo/fleet: GitHub answered 502")
	remove()
	remove = p.hub.Inject(forgetest.Fault{Method: http.MethodPost, Path: "/repos/*/actions/workflows/*/dispatches", Status: http.StatusForbidden})
	next("GitHub does not start the workflow")
	remove()
	must(t, p.hub.GrantPermissions(p.update().Repo.Installation, map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write", "statuses": "read", "actions": "read"}))
	p.clock.forward(2 * time.Hour)
	next("lacks the permission Actions: write")
	if n := len(p.hub.Dispatches(pressedRepo)); n != 0 {
		t.Errorf("%d were started", n)
	}
}
