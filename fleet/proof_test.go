package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// condition judges a bent snapshot and returns one condition of it.
func condition(t *testing.T, id string, bend func(testing.TB, *Snapshot)) (Condition, Verdict) {
	t.Helper()
	s := goodSnapshot(t)
	bend(t, &s)
	v := Decide(s, noon)
	for _, c := range v.Conditions {
		if c.ID == id {
			return c, v
		}
	}
	t.Fatalf("no condition %s in %+v", id, v.Conditions)
	return Condition{}, v
}

type proofCase struct {
	bend    func(testing.TB, *Snapshot)
	outcome Outcome
	found   string // contained
	remedy  string // contained
}

func runProof(t *testing.T, id string, cases map[string]proofCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, v := condition(t, id, c.bend)
			if got.Outcome != c.outcome || !strings.Contains(got.Found, c.found) || !strings.Contains(got.Remedy, c.remedy) {
				t.Errorf("%s: %q (%q), expected %s: %q (%q)", got.Outcome, got.Found, got.Remedy, c.outcome, c.found, c.remedy)
			}
			if merges, mayMerge := v.State == UpdateMerging, c.outcome == Passed || c.outcome == Off; merges && !mayMerge {
				t.Errorf("it merges although %s is %s", id, got.Outcome)
			}
		})
	}
}

func bendFiles(count int, files ...ChangedFile) func(testing.TB, *Snapshot) {
	return func(_ testing.TB, s *Snapshot) { s.Files.Value, s.Pull.Value.ChangedFiles = files, count }
}

func TestFilesOfAnUpdate(t *testing.T) {
	t.Parallel()
	lock := ChangedFile{Path: "flake.lock", Status: "modified"}
	mode := func(m string) func(testing.TB, *Snapshot) {
		return bend(func(s *Snapshot) { s.Modes.Value = map[string]string{"flake.lock": m} })
	}
	runProof(t, "files", map[string]proofCase{
		"the lock":              {bendFiles(1, lock), Passed, "flake.lock.", ""},
		"a second file":         {bendFiles(2, lock, ChangedFile{Path: "flake.nix", Status: "modified"}), Refused, "Also changed: flake.nix.", "Take these files out"},
		"a lock elsewhere":      {bendFiles(1, ChangedFile{Path: "sub/flake.lock", Status: "modified"}), Refused, "Also changed: sub/flake.lock.", ""},
		"a lock in other case":  {bendFiles(1, ChangedFile{Path: "FLAKE.lock", Status: "modified"}), Refused, "Also changed", ""},
		"more than is listed":   {bendFiles(2, lock), Refused, "counts 2 changed files but lists 1", ""},
		"less than is listed":   {bendFiles(0, lock), Refused, "counts 0 changed files but lists 1", ""},
		"nothing":               {bendFiles(0), Refused, "No file is changed.", ""},
		"the lock twice":        {bendFiles(2, lock, lock), Refused, "lists flake.lock twice", ""},
		"the lock added":        {bendFiles(1, ChangedFile{Path: "flake.lock", Status: "added"}), Refused, "flake.lock is added, not modified.", ""},
		"the lock removed":      {bendFiles(1, ChangedFile{Path: "flake.lock", Status: "removed"}), Refused, "is removed", ""},
		"the lock renamed":      {bendFiles(1, ChangedFile{Path: "flake.lock", Status: "renamed", Previous: "x"}), Refused, "is renamed", ""},
		"a link":                {mode("120000"), Refused, "git mode 120000", "no link, no program and no submodule"},
		"a program":             {mode("100755"), Refused, "git mode 100755", ""},
		"a submodule":           {mode("160000"), Refused, "git mode 160000", ""},
		"a mode nobody knows":   {mode(""), Refused, "git mode unknown", ""},
		"a name with a newline": {bendFiles(2, lock, ChangedFile{Path: "a\nb", Status: "added"}), Refused, "Also changed: a b.", ""},
		"many other files":      {bendFiles(20, strangers(20)...), Refused, "and 12 more", ""},
	})
}

func strangers(n int) []ChangedFile {
	var all []ChangedFile
	for range n {
		all = append(all, ChangedFile{Path: "src/x", Status: "modified"})
	}
	return all
}

func TestInputsOfAnUpdate(t *testing.T) {
	t.Parallel()
	edit := func(name string, change func(node) node) func(testing.TB, *Snapshot) {
		return bendLock(func(n map[string]node) { n[name] = change(n[name]) })
	}
	rootInputs := func(inputs attrs) func(testing.TB, *Snapshot) {
		return bendLock(func(n map[string]node) { n["root"] = node{"inputs": inputs} })
	}
	allow := func(change func(*InputPolicy)) func(testing.TB, *Snapshot) {
		return bendPolicy(func(p *Policy) { change(&p.Updates.Inputs) })
	}
	removed := bendLock(func(n map[string]node) {
		n["root"] = node{"inputs": attrs{"nixpkgs": "nixpkgs", "hm": "hm"}}
		delete(n, "wlroots")
	})
	runProof(t, "inputs", map[string]proofCase{
		"one revision moves": {bend(func(*Snapshot) {}), Passed, "1 input changes.", ""},
		"nothing moves":      {bendLock(func(n map[string]node) { n["nixpkgs"] = before()["nixpkgs"] }), Passed, "No input changes.", ""},
		"another owner": {edit("nixpkgs", func(n node) node { return n.locked("owner", "evil") }), Refused,
			"Input 'nixpkgs': locked owner changed from 'NixOS' to 'evil'.", "merge it on GitHub"},
		"another owner, and original with it": {bendLock(func(n map[string]node) { n["nixpkgs"] = gh("evil", "nixpkgs", newRev, newDate) }), Refused,
			"Input 'nixpkgs': original owner changed from 'NixOS' to 'evil'; locked owner changed from 'NixOS' to 'evil'.", ""},
		"another repository of an input's input": {edit("utils", func(n node) node { return n.locked("repo", "evil") }), Refused, "Input 'hm/utils': locked repo changed", ""},
		"another host":                           {edit("nixpkgs", func(n node) node { return n.locked("host", "git.evil.example") }), Refused, "host", ""},
		"another directory":                      {edit("nixpkgs", func(n node) node { return n.locked("dir", "evil") }), Refused, "dir", ""},
		"another tree for the same revision":     {edit("utils", func(n node) node { return n.locked("narHash", hashOf("9")) }), Refused, "hash changed", ""},
		"a root input less":                      {removed, Refused, "Input 'wlroots' was removed", ""},
		"a root input less, allowed":             {all(removed, allow(func(p *InputPolicy) { p.AllowRemoved = true })), Passed, "", ""},
		"a root input more":                      {rootInputs(attrs{"nixpkgs": "nixpkgs", "hm": "hm", "wlroots": "wlroots", "more": "utils"}), Refused, "Input 'more' was added", ""},
		"a root input re-pointed":                {rootInputs(attrs{"nixpkgs": "nixpkgs", "hm": "hm", "wlroots": []string{"nixpkgs"}}), Refused, "wlroots", ""},
		"a root input that follows nothing": {rootInputs(attrs{"nixpkgs": "nixpkgs", "hm": "hm", "wlroots": []string{"gone"}}), Refused,
			"input 'wlroots' follows 'gone', which does not exist", ""},
	})
	runProof(t, "transitive", map[string]proofCase{
		"nothing": {bend(func(*Snapshot) {}), Passed, "No input of an input", ""},
		"one more": {edit("hm", func(n node) node {
			return n.with("inputs", attrs{"nixpkgs": []string{"nixpkgs"}, "utils": "utils", "x": []string{"nixpkgs"}})
		}),
			Refused, "Input 'hm/x' was added", "Merge & Deploy accepts"},
		"one less, allowed": {all(edit("hm", func(n node) node { return n.with("inputs", attrs{"utils": "utils"}) }),
			allow(func(p *InputPolicy) { p.AllowRemoved = true })), Passed, "", ""},
		"re-pointed": {edit("hm", func(n node) node {
			return n.with("inputs", attrs{"nixpkgs": []string{"wlroots"}, "utils": "utils"})
		}),
			Refused, "Input 'hm/nixpkgs' was re-pointed", ""},
		"re-pointed, allowed": {all(edit("hm", func(n node) node {
			return n.with("inputs", attrs{"nixpkgs": []string{"wlroots"}, "utils": "utils"})
		}), allow(func(p *InputPolicy) { p.AllowRepointed = true })), Passed, "", ""},
	})
}

func TestLocksThatCannotBeUnderstood(t *testing.T) {
	t.Parallel()
	lock := func(base, head string) func(testing.TB, *Snapshot) {
		return bend(func(s *Snapshot) {
			s.Locks = map[string]Reading[LockPair]{"flake.lock": Known(LockPair{[]byte(base), []byte(head)}, "x", noon)}
		})
	}
	good := string(lockOf(t, before()))
	runProof(t, "locks", map[string]proofCase{
		"read":             {bend(func(*Snapshot) {}), Passed, "flake.lock at bbbbbbb and at aaaaaaa.", ""},
		"no base":          {lock("", good), Refused, "flake.lock at the merge base:", "nix flake update"},
		"no head":          {lock(good, ""), Refused, "flake.lock at the head:", ""},
		"a head that lies": {lock(good, `{"nodes":{},"root":"root","version":7}`), Refused, "flake.lock at the head:", ""},
		"a duplicate key":  {lock(good, `{"version":7,`+good[1:]), Refused, "flake.lock at the head:", ""},
	})
}

func archive(path, rev string) node {
	return node{
		"locked":   attrs{"type": "tarball", "url": "https://archive.example.org/" + path, "lastModified": newDate.Unix(), "narHash": hashOf(rev)},
		"original": attrs{"type": "tarball", "url": "https://archive.example.org/latest.tar.gz"},
	}
}

// withArchive has an input whose every version has its own address.
func withArchive(t testing.TB, s *Snapshot) {
	base, head := before(), after()
	base["wlroots"], head["wlroots"] = archive("1.tar.gz", oldRev), archive("2.tar.gz", newRev)
	s.Locks = map[string]Reading[LockPair]{"flake.lock": Known(LockPair{lockOf(t, base), lockOf(t, head)}, "x", noon)}
}

func TestDatesAndTrust(t *testing.T) {
	t.Parallel()
	commit := func(at time.Time) func(testing.TB, *Snapshot) {
		return bend(func(s *Snapshot) {
			s.Commits = map[string]Reading[CommitFacts]{"NixOS/nixpkgs@" + newRev: Known(CommitFacts{CommitterDate: at}, "x", noon)}
		})
	}
	trust := func(prefixes ...string) func(testing.TB, *Snapshot) {
		return bendPolicy(func(p *Policy) { p.Updates.Inputs.Trust = prefixes })
	}
	dated := func(at time.Time) func(testing.TB, *Snapshot) {
		return bendLock(func(n map[string]node) { n["nixpkgs"] = gh("NixOS", "nixpkgs", newRev, at) })
	}
	private := bend(func(s *Snapshot) {
		s.Commits = map[string]Reading[CommitFacts]{"NixOS/nixpkgs@" + newRev: Unknown[CommitFacts]("x", noon, "GitHub answered 404")}
	})
	wlroots := bendLock(func(n map[string]node) {
		n["wlroots"] = n["wlroots"].locked("rev", newRev2).locked("lastModified", newDate.Unix()).locked("narHash", hashOf(newRev2))
	})
	line := func(prefix string) string { return `updates: {inputs: {trust: ["` + prefix + `"]}}` }
	runProof(t, "dates", map[string]proofCase{
		"true":                            {commit(newDate), Passed, "1 equal the commit's date on GitHub.", ""},
		"in another zone, true":           {commit(newDate.In(time.FixedZone("", 7200))), Passed, "", ""},
		"a second off":                    {commit(newDate.Add(time.Second)), Refused, "Input 'nixpkgs' is dated 2026-03-03 08:00 UTC in the lock", "nix flake update"},
		"in the future, and so on GitHub": {all(dated(noon.Add(time.Hour)), commit(noon.Add(time.Hour))), Refused, "which is in the future", ""},
		"not to be read":                  {private, Unread, "GitHub's date of NixOS/nixpkgs@" + newRev + " (input 'nixpkgs') could not be read: GitHub answered 404.", line("github:NixOS/nixpkgs")},
		"of a private repository that is trusted": {all(private, trust("github:NixOS/nixpkgs/")), Passed, "1 are of sources that policy trusts", ""},
		"of another forge":                        {wlroots, Refused, "Input 'wlroots' comes from gitlab:wlroots/wlroots, which", line("gitlab:wlroots/wlroots")},
		"of another forge that is trusted":        {all(wlroots, trust("gitlab:wlroots/")), Passed, "1 are of sources that policy trusts", ""},
		"of another forge whose name begins alike": {all(wlroots, trust("gitlab:wlroo")), Refused,
			"which GitHub can't answer for", ""},
		"trusted, but in the future": {all(bendLock(func(n map[string]node) {
			n["wlroots"] = n["wlroots"].locked("rev", newRev2).locked("lastModified", noon.Add(time.Hour).Unix())
		}), trust("gitlab:wlroots/")), Refused, "in the future", ""},
		"of an archive":                   {withArchive, Refused, "which GitHub can't answer for", line("https://archive.example.org/")},
		"of an archive that is trusted":   {all(withArchive, trust("https://archive.example.org/")), Passed, "", ""},
		"of an owner that is an API path": {bendLock(func(n map[string]node) { n["nixpkgs"] = gh("..", "nixpkgs", newRev, newDate) }), Refused, "comes from github:../nixpkgs", ""},
	})
	runProof(t, "inputs", map[string]proofCase{
		"an archive moves":                  {withArchive, Refused, "locked url changed", line("https://archive.example.org/")},
		"an archive moves within the trust": {all(withArchive, trust("https://archive.example.org/")), Passed, "2 inputs change.", ""},
	})
}

// The line that a refusal prints, put into the policy, makes the refusal go away.
func TestTheLineOfARefusalHelps(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"dates", "inputs"} {
		c, _ := condition(t, id, withArchive)
		_, quoted, _ := strings.Cut(c.Remedy, `trust: ["`)
		prefix, _, ok := strings.Cut(quoted, `"`)
		if !ok {
			t.Fatalf("%s: no line in %q", id, c.Remedy)
		}
		c, v := condition(t, id, all(withArchive, bendPolicy(func(p *Policy) { p.Updates.Inputs.Trust = []string{prefix} })))
		if c.Outcome != Passed || v.State != UpdateMerging {
			t.Errorf("%s: with %q trusted it is %s: %q", id, prefix, c.Outcome, c.Found)
		}
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	status := func(name, app, conclusion string) Check {
		return Check{Name: name, Kind: "status", App: app, State: "completed", Conclusion: conclusion}
	}
	require := func(checks ...RequiredCheck) func(testing.TB, *Snapshot) {
		return bendPolicy(func(p *Policy) { p.Updates.RequiredChecks = checks })
	}
	ours := Check{Name: "build", Kind: "run", AppID: 99, App: "nixfleet", State: "completed", Conclusion: "success"}
	queued := Check{Name: "build", Kind: "run", AppID: 15368, App: "github-actions", State: "in_progress"}
	other := Check{Name: "build", Kind: "run", AppID: 5, App: "evil-ci", State: "completed", Conclusion: "success"}
	byID := require(RequiredCheck{Name: "build", AppID: 15368})
	runProof(t, "checks", map[string]proofCase{
		"success":                           {bendChecks(run("build", "success")), Passed, "build of github-actions passed.", ""},
		"neutral":                           {bendChecks(run("build", "neutral")), Passed, "", ""},
		"skipped":                           {bendChecks(run("build", "skipped")), Passed, "", ""},
		"failure":                           {bendChecks(run("build", "failure")), Refused, "build of github-actions failed.", ""},
		"cancelled":                         {bendChecks(run("build", "cancelled")), Refused, "was cancelled", ""},
		"timed out":                         {bendChecks(run("build", "timed_out")), Refused, "timed out", ""},
		"action required":                   {bendChecks(run("build", "action_required")), Refused, "waits for somebody", ""},
		"stale":                             {bendChecks(run("build", "stale")), Refused, `ended with "stale"`, ""},
		"a word nobody knows":               {bendChecks(run("build", "excellent")), Refused, `ended with "excellent"`, ""},
		"no word at all":                    {bendChecks(run("build", "")), Refused, `ended with ""`, ""},
		"running":                           {bendChecks(queued), Waiting, "build of github-actions is in progress.", ""},
		"never reported":                    {bendChecks(run("other", "success")), Waiting, "build of github-actions was never reported.", "Close and open it again."},
		"never reported, to others":         {all(bendPull(func(p *Pull) { p.Author.ID = 7 }), bendChecks()), Waiting, "was never reported.", "another name"},
		"of two suites, one fails":          {bendChecks(run("build", "success"), run("build", "failure")), Refused, "failed", ""},
		"of two suites, one runs":           {bendChecks(run("build", "success"), queued), Waiting, "is in progress", ""},
		"of two suites, the old cancelled":  {bendChecks(run("build", "success"), run("build", "cancelled")), Passed, "", ""},
		"of two suites, the new cancelled":  {bendChecks(run("build", "cancelled"), run("build", "success")), Refused, "was cancelled", ""},
		"a status of the right app, by id":  {all(byID, bendChecks(Check{Name: "build", Kind: "status", App: "github-actions", Bot: true, State: "completed", Conclusion: "success"})), Passed, "", ""},
		"a status of a person, by name":     {bendChecks(status("build", "github-actions", "success")), Waiting, "only by github-actions", ""},
		"a status of a person of that name": {all(byID, bendChecks(status("build", "github-actions", "success"))), Waiting, "only by github-actions", ""},
		"a ruleset asks for more":           {rules(BranchRule{Type: "required_status_checks", Ruleset: "1 of acme/fleet", Checks: []RequiredCheck{{Name: "lint", AppID: 4}}}), Waiting, "lint of app 4 was never reported.", ""},
		"of another name's case":            {bendChecks(run("Build", "success")), Waiting, "never reported", ""},
		"of another app":                    {bendChecks(other), Waiting, "was never reported, only by evil-ci", ""},
		"of another app, by id":             {all(byID, bendChecks(other)), Waiting, "build of app 15368 was never reported, only by evil-ci", ""},
		"of the right app, by id":           {all(byID, bendChecks(run("build", "success"))), Passed, "", ""},
		"of our own app only":               {all(require(RequiredCheck{Name: "build"}), bendChecks(ours)), Waiting, "never reported", ""},
		"of two apps, other fails": {bendChecks(run("build", "success"), Check{Name: "build", Kind: "run", AppID: 5, App: "evil-ci", State: "completed", Conclusion: "failure"}),
			Passed, "", ""},
		"of any app, one fails":             {all(require(RequiredCheck{Name: "build"}), bendChecks(run("build", "success"), Check{Name: "build", Kind: "run", AppID: 5, State: "completed", Conclusion: "failure"})), Refused, "build failed", ""},
		"a status of that name fails":       {bendChecks(run("build", "success"), status("build", "someone", "failure")), Refused, "failed", ""},
		"a status of that name is pending":  {bendChecks(run("build", "success"), Check{Name: "build", Kind: "status", State: "pending"}), Waiting, "is pending", ""},
		"a status of that name passes":      {bendChecks(run("build", "success"), status("build", "someone", "success")), Passed, "", ""},
		"a status in place of the run":      {bendChecks(status("build", "someone", "success")), Waiting, "never reported, only by someone", ""},
		"a status where any source counts":  {all(require(RequiredCheck{Name: "build"}), bendChecks(status("build", "someone", "success"))), Passed, "", ""},
		"one of two":                        {all(require(RequiredCheck{Name: "a"}, RequiredCheck{Name: "b"}), bendChecks(run("a", "success"))), Waiting, "b was never reported. 1 of 2 passed.", ""},
		"branch protection asks for more":   {bend(func(s *Snapshot) { s.Required.Value = []RequiredCheck{{Name: "lint"}} }), Waiting, "lint was never reported.", ""},
		"branch protection asks for ours":   {bend(func(s *Snapshot) { s.Required.Value = []RequiredCheck{{Name: CheckRunName, AppID: 99}} }), Passed, "", ""},
		"nothing required, and that's fine": {bendPolicy(func(p *Policy) { p.Updates.RequiredChecks, p.Updates.RequireChecks = nil, false }), Off, "No check is required.", ""},
	})
	runProof(t, "required", map[string]proofCase{
		"by policy":                {bend(func(*Snapshot) {}), Passed, "build (policy).", ""},
		"by both":                  {bend(func(s *Snapshot) { s.Required.Value = []RequiredCheck{{Name: "lint"}} }), Passed, "lint (branch protection), build (policy).", ""},
		"by nobody":                {require(), Refused, "Neither branch protection, nor a ruleset, nor the policy requires a check.", "require_checks: false"},
		"by nobody but ourselves":  {all(require(), bend(func(s *Snapshot) { s.Required.Value = []RequiredCheck{{Name: CheckRunName}} })), Refused, "Neither", ""},
		"by nobody, as policy has": {bendPolicy(func(p *Policy) { p.Updates.RequiredChecks, p.Updates.RequireChecks = nil, false }), Off, "require_checks: false", ""},
	})
}

func TestRulesets(t *testing.T) {
	t.Parallel()
	in := "3 of acme/fleet"
	runProof(t, "rules", map[string]proofCase{
		"none":                         {rules(), Passed, "No ruleset is in force.", ""},
		"a merge queue":                {rules(BranchRule{Type: "deletion"}, BranchRule{Type: "merge_queue", Ruleset: in}), Refused, "The ruleset 3 of acme/fleet asks for a merge queue", "Take the merge queue off"},
		"that we meet":                 {rules(BranchRule{Type: "non_fast_forward"}, BranchRule{Type: "deletion"}), Passed, "In force: deletion, non_fast_forward.", ""},
		"that nobody knows":            {rules(BranchRule{Type: "moon_phase"}, BranchRule{Type: "deletion"}), Passed, "GitHub itself judges moon_phase when it is asked to merge.", ""},
		"reviews":                      {rules(BranchRule{Type: "pull_request", Reviews: 2}), Passed, "pull_request (2 approving reviews)", ""},
		"a method that policy has":     {rules(BranchRule{Type: "pull_request", Methods: []string{"squash"}}), Passed, "In force: pull_request.", ""},
		"a method that policy has not": {rules(BranchRule{Type: "pull_request", Ruleset: in, Methods: []string{"rebase"}}), Refused, "allows only rebase, and policy says squash", "updates.auto_merge.method to rebase"},
		"a linear history, squashed":   {rules(BranchRule{Type: "required_linear_history"}), Passed, "", ""},
		"a linear history, merged": {all(rules(BranchRule{Type: "required_linear_history"}), bendPolicy(func(p *Policy) { p.Updates.AutoMerge.Method = "merge" })),
			Refused, "linear history", "squash or rebase"},
	})
}

func TestWorkflowsThatWaitForApproval(t *testing.T) {
	t.Parallel()
	runProof(t, "approval", map[string]proofCase{
		"none":           {suites(), Passed, "None does.", ""},
		"one of Actions": {suites(CheckSuite{AppID: 15368, App: "github-actions", Status: "completed", Conclusion: "action_required"}), Waiting, "Workflows of github-actions wait", "Approve workflows to run"},
		"a ghost":        {suites(CheckSuite{AppID: 4, App: "codecov", Status: "queued"}), Passed, "", ""},
		"our own":        {suites(CheckSuite{AppID: 99, App: "nixfleet", Conclusion: "action_required"}), Passed, "", ""},
	})
}

func TestLineagesToRead(t *testing.T) {
	t.Parallel()
	n := after()
	n["hm"] = gh("nix-community", "home-manager", newRev2, newDate).with("original", attrs{"type": "github", "owner": "nix-community", "repo": "home-manager", "ref": "release/25.05"}).
		with("inputs", attrs{"nixpkgs": []string{"nixpkgs"}, "utils": "utils"})
	n["wlroots"] = n["wlroots"].locked("rev", newRev)
	want := []string{
		"nix-community/home-manager@release/25.05..." + newRev2,
		"NixOS/nixpkgs@..." + newRev,
		"nix-community/home-manager@" + oldRev + "..." + newRev2,
		"NixOS/nixpkgs@" + oldRev + "..." + newRev,
	}
	if diff := cmp.Diff(want, LineagesToRead(lockOf(t, before()), lockOf(t, n))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := LineagesToRead([]byte("{"), nil); got != nil {
		t.Errorf("a broken lock asks for %v", got)
	}
}

// What an input asks for may be anybody's word where the input is new, and git takes
// many words for a commit.
func TestOnlyBranchesAndTagsCountAsSuch(t *testing.T) {
	t.Parallel()
	asking := func(ref string) func(testing.TB, *Snapshot) {
		return func(t testing.TB, s *Snapshot) {
			lock := func(n map[string]node) []byte {
				n["nixpkgs"] = n["nixpkgs"].with("original", attrs{"type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": ref})
				return lockOf(t, n)
			}
			s.Locks = map[string]Reading[LockPair]{"flake.lock": Known(LockPair{lock(before()), lock(after())}, "GET /contents/flake.lock", noon)}
			s.Lineages = map[string]Reading[Lineage]{
				"NixOS/nixpkgs@" + oldRev + "..." + newRev: Known(Lineage{Status: "ahead"}, "GET /compare", noon),
				"NixOS/nixpkgs@" + ref + "..." + newRev:    Known(Lineage{Status: "identical"}, "GET /compare", noon),
			}
		}
	}
	cases := map[string]proofCase{}
	for _, ref := range []string{"main", "nixos-25.05", "release/25.05", "v1.2.3+b", "2.4", "abc", "x-gate"} {
		cases["a branch "+ref] = proofCase{asking(ref), Passed, "1 new revision", ""}
	}
	for _, ref := range []string{newRev, newRev[:7], "ABCDEF0", "v1.0-3-g2222222", "refs/pull/7/head", "pull/7/head", "main..evil", "main^", "evil:main", "-x", "@{-1}", "main~1"} {
		cases["no branch "+ref] = proofCase{asking(ref), Refused, "which need not be a branch", `trust: ["github:NixOS/nixpkgs`}
	}
	runProof(t, "lineage", cases)
}

// An input that is merely re-pointed to an older node of the same lock brings no new
// revision, and still goes back.
func TestAnInputThatIsRepointedBackwardsIsSeen(t *testing.T) {
	t.Parallel()
	old := before()
	old["root"] = node{"inputs": attrs{"nixpkgs": "nixpkgs", "hm": "hm", "wlroots": "wlroots", "utils": "newer"}}
	old["newer"] = gh("numtide", "flake-utils", newRev, newDate)
	n := before()
	n["root"] = node{"inputs": attrs{"nixpkgs": "nixpkgs", "hm": "hm", "wlroots": "wlroots", "utils": "utils"}}
	key := "numtide/flake-utils@" + newRev + "..." + oldRev
	if got := LineagesToRead(lockOf(t, old), lockOf(t, n)); !slices.Contains(got, key) {
		t.Errorf("asks for %v, want %s among them", got, key)
	}
}

func TestASimulationWithoutChangesIsTheDecision(t *testing.T) {
	t.Parallel()
	no, yes := false, true
	s := goodSnapshot(t)
	if diff := cmp.Diff(Decide(s, noon), Simulate(s, WhatIf{}, noon)); diff != "" {
		t.Errorf("(-decided +simulated):\n%s", diff)
	}
	for name, c := range map[string]struct {
		suppose WhatIf
		want    UpdateState
	}{
		"a check fails":      {WhatIf{Checks: map[string]string{"build": "failure"}}, UpdateFailing},
		"a check is missing": {WhatIf{Checks: map[string]string{"build": "missing"}}, UpdateChecks},
		"a conflict":         {WhatIf{Mergeable: &no}, UpdateConflict},
		"a hold":             {WhatIf{Hold: &yes}, UpdateReady},
		"a label":            {WhatIf{Labels: []string{HoldLabel}}, UpdateReady},
		"an hour earlier":    {WhatIf{At: noon.Add(-90 * time.Minute)}, UpdateHolding},
		"a person asks":      {WhatIf{Hold: &yes, Merge: true}, UpdateMerging},
	} {
		if v := Simulate(s, c.suppose, noon); v.State != c.want {
			t.Errorf("%s: %s %q, want %s", name, v.State, v.Headline, c.want)
		}
	}
	bendChecks()(t, &s)
	if v := Simulate(s, WhatIf{Checks: map[string]string{"build": "success"}}, noon); v.State != UpdateMerging {
		t.Errorf("with the check that is missing: %s %q", v.State, v.Headline)
	}
}

func TestDurationsReadWell(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 s", 20 * time.Second: "20 s", 90 * time.Second: "1 min 30 s", time.Hour: "1 h",
		90 * time.Minute: "1 h 30 min", 24 * time.Hour: "1 d", 25*time.Hour + 2*time.Second: "1 d 1 h", 1500 * time.Millisecond: "1 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}
