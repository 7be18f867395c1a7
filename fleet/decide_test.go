package fleet

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAProvenUpdateMerges(t *testing.T) {
	t.Parallel()
	v := Decide(goodSnapshot(t), noon)
	if v.State != UpdateMerging || v.HeadSHA != headSHA || v.Merge == nil {
		t.Fatalf("%s: %s\n%+v", v.State, v.Headline, v.Conditions)
	}
	want := &MergeOrder{
		HeadSHA: headSHA,
		Base:    "main",
		Method:  "squash",
		Title:   "flake.lock: Update (#42)",
		Message: "Flake lock file updates:\n\n• Updated input 'nixpkgs':\n" +
			"    'github:NixOS/nixpkgs/" + oldRev + "' (2026-02-01)\n  → 'github:NixOS/nixpkgs/" + newRev + "' (2026-03-03)",
		DeleteBranch: "update_flake_lock_action",
		Deploy:       true,
		By:           Actor{Login: "policy"},
	}
	if diff := cmp.Diff(want, v.Merge); diff != "" {
		t.Errorf("merge (-want +got):\n%s", diff)
	}
	inputs := []InputChange{{
		Path: "nixpkgs", Kind: "updated",
		From: "'github:NixOS/nixpkgs/" + oldRev + "' (2026-02-01)", To: "'github:NixOS/nixpkgs/" + newRev + "' (2026-03-03)",
		FromRev: oldRev, ToRev: newRev, FromDate: oldDate, ToDate: newDate, Commits: 17,
		CompareURL: "https://github.com/NixOS/nixpkgs/compare/" + oldRev + "..." + newRev,
	}}
	if diff := cmp.Diff(inputs, v.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if v.Headline != "Merging aaaaaaa, as the policy asks for." || !v.Again.Equal(noon.Add(time.Minute)) || !v.ChecksPassed() {
		t.Errorf("%q, again %s", v.Headline, v.Again)
	}
	for _, c := range v.Conditions {
		if !c.settled() || c.Found == "" || c.Title == "" || c.At.IsZero() || c.Source == "" {
			t.Errorf("a condition that is not told in full: %+v", c)
		}
	}
}

func TestEveryConditionOfTheProofIsShown(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, c := range Decide(goodSnapshot(t), noon).Conditions {
		ids = append(ids, c.ID)
	}
	want := []string{
		"policy", "open", "author", "files", "locks", "inputs", "transitive", "lineage", "dates", "hashes", "input_age", "settings",
		"rules", "required", "checks", "approval", "auto_merge", "hold", "label", "rollout", "mergeable",
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each line bends the update that merges, in one way, and tells what must come of it.
func TestDecisions(t *testing.T) {
	t.Parallel()
	no := false
	cases := map[string]struct {
		bend     func(testing.TB, *Snapshot)
		state    UpdateState
		headline string        // contained
		again    time.Duration // from now; 0: only when woken
	}{
		"merged by a person": {bendPull(func(p *Pull) {
			p.State, p.Merged, p.MergeCommitSHA, p.MergedBy.Login = "closed", true, newRev, "bob"
		}), UpdateMerged, "Merged by bob as 2222222.", 0},
		"closed":                         {bendPull(func(p *Pull) { p.State = "closed" }), UpdateClosed, "Closed without a merge.", 0},
		"a draft":                        {bendPull(func(p *Pull) { p.Draft = true }), UpdateBlocked, "Blocked: It is a draft.", restedHead},
		"onto another branch":            {bendPull(func(p *Pull) { p.BaseRef = "dev" }), UpdateBlocked, `merges into "dev", the default branch is "main"`, restedHead},
		"from a fork":                    {bendPull(func(p *Pull) { p.HeadRepoID = 8 }), UpdateBlocked, "comes from a fork", restedHead},
		"from a repository that is gone": {bendPull(func(p *Pull) { p.HeadRepoID = 0 }), UpdateBlocked, "no longer exists", restedHead},
		"into another repository":        {bendPull(func(p *Pull) { p.BaseRepoID = 8 }), UpdateBlocked, "another repository", restedHead},
		"without a head":                 {bendPull(func(p *Pull) { p.HeadSHA = "" }), UpdateBlocked, "incomplete", againChecks},
		"in a state nobody knows":        {bendPull(func(p *Pull) { p.State = "locked" }), UpdateBlocked, `"locked"`, restedHead},
		"of a stranger":                  {bendPull(func(p *Pull) { p.Author.ID = 666 }), UpdateBlocked, "github-actions[bot] (id 666, Bot) is not among the allowed authors", restedHead},
		"of a user with a bot's id":      {bendPull(func(p *Pull) { p.Author.Type = "User" }), UpdateBlocked, "is not among the allowed authors", restedHead},
		"of nobody":                      {bendPull(func(p *Pull) { p.Author = Actor{} }), UpdateBlocked, "is not among the allowed authors", restedHead},
		"of an author whose name is no longer anybody's": {bend(func(s *Snapshot) { s.Authors.Value = map[string]Actor{"github-actions[bot]": {}} }), UpdateBlocked, "is not among", restedHead},
		"in conflict":                   {bendPull(func(p *Pull) { p.Mergeable = &no }), UpdateConflict, "conflicts with main", restedHead},
		"while GitHub finds out":        {bendPull(func(p *Pull) { p.Mergeable = nil }), UpdateChecks, "still finding out", mergeableAtLast},
		"held by a label":               {bendPull(func(p *Pull) { p.Labels = []string{"NixFleet/Hold"} }), UpdateReady, "It has the label nixfleet/hold.", restedHead},
		"during a rollout":              {bendRecorded(func(r *Recorded) { r.RunningRollout = "0123456789abcdef" }), UpdateReady, "The rollout of 0123456 has not ended.", restedHead},
		"where policy merges nothing":   {bendPolicy(func(p *Policy) { p.Updates.AutoMerge.Enabled = false }), UpdateReady, "waits for a person", restedHead},
		"within the hold":               {bendRecorded(func(r *Recorded) { r.HeadSeen = noon.Add(-40 * time.Minute) }), UpdateHolding, "Merges at 12:20 UTC if nothing changes.", 20 * time.Minute},
		"at the very end of the hold":   {bendRecorded(func(r *Recorded) { r.HeadSeen = noon.Add(-time.Hour) }), UpdateMerging, "", againUnread},
		"within a hold past midnight":   {bendPolicy(func(p *Policy) { p.Updates.AutoMerge.Hold = 24 * time.Hour }), UpdateHolding, "Merges on 5 Mar 2026 at 10:00 UTC if nothing changes.", 22 * time.Hour},
		"never seen before":             {bendRecorded(func(r *Recorded) { r.HeadSeen = time.Time{} }), UpdateBlocked, "not recorded", againUnread},
		"with a hold from the checks":   {all(holdFromChecks, bendRecorded(func(r *Recorded) { r.ChecksPassed = noon.Add(-50 * time.Minute) })), UpdateHolding, "Merges at 12:10 UTC", 10 * time.Minute},
		"green for the first time":      {all(holdFromChecks, bendRecorded(func(r *Recorded) { r.ChecksPassed = time.Time{} })), UpdateHolding, "Merges at 13:00 UTC", time.Hour},
		"with a hold before the checks": {all(holdFromChecks, bendChecks()), UpdateChecks, "Waits for checks: build of github-actions was never reported.", restedHead},
		"frozen":                        {bendPolicy(freeze("Wed 11:00", "Wed 12:10")), UpdateReady, "until 2026-03-04 12:10 UTC", 10 * time.Minute},
		"outside a freeze":              {bendPolicy(freeze("Wed 13:00", "Wed 14:00")), UpdateMerging, "", againUnread},
		"with a freeze that is none":    {bendPolicy(freeze("noon", "Wed 14:00")), UpdateBlocked, "can't be understood", againChecks},
		"where inputs must age":         {all(ageOf(time.Hour), seenInput(noon.Add(-time.Hour))), UpdateMerging, "", againUnread},
		"with an input that is young":   {all(ageOf(time.Hour), seenInput(noon.Add(-20*time.Minute))), UpdateHolding, "Merges at 12:40 UTC", 40 * time.Minute},
		"with an input of no known age": {ageOf(time.Hour), UpdateBlocked, "not recorded when the revision of input 'nixpkgs'", againChecks},
		"that brings an impostor":       {lineage("NixOS/nixpkgs@..."+newRev, "diverged"), UpdateBlocked, "2222222 is not on the default branch of NixOS/nixpkgs", restedHead},
		"ahead of its own branch":       {lineage("NixOS/nixpkgs@..."+newRev, "ahead"), UpdateBlocked, "may exist only in a fork", restedHead},
		"at the tip of its branch":      {lineage("NixOS/nixpkgs@..."+newRev, "identical"), UpdateMerging, "", againUnread},
		"that goes back":                {lineage("NixOS/nixpkgs@"+oldRev+"..."+newRev, "behind"), UpdateBlocked, "Input 'nixpkgs' goes back: 2222222 does not come after 1111111", restedHead},
		"that goes sideways":            {lineage("NixOS/nixpkgs@"+oldRev+"..."+newRev, "diverged"), UpdateBlocked, "another line of history", restedHead},
		"where failures roll back":      {bendPolicy(func(p *Policy) { p.Deploy.OnFailure = "rollback" }), UpdateMerging, "", againUnread},
		"that may overlap a rollout":    {all(bendRecorded(func(r *Recorded) { r.RunningRollout = "0123456789abcdef" }), bendPolicy(func(p *Policy) { p.Updates.AutoMerge.Overlap = true })), UpdateMerging, "", againUnread},
		"with a broken policy":          {bend(func(s *Snapshot) { s.Policy = Unknown[Policy]("policy", noon, "nixfleet.yml:3:1: x") }), UpdateBlocked, "Blocked: The policy could not be read: nixfleet.yml:3:1: x.", againChecks},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := goodSnapshot(t)
			c.bend(t, &s)
			v := Decide(s, noon)
			again := v.Again.Sub(noon)
			if v.Again.IsZero() {
				again = 0
			}
			if v.State != c.state || !strings.Contains(v.Headline, c.headline) || again != c.again {
				t.Errorf("%s %q, again in %s; expected %s %q, again in %s", v.State, v.Headline, again, c.state, c.headline, c.again)
			}
			if (v.Merge != nil) != (c.state == UpdateMerging) {
				t.Errorf("%s comes with merge order %+v", v.State, v.Merge)
			}
			if (v.HoldUntil.IsZero()) == (c.state == UpdateHolding) {
				t.Errorf("%s comes with hold until %s", v.State, v.HoldUntil)
			}
		})
	}
}

func TestWhatGitHubRefusedIsNotAskedForAgainAtOnce(t *testing.T) {
	t.Parallel()
	at := noon.Add(-time.Minute)
	refused := func(sha string, until time.Time) func(testing.TB, *Snapshot) {
		return bendRecorded(func(r *Recorded) {
			r.Refusal = &MergeRefusal{HeadSHA: sha, Message: "Base branch was modified.", At: at, Until: until}
		})
	}
	askedAt := func(when time.Time) func(testing.TB, *Snapshot) {
		return all(asked(headSHA), bendRecorded(func(r *Recorded) { r.Request.At = when }))
	}
	cases := map[string]struct {
		bend     func(testing.TB, *Snapshot)
		state    UpdateState
		headline string
		again    time.Duration
	}{
		"for good":                      {refused(headSHA, time.Time{}), UpdateBlocked, "Blocked: The merge was asked for and not done, at 11:59 UTC: Base branch was modified.", restedHead},
		"for a while":                   {refused(headSHA, noon.Add(30*time.Second)), UpdateReady, "The merge was asked for and not done, at 11:59 UTC", 30 * time.Second},
		"until now":                     {refused(headSHA, noon), UpdateMerging, "", mergingAgain},
		"for another head":              {refused(newRev, time.Time{}), UpdateMerging, "", mergingAgain},
		"and a person asked before":     {all(refused(headSHA, time.Time{}), askedAt(at.Add(-time.Second))), UpdateBlocked, "Base branch", restedHead},
		"and a person asked afterwards": {all(refused(headSHA, time.Time{}), askedAt(at.Add(time.Second))), UpdateMerging, "as alice asks for", mergingAgain},
	}
	for name, c := range cases {
		s := goodSnapshot(t)
		c.bend(t, &s)
		v := Decide(s, noon)
		if v.State != c.state || !strings.Contains(v.Headline, c.headline) || v.Again.Sub(noon) != c.again {
			t.Errorf("%s: %s %q, again in %s; expected %s %q, in %s", name, v.State, v.Headline, v.Again.Sub(noon), c.state, c.headline, c.again)
		}
	}
}

func holdFromChecks(_ testing.TB, s *Snapshot) { s.Policy.Value.Updates.AutoMerge.HoldFrom = "checks" }

func freeze(from, to string) func(*Policy) {
	return func(p *Policy) { p.Updates.Freeze = []Freeze{{From: from, To: to}} }
}

func TestWhatCannotBeReadNeverMerges(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		forget func(*Snapshot)
		id     string
	}{
		"the pull request":     {func(s *Snapshot) { s.Pull = Unknown[Pull]("p", noon, "GitHub answered 502") }, "open"},
		"the policy":           {func(s *Snapshot) { s.Policy = Reading[Policy]{} }, "policy"},
		"the authors":          {func(s *Snapshot) { s.Authors = Reading[map[string]Actor]{} }, "author"},
		"the files":            {func(s *Snapshot) { s.Files = Reading[[]ChangedFile]{} }, "files"},
		"the modes":            {func(s *Snapshot) { s.Modes = Reading[map[string]string]{} }, "files"},
		"the merge base":       {func(s *Snapshot) { s.MergeBase = Reading[string]{} }, "locks"},
		"an empty merge base":  {func(s *Snapshot) { s.MergeBase.Value = "" }, "locks"},
		"a lock":               {func(s *Snapshot) { s.Locks = map[string]Reading[LockPair]{"flake.lock": {}} }, "locks"},
		"a lock not asked for": {func(s *Snapshot) { s.Locks = nil }, "locks"},
		"a commit":             {func(s *Snapshot) { s.Commits = nil }, "dates"},
		"a comparison":         {func(s *Snapshot) { s.Lineages = nil }, "lineage"},
		"the rulesets":         {func(s *Snapshot) { s.Rules = Unknown[[]BranchRule]("r", noon, "502") }, "rules"},
		"the suites":           {func(s *Snapshot) { s.Suites = Reading[[]CheckSuite]{} }, "approval"},
		"what is required":     {func(s *Snapshot) { s.Required = Unknown[[]RequiredCheck]("r", noon, "403") }, "required"},
		"the checks":           {func(s *Snapshot) { s.Checks = Unknown[[]Check]("c", noon, "timeout") }, "checks"},
	}
	for name, c := range cases {
		for _, request := range []bool{false, true} {
			s := goodSnapshot(t)
			if request {
				asked(headSHA)(t, &s)
			}
			c.forget(&s)
			v := Decide(s, noon)
			if v.State != UpdateBlocked || v.Merge != nil || !v.Again.Equal(noon.Add(againChecks)) {
				t.Errorf("%s unknown: %s %q, again %s", name, v.State, v.Headline, v.Again)
			}
			found := false
			for _, k := range v.Conditions {
				found = found || k.ID == c.id && k.Outcome == Unread && !k.Overridden
			}
			if !found {
				t.Errorf("%s unknown: condition %s is not told as unknown: %+v", name, c.id, v.Conditions)
			}
		}
	}
}

func TestAPersonOverridesTheSoftConditionsOnly(t *testing.T) {
	t.Parallel()
	no := false
	addTransitive := bendLock(func(n map[string]node) {
		n["hm"] = n["hm"].with("inputs", attrs{"nixpkgs": []string{"nixpkgs"}, "utils": "utils", "extra": []string{"nixpkgs"}})
	})
	cases := map[string]struct {
		bend func(testing.TB, *Snapshot)
		want UpdateState
		over string
	}{
		"nothing in the way":       {bend(func(*Snapshot) {}), UpdateMerging, ""},
		"auto-merge is off":        {bendPolicy(func(p *Policy) { p.Updates.AutoMerge.Enabled = false }), UpdateMerging, ""},
		"the hold":                 {bendRecorded(func(r *Recorded) { r.HeadSeen = noon }), UpdateMerging, "hold"},
		"the label":                {bendPull(func(p *Pull) { p.Labels = []string{HoldLabel} }), UpdateMerging, "label"},
		"a rollout":                {bendRecorded(func(r *Recorded) { r.RunningRollout = "0123456789abcdef" }), UpdateMerging, "rollout"},
		"a freeze":                 {bendPolicy(freeze("Wed 11:00", "Wed 13:00")), UpdateMerging, "freeze"},
		"an age not reached":       {all(ageOf(time.Hour), seenInput(noon)), UpdateMerging, "input_age"},
		"an age not recorded":      {ageOf(time.Hour), UpdateBlocked, ""},
		"an impostor":              {lineage("NixOS/nixpkgs@..."+newRev, "diverged"), UpdateBlocked, ""},
		"a merge queue":            {rules(BranchRule{Type: "merge_queue", Ruleset: "3 of acme/fleet"}), UpdateBlocked, ""},
		"a parked workflow":        {suites(CheckSuite{AppID: 15368, App: "github-actions", Conclusion: "action_required"}), UpdateChecks, ""},
		"a policy of restarts":     {bendPolicy(func(p *Policy) { p.Deploy.Reboot, p.Deploy.OnFailure = "window", "revert_pr" }), UpdateMerging, ""},
		"an added transitive":      {addTransitive, UpdateMerging, "transitive"},
		"a draft":                  {bendPull(func(p *Pull) { p.Draft = true }), UpdateBlocked, ""},
		"a stranger":               {bendPull(func(p *Pull) { p.Author.ID = 1 }), UpdateBlocked, ""},
		"a second file":            {secondFile, UpdateBlocked, ""},
		"another owner":            {bendLock(func(n map[string]node) { n["nixpkgs"] = gh("evil", "nixpkgs", newRev, newDate) }), UpdateBlocked, ""},
		"a failed check":           {bendChecks(run("build", "failure")), UpdateFailing, ""},
		"a missing check":          {bendChecks(), UpdateChecks, ""},
		"nothing required":         {bendPolicy(func(p *Policy) { p.Updates.RequiredChecks = nil }), UpdateBlocked, ""},
		"a conflict":               {bendPull(func(p *Pull) { p.Mergeable = &no }), UpdateConflict, ""},
		"mergeable not known yet":  {bendPull(func(p *Pull) { p.Mergeable = nil }), UpdateChecks, ""},
		"a freeze not to be read":  {bendPolicy(freeze("x", "y")), UpdateBlocked, ""},
		"a hold not to be counted": {bendRecorded(func(r *Recorded) { r.HeadSeen = time.Time{} }), UpdateBlocked, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := goodSnapshot(t)
			c.bend(t, &s)
			before := Decide(s, noon)
			asked(headSHA)(t, &s)
			v := Decide(s, noon)
			if v.State != c.want {
				t.Fatalf("asked for: %s %q, expected %s", v.State, v.Headline, c.want)
			}
			if v.State == UpdateMerging && (v.Merge.By.Login != "alice" || v.Headline != "Merging aaaaaaa, as alice asks for.") {
				t.Errorf("merged by %+v: %q", v.Merge.By, v.Headline)
			}
			for _, k := range v.Conditions {
				if k.Overridden != (k.ID == c.over) {
					t.Errorf("%s is overridden: %v", k.ID, k.Overridden)
				}
			}
			if c.over != "" && before.State == UpdateMerging {
				t.Errorf("it merges without being asked for: %+v", before)
			}
			asked(newRev)(t, &s)
			if v := Decide(s, noon); v.State != before.State || v.Merge != nil && v.Merge.By.Login != "policy" {
				t.Errorf("a request for another head changes %s to %s", before.State, v.State)
			}
		})
	}
}

func secondFile(_ testing.TB, s *Snapshot) {
	s.Pull.Value.ChangedFiles = 2
	s.Files.Value = []ChangedFile{{Path: "flake.lock", Status: "modified"}, {Path: "flake.nix", Status: "modified"}}
	s.Modes.Value = map[string]string{"flake.lock": "100644", "flake.nix": "100644"}
}

func run(name, conclusion string) Check {
	return Check{Name: name, Kind: "run", AppID: 15368, App: "github-actions", State: "completed", Conclusion: conclusion}
}

func TestARequestSaysWhetherToDeploy(t *testing.T) {
	t.Parallel()
	s := goodSnapshot(t)
	asked(headSHA)(t, &s)
	s.Recorded.Request.Deploy = false
	if v := Decide(s, noon); v.Merge == nil || v.Merge.Deploy {
		t.Errorf("asked not to deploy: %+v", v.Merge)
	}
	s.Recorded.Request, s.Policy.Value.Deploy.Auto = nil, false
	if v := Decide(s, noon); v.Merge == nil || v.Merge.Deploy {
		t.Errorf("policy does not deploy: %+v", v.Merge)
	}
}

func TestHostileTextStaysOnItsLine(t *testing.T) {
	t.Parallel()
	s := goodSnapshot(t)
	s.Pull.Value.Title = "a\nCo-authored-by: x\u202e\x00" + strings.Repeat("z", 5000)
	v := Decide(s, noon)
	if v.Merge == nil || strings.ContainsAny(v.Merge.Title, "\n\x00\u202e") || len(v.Merge.Title) > 300 || !strings.HasSuffix(v.Merge.Title, "(#42)") {
		t.Errorf("title %+v", v.Merge)
	}
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		bend func(testing.TB, *Snapshot)
		want bool
		why  string
	}{
		"only a lock":                      {bend(func(*Snapshot) {}), true, "only lock files"},
		"only a lock, by a stranger":       {bendPull(func(p *Pull) { p.Author.ID = 1 }), true, "only lock files"},
		"a lock and more, by the bot":      {secondFile, true, "may bring updates"},
		"a lock and more, by a stranger":   {all(secondFile, bendPull(func(p *Pull) { p.Author.ID = 1 })), false, "more than lock files"},
		"no lock":                          {bend(func(s *Snapshot) { s.Files.Value = []ChangedFile{{Path: "README.md"}} }), false, "no lock file"},
		"nothing":                          {bend(func(s *Snapshot) { s.Files.Value = nil }), false, "no lock file"},
		"files not to be read":             {bend(func(s *Snapshot) { s.Files = Unknown[[]ChangedFile]("f", noon, "502") }), false, "could not be read: 502"},
		"a lock, under a broken policy":    {bend(func(s *Snapshot) { s.Policy = Reading[Policy]{} }), true, "only lock files"},
		"a lock that policy does not name": {bendPolicy(func(p *Policy) { p.Updates.Files = []string{"other.lock"} }), false, "no lock file (other.lock)"},
		"a lock that was renamed away": {bend(func(s *Snapshot) {
			s.Files.Value = []ChangedFile{{Path: "old.lock", Previous: "flake.lock", Status: "renamed"}}
		}), true, "only lock files"},
	}
	for name, c := range cases {
		s := goodSnapshot(t)
		c.bend(t, &s)
		if got, why := Concerns(s); got != c.want || !strings.Contains(why, c.why) {
			t.Errorf("%s: %v, %q, expected %v, %q", name, got, why, c.want, c.why)
		}
	}
}

func ageOf(d time.Duration) func(testing.TB, *Snapshot) {
	return bendPolicy(func(p *Policy) { p.Updates.AutoMerge.MinInputAge = d })
}

func seenInput(at time.Time) func(testing.TB, *Snapshot) {
	return bendRecorded(func(r *Recorded) { r.InputsSeen = map[string]time.Time{"github:NixOS/nixpkgs@" + newRev: at} })
}

// lineage bends one answer of GitHub's comparison; an empty status takes it away.
func lineage(key, status string) func(testing.TB, *Snapshot) {
	return bend(func(s *Snapshot) {
		s.Lineages = maps.Clone(s.Lineages)
		s.Lineages[key] = Known(Lineage{Status: status}, "GET /compare", noon)
	})
}

func rules(rules ...BranchRule) func(testing.TB, *Snapshot) {
	return bend(func(s *Snapshot) { s.Rules.Value = rules })
}

func suites(suites ...CheckSuite) func(testing.TB, *Snapshot) {
	return bend(func(s *Snapshot) { s.Suites.Value = suites })
}
