package forgetest_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestOurCheckRunIsUpdatedInPlace(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	_, head := s.openUpdate("two\n")
	id := s.ourRun(head)
	run, _, err := s.client.Checks.UpdateCheckRun(ctx, "octo", "fleet", id, github.UpdateCheckRunOptions{
		Name: "NixFleet / lock update", Status: github.String("in_progress"),
		Output: &github.CheckRunOutput{Title: github.String("Deploying 3/9"), Summary: github.String("soon")},
	})
	check(t, err)
	if run.GetStatus() != "in_progress" || run.Conclusion != nil || run.GetApp().GetID() != s.AppID || len(run.PullRequests) != 1 {
		t.Errorf("run: %v", run)
	}
	runs := s.CheckRuns(repoName, head)
	want := []forgetest.CheckRun{{ID: id, Name: "NixFleet / lock update", SHA: head, App: "nixfleet", Status: "in_progress", Title: "Deploying 3/9", Summary: "soon", Buttons: []string{"merge"}}}
	if diff := cmp.Diff(want, runs); diff != "" {
		t.Error(diff)
	}
	other := must(s.SetCheck(repoName, forgetest.Check{SHA: head, Name: "build", Conclusion: "success"}))(t)
	_, _, err = s.client.Checks.UpdateCheckRun(ctx, "octo", "fleet", other, github.UpdateCheckRunOptions{Name: "build", Conclusion: github.String("failure")})
	if status(err) != http.StatusForbidden {
		t.Errorf("someone else's run: %v, want 403", err)
	}
	_, _, err = s.client.Checks.CreateCheckRun(ctx, "octo", "fleet", github.CreateCheckRunOptions{
		Name: "x", HeadSHA: head, Actions: []*github.CheckRunAction{{Label: "a label of more than twenty", Description: "d", Identifier: "i"}},
	})
	if status(err) != http.StatusUnprocessableEntity {
		t.Errorf("a label that is too long: %v, want 422", err)
	}
	if err := s.Click(repoName, id, "unknown", "alice"); err == nil {
		t.Error("a button that is not there was pressed")
	}
}

func TestRunsAreFiltered(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	_, head := s.openUpdate("two\n")
	report := func(c forgetest.Check) int64 {
		c.SHA = head
		return must(s.SetCheck(repoName, c))(t)
	}
	report(forgetest.Check{Name: "build", Conclusion: "failure"})
	again := report(forgetest.Check{Name: "build", Conclusion: "success", Again: true})
	report(forgetest.Check{Name: "build", App: "other", Conclusion: "failure"})
	report(forgetest.Check{Name: "lint", Status: "in_progress"})
	count := func(o github.ListCheckRunsOptions) int {
		list, _, err := s.client.Checks.ListCheckRunsForRef(ctx, "octo", "fleet", head, &o)
		check(t, err)
		return list.GetTotal()
	}
	for name, tc := range map[string]struct {
		opts github.ListCheckRunsOptions
		want int
	}{
		"latest":       {github.ListCheckRunsOptions{}, 3},
		"all":          {github.ListCheckRunsOptions{Filter: github.String("all")}, 4},
		"by name":      {github.ListCheckRunsOptions{CheckName: github.String("build")}, 2},
		"by app":       {github.ListCheckRunsOptions{AppID: github.Int64(15368)}, 2},
		"by status":    {github.ListCheckRunsOptions{Status: github.String("in_progress")}, 1},
		"one per page": {github.ListCheckRunsOptions{ListOptions: github.ListOptions{PerPage: 1}}, 3},
	} {
		if got := count(tc.opts); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	list, _, err := s.client.Checks.ListCheckRunsForRef(ctx, "octo", "fleet", head, &github.ListCheckRunsOptions{AppID: github.Int64(15368), CheckName: github.String("build")})
	check(t, err)
	if len(list.CheckRuns) != 1 || list.CheckRuns[0].GetID() != again || list.CheckRuns[0].GetConclusion() != "success" {
		t.Errorf("latest build: %v", list.CheckRuns)
	}
}

// The App itself gets a suite on every push, which stays queued with no runs.
func TestSuites(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	_, head := s.openUpdate("two\n")
	check(t, s.SetWorkflow(repoName, forgetest.Workflow{SHA: head, Name: "CI", Status: "completed", Conclusion: "action_required"}))
	list, _, err := s.client.Checks.ListCheckSuitesForRef(ctx, "octo", "fleet", head, nil)
	check(t, err)
	got := map[string]string{}
	for _, su := range list.CheckSuites {
		got[su.GetApp().GetSlug()] = su.GetStatus() + " " + su.GetConclusion()
	}
	if diff := cmp.Diff(map[string]string{"nixfleet": "queued ", "github-actions": "completed action_required"}, got); diff != "" {
		t.Error(diff)
	}
	one, _, err := s.client.Checks.GetCheckSuite(ctx, "octo", "fleet", list.CheckSuites[0].GetID())
	check(t, err)
	runs, _, err := s.client.Checks.ListCheckRunsCheckSuite(ctx, "octo", "fleet", one.GetID(), nil)
	check(t, err)
	if one.GetHeadSHA() != head || runs.GetTotal() != 0 {
		t.Errorf("suite %v with %d runs", one, runs.GetTotal())
	}
}

func TestStatusesHaveCreatorsOnlyInTheList(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	head := s.Head(repoName, "main")
	combined := func() string {
		got, _, err := s.client.Repositories.GetCombinedStatus(ctx, "octo", "fleet", head, nil)
		check(t, err)
		return got.GetState()
	}
	if got := combined(); got != "pending" {
		t.Errorf("no statuses at all: %s, want pending", got)
	}
	for _, st := range []struct{ state, want string }{{"pending", "pending"}, {"failure", "failure"}, {"success", "success"}} {
		check(t, s.SetStatus(repoName, forgetest.Status{SHA: head, Context: "ci", State: st.state, Creator: "ci[bot]"}))
		if got := combined(); got != st.want {
			t.Errorf("after %s: %s", st.state, got)
		}
	}
	list, _, err := s.client.Repositories.ListStatuses(ctx, "octo", "fleet", head, nil)
	check(t, err)
	if len(list) != 3 || list[0].GetState() != "success" || list[0].GetCreator().GetLogin() != "ci[bot]" {
		t.Errorf("history: %v", list)
	}
}

func TestProtectionAndRules(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	required := func(repo string) (*github.RequiredStatusChecks, error) {
		got, _, err := s.client.Repositories.GetRequiredStatusChecks(ctx, "octo", repo, "main")
		return got, err
	}
	if _, err := required("fleet"); !errorsIs(err, github.ErrBranchNotProtected) {
		t.Errorf("unprotected: %v", err)
	}
	check(t, s.SetProtection(repoName, "main", &forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "build", App: "github-actions"}, {Context: "any"}}, Strict: true}))
	got, err := required("fleet")
	check(t, err)
	if !got.Strict || len(*got.Checks) != 2 || *(*got.Checks)[0].AppID != 15368 || (*got.Checks)[1].AppID != nil {
		t.Errorf("required: %v", got)
	}
	branch, _, err := s.client.Repositories.GetBranch(ctx, "octo", "fleet", "main", 0)
	check(t, err)
	if !branch.GetProtected() {
		t.Error("the branch does not say that it is protected")
	}
	must(s.AddRepo(forgetest.Repo{Name: "octo/free", Private: true, NoProtectionPlan: true}))(t)
	if _, err := required("free"); status(err) != http.StatusForbidden {
		t.Errorf("without the plan: %v, want 403", err)
	}
	check(t, s.SetRules(repoName, "main",
		forgetest.Rule{Type: "deletion"}, forgetest.Rule{Type: "merge_queue"}, forgetest.Rule{Type: "a_rule_of_next_year"},
		forgetest.Rule{Type: "required_status_checks", Parameters: map[string]any{
			"strict_required_status_checks_policy": true, "required_status_checks": []map[string]any{{"context": "build", "integration_id": 15368}}}}))
	var rules []struct{ Type string }
	req := must(s.client.NewRequest("GET", "repos/octo/fleet/rules/branches/main", nil))(t)
	_, err = s.client.Do(ctx, req, &rules)
	check(t, err)
	if len(rules) != 4 {
		t.Errorf("rules: %v", rules)
	}
}
