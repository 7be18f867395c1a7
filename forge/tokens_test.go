package forge

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// Only the merger's tokens may change commits and branches, and every token reaches
// one repository.
func TestTokensAreNarrowedToARoleAndARepository(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	other := must(s.AddRepo(forgetest.Repo{Name: "octo/other", Org: true, Private: true}))(t)
	n, head := s.update(nil)
	attempt := func(r role, k call, path string) int {
		t.Helper()
		c, err := s.forge.as(s.ctx, r, s.repo)
		if err != nil {
			t.Fatal(err)
		}
		k.op = string(r)
		_, err = c.write(s.ctx, s.repo, k, path)
		return codeOf(err)
	}
	comment := call{method: http.MethodPost, in: map[string]string{"body": "hello"}}
	branch := call{method: http.MethodPost, in: map[string]string{"ref": "refs/heads/x", "sha": head}}
	for r, want := range map[role][2]int{reader: {403, 403}, talker: {0, 403}, merger: {0, 0}} {
		if got := attempt(r, comment, "/issues/1/comments"); got != want[0] {
			t.Errorf("%s comments: %d, want %d", r, got, want[0])
		}
		if got := attempt(r, branch, "/git/refs"); got != want[1] {
			t.Errorf("%s makes a branch: %d, want %d", r, got, want[1])
		}
	}
	c := must(s.forge.as(s.ctx, reader, s.repo))(t)
	_, err := c.repository(s.ctx, fleet.Repo{ID: other, Installation: s.repo.Installation, Owner: "octo", Name: "other"})
	if codeOf(err) != http.StatusNotFound {
		t.Errorf("another repository of the installation: %v", err)
	}
	if got := s.snapshot(n); !got.Pull.Known() || !got.Checks.Known() || !got.Locks["flake.lock"].Known() {
		t.Errorf("the reader's tokens don't do for a look: %+v", got)
	}
}

func TestPermissionsThatWereNotGrantedAreNotAskedFor(t *testing.T) {
	t.Parallel()
	got := narrowed(permissions[talker], map[string]string{"pull_requests": "write", "issues": "read", "checks": "read", "contents": "write"})
	if got.GetPullRequests() != "write" || got.GetIssues() != "read" || got.GetChecks() != "read" || got.Deployments != nil || got.Contents != nil {
		t.Errorf("asked for: %v", github.Stringify(got))
	}
}

func TestAReserveIsKeptForMerges(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	reset := now.Add(20 * time.Minute)
	for _, c := range []struct {
		remaining    int
		open, urgent bool
	}{{5000, true, true}, {500, true, true}, {499, false, true}, {1, false, true}} {
		var l limits
		l.saw(github.Rate{Limit: 5000, Remaining: c.remaining, Reset: github.Timestamp{Time: reset}})
		l.saw(github.Rate{Limit: 5000, Remaining: c.remaining + 100, Reset: github.Timestamp{Time: reset}}) // overtaken on the way
		if open := l.closed(now, false).IsZero(); open != c.open {
			t.Errorf("%d remain: open %v, want %v", c.remaining, open, c.open)
		}
		if open := l.closed(now, true).IsZero(); open != c.urgent {
			t.Errorf("%d remain: open for a merge %v, want %v", c.remaining, open, c.urgent)
		}
		if !l.closed(reset, false).IsZero() {
			t.Errorf("%d remain: still closed in the next hour", c.remaining)
		}
	}
}

func TestALookWaitsWhereOnlyTheReserveIsLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, head := s.update(nil)
	s.snapshot(n)
	s.SpendCalls(4600)
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"x": "1"}}) // so that an answer changes, and costs
	var limited *RateLimited
	for range 2 {
		_, err := s.forge.Snapshot(s.ctx, s.repo, n, Kept{})
		_ = errors.As(err, &limited)
	}
	if limited == nil {
		t.Fatal("only the reserve is left, and looks go on")
	}
	r, err := s.forge.Merge(s.ctx, s.repo, n, fleet.MergeOrder{HeadSHA: head, Method: "squash", Title: "x", Message: "y"})
	if err != nil || r.Outcome != Merged {
		t.Errorf("the merge: %+v, %v", r, err)
	}
}

func TestKindsOfCallsAreFew(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"repos/o/pulls/contents/merge": "contents", "repos/o/r/pulls/7/merge": "merge", "repos/merge/refs": "other", "app/hook/deliveries?cursor=x": "deliveries",
		"repos/o/r/issues/comments/5/reactions": "reactions", "repos/o/r/commits/abc/check-runs?filter=latest": "check-runs",
	} {
		if got := kindOf(path); got != want {
			t.Errorf("%s is counted as %s, want %s", path, got, want)
		}
	}
}
