package forge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestSnapshotTellsHowNewRevisionsLieToTheirBranch(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	onBranch := "octo/input@..." + s.newRev
	forward := "octo/input@" + s.oldRev + "..." + s.newRev
	n, _ := s.update(nil)
	check := func(want map[string]fleet.Lineage) {
		t.Helper()
		got := map[string]fleet.Lineage{}
		for key, r := range s.snapshot(n).Lineages {
			if !r.Known() || r.Source == "" {
				t.Errorf("%s: %+v", key, r)
			}
			got[key] = r.Value
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("lineages (-want +got):\n%s", d)
		}
	}
	check(map[string]fleet.Lineage{onBranch: {Status: "identical"}, forward: {Status: "ahead", Ahead: 1}})
	s.commit(inputRepo, forgetest.Commit{Files: map[string]string{"a": "3"}})
	check(map[string]fleet.Lineage{onBranch: {Status: "behind"}, forward: {Status: "ahead", Ahead: 1}})
}

// A commit that was pushed beside the branch can be read by its SHA like any other;
// only the comparison tells it apart.
func TestSnapshotTellsAnImpostorCommit(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	impostor := s.commit(inputRepo, forgetest.Commit{Branch: "evil", Files: map[string]string{"a": "evil"}, Date: s.newDate})
	s.commit(inputRepo, forgetest.Commit{Files: map[string]string{"a": "3"}})
	s.commit(fleetRepo, forgetest.Commit{Branch: updateBranch, Author: botLogin, Files: map[string]string{"flake.lock": s.lock(impostor, s.newDate)}})
	n := must(s.OpenPull(fleetRepo, forgetest.Pull{Head: updateBranch, Title: "flake.lock: Update"}))(t)
	got := s.snapshot(n)
	if c := got.Commits["octo/input@"+impostor]; !c.Known() {
		t.Errorf("the commit itself: %+v", c)
	}
	if l := got.Lineages["octo/input@..."+impostor]; !l.Known() || l.Value.Status != "diverged" {
		t.Errorf("its lineage: %+v", l)
	}
}

func TestWhatCannotBeComparedIsUnknown(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	s.Inject(forgetest.Fault{Path: "*/repos/octo/input/compare/*", Times: -1, Status: 500})
	for key, l := range s.snapshot(n).Lineages {
		if l.Known() || !strings.Contains(l.Err, "500") {
			t.Errorf("%s: %+v", key, l)
		}
	}
	for _, key := range []string{"octo/input@...abc", "octo/in/put@..." + s.newRev, "../x@..." + s.newRev, ""} {
		if _, _, err := must(s.forge.installation(s.repo.Installation))(t).lineage(s.ctx, key); err == nil {
			t.Errorf("%q was asked for", key)
		}
	}
}

func TestSnapshotReadsRulesetsOfAnyType(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	if err := s.SetRules(fleetRepo, "main",
		forgetest.Rule{Type: "deletion"},
		forgetest.Rule{Type: "merge_queue", Parameters: map[string]any{
			"merge_method": "SQUASH", "grouping_strategy": "ALLGREEN", "check_response_timeout_minutes": 60, "max_entries_to_build": 5,
			"max_entries_to_merge": 5, "min_entries_to_merge": 1, "min_entries_to_merge_wait_minutes": 5,
		}},
		forgetest.Rule{Type: "required_signatures"},
		forgetest.Rule{Type: "pull_request", Parameters: map[string]any{
			"required_approving_review_count": 2, "allowed_merge_methods": []string{"squash"}, "dismiss_stale_reviews_on_push": false,
			"require_code_owner_review": false, "require_last_push_approval": false, "required_review_thread_resolution": false,
		}},
		forgetest.Rule{Type: "required_status_checks", Parameters: map[string]any{
			"strict_required_status_checks_policy": false,
			"required_status_checks":               []any{map[string]any{"context": "build", "integration_id": 15368}, map[string]any{"context": "lint"}},
		}},
	); err != nil {
		t.Fatal(err)
	}
	got := s.snapshot(n).Rules
	if !got.Known() || len(got.Value) != 5 {
		t.Fatalf("rules: %+v", got)
	}
	var types []string
	for _, r := range got.Value {
		types = append(types, r.Type)
		if r.Ruleset == "" {
			t.Errorf("%s comes from nowhere", r.Type)
		}
	}
	if d := cmp.Diff([]string{"deletion", "merge_queue", "required_signatures", "pull_request", "required_status_checks"}, types); d != "" {
		t.Errorf("types (-want +got):\n%s", d)
	}
	pull, checks := got.Value[3], got.Value[4].Checks
	if pull.Reviews != 2 || !cmp.Equal(pull.Methods, []string{"squash"}) {
		t.Errorf("pull_request: %+v", pull)
	}
	if len(checks) != 2 || checks[0].AppID != 15368 || checks[1].AppID != 0 || !strings.HasPrefix(checks[0].From, "ruleset ") {
		t.Errorf("required_status_checks: %+v", checks)
	}
}

func TestARuleThatCannotBeUnderstoodIsUnknown(t *testing.T) {
	t.Parallel()
	if got, err := (rulePayload{Type: "moon_phase", Parameters: json.RawMessage(`{"required_status_checks": 7}`)}).domain(); err != nil || got.Type != "moon_phase" {
		t.Errorf("a type that nobody knows yet: %+v, %v", got, err)
	}
	for _, r := range []rulePayload{
		{Type: "required_status_checks", Parameters: json.RawMessage(`{"required_status_checks": "all"}`)},
		{Type: "required_status_checks"},
		{Type: "pull_request", Parameters: json.RawMessage(`{"allowed_merge_methods": 1}`)},
	} {
		if got, err := r.domain(); err == nil {
			t.Errorf("%s %s is taken for %+v", r.Type, r.Parameters, got)
		}
	}
}

func TestSnapshotTellsParkedWorkflows(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, head := s.update(nil)
	must(s.SetCheck(fleetRepo, forgetest.Check{SHA: head, Name: "build", App: "github-actions", Conclusion: "action_required"}))(t)
	got := s.snapshot(n).Suites
	parked := 0
	for _, suite := range got.Value {
		if suite.AppID == 15368 && suite.App == "github-actions" && suite.Conclusion == "action_required" && suite.Runs == 1 {
			parked++
		}
	}
	if !got.Known() || parked != 1 {
		t.Errorf("suites: %+v", got)
	}
}

func TestANameThatWasResolvedIsNotResolvedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	pinned := fleet.Actor{ID: 4711, Login: botLogin, Type: "Bot"}
	got := must(s.forge.Snapshot(s.ctx, s.repo, n, Kept{Authors: map[string]fleet.Actor{botLogin: pinned}}))(t).Authors
	if !got.Known() || got.Value[botLogin] != pinned {
		t.Errorf("authors: %+v, want the account that was pinned", got)
	}
}

func TestSettingsHoldWhereThereIsNoPolicyFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	settings := fleet.DefaultPolicy()
	settings.Updates.AutoMerge.Method = "rebase"
	kept := Kept{Settings: &settings}
	if got := must(s.forge.Snapshot(s.ctx, s.repo, n, kept))(t).Policy; got.Value.Updates.AutoMerge.Method != "rebase" {
		t.Errorf("without a file: %+v", got)
	}
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: "version: 1\nupdates: {auto_merge: {method: merge}}\n"}})
	if got := must(s.forge.Snapshot(s.ctx, s.repo, n, kept))(t).Policy; got.Value.Updates.AutoMerge.Method != "merge" {
		t.Errorf("with a file: %+v", got)
	}
}
