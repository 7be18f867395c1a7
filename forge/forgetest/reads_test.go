package forgetest_test

import (
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestContentsAreReadBySHA(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	_, head := s.openUpdate("two\n")
	at := func(ref string) string {
		t.Helper()
		file, _, _, err := s.client.Repositories.GetContents(ctx, "octo", "fleet", "flake.lock", &github.RepositoryContentGetOptions{Ref: ref})
		check(t, err)
		return must(file.GetContent())(t)
	}
	if got := at(head) + at("main") + at(""); got != "two\none\none\n" {
		t.Errorf("contents: %q", got)
	}
	blob, _, err := s.client.Git.GetBlob(ctx, "octo", "fleet", blobOf(t, s, head))
	check(t, err)
	if blob.GetContent() != "dHdvCg==\n" {
		t.Errorf("blob: %v", blob)
	}
	body, res, err := s.client.Repositories.DownloadContents(ctx, "octo", "fleet", "nothing", nil)
	if err == nil {
		t.Errorf("missing file: %v %v, want an error", body, res)
	}
	_, dir, _, err := s.client.Repositories.GetContents(ctx, "octo", "fleet", "", nil)
	check(t, err)
	if len(dir) != 2 || dir[0].GetName() != "flake.lock" || dir[0].GetType() != "file" {
		t.Errorf("root: %v", dir)
	}
}

func TestRawContents(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	req := must(s.client.NewRequest("GET", "repos/octo/fleet/contents/flake.lock?ref="+s.Head(repoName, "main"), nil))(t)
	req.Header.Set("Accept", "application/vnd.github.raw")
	var raw strings.Builder
	_, err := s.client.Do(ctx, req, &raw)
	check(t, err)
	if raw.String() != "one\n" {
		t.Errorf("raw: %q", raw.String())
	}
}

func blobOf(t *testing.T, s *site, sha string) string {
	t.Helper()
	tree, _, err := s.client.Git.GetTree(deadline(t), "octo", "fleet", sha, true)
	check(t, err)
	for _, e := range tree.Entries {
		if e.GetPath() == "flake.lock" {
			return e.GetSHA()
		}
	}
	t.Fatalf("no flake.lock in %v", tree)
	return ""
}

func TestTreesShowModes(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	sha := must(s.CommitFiles(repoName, forgetest.Commit{
		Files: map[string]string{"link": "flake.lock", "run": "x", "sub": strings.Repeat("a", 40), "dir/file": "y"},
		Modes: map[string]string{"link": "120000", "run": "100755", "sub": "160000"},
	}))(t)
	tree, _, err := s.client.Git.GetTree(deadline(t), "octo", "fleet", sha, false)
	check(t, err)
	got := map[string]string{}
	for _, e := range tree.Entries {
		got[e.GetPath()] = e.GetMode() + " " + e.GetType()
	}
	want := map[string]string{
		"flake.lock": "100644 blob", "flake.nix": "100644 blob", "link": "120000 blob", "run": "100755 blob", "sub": "160000 commit", "dir": "040000 tree",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCompareTellsWhereACommitStands(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	first := s.Head(repoName, "main")
	second := must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"a": "1"}}))(t)
	side := must(s.CommitFiles(repoName, forgetest.Commit{Branch: "side", Parent: first, Files: map[string]string{"b": "1"}}))(t)
	for name, tc := range map[string]struct {
		base, head, status string
		ahead, behind      int
	}{
		"ahead":     {first, second, "ahead", 1, 0},
		"behind":    {"main", first, "behind", 0, 1},
		"identical": {"main", second, "identical", 0, 0},
		"diverged":  {second, side, "diverged", 1, 1},
	} {
		got, _, err := s.client.Repositories.CompareCommits(ctx, "octo", "fleet", tc.base, tc.head, &github.ListOptions{PerPage: 1})
		check(t, err)
		if got.GetStatus() != tc.status || got.GetAheadBy() != tc.ahead || got.GetBehindBy() != tc.behind || len(got.Commits) != tc.ahead || len(got.Files) != tc.ahead {
			t.Errorf("%s: %s ahead %d behind %d, %d commits, %d files", name, got.GetStatus(), got.GetAheadBy(), got.GetBehindBy(), len(got.Commits), len(got.Files))
		}
	}
	if _, _, err := s.client.Repositories.CompareCommits(ctx, "octo", "fleet", "main", strings.Repeat("b", 40), nil); status(err) != http.StatusNotFound {
		t.Errorf("unknown commit: %v, want 404", err)
	}
}

// A commit that lives only in a fork is readable by SHA in the parent, but no
// branch of the parent leads to it.
func TestImpostorCommits(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	must(s.AddRepo(forgetest.Repo{Name: "mallory/fleet", ForkOf: repoName, NotInstalled: true}))(t)
	evil := must(s.CommitFiles("mallory/fleet", forgetest.Commit{Files: map[string]string{"flake.nix": "evil"}}))(t)
	if _, _, err := s.client.Repositories.GetCommit(ctx, "octo", "fleet", evil, nil); err != nil {
		t.Errorf("by SHA: %v", err)
	}
	got, _, err := s.client.Repositories.CompareCommits(ctx, "octo", "fleet", "main", evil, nil)
	check(t, err)
	if got.GetStatus() != "ahead" {
		t.Errorf("compare says %s, want ahead, which is no proof of ancestry", got.GetStatus())
	}
	n := must(s.OpenPull(repoName, forgetest.Pull{Head: "main", HeadRepo: "mallory/fleet", Author: "mallory"}))(t)
	pull, _, err := s.client.PullRequests.Get(ctx, "octo", "fleet", n)
	check(t, err)
	if pull.GetHead().GetRepo().GetFullName() != "mallory/fleet" || !pull.GetHead().GetRepo().GetFork() || pull.GetHead().GetSHA() != evil {
		t.Errorf("head: %v", pull.GetHead())
	}
}

func TestFilesOfAPullRequest(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"old": "a\nb\nc\nd\n", "gone": "x\n"}}))(t)
	n, _ := s.openUpdate("two\n")
	must(s.CommitFiles(repoName, forgetest.Commit{
		Branch: "update_flake_lock_action", Files: map[string]string{"new": "a\nb\nc\nd\n", "more": "1\n"}, Remove: []string{"old", "gone"},
	}))(t)
	must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"unrelated": "on main\n"}}))(t)
	got := map[string]string{}
	opts := &github.ListOptions{PerPage: 2}
	for {
		files, res, err := s.client.PullRequests.ListFiles(ctx, "octo", "fleet", n, opts)
		check(t, err)
		for _, f := range files {
			got[f.GetFilename()] = f.GetStatus() + " " + f.GetPreviousFilename()
		}
		if res.NextPage == 0 {
			break
		}
		opts.Page = res.NextPage
	}
	want := map[string]string{"flake.lock": "modified ", "new": "renamed old", "more": "added ", "gone": "removed "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	commits, _, err := s.client.PullRequests.ListCommits(ctx, "octo", "fleet", n, nil)
	check(t, err)
	if len(commits) != 2 || commits[0].GetAuthor().GetID() != 41898282 {
		t.Errorf("commits: %v", commits)
	}
}

func TestPullRequestsAreListedInPages(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	for _, branch := range []string{"a", "b", "c"} {
		must(s.CommitFiles(repoName, forgetest.Commit{Branch: branch, Files: map[string]string{branch: "1"}}))(t)
		must(s.OpenPull(repoName, forgetest.Pull{Head: branch, Author: "alice"}))(t)
	}
	check(t, s.ClosePull(repoName, 2, "alice"))
	list := func(o github.PullRequestListOptions) (numbers []int) {
		t.Helper()
		for {
			page, res, err := s.client.PullRequests.List(ctx, "octo", "fleet", &o)
			check(t, err)
			for _, p := range page {
				numbers = append(numbers, p.GetNumber())
			}
			if res.NextPage == 0 {
				return numbers
			}
			o.Page = res.NextPage
		}
	}
	one := github.ListOptions{PerPage: 1}
	for name, tc := range map[string]struct {
		opts github.PullRequestListOptions
		want []int
	}{
		"open":   {github.PullRequestListOptions{ListOptions: one}, []int{3, 1}},
		"all up": {github.PullRequestListOptions{State: "all", Direction: "asc", ListOptions: one}, []int{1, 2, 3}},
		"closed": {github.PullRequestListOptions{State: "closed"}, []int{2}},
		"head":   {github.PullRequestListOptions{Head: "octo:c"}, []int{3}},
	} {
		if diff := cmp.Diff(tc.want, list(tc.opts)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	byCommit, _, err := s.client.PullRequests.ListPullRequestsWithCommit(ctx, "octo", "fleet", s.Head(repoName, "c"), nil)
	check(t, err)
	if len(byCommit) != 1 || byCommit[0].GetNumber() != 3 {
		t.Errorf("by commit: %v", byCommit)
	}
}

func TestGitClonesOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	s.openUpdate("two\n")
	must(s.AddRepo(forgetest.Repo{Name: "octo/hidden", Private: true}))(t)
	must(s.CommitFiles("octo/hidden", forgetest.Commit{Files: map[string]string{"a": "1"}}))(t)
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(deadline(t), "git", args...)
		cmd.Env = []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "PATH=/usr/bin:/bin", "HOME=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	dir := filepath.Join(t.TempDir(), "checkout")
	if out, err := git("clone", "-q", s.CloneURL(repoName), dir); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	if head, _ := git("-C", dir, "rev-parse", "HEAD"); head != s.Head(repoName, "main") {
		t.Errorf("clone is at %s", head)
	}
	update := s.Head(repoName, "update_flake_lock_action")
	if out, err := git("-C", dir, "fetch", "-q", "--depth=1", "origin", update); err != nil {
		t.Errorf("fetch by SHA: %v\n%s", err, out)
	}
	if out, err := git("-C", dir, "push", "-q", "origin", "HEAD:main2"); err == nil {
		t.Errorf("push was let in: %s", out)
	}
	if out, err := git("ls-remote", s.CloneURL("octo/hidden")); err == nil {
		t.Errorf("a stranger reads a private repository: %s", out)
	}
	token := must(s.Token("octo/hidden"))(t)
	url := strings.Replace(s.CloneURL("octo/hidden"), "http://", "http://x-access-token:"+token+"@", 1)
	if out, err := git("ls-remote", url); err != nil || !strings.Contains(out, "refs/heads/main") {
		t.Errorf("with a token: %v\n%s", err, out)
	}
}

func TestRevalidationIsFree(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	url := s.APIURL() + "repos/octo/fleet/commits/main"
	first := ask(t, "GET", url, "")
	again := func() int {
		req := must(http.NewRequestWithContext(deadline(t), "GET", url, nil))(t)
		req.Header.Set("If-None-Match", first.Header.Get("ETag"))
		res := must((&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req))(t)
		check(t, res.Body.Close())
		return res.StatusCode
	}
	if got := again(); got != http.StatusNotModified {
		t.Errorf("unchanged: %d, want 304", got)
	}
	must(s.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"a": "1"}}))(t)
	if got := again(); got != http.StatusOK {
		t.Errorf("changed: %d, want 200", got)
	}
	want := map[string]forgetest.Calls{"GET /repos/{owner}/{repo}/commits/{ref}": {Full: 2, NotModified: 1}}
	if diff := cmp.Diff(want, s.Calls()); diff != "" {
		t.Error(diff)
	}
	if first.Header.Get("X-RateLimit-Limit") != "5000" || first.Header.Get("X-RateLimit-Remaining") == "" {
		t.Errorf("rate limit headers: %v", first.Header)
	}
}

func TestAnUnknownEndpointIsReported(t *testing.T) {
	t.Parallel()
	var reported atomic.Int32
	s := must(forgetest.New(forgetest.Options{Dir: t.TempDir(), Report: func(string, ...any) { reported.Add(1) }}))(t)
	t.Cleanup(func() { check(t, s.Close()) })
	if got := ask(t, "GET", s.APIURL()+"repos/octo/fleet/stargazers", "").StatusCode; got != http.StatusNotFound || reported.Load() != 1 {
		t.Errorf("%d, %d reports; want 404 and one", got, reported.Load())
	}
	if _, err := forgetest.New(forgetest.Options{}); err == nil || errors.Is(err, http.ErrServerClosed) {
		t.Error("a server without a directory started")
	}
}
