package forge

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// lockCommit is a new lock on the head of main.
func (s *site) lockCommit() FileCommit {
	return FileCommit{
		Parent: s.Head(fleetRepo, "main"), Path: "flake.lock", Content: []byte(s.lock(s.newRev, s.newDate)),
		Title: "flake.lock: Update", Message: fleet.ProposalTrailer + ": 01J\n",
	}
}

func TestACommitLandsOnceAndNeverByForce(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n := s.lockCommit()
	sha := must(s.forge.MakeCommit(s.ctx, s.repo, n))(t)
	if s.Head(fleetRepo, "main") != n.Parent {
		t.Fatal("a branch moved before it was asked to")
	}
	land := func(want LandingOutcome, says string) {
		t.Helper()
		l, err := s.forge.Land(s.ctx, s.repo, "main", n.Parent, sha)
		if err != nil || l.Outcome != want || !strings.Contains(l.Message, says) {
			t.Errorf("%+v, %v; want %s: %s", l, err, want, says)
		}
	}
	must(0, s.SetProtection(fleetRepo, "main", &forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "build"}}}))(t)
	land(LandingRefused, `Required status check "build" is expected.`)
	must(0, s.SetProtection(fleetRepo, "main", nil))(t)
	must(0, s.SetRules(fleetRepo, "main", forgetest.Rule{Type: "pull_request"}))(t)
	land(LandingRefused, "Changes must be made through a pull request.")
	must(0, s.SetRules(fleetRepo, "main"))(t)

	// The answer is lost; whatever is pushed then, it has landed.
	remove := s.Inject(forgetest.Fault{Method: http.MethodPatch, Path: "/repos/*/git/refs/*", Drop: true, AfterEffect: true})
	if _, err := s.forge.Land(s.ctx, s.repo, "main", n.Parent, sha); err == nil {
		t.Error("lost answer: no error")
	}
	remove()
	land(Landed, "")
	top := s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"x": "y"}})
	land(Landed, "")
	if s.Head(fleetRepo, "main") != top {
		t.Error("the branch was taken back")
	}

	// Another that was made from the same commit comes too late.
	late := must(s.forge.MakeCommit(s.ctx, s.repo, FileCommit{Parent: n.Parent, Path: "flake.lock", Content: []byte("{}"), Title: "t"}))(t)
	if l := must(s.forge.Land(s.ctx, s.repo, "main", n.Parent, late))(t); l.Outcome != LandingMoved || s.Head(fleetRepo, "main") != top {
		t.Errorf("too late: %+v", l)
	}
	// And so does one that is overtaken between the look and the move.
	next := must(s.forge.MakeCommit(s.ctx, s.repo, FileCommit{Parent: top, Path: "flake.lock", Content: []byte("{}"), Title: "t"}))(t)
	s.OnRequest(func(r *http.Request, p forgetest.Phase) {
		if p == forgetest.BeforeEffect && r.Method == http.MethodPatch {
			s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"x": "z"}})
		}
	})
	if l := must(s.forge.Land(s.ctx, s.repo, "main", top, next))(t); l.Outcome != LandingMoved {
		t.Errorf("overtaken: %+v", l)
	}
}

func TestAPullRequestOfOurOwnIsOpenedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	c := s.lockCommit()
	n := NewPull{Branch: "nixfleet/lock-01j", Base: "main", Parent: c.Parent, Title: c.Title, Body: "made on web1",
		SHA: must(s.forge.MakeCommit(s.ctx, s.repo, c))(t)}
	for _, path := range []string{"/repos/*/git/refs", "/repos/*/pulls"} {
		s.Inject(forgetest.Fault{Method: http.MethodPost, Path: path, Drop: true, AfterEffect: true})
	}
	if _, err := s.forge.OpenPull(s.ctx, s.repo, n); err == nil {
		t.Error("lost answers: no error")
	}
	first := must(s.forge.OpenPull(s.ctx, s.repo, n))(t)
	if again := must(s.forge.OpenPull(s.ctx, s.repo, n))(t); again != first || first.Outcome != Landed || first.Number == 0 {
		t.Errorf("%+v, then %+v", first, again)
	}
	if open := must(s.forge.OpenPulls(s.ctx, s.repo))(t); len(open) != 1 || open[0].Number != first.Number {
		t.Errorf("open: %v", open)
	}
	must(0, s.Rename(fleetRepo, "armada", "octo"))(t)
	if again := must(s.forge.OpenPull(s.ctx, s.repo, n))(t); again != first {
		t.Errorf("after the repository was renamed: %+v, want %+v", again, first)
	}
	must(0, s.Rename("octo/armada", "fleet", "octo"))(t)
	taken := n
	taken.Branch = "theirs"
	s.commit(fleetRepo, forgetest.Commit{Branch: "theirs", Files: map[string]string{"x": "y"}})
	if l := must(s.forge.OpenPull(s.ctx, s.repo, taken))(t); l.Outcome != LandingRefused || !strings.Contains(l.Message, "exists, at another commit") {
		t.Errorf("a branch of somebody else's: %+v", l)
	}
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"x": "y"}})
	late := n
	late.Branch = "nixfleet/lock-02"
	if l := must(s.forge.OpenPull(s.ctx, s.repo, late))(t); l.Outcome != LandingMoved {
		t.Errorf("too late: %+v", l)
	}
}

func TestWithoutThePermissionNothingIsCommitted(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{Permissions: map[string]string{"metadata": "read", "contents": "read", "pull_requests": "write"}})
	if _, err := s.forge.MakeCommit(s.ctx, s.repo, s.lockCommit()); !errors.Is(err, ErrRefused) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.forge.MakeCommit(s.ctx, s.repo, FileCommit{Parent: "main", Path: "../x"}); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("no commit, no path: %v", err)
	}
}
