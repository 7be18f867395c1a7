package forge

import (
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

var policyFile = NewFile{
	Branch: "nixfleet/policy", Path: PolicyPath, Content: []byte("version: 1\n"), Title: "Add the policy of NixFleet", Body: "With its defaults.",
}

// writes counts the calls that changed something.
func (s *site) writes() (n int) {
	for call, count := range s.Calls() {
		if !strings.HasPrefix(call, "GET ") && !strings.HasSuffix(call, "/access_tokens") {
			n += count.Full
		}
	}
	return n
}

func TestAFileIsProposedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	if got, err := s.forge.Proposed(s.ctx, s.repo, policyFile.Branch); got != nil || err != nil {
		t.Fatalf("before: %+v, %v", got, err)
	}
	first := must(s.forge.Propose(s.ctx, s.repo, policyFile))(t)
	if first.State != "open" || first.Number == 0 || first.URL == "" {
		t.Fatalf("proposed %+v", first)
	}
	snap := s.snapshot(first.Number)
	if pull := snap.Pull.Value; pull.Author.Login != "nixfleet[bot]" || pull.BaseRef != "main" || pull.ChangedFiles != 1 {
		t.Errorf("the pull request is %+v", pull)
	}
	c := must(s.forge.as(s.ctx, reader, s.repo))(t)
	if text, err := c.content(s.ctx, s.repo, PolicyPath, snap.Pull.Value.HeadSHA, maxPolicy); err != nil || string(text) != "version: 1\n" {
		t.Errorf("it brings %q, %v", text, err)
	}
	s.ResetCalls()
	if again := must(s.forge.Propose(s.ctx, s.repo, policyFile))(t); again != first || s.writes() != 0 {
		t.Errorf("again: %+v after %d writes, want the first and none", again, s.writes())
	}
	if err := s.ClosePull(fleetRepo, first.Number, "alice"); err != nil {
		t.Fatal(err)
	}
	if closed := must(s.forge.Propose(s.ctx, s.repo, policyFile))(t); closed.Number != first.Number || closed.State != "closed" {
		t.Errorf("somebody closed it: %+v, want it shown and no other opened", closed)
	}
}

// Whatever step fails or loses its answer, the next attempt ends with one branch, one
// commit and one pull request.
func TestAProposalThatWasCutOffIsFinished(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	for _, step := range []forgetest.Fault{
		{Method: "POST", Path: "*/git/refs", Status: 502},
		{Method: "POST", Path: "*/git/refs", Status: 502, AfterEffect: true},
		{Method: "PUT", Path: "*/contents/*", Status: 502},
		{Method: "PUT", Path: "*/contents/*", Status: 502, AfterEffect: true},
		{Method: "POST", Path: "*/pulls", Status: 502},
		{Method: "POST", Path: "*/pulls", Status: 502, AfterEffect: true},
	} {
		remove := s.Inject(step)
		if got, err := s.forge.Propose(s.ctx, s.repo, policyFile); err == nil {
			t.Errorf("%s %s failed unseen: %+v", step.Method, step.Path, got)
		}
		remove()
	}
	p := must(s.forge.Propose(s.ctx, s.repo, policyFile))(t)
	open := must(s.forge.OpenPulls(s.ctx, s.repo))(t)
	if len(open) != 1 || open[0].Number != p.Number {
		t.Errorf("open are %v, want %d alone", open, p.Number)
	}
}
