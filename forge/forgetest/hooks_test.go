package forgetest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func newHookedSite(t *testing.T) (*site, *inbox) {
	t.Helper()
	in := newInbox(t)
	return newSite(t, forgetest.Options{WebhookURL: in.url, WebhookSecret: secret}), in
}

// Every webhook is signed and shaped like GitHub's: NewForTest fails the test
// otherwise. Here it is which ones come, and in which order.
func TestWebhooksFollowDeeds(t *testing.T) {
	t.Parallel()
	s, in := newHookedSite(t)
	expect := func(deed, want string) {
		t.Helper()
		if got := names(in.take(t, s.Server)); got != want {
			t.Errorf("%s sent\n  %s, want\n  %s", deed, got, want)
		}
	}
	do := func(deed, want string, err error) {
		t.Helper()
		check(t, err)
		expect(deed, want)
	}
	expect("installing and the first push", "installation.created push check_suite.requested")
	n, head := s.openUpdate("two\n")
	expect("opening", "push check_suite.requested pull_request.opened")
	do("labelling", "pull_request.labeled", s.AddLabel(repoName, n, "dependencies", "alice"))
	do("unlabelling", "pull_request.unlabeled", s.RemoveLabel(repoName, n, "dependencies", "alice"))
	do("drafting", "pull_request.converted_to_draft", s.SetDraft(repoName, n, true, "alice"))
	do("readying", "pull_request.ready_for_review", s.SetDraft(repoName, n, false, "alice"))
	do("closing", "pull_request.closed", s.ClosePull(repoName, n, "alice"))
	do("reopening", "pull_request.reopened", s.ReopenPull(repoName, n, "alice"))
	_, err := s.SetCheck(repoName, forgetest.Check{SHA: head, Name: "build", Status: "queued"})
	do("starting CI", "check_run.created", err)
	_, err = s.SetCheck(repoName, forgetest.Check{SHA: head, Name: "build", Conclusion: "success"})
	do("green CI", "check_run.completed check_suite.completed", err)
	do("a status", "status", s.SetStatus(repoName, forgetest.Status{SHA: head, Context: "ci/x", State: "success"}))
	do("a parked workflow", "workflow_run.requested workflow_run.completed check_suite.completed",
		s.SetWorkflow(repoName, forgetest.Workflow{SHA: head, Name: "CI", Status: "completed", Conclusion: "action_required"}))
	id, err := s.AddComment(repoName, n, "/nixfleet merge", "alice")
	do("a comment", "issue_comment.created", err)
	do("an edit", "issue_comment.edited", s.EditComment(repoName, id, "/nixfleet hold", "alice"))
	do("a deletion", "issue_comment.deleted", s.DeleteComment(repoName, id, "alice"))
	run := s.ourRun(head)
	expect("our own check run", "check_run.created check_run.completed check_suite.completed")
	do("a button", "check_run.requested_action", s.Click(repoName, run, "merge", "alice"))
	do("a re-run", "check_run.rerequested", s.Rerun(repoName, run, "alice"))
	_, head = must2(s.forcePush("three\n"))
	expect("a force-push", "push check_suite.requested pull_request.synchronize")
	_, err = s.MergePull(repoName, n, forgetest.Merge{SHA: head, Method: "squash"}, "alice")
	do("a merge", "pull_request.closed push check_suite.requested", err)
	do("deleting the branch", "push", s.DeleteBranch(repoName, "update_flake_lock_action", "alice"))
	do("renaming", "repository.renamed", s.Rename(repoName, "fleet2", "alice"))
	_, err = s.AddRepo(forgetest.Repo{Name: "octo/other"})
	do("one more repository", "installation_repositories.added", err)
	do("one less", "installation_repositories.removed", s.RemoveFromInstallation("octo/other"))
	inst := s.InstallationID("octo/fleet2")
	do("suspending", "installation.suspend", s.Suspend(inst))
	do("unsuspending", "installation.unsuspend", s.Unsuspend(inst))
	s.Ping()
	expect("ping", "ping")
	do("transferring", "repository.transferred", s.Transfer("octo/fleet2", "bob"))
	do("uninstalling", "installation.deleted", s.Uninstall(inst))
}

func must2(a, b string) (string, string) { return a, b }

// forcePush replaces the update's commit, as update-flake-lock does each run.
func (s *site) forcePush(content string) (before, after string) {
	s.t.Helper()
	const branch = "update_flake_lock_action"
	before = s.Head(repoName, branch)
	after = must(s.CommitFiles(repoName, forgetest.Commit{
		Branch: branch, Parent: s.Head(repoName, "main"), Author: "github-actions[bot]", Files: map[string]string{"flake.lock": content},
	}))(s.t)
	return before, after
}

func (s *site) ourRun(sha string) int64 {
	s.t.Helper()
	run, _, err := s.client.Checks.CreateCheckRun(deadline(s.t), "octo", "fleet", github.CreateCheckRunOptions{
		Name: "NixFleet / lock update", HeadSHA: sha, Conclusion: github.String("neutral"),
		Output:  &github.CheckRunOutput{Title: github.String("Holding"), Summary: github.String("until noon")},
		Actions: []*github.CheckRunAction{{Label: "Merge & deploy", Description: "Merge now and deploy", Identifier: "merge"}},
	})
	check(s.t, err)
	return run.GetID()
}

func TestHeadersAreThoseOfAnApp(t *testing.T) {
	t.Parallel()
	s, in := newHookedSite(t)
	for _, h := range in.take(t, s.Server) {
		for k, want := range map[string]string{
			"X-GitHub-Hook-ID": "515151", "X-GitHub-Hook-Installation-Target-ID": "424242",
			"X-GitHub-Hook-Installation-Target-Type": "integration", "Content-Type": "application/json",
		} {
			if got := h.header.Get(k); got != want {
				t.Errorf("%s: %s is %q, want %q", h.name(), k, got, want)
			}
		}
		if len(h.guid) != 36 || len(h.header.Get("X-Hub-Signature")) != 45 {
			t.Errorf("GUID %q, SHA-1 signature %q", h.guid, h.header.Get("X-Hub-Signature"))
		}
	}
}

func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault    forgetest.HookFault
		want     string
		released string
	}{
		"drop":      {forgetest.HookFault{Event: "push", Do: forgetest.HookDrop}, "check_suite.requested pull_request.opened", ""},
		"duplicate": {forgetest.HookFault{Event: "push", Do: forgetest.HookDuplicate}, "push push check_suite.requested pull_request.opened", ""},
		"swap":      {forgetest.HookFault{Event: "check_suite.requested", Do: forgetest.HookSwap}, "push pull_request.opened check_suite.requested", ""},
		"hold":      {forgetest.HookFault{Times: -1, Do: forgetest.HookHold}, "", "pull_request.opened check_suite.requested push"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, in := newHookedSite(t)
			in.take(t, s.Server)
			s.InjectHook(tc.fault)
			s.openUpdate("two\n")
			got := in.take(t, s.Server)
			if names(got) != tc.want {
				t.Errorf("got %s, want %s", names(got), tc.want)
			}
			if name == "duplicate" && got[0].guid != got[1].guid {
				t.Error("a duplicate has another GUID")
			}
			s.ReleaseHeld(true)
			if released := names(in.take(t, s.Server)); released != tc.released {
				t.Errorf("released %q, want %q", released, tc.released)
			}
		})
	}
}

func TestALostWebhookIsFoundAndRedelivered(t *testing.T) {
	t.Parallel()
	s, in := newHookedSite(t)
	in.take(t, s.Server)
	s.InjectHook(forgetest.HookFault{Event: "pull_request", Do: forgetest.HookDrop})
	s.openUpdate("two\n")
	in.take(t, s.Server)
	ctx := deadline(t)
	lost := s.failedDelivery(ctx)
	full, _, err := s.app.Apps.GetHookDelivery(ctx, lost.GetID())
	check(t, err)
	if full.GetEvent() != "pull_request" || full.GetStatusCode() != 502 || full.Request == nil {
		t.Errorf("delivery: %v", full)
	}
	_, _, err = s.app.Apps.RedeliverHookDelivery(ctx, lost.GetID())
	var accepted *github.AcceptedError
	if !errors.As(err, &accepted) {
		t.Fatalf("redelivery: %v, want 202 as AcceptedError", err)
	}
	got := in.take(t, s.Server)
	if names(got) != "pull_request.opened" || got[0].guid != lost.GetGUID() {
		t.Errorf("redelivered %s under %s, want the same GUID %s", names(got), got[0].guid, lost.GetGUID())
	}
	newest := s.Deliveries()[len(s.Deliveries())-1]
	if !newest.Redelivery || newest.StatusCode != 202 {
		t.Errorf("log: %+v", newest)
	}
}

// failedDelivery walks the log page by page, as a reconciler does.
func (s *site) failedDelivery(ctx context.Context) *github.HookDelivery {
	s.t.Helper()
	opts := &github.ListCursorOptions{PerPage: 2}
	for {
		list, res, err := s.app.Apps.ListHookDeliveries(ctx, opts)
		check(s.t, err)
		for _, d := range list {
			if d.GetStatus() != "OK" {
				return d
			}
		}
		if res.Cursor == "" {
			s.t.Fatal("no failed delivery in the log")
		}
		opts.Cursor = res.Cursor
	}
}

func TestTheHookMayMove(t *testing.T) {
	t.Parallel()
	s, in := newHookedSite(t)
	in.take(t, s.Server)
	second := newInbox(t)
	conf, _, err := s.app.Apps.UpdateHookConfig(deadline(t), &github.HookConfig{URL: &second.url})
	check(t, err)
	if conf.GetURL() != second.url {
		t.Errorf("config: %v", conf)
	}
	s.openUpdate("two\n")
	if got := names(second.take(t, s.Server)); got == "" || names(in.take(t, s.Server)) != "" {
		t.Errorf("new address got %q", got)
	}
}
