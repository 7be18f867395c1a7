package forgetest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func errorsIs(err, target error) bool { return errors.Is(err, target) }

func TestOneCommentIsEditedInPlace(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{Permissions: map[string]string{"metadata": "read", "contents": "write", "pull_requests": "write"}}), deadline(t)
	n, _ := s.openUpdate("two\n")
	made, _, err := s.client.Issues.CreateComment(ctx, "octo", "fleet", n, &github.IssueComment{Body: github.String("<!-- nixfleet -->holding")})
	check(t, err)
	_, _, err = s.client.Issues.EditComment(ctx, "octo", "fleet", made.GetID(), &github.IssueComment{Body: github.String("merged")})
	check(t, err)
	asked := must(s.AddComment(repoName, n, "/nixfleet merge", "stranger"))(t)
	for range 2 { // a second reaction of one kind changes nothing
		_, _, err = s.client.Reactions.CreateIssueCommentReaction(ctx, "octo", "fleet", asked, "-1")
		check(t, err)
	}
	want := []forgetest.Comment{
		{ID: made.GetID(), Author: "nixfleet[bot]", Body: "merged"},
		{ID: asked, Author: "stranger", Body: "/nixfleet merge", Reactions: []string{"-1"}},
	}
	if diff := cmp.Diff(want, s.Comments(repoName, n)); diff != "" {
		t.Error(diff)
	}
	list, res, err := s.client.Issues.ListComments(ctx, "octo", "fleet", n, &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 1}})
	check(t, err)
	if len(list) != 1 || res.NextPage != 2 || list[0].GetUser().GetType() != "Bot" {
		t.Errorf("first page: %v, next %d", list, res.NextPage)
	}
	_, err = s.client.Issues.DeleteComment(ctx, "octo", "fleet", made.GetID())
	check(t, err)
	if _, _, err = s.client.Issues.GetComment(ctx, "octo", "fleet", made.GetID()); status(err) != http.StatusNotFound {
		t.Errorf("deleted: %v, want 404", err)
	}
	_, _, err = s.client.Issues.CreateComment(ctx, "octo", "fleet", n, &github.IssueComment{Body: github.String(strings.Repeat("x", 65537))})
	if status(err) != http.StatusUnprocessableEntity {
		t.Errorf("too long: %v, want 422", err)
	}
}

func TestPeopleAndTheirRights(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	check(t, s.SetPermission(repoName, "alice", "maintain"))
	check(t, s.SetPermission(repoName, "bob", "none"))
	must(s.CommitFiles(repoName, forgetest.Commit{Author: "carol", Files: map[string]string{"a": "1"}}))(t)
	for login, want := range map[string]string{"alice": "write", "bob": "none", "carol": "read", "octo": "admin"} {
		level, _, err := s.client.Repositories.GetPermissionLevel(ctx, "octo", "fleet", login)
		check(t, err)
		if level.GetPermission() != want {
			t.Errorf("%s: %s, want %s", login, level.GetPermission(), want)
		}
	}
	if _, _, err := s.client.Repositories.GetPermissionLevel(ctx, "octo", "fleet", "nobody"); status(err) != http.StatusNotFound {
		t.Errorf("nobody: %v, want 404", err)
	}
	user, _, err := s.client.Users.Get(ctx, "github-actions[bot]")
	check(t, err)
	if user.GetID() != 41898282 || user.GetType() != "Bot" {
		t.Errorf("user: %v", user)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	n, _ := s.openUpdate("two\n")
	check(t, s.AddLabel(repoName, n, "nixfleet/hold", "alice"))
	_, _, err := s.client.Issues.AddLabelsToIssue(ctx, "octo", "fleet", n, []string{"seen"})
	check(t, err)
	_, err = s.client.Issues.RemoveLabelForIssue(ctx, "octo", "fleet", n, "nixfleet/hold")
	check(t, err)
	list, _, err := s.client.Issues.ListLabelsByIssue(ctx, "octo", "fleet", n, nil)
	check(t, err)
	if len(list) != 1 || list[0].GetName() != "seen" {
		t.Errorf("labels: %v", list)
	}
	if _, _, err = s.client.Issues.CreateLabel(ctx, "octo", "fleet", &github.Label{Name: github.String("SEEN")}); status(err) != 422 {
		t.Errorf("a label that exists: %v, want 422", err)
	}
}

// The way in which a host's new lock becomes a pull request.
func TestTheGitDataAPIMakesAPullRequest(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	base := s.Head(repoName, "main")
	blob, _, err := s.client.Git.CreateBlob(ctx, "octo", "fleet", &github.Blob{Content: github.String("dHdvCg=="), Encoding: github.String("base64")})
	check(t, err)
	tree, _, err := s.client.Git.CreateTree(ctx, "octo", "fleet", base, []*github.TreeEntry{{
		Path: github.String("flake.lock"), Mode: github.String("100644"), Type: github.String("blob"), SHA: blob.SHA}})
	check(t, err)
	c, _, err := s.client.Git.CreateCommit(ctx, "octo", "fleet", &github.Commit{
		Message: github.String("flake.lock: Update"), Tree: tree, Parents: []*github.Commit{{SHA: &base}}}, nil)
	check(t, err)
	if !c.GetVerification().GetVerified() || c.GetAuthor().GetName() != "nixfleet[bot]" {
		t.Errorf("commit: %v", c)
	}
	ref := &github.Reference{Ref: github.String("refs/heads/nixfleet/update"), Object: &github.GitObject{SHA: c.SHA}}
	_, _, err = s.client.Git.CreateRef(ctx, "octo", "fleet", ref)
	check(t, err)
	pull, _, err := s.client.PullRequests.Create(ctx, "octo", "fleet", &github.NewPullRequest{
		Title: github.String("flake.lock: Update"), Head: github.String("nixfleet/update"), Base: github.String("main")})
	check(t, err)
	if pull.GetUser().GetLogin() != "nixfleet[bot]" || pull.GetChangedFiles() != 1 {
		t.Errorf("pull request: %v", pull)
	}
	_, _, err = s.client.PullRequests.Create(ctx, "octo", "fleet", &github.NewPullRequest{
		Title: github.String("again"), Head: github.String("nixfleet/update"), Base: github.String("main")})
	if status(err) != http.StatusUnprocessableEntity {
		t.Errorf("a second one: %v, want 422", err)
	}
	ref.Object.SHA = &base
	if _, _, err = s.client.Git.UpdateRef(ctx, "octo", "fleet", ref, false); status(err) != http.StatusUnprocessableEntity {
		t.Errorf("backwards: %v, want 422", err)
	}
	got, _, err := s.client.Git.GetRef(ctx, "octo", "fleet", "heads/nixfleet/update")
	check(t, err)
	if got.GetObject().GetSHA() != c.GetSHA() {
		t.Errorf("ref: %v", got)
	}
	_, err = s.client.Git.DeleteRef(ctx, "octo", "fleet", "heads/nixfleet/update")
	check(t, err)
	after, _, err := s.client.PullRequests.Get(ctx, "octo", "fleet", pull.GetNumber())
	check(t, err)
	if after.GetState() != "closed" || after.GetMerged() {
		t.Errorf("after its branch was deleted: %s, merged %v", after.GetState(), after.GetMerged())
	}
	file, _, err := s.client.Repositories.UpdateFile(ctx, "octo", "fleet", "flake.lock", &github.RepositoryContentFileOptions{
		Message: github.String("lock"), Content: []byte("three\n"), SHA: github.String(blobOf(t, s, base))})
	check(t, err)
	if file.GetSHA() != s.Head(repoName, "main") {
		t.Errorf("file commit: %v", file)
	}
}

func TestPagesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, head := s.openUpdate("<script>two</script>\n")
	must(s.AddComment(repoName, n, "<b>hello</b>", "alice"))(t)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{
		"/octo/fleet": "#1", "/octo/fleet/pull/1": head, "/octo/fleet/compare/main..." + head: "flake.lock (modified)", "/octo/nothing": "Not found",
	} {
		req := must(http.NewRequestWithContext(deadline(t), "GET", s.URL()+path, nil))(t)
		res := must(client.Do(req))(t)
		body := string(must(io.ReadAll(res.Body))(t))
		check(t, res.Body.Close())
		if !strings.Contains(body, want) || !strings.Contains(body, "Imitated github.com") || strings.Contains(body, "<script>two") {
			t.Errorf("%s: %s", path, body)
		}
	}
}
