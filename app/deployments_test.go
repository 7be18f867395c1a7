package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// deployed is the states of the only deployment, oldest first.
func (p *pressing) deployed() string {
	p.t.Helper()
	list := p.hub.Deployments(pressedRepo)
	switch len(list) {
	case 0:
		return ""
	case 1:
		return strings.Join(list[0].States, " ")
	}
	p.t.Fatalf("%d deployments, want one: %+v", len(list), list)
	return ""
}

func TestARolloutShowsAsOneDeployment(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	// Every answer to a write is lost once, as when the server dies right after it.
	p.hub.Inject(forgetest.Fault{Method: http.MethodPost, Path: "/repos/*/deployments", Drop: true, AfterEffect: true})
	p.hub.Inject(forgetest.Fault{Method: http.MethodPost, Path: "/repos/*/deployments/*/statuses", Drop: true, AfterEffect: true})
	p.click(p.update().HeadSHA, "merge", "ada")
	u := p.is(fleet.UpdateMerged, "")
	for range 3 {
		p.clock.forward(backoff(3))
		p.turn()
	}
	if got := p.deployed(); got != "queued" {
		t.Fatalf("deployment %q, want queued; log:\n%s", got, p.replica.log)
	}
	r, err := p.db.RolloutOf(t.Context(), p.repoID, u.MergeSHA)
	must(t, err)
	move := func(from, to fleet.RolloutState) {
		t.Helper()
		must(t, p.db.SetRolloutState(t.Context(), r.ID, db.StateChange{From: []fleet.RolloutState{from}, To: to, Actor: "ada"}, p.clock.now()))
	}
	move(fleet.RolloutPlanned, fleet.RolloutRunning)
	move(fleet.RolloutRunning, fleet.RolloutHalted) // what lies between is never told
	p.turn()

	// While the permission is taken back nothing is asked, and nobody is told.
	noise := p.replica.log.lines()
	must(t, p.hub.GrantPermissions(u.Repo.Installation, map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write", "statuses": "read", "deployments": "read"}))
	p.clock.forward(2 * time.Hour)
	p.hub.ResetCalls()
	move(fleet.RolloutHalted, fleet.RolloutAborted)
	p.turn()
	for call := range p.hub.Calls() {
		if strings.Contains(call, "/deployments") {
			t.Errorf("without the permission it asked %s", call)
		}
	}
	if extra := p.replica.log.lines() - noise; extra > 0 {
		t.Errorf("%d lines of log about a permission that is optional:\n%s", extra, p.replica.log)
	}
	want := []forgetest.Deployment{{
		ID: p.hub.Deployments(pressedRepo)[0].ID, SHA: u.MergeSHA, Environment: "NixFleet", Description: "NixFleet brings it to the hosts",
		States: []string{"queued", "error"}, LogURL: p.url + "/rollouts/" + r.ID, Said: "The rollout is halted.",
	}}
	if d := cmp.Diff(want, p.hub.Deployments(pressedRepo)); d != "" {
		t.Errorf("deployments (-want +got):\n%s", d)
	}
}
