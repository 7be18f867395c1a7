package forge

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

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
	check(map[string]fleet.Lineage{onBranch: {Status: "identical"}, forward: {Status: "ahead", Ahead: 1}}) // still fresh enough
	s.forge = s.open(func() time.Time { return time.Now().Add(lineageFresh) }, nil)
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

// On github.com the forks of a repository share its objects, so that a commit which
// nobody let in can be read through the repository that it pretends to be of.
func TestSnapshotTellsACommitThatOnlyAForkHas(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	must(s.AddRepo(forgetest.Repo{Name: "mallory/input", ForkOf: inputRepo, NotInstalled: true}))(t)
	impostor := s.commit("mallory/input", forgetest.Commit{Files: map[string]string{"a": "evil"}, Date: s.newDate})
	s.commit(fleetRepo, forgetest.Commit{Branch: updateBranch, Author: botLogin, Files: map[string]string{"flake.lock": s.lock(impostor, s.newDate)}})
	n := must(s.OpenPull(fleetRepo, forgetest.Pull{Head: updateBranch, Title: "flake.lock: Update"}))(t)
	got := s.snapshot(n)
	if c := got.Commits["octo/input@"+impostor]; !c.Known() || !c.Value.CommitterDate.Equal(s.newDate) {
		t.Errorf("the commit itself: %+v; it should look like any other", c)
	}
	if l := got.Lineages["octo/input@..."+impostor]; !l.Known() || l.Value.OnBranch() {
		t.Errorf("its lineage: %+v", l)
	}
	if l := got.Lineages["octo/input@"+s.oldRev+"..."+impostor]; !l.Known() || l.Value.Status != "ahead" {
		t.Errorf("against the old revision: %+v; alone this would not tell", l)
	}
}

func TestLineagesGoByBranchesAndTags(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	s.commit(inputRepo, forgetest.Commit{Branch: "release/25.05", Parent: s.oldRev, Files: map[string]string{"a": "1.1"}})
	c := must(s.forge.as(s.ctx, reader, s.repo))(t)
	for key, want := range map[string]string{
		"octo/input@release/25.05..." + s.oldRev: "behind",
		"octo/input@release/25.05..." + s.newRev: "diverged",
		"octo/input@main..." + s.newRev:          "identical",
	} {
		if l, _, err := c.lineage(s.ctx, key); err != nil || l.Status != want {
			t.Errorf("%s: %+v, %v, want %s", key, l, err, want)
		}
	}
	if _, _, err := c.lineage(s.ctx, "octo/input@gone..."+s.newRev); codeOf(err) != 404 {
		t.Errorf("a branch that is gone: %v", err)
	}
}

// GitHub leads from the old name of a repository to the new one for as long as nobody
// else takes the old.
func TestAnInputThatWasRenamedIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	must(0, s.Rename(inputRepo, "output", "octo"))(t)
	for key, l := range s.snapshot(n).Lineages {
		if l.Known() || !strings.Contains(l.Err, "now called octo/output") {
			t.Errorf("%s: %+v", key, l)
		}
	}
}

func TestAnEnterpriseServerDoesNotSpeakForGitHub(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	s.forge = s.open(time.Now, nil)
	s.forge.config.Enterprise = true
	got := s.snapshot(n)
	for key, l := range got.Lineages {
		if l.Known() || !strings.Contains(l.Err, "Enterprise") {
			t.Errorf("%s: %+v", key, l)
		}
	}
	for key, c := range got.Commits {
		if c.Known() || !strings.Contains(c.Err, "Enterprise") {
			t.Errorf("%s: %+v", key, c)
		}
	}
	if len(got.Lineages) != 2 || len(got.Commits) != 1 {
		t.Errorf("%d lineages, %d commits", len(got.Lineages), len(got.Commits))
	}
}

func TestALoginThatChangedHandsIsNotLetIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	var kept map[string]fleet.Actor
	policy := "version: 1\nupdates: {authors: [updater]}\n"
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: policy}})
	open := func(branch string) fleet.Snapshot {
		s.commit(fleetRepo, forgetest.Commit{Branch: branch, Author: "updater", Files: map[string]string{"flake.lock": s.lock(s.newRev, s.newDate)}})
		n := must(s.OpenPull(fleetRepo, forgetest.Pull{Head: branch, Author: "updater"}))(t)
		return must(s.forge.Snapshot(s.ctx, s.repo, n, Kept{Authors: kept}))(t)
	}
	first := open("one")
	if first.Pull.Value.Author != first.Authors.Value["updater"] {
		t.Fatalf("author %+v, resolved %+v", first.Pull.Value.Author, first.Authors)
	}
	kept = first.Authors.Value
	must(0, s.RenameUser("updater", "retired"))(t)
	second := open("two")
	if author := second.Pull.Value.Author; author.Login != "updater" || author.ID == first.Pull.Value.Author.ID {
		t.Fatalf("the name did not change hands: %+v", author)
	}
	if got := second.Authors.Value["updater"]; got != first.Pull.Value.Author {
		t.Errorf("updater is now %+v", got)
	}
	if c := authorOf(second); c.Outcome != fleet.Refused {
		t.Errorf("the new bearer of the name: %+v", c)
	}
}

func authorOf(s fleet.Snapshot) fleet.Condition {
	for _, c := range fleet.Decide(s, time.Now()).Conditions {
		if c.ID == "author" {
			return c
		}
	}
	return fleet.Condition{}
}

func TestAPolicyIsNotMissedForAPassing404(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	n, _ := s.update(nil)
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: "version: 1\n"}})
	defer s.Inject(forgetest.Fault{Path: "/repos/*/contents/.github/nixfleet.yml", Status: 404, Times: -1})()
	if p := s.snapshot(n).Policy; p.Known() || !strings.Contains(p.Err, "does not exist") {
		t.Errorf("policy: %+v, want unknown: the file is in the tree", p)
	}
}

func TestMemosForget(t *testing.T) {
	t.Parallel()
	var m memo[int]
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m.put("a", 1, now.Add(time.Minute))
	m.put("b", 2, time.Time{})
	for _, c := range []struct {
		key  string
		at   time.Time
		want int
	}{{"a", now, 1}, {"a", now.Add(time.Minute), 0}, {"b", now.AddDate(9, 0, 0), 2}, {"c", now, 0}} {
		if got, ok := m.get(c.key, c.at); got != c.want || ok != (c.want != 0) {
			t.Errorf("%s at %s: %d, %v", c.key, c.at, got, ok)
		}
	}
	for i := range memoSize {
		m.put(strconv.Itoa(i), i, time.Time{})
	}
	if len(m.held) > memoSize {
		t.Errorf("%d are held", len(m.held))
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
		if _, _, err := must(s.forge.as(s.ctx, reader, s.repo))(t).lineage(s.ctx, key); err == nil {
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
	stored := fleet.Known(settings, "settings", s.newDate)
	kept := Kept{Settings: &stored}
	if got := must(s.forge.Snapshot(s.ctx, s.repo, n, kept))(t).Policy; got.Value.Updates.AutoMerge.Method != "rebase" {
		t.Errorf("without a file: %+v", got)
	}
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{PolicyPath: "version: 1\nupdates: {auto_merge: {method: merge}}\n"}})
	if got := must(s.forge.Snapshot(s.ctx, s.repo, n, kept))(t).Policy; got.Value.Updates.AutoMerge.Method != "merge" {
		t.Errorf("with a file: %+v", got)
	}
	s.commit(fleetRepo, forgetest.Commit{Remove: []string{PolicyPath}})
	stored = fleet.Unknown[fleet.Policy]("settings", s.newDate, "settings:3:1: x")
	if got := must(s.forge.Snapshot(s.ctx, s.repo, n, kept))(t).Policy; got.Known() || got.Err != "settings:3:1: x" {
		t.Errorf("with settings that can't be read: %+v", got)
	}
}
