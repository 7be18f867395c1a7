package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// full are the calls that cost a point of the rate limit, by endpoint; answers
// that nothing changed are free.
// Source: docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
func (p *pressing) full() map[string]int {
	calls := map[string]int{}
	for endpoint, n := range p.hub.Calls() {
		if n.Full > 0 {
			calls[endpoint] = n.Full
		}
	}
	return calls
}

// What one update costs from its opening to its rollout is written down here, so
// that it can't creep. A change of these numbers wants a reason.
func TestCallsThatOneUpdateCosts(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	must(t, p.hub.ClosePull(pressedRepo, p.number, "ada"))
	p.turn()
	p.clock.forward(time.Hour)
	p.turn()

	p.hub.ResetCalls()
	p.commit(pressedRepo, "weekly", map[string]string{"flake.lock": p.lock()})
	n, err := p.hub.OpenPull(pressedRepo, forgetest.Pull{Head: "weekly", Title: "flake.lock: Update"})
	must(t, err)
	p.number = n
	p.turn()
	_, err = p.hub.SetCheck(pressedRepo, forgetest.Check{SHA: p.hub.Head(pressedRepo, "weekly"), Name: "build", Conclusion: "success"})
	must(t, err)
	for range 13 { // the hold of an hour, and the looks of that hour
		p.turn()
		p.clock.forward(reconcileEvery)
	}
	p.turn()
	p.clock.forward(editEvery)
	p.turn()
	if u := p.update(); u.State != fleet.UpdateMerged {
		t.Fatalf("it is %s: %s", u.State, u.Verdict.Headline)
	}
	want := map[string]int{
		// proving it, in four rounds
		"GET /repos/{owner}/{repo}":                            2,
		"GET /repos/{owner}/{repo}/branches/{branch}":          3,
		"GET /repos/{owner}/{repo}/commits/{ref}/check-runs":   5, // ours are among them: each of our edits makes the list new
		"GET /repos/{owner}/{repo}/commits/{ref}/check-suites": 4,
		"GET /repos/{owner}/{repo}/commits/{ref}/statuses":     1,
		"GET /repos/{owner}/{repo}/compare/{basehead}":         4,
		"GET /repos/{owner}/{repo}/contents/{path}":            2,
		"GET /repos/{owner}/{repo}/git/commits/{commit_sha}":   1,
		"GET /repos/{owner}/{repo}/git/trees/{tree_sha}":       1,
		"GET /repos/{owner}/{repo}/pulls":                      2,
		"GET /repos/{owner}/{repo}/pulls/{pull_number}":        3,
		"GET /repos/{owner}/{repo}/pulls/{pull_number}/files":  1,
		// telling people
		"GET /repos/{owner}/{repo}/issues/{issue_number}/comments":        1,
		"POST /repos/{owner}/{repo}/issues/{issue_number}/comments":       1,
		"PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}":        3,
		"POST /repos/{owner}/{repo}/check-runs":                           1,
		"PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}":           3,
		"GET /repos/{owner}/{repo}/deployments":                           1,
		"POST /repos/{owner}/{repo}/deployments":                          1,
		"GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses":  1,
		"POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses": 1,
		// the merge
		"GET /app/installations/{installation_id}":                1,
		"POST /app/installations/{installation_id}/access_tokens": 1,
		"PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge":     1,
		"DELETE /repos/{owner}/{repo}/git/refs/{ref}":             1,
	}
	if diff := cmp.Diff(want, p.full()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// SPEC 6: a steady open pull request costs no more than two uncached calls an hour.
func TestAnUpdateThatWaitsCostsNextToNothing(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	must(t, p.hub.AddLabel(pressedRepo, p.number, "nixfleet/hold", "ada"))
	p.is(fleet.UpdateReady, "merge hold")
	const hours = 12
	p.hub.ResetCalls()
	for range hours * 12 {
		p.clock.forward(reconcileEvery)
		p.turn()
	}
	sum := 0
	for endpoint, n := range p.full() {
		if endpoint != "POST /app/installations/{installation_id}/access_tokens" { // of the installation, not of the update
			sum += n
		}
	}
	if sum > 2*hours {
		t.Errorf("%d uncached calls in %d hours: %v", sum, hours, p.full())
	}
}
