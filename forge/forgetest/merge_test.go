package forgetest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestMergeIsRefusedInGitHubsWords(t *testing.T) {
	t.Parallel()
	conflict := func(s *site, _ int, _ string) {
		must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"flake.lock": "other\n"}}))(s.t)
	}
	protect := func(strict bool, checks ...forgetest.RequiredCheck) func(*site, int, string) {
		return func(s *site, _ int, _ string) {
			check(s.t, s.SetProtection(repoName, "main", &forgetest.Protection{Checks: checks, Strict: strict}))
		}
	}
	report := func(c forgetest.Check) func(*site, int, string) {
		return func(s *site, _ int, head string) {
			protect(false, forgetest.RequiredCheck{Context: "build", App: "github-actions"})(s, 0, "")
			c.SHA, c.Name = head, "build"
			must(s.SetCheck(repoName, c))(s.t)
		}
	}
	rule := func(rules ...forgetest.Rule) func(*site, int, string) {
		return func(s *site, _ int, _ string) { check(s.t, s.SetRules(repoName, "main", rules...)) }
	}
	for name, tc := range map[string]struct {
		before  func(s *site, n int, head string)
		method  string
		sha     string
		status  int
		message string
	}{
		"another head":    {sha: strings.Repeat("a", 40), status: 409, message: "Head branch was modified. Review and try the merge again."},
		"unknown method":  {method: "octopus", status: 422},
		"conflict":        {before: conflict, status: 405, message: "Pull Request is not mergeable"},
		"rebase conflict": {before: conflict, method: "rebase", status: 405, message: "This branch can't be rebased"},
		"closed": {before: func(s *site, n int, _ string) { check(s.t, s.ClosePull(repoName, n, "alice")) },
			status: 405, message: "Pull Request is not mergeable"},
		"draft": {before: func(s *site, n int, _ string) { check(s.t, s.SetDraft(repoName, n, true, "alice")) },
			status: 405, message: "Pull Request is still a draft"},
		"check never reported": {before: protect(false, forgetest.RequiredCheck{Context: "build"}),
			status: 405, message: `Required status check "build" is expected.`},
		"two checks never reported": {before: protect(false, forgetest.RequiredCheck{Context: "build"}, forgetest.RequiredCheck{Context: "lint"}),
			status: 405, message: "2 of 2 required status checks are expected."},
		"check running": {before: report(forgetest.Check{Status: "in_progress"}), status: 405, message: `Required status check "build" is in progress.`},
		"check red":     {before: report(forgetest.Check{Conclusion: "failure"}), status: 405, message: `Required status check "build" is failing.`},
		"green from another app": {before: report(forgetest.Check{Conclusion: "success", App: "impostor"}),
			status: 405, message: `Required status check "build" is expected.`},
		"merge queue": {before: rule(forgetest.Rule{Type: "merge_queue"}),
			status: 405, message: "Repository rule violations found\n\nChanges must be made through the merge queue\n\n"},
		"ruleset check": {before: rule(forgetest.Rule{Type: "required_status_checks", Parameters: map[string]any{
			"strict_required_status_checks_policy": false, "required_status_checks": []map[string]any{{"context": "build", "integration_id": 15368}},
		}}), status: 405, message: "Repository rule violations found\n\nRequired status check \"build\" is expected.\n\n"},
		"behind a strict base": {before: func(s *site, _ int, head string) {
			protect(true, forgetest.RequiredCheck{Context: "build"})(s, 0, "")
			must(s.SetCheck(repoName, forgetest.Check{SHA: head, Name: "build", Conclusion: "success"}))(s.t)
			must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"README": "x"}}))(s.t)
		}, status: 405, message: "1 of 1 required status checks are expected."},
		"a workflow file": {before: func(s *site, _ int, _ string) {
			must(s.CommitFiles(repoName, forgetest.Commit{Branch: "update_flake_lock_action", Files: map[string]string{".github/workflows/ci.yml": "x"}}))(s.t)
		}, status: 403, message: "Resource not accessible by integration"},
		"no contents permission": {before: func(s *site, _ int, _ string) {
			check(s.t, s.GrantPermissions(s.InstallationID(repoName), map[string]string{"contents": "read", "pull_requests": "write"}))
		}, status: 403, message: "Resource not accessible by integration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, forgetest.Options{})
			n, head := s.openUpdate("two\n")
			if tc.before != nil {
				tc.before(s, n, head)
			}
			main := s.Head(repoName, "main")
			_, _, err := s.client.PullRequests.Merge(deadline(t), "octo", "fleet", n, "", &github.PullRequestOptions{SHA: tc.sha, MergeMethod: tc.method})
			if status(err) != tc.status || (tc.message != "" && message(err) != tc.message) {
				t.Errorf("got %v, want %d %q", err, tc.status, tc.message)
			}
			if s.Head(repoName, "main") != main {
				t.Error("main moved although the merge was refused")
			}
		})
	}
}

func TestMethodsThatTheRepositoryForbids(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	must(s.AddRepo(forgetest.Repo{Name: "octo/strict", Methods: []string{"rebase"}}))(t)
	must(s.CommitFiles("octo/strict", forgetest.Commit{Files: map[string]string{"a": "1"}}))(t)
	must(s.CommitFiles("octo/strict", forgetest.Commit{Branch: "b", Files: map[string]string{"a": "2"}}))(t)
	n := must(s.OpenPull("octo/strict", forgetest.Pull{Head: "b"}))(t)
	for method, want := range map[string]string{"merge": "Merge commits are not allowed on this repository.", "squash": "Squash merges are not allowed on this repository."} {
		_, _, err := s.client.PullRequests.Merge(deadline(t), "octo", "strict", n, "", &github.PullRequestOptions{MergeMethod: method})
		if status(err) != http.StatusMethodNotAllowed || message(err) != want {
			t.Errorf("%s: %v, want 405 %q", method, err, want)
		}
	}
}

func TestEachMethodMakesItsCommits(t *testing.T) {
	t.Parallel()
	for method, parents := range map[string]int{"merge": 2, "squash": 1, "rebase": 1} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s, ctx := newSite(t, forgetest.Options{}), deadline(t)
			n, head := s.openUpdate("two\n")
			must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"README": "meanwhile"}}))(t) // base moves on
			base := s.Head(repoName, "main")
			res, _, err := s.client.PullRequests.Merge(ctx, "octo", "fleet", n, "", &github.PullRequestOptions{SHA: head, MergeMethod: method})
			check(t, err)
			c, _, err := s.client.Git.GetCommit(ctx, "octo", "fleet", res.GetSHA())
			check(t, err)
			if len(c.Parents) != parents || c.Parents[0].GetSHA() != base {
				t.Errorf("parents %v, want %d, the first the old main %s", c.Parents, parents, base)
			}
			if signed := method != "rebase"; c.GetVerification().GetVerified() != signed {
				t.Errorf("verified is %v, want %v", !signed, signed)
			}
			for _, path := range []string{"README", "flake.lock"} {
				if _, _, _, err := s.client.Repositories.GetContents(ctx, "octo", "fleet", path, &github.RepositoryContentGetOptions{Ref: res.GetSHA()}); err != nil {
					t.Errorf("merge lacks %s: %v", path, err)
				}
			}
			pull, _, err := s.client.PullRequests.Get(ctx, "octo", "fleet", n)
			check(t, err)
			if !pull.GetMerged() || pull.GetState() != "closed" || pull.GetMergeCommitSHA() != res.GetSHA() || pull.GetMergedBy().GetLogin() != "nixfleet[bot]" {
				t.Errorf("after the merge: %v", pull)
			}
			if is, _, err := s.client.PullRequests.IsMerged(ctx, "octo", "fleet", n); !is || err != nil {
				t.Errorf("IsMerged: %v %v", is, err)
			}
			_, _, err = s.client.PullRequests.Merge(ctx, "octo", "fleet", n, "", nil)
			if status(err) != http.StatusMethodNotAllowed {
				t.Errorf("second merge: %v, want 405", err)
			}
		})
	}
}

func TestAPushedMergeClosesThePullRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, head := s.openUpdate("two\n")
	must(s.ImportBranch(repoName, forgetest.Import{Dir: s.GitDir(repoName), Ref: head, Pusher: "alice"}))(t)
	pull, _, err := s.client.PullRequests.Get(deadline(t), "octo", "fleet", n)
	check(t, err)
	if !pull.GetMerged() || pull.GetMergeCommitSHA() != head || pull.GetMergedBy().GetLogin() != "alice" {
		t.Errorf("after a push of its head to main: %v", pull)
	}
}

func TestUpdateBranchBringsTheBaseIn(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	n, head := s.openUpdate("two\n")
	base := must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"README": "x"}}))(t)
	_, _, err := s.client.PullRequests.UpdateBranch(ctx, "octo", "fleet", n, &github.PullRequestBranchUpdateOptions{ExpectedHeadSHA: &base})
	if status(err) != http.StatusUnprocessableEntity {
		t.Errorf("wrong expected head: %v, want 422", err)
	}
	_, _, err = s.client.PullRequests.UpdateBranch(ctx, "octo", "fleet", n, &github.PullRequestBranchUpdateOptions{ExpectedHeadSHA: &head})
	if _, accepted := err.(*github.AcceptedError); !accepted { //nolint:errorlint // go-github returns it bare
		t.Fatalf("update: %v, want 202", err)
	}
	c, _, err := s.client.Git.GetCommit(ctx, "octo", "fleet", s.Head(repoName, "update_flake_lock_action"))
	check(t, err)
	if len(c.Parents) != 2 || c.Parents[0].GetSHA() != head || c.Parents[1].GetSHA() != base {
		t.Errorf("parents: %v", c.Parents)
	}
}
