package forgetest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"
	"go.uber.org/goleak"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const repoName = "octo/fleet"

// site is an imitated github.com with one repository and a client of the App.
type site struct {
	*forgetest.Server
	t      *testing.T
	client *github.Client
	app    *github.Client
}

func newSite(t *testing.T, o forgetest.Options) *site {
	t.Helper()
	s := forgetest.NewForTest(t, o)
	must(s.AddRepo(forgetest.Repo{Name: repoName, Org: true}))(t)
	must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"flake.lock": "one\n", "flake.nix": "{}\n"}, Message: "Begin"}))(t)
	return &site{s, t, client(t, s, s.InstallationID(repoName)), appClient(t, s)}
}

// must reads a value or ends the test.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, s *forgetest.Server, installation int64) *github.Client {
	t.Helper()
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	tr := must(ghinstallation.New(base, s.AppID, installation, s.PrivateKeyPEM))(t)
	tr.BaseURL = s.APIURL()
	return must(github.NewClient(&http.Client{Transport: tr}).WithEnterpriseURLs(s.APIURL(), s.APIURL()))(t)
}

func appClient(t *testing.T, s *forgetest.Server) *github.Client {
	t.Helper()
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	tr := must(ghinstallation.NewAppsTransport(base, s.AppID, s.PrivateKeyPEM))(t)
	tr.BaseURL = s.APIURL()
	return must(github.NewClient(&http.Client{Transport: tr}).WithEnterpriseURLs(s.APIURL(), s.APIURL()))(t)
}

// openUpdate makes the pull request that update-flake-lock makes.
func (s *site) openUpdate(content string) (number int, head string) {
	s.t.Helper()
	const branch = "update_flake_lock_action"
	head = must(s.CommitFiles(repoName, forgetest.Commit{
		Branch: branch, Parent: s.Head(repoName, "main"), Author: "github-actions[bot]",
		Files: map[string]string{"flake.lock": content}, Message: "flake.lock: Update\n\nFlake lock file updates:\n",
	}))(s.t)
	return must(s.OpenPull(repoName, forgetest.Pull{Head: branch, Title: "flake.lock: Update"}))(s.t), head
}

func status(err error) int {
	var e *github.ErrorResponse
	if errors.As(err, &e) {
		return e.Response.StatusCode
	}
	return 0
}

func message(err error) string {
	var e *github.ErrorResponse
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAPullRequestIsMergedPinnedToItsHead(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	n, head := s.openUpdate("two\n")
	pull, _, err := s.client.PullRequests.Get(ctx, "octo", "fleet", n)
	check(t, err)
	if pull.Mergeable != nil || pull.GetMergeableState() != "unknown" {
		t.Errorf("first read: mergeable %v (%s), want null while the job runs", pull.Mergeable, pull.GetMergeableState())
	}
	pull, _, err = s.client.PullRequests.Get(ctx, "octo", "fleet", n)
	check(t, err)
	if !pull.GetMergeable() || pull.GetMergeableState() != "clean" || pull.GetChangedFiles() != 1 || pull.GetHead().GetSHA() != head {
		t.Errorf("second read: %+v", pull)
	}
	if u := pull.GetUser(); u.GetID() != 41898282 || u.GetType() != "Bot" {
		t.Errorf("author is %d %s, want github-actions[bot]", u.GetID(), u.GetType())
	}
	res, _, err := s.client.PullRequests.Merge(ctx, "octo", "fleet", n, "", &github.PullRequestOptions{SHA: head, MergeMethod: "squash"})
	check(t, err)
	if !res.GetMerged() || res.GetSHA() != s.Head(repoName, "main") {
		t.Errorf("merge said %v, main is at %s", res, s.Head(repoName, "main"))
	}
	merged, _, err := s.client.Repositories.GetCommit(ctx, "octo", "fleet", res.GetSHA(), nil)
	check(t, err)
	if got, want := merged.GetCommit().GetMessage(), "flake.lock: Update (#1)\n\nFlake lock file updates:"; got != want {
		t.Errorf("squash message %q, want %q", got, want)
	}
	if len(merged.Files) != 1 || !merged.GetCommit().GetVerification().GetVerified() {
		t.Errorf("squash commit: %v", merged)
	}
}
