package forge

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestARevertGivesTheLockBackAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	old := s.lock(s.oldRev, s.newDate.AddDate(0, -1, 0))
	bad := s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"flake.lock": s.lock(s.newRev, s.newDate)}})
	base := s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"README": "pushed since"}})
	n := RevertCommit{Commit: bad, Base: base, Files: []string{"flake.lock"}, Title: "Revert", Message: "It broke.\n"}
	sha := must(s.forge.MakeRevert(s.ctx, s.repo, n))(t)
	if s.Head(fleetRepo, "main") != base {
		t.Error("a branch moved before it was asked to")
	}
	l := must(s.forge.OpenPull(s.ctx, s.repo, NewPull{Branch: "nixfleet/revert-x", Base: "main", Parent: base, SHA: sha, Title: n.Title}))(t)
	if l.Outcome != Landed || l.Number == 0 {
		t.Fatalf("the pull request: %+v", l)
	}
	if files := must(s.forge.FilesChanged(s.ctx, s.repo, base, sha))(t); len(files) != 1 || files[0] != "flake.lock" {
		t.Errorf("it changes %v", files)
	}
	c := must(s.forge.as(s.ctx, reader, s.repo))(t)
	if got := must(c.content(s.ctx, s.repo, "flake.lock", sha, maxLock))(t); string(got) != old {
		t.Errorf("the lock is\n%s\nwant\n%s", got, old)
	}
}

func TestWhatIsNotReverted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		commit map[string]string // the commit that failed
		since  map[string]string // pushed after it
		want   string
	}{
		"the lock moved on":     {map[string]string{"flake.lock": "{}"}, map[string]string{"flake.lock": "{ }"}, "flake.lock was changed again since"},
		"more than the lock":    {map[string]string{"flake.lock": "{}", "hosts.nix": "{}"}, nil, "it changes more than the lock: hosts.nix"},
		"a new lock":            {map[string]string{"sub/flake.lock": "{}"}, nil, "it is what brought sub/flake.lock in"},
		"somebody was faster":   {map[string]string{"flake.lock": "{}"}, map[string]string{"flake.lock": "before"}, "somebody has taken it back already"},
		"it changes no file":    {map[string]string{}, nil, "it changes no lock"},
		"what is no commit":     {nil, nil, "it is no commit"},
		"a commit that is gone": {nil, map[string]string{"x": "y"}, "GitHub does not know the commit any more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, forgetest.Options{})
			s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"flake.lock": "before"}})
			n := RevertCommit{Commit: "main", Files: []string{"flake.lock", "sub/flake.lock"}, Title: "Revert"}
			if tt.commit != nil {
				n.Commit = s.commit(fleetRepo, forgetest.Commit{Files: tt.commit})
			} else if tt.since != nil {
				n.Commit = strings.Repeat("ab", 20)
			}
			if tt.since != nil {
				s.commit(fleetRepo, forgetest.Commit{Files: tt.since})
			}
			n.Base = s.Head(fleetRepo, "main")
			_, err := s.forge.MakeRevert(s.ctx, s.repo, n)
			if why, ok := errors.AsType[*NoRevert](err); !ok || why.Why != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	s := newSite(t, forgetest.Options{Permissions: map[string]string{"metadata": "read", "contents": "read", "pull_requests": "write"}})
	bad := s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"flake.lock": "{}"}})
	if _, err := s.forge.MakeRevert(s.ctx, s.repo, RevertCommit{Commit: bad, Base: bad, Files: []string{"flake.lock"}}); !errors.Is(err, ErrRefused) {
		t.Errorf("without the permission: %v, want ErrRefused", err)
	}
}

func TestCommitsAreFoundByWhatPeopleCallThem(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	first := s.Head(fleetRepo, "main")
	second := s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"x": "y"}})
	side := s.commit(fleetRepo, forgetest.Commit{Branch: "side", Parent: first, Files: map[string]string{"z": "z"}})
	for ref, want := range map[string]string{first: first, first[:9]: first, "main": second, "heads/side": side} {
		if got, err := s.forge.Resolve(s.ctx, s.repo, ref); got != want || err != nil {
			t.Errorf("%s: got %.7s, %v, want %.7s", ref, got, err, want)
		}
	}
	for _, ref := range []string{"", "..", "a/../b", "none", "deadbeef", strings.Repeat("ab", 20)} {
		if _, err := s.forge.Resolve(s.ctx, s.repo, ref); !errors.Is(err, ErrNoCommit) {
			t.Errorf("%q: %v, want ErrNoCommit", ref, err)
		}
	}
	for _, tt := range []struct {
		from, to string
		want     bool
	}{{first, second, true}, {second, first, false}, {first, first, true}, {side, second, false}, {first, side, true}} {
		if got, err := s.forge.Leads(s.ctx, s.repo, tt.from, tt.to); got != tt.want || err != nil {
			t.Errorf("%.7s to %.7s: %v, %v", tt.from, tt.to, got, err)
		}
	}
	if _, err := s.forge.Leads(s.ctx, s.repo, first, strings.Repeat("ab", 20)); !errors.Is(err, ErrNoCommit) {
		t.Errorf("to a commit that is not there: %v, want ErrNoCommit", err)
	}
	s.Inject(forgetest.Fault{Method: http.MethodGet, Path: "/repos/*/commits/*", Status: http.StatusBadGateway})
	if _, err := s.forge.Resolve(s.ctx, s.repo, "main"); err == nil || errors.Is(err, ErrNoCommit) {
		t.Errorf("while GitHub fails: %v", err)
	}
}

func TestTheBodyOfARevertNamesTheHosts(t *testing.T) {
	t.Parallel()
	body := RevertBody(fleet.Rollout{Commit: strings.Repeat("c", 40), Headline: "Halted at 1/3 hosts, 1 failed.", Hosts: []fleet.HostProgress{
		{Host: "web1", State: fleet.HostHealthy},
		{Host: "web2", State: fleet.HostFailed, Failure: &fleet.HostError{Step: "verifying", Message: "nginx.service failed\n</details> @everyone", LogTail: "boom"}},
	}}, "https://fleet.example/#r-1")
	for _, want := range []string{"<code>ccccccc</code>", "<code>web2</code>, verifying: nginx.service failed", "boom", `href="https://fleet.example/#r-1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("it lacks %q:\n%s", want, body)
		}
	}
	for _, not := range []string{"web1", "@everyone", "service failed </details>"} {
		if strings.Contains(body, not) {
			t.Errorf("it has %q:\n%s", not, body)
		}
	}
}

func TestTheCommentTellsOfTheRevert(t *testing.T) {
	t.Parallel()
	body := Comment(CommentView{
		Update: fleet.Update{HeadSHA: strings.Repeat("a", 40), State: fleet.UpdateMerged},
		Rollout: &fleet.Rollout{
			Commit: strings.Repeat("c", 40), State: fleet.RolloutHalted, Headline: "Halted at 1/3 hosts, 1 failed.",
			Revert: fleet.Revert{Number: 9, Found: "Pull request #9 takes ccccccc back."},
		},
	})
	if !strings.Contains(body, text("Pull request #9 takes ccccccc back.")) {
		t.Errorf("it does not:\n%s", body)
	}
}
