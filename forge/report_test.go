package forge

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestOneCommentIsEditedInPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	must(s.AddComment(fleetRepo, n, Marker+"\nforged by a person", "mallory"))(t)

	// The answer to the first attempt is lost; the second finds what it made.
	remove := s.Inject(forgetest.Fault{Method: http.MethodPost, Path: "/repos/*/issues/*/comments", Drop: true, AfterEffect: true})
	if _, err := s.forge.UpsertComment(s.ctx, s.repo, n, 0, Marker+"\none"); err == nil {
		t.Fatal("lost answer: no error")
	}
	remove()
	id := must(s.forge.UpsertComment(s.ctx, s.repo, n, 0, Marker+"\ntwo"))(t)
	if again := must(s.forge.UpsertComment(s.ctx, s.repo, n, id, "three"))(t); again != id {
		t.Errorf("edited comment %d, want %d", again, id)
	}
	comments := s.Comments(fleetRepo, n)
	if len(comments) != 2 || comments[0].Author != "mallory" || !strings.HasPrefix(comments[0].Body, Marker+"\nforged") ||
		comments[1].ID != id || comments[1].Body != Marker+"\nthree" {
		t.Errorf("comments = %+v, want mallory's untouched and one of ours", comments)
	}
	must(0, s.DeleteComment(fleetRepo, id, "octo"))(t)
	second := must(s.forge.UpsertComment(s.ctx, s.repo, n, id, "four"))(t)
	if second == id || len(s.Comments(fleetRepo, n)) != 2 {
		t.Errorf("after a person deleted it: comment %d of %+v, want a new one", second, s.Comments(fleetRepo, n))
	}
	must(s.forge.UpsertComment(s.ctx, s.repo, n, second, strings.Repeat("ä", 70000)))(t)
	if got := s.Comments(fleetRepo, n)[1].Body; len(got) > maxComment || len(got) < maxComment-1 {
		t.Errorf("a long comment has %d bytes, want it cut to %d", len(got), maxComment)
	}
}

func TestCommentsOfOthersAreNotOurs(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]bool{
		`{"body":"<!-- nixfleet:update -->\nx","performed_via_github_app":{"id":7}}`:   true,
		`{"body":"<!-- nixfleet:update -->\nx","performed_via_github_app":{"id":8}}`:   false,
		`{"body":"<!-- nixfleet:update -->\nx","performed_via_github_app":null}`:       false,
		`{"body":"> <!-- nixfleet:update -->\nx","performed_via_github_app":{"id":7}}`: false,
	} {
		var c commentPayload
		if err := json.Unmarshal([]byte(payload), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.by(7); got != want {
			t.Errorf("%s is ours: %v, want %v", payload, got, want)
		}
	}
}

func TestOneCheckRunPerHead(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	_, head := s.update(nil)
	run := CheckRun{HeadSHA: head, Status: "in_progress", Title: "On hold", Summary: "s", Text: "t",
		DetailsURL: "https://fleet.example.org/u/1", Actions: []CheckAction{actionMerge, actionHold}}
	remove := s.Inject(forgetest.Fault{Method: http.MethodPost, Path: "/repos/*/check-runs", Drop: true, AfterEffect: true})
	if _, err := s.forge.UpsertCheckRun(s.ctx, s.repo, run); err == nil {
		t.Fatal("lost answer: no error")
	}
	remove()
	run.ID = must(s.forge.UpsertCheckRun(s.ctx, s.repo, run))(t)
	done := run
	done.Status, done.Conclusion, done.Title, done.Actions, done.CompletedAt = "completed", "success", "Merged", nil, time.Now()
	if id := must(s.forge.UpsertCheckRun(s.ctx, s.repo, done))(t); id != run.ID {
		t.Errorf("changed run %d, want %d", id, run.ID)
	}
	want := []forgetest.CheckRun{{
		ID: run.ID, Name: fleet.CheckRunName, SHA: head, App: "nixfleet", Status: "completed", Conclusion: "success",
		Title: "Merged", Summary: "s", Text: "t",
	}}
	if d := cmp.Diff(want, ownRuns(s, head), cmp.Transformer("none", func(b []string) []string { return append([]string{}, b...) })); d != "" {
		t.Errorf("runs at the head (-want +got):\n%s", d)
	}

	run.ID, run.HeadSHA = 0, s.commit(fleetRepo, forgetest.Commit{Branch: updateBranch, Files: map[string]string{"x": "y"}})
	id := must(s.forge.UpsertCheckRun(s.ctx, s.repo, run))(t)
	got := ownRuns(s, run.HeadSHA)
	if len(got) != 1 || got[0].ID != id || id == want[0].ID || strings.Join(got[0].Buttons, " ") != "merge hold" {
		t.Errorf("runs at the new head = %+v, want a new one with two buttons", got)
	}
}

// ownRuns are our check runs at a commit.
func ownRuns(s *site, sha string) []forgetest.CheckRun {
	var own []forgetest.CheckRun
	for _, r := range s.CheckRuns(fleetRepo, sha) {
		if r.App == "nixfleet" {
			own = append(own, r)
		}
	}
	return own
}

func TestBranchTellsHeadAndPolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	head := s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: "version: 1\nupdates: {auto_merge: {hold: 2h}}\n"}})
	must(0, s.Rename(fleetRepo, "armada", "octo"))(t)
	got := must(s.forge.Branch(s.ctx, s.repo, Kept{}))(t)
	if got.HeadSHA != head || got.Repo.Name != "armada" || got.Repo.DefaultBranch != "main" || got.Policy.Value.Updates.AutoMerge.Hold != 2*time.Hour {
		t.Errorf("branch = %+v", got)
	}
	s.commit("octo/armada", forgetest.Commit{Files: map[string]string{PolicyPath: "{"}})
	if got := must(s.forge.Branch(s.ctx, s.repo, Kept{}))(t); got.Policy.Known() {
		t.Errorf("broken policy = %+v, want unknown", got.Policy)
	}
}

func TestOpenPullsListsThoseOntoTheDefaultBranch(t *testing.T) {
	t.Parallel()
	var later atomic.Int64 // seconds from now; GitHub's times have no finer ones
	s := newSite(t, forgetest.Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load()) * time.Second) }})
	n, head := s.update(nil)
	s.commit(fleetRepo, forgetest.Commit{Branch: "other", Files: map[string]string{"o": "1"}})
	must(s.OpenPull(fleetRepo, forgetest.Pull{Head: updateBranch, Base: "other"}))(t)
	closed := must(s.OpenPull(fleetRepo, forgetest.Pull{Head: "other"}))(t)
	must(0, s.ClosePull(fleetRepo, closed, "octo"))(t)
	listed := must(s.forge.OpenPulls(s.ctx, s.repo))(t)
	if len(listed) != 1 || listed[0].Number != n || !strings.HasPrefix(listed[0].Version, head+"@20") {
		t.Errorf("open pull requests: %+v", listed)
	}
	later.Store(2)
	must(0, s.AddLabel(fleetRepo, n, "urgent", "octo"))(t)
	if again := must(s.forge.OpenPulls(s.ctx, s.repo))(t); again[0].Version == listed[0].Version {
		t.Errorf("a label does not show: %+v", again)
	}
	changed := must(s.forge.FilesChanged(s.ctx, s.repo, s.Head(fleetRepo, "main"), head))(t)
	if d := cmp.Diff([]string{"flake.lock"}, changed); d != "" {
		t.Errorf("files changed: %s", d)
	}
}

func TestDeleteBranchLeavesOneThatMoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	old := s.commit(fleetRepo, forgetest.Commit{Branch: "a/b", Files: map[string]string{"o": "1"}})
	head := s.commit(fleetRepo, forgetest.Commit{Branch: "a/b", Files: map[string]string{"o": "2"}})
	must(0, s.forge.DeleteBranch(s.ctx, s.repo, "a/b", old))(t)
	if s.Head(fleetRepo, "a/b") != head {
		t.Error("deleted a branch that had moved on")
	}
	must(0, s.forge.DeleteBranch(s.ctx, s.repo, "a/b", head))(t)
	if s.Head(fleetRepo, "a/b") != "" {
		t.Error("the branch is still there")
	}
	must(0, s.forge.DeleteBranch(s.ctx, s.repo, "a/b", head))(t) // gone already: no error
}

func TestInstallationsListsWhatTheAppMaySee(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	must(s.AddRepo(forgetest.Repo{Name: "acme/infra"}))(t)
	suspended := s.InstallationID("acme/infra")
	must(0, s.Suspend(suspended))(t)
	got := must(s.forge.Installations(s.ctx))(t).Read
	want := []fleet.InstallationChanged{
		{ID: s.repo.Installation, Account: "octo", Cause: "catch-up", Added: []fleet.Repo{s.repo}},
		{ID: suspended, Account: "acme", Suspended: true, Cause: "catch-up"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("installations (-want +got):\n%s", d)
	}
}
