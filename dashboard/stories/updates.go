package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

type updateStory struct {
	name, about string
	update      fleet.Update
}

func (b book) updateStories() []updateStory {
	return []updateStory{
		{"checks", "Waits for checks.", b.checks()},
		{"holding", "Proven; the hold counts down.", b.holding()},
		{"ready", "Proven; waits for a person.", b.ready()},
		{"held", "A person holds it for two days.", b.held()},
		{"asked", "Somebody pressed; checks are still running.", b.asked()},
		{"merging", "The merge is under way.", b.merging()},
		{"failing", "A required check failed.", b.failing()},
		{"conflict", "It does not merge cleanly.", b.conflict()},
		{"blocked-files", "Refused: a second file.", b.blocked("files", "Only lock files are changed",
			"It also changes modules/base.nix.", "Split the pull request: NixFleet merges only those that change nothing but `flake.lock`.")},
		{"blocked-owner", "Refused: an input has another owner.", b.blocked("inputs", "Inputs stay what they are",
			"nixpkgs: owner changes from NixOS to n1xos.", "If this is wanted, merge it on GitHub under your own name.")},
		{"blocked-checks", "Refused: a required check is missing.", b.blocked("required", "At least one check is required",
			"Neither branch protection nor policy requires a check.", "Name one in `updates.required_checks`, or set `require_checks: false`.")},
		{"unknown", "Could not be read; unknown never merges.", b.unread()},
		{"hostile", "Hostile and very long strings.", b.hostile()},
	}
}

// update is a proven update with its hold under way.
func (b book) holding() fleet.Update {
	until := b.now.Add(43*time.Minute + 12*time.Second)
	u := fleet.Update{
		ID: 42, Repo: b.repo(), Number: 42, Title: "flake.lock: Update", URL: "https://github.com/aurora/nixcfg/pull/42",
		HeadSHA: pull, State: fleet.UpdateHolding, FirstSeen: b.ago(17 * time.Minute), HeadSeen: b.ago(17 * time.Minute), ChangedAt: b.ago(time.Minute),
		Verdict: fleet.Verdict{
			State: fleet.UpdateHolding, HeadSHA: pull, HoldUntil: until, At: b.now,
			Headline:   "Merges at " + until.UTC().Format("15:04 UTC") + " if nothing changes.",
			Conditions: b.conditions(), Inputs: b.inputs(),
		},
	}
	set(&u, fleet.Condition{ID: "hold", Outcome: fleet.Waiting, Soft: true,
		Found:  "1 h since " + b.ago(17*time.Minute).UTC().Format("2006-01-02 15:04 UTC") + ", until " + until.UTC().Format("2006-01-02 15:04 UTC") + ".",
		Remedy: "Merge & Deploy does not wait for it."})
	return u
}

// conditions are those of a proven update, all passed.
func (b book) conditions() []fleet.Condition {
	github, at := "GET /repos/aurora/nixcfg/pulls/42", b.ago(20*time.Second)
	list := []fleet.Condition{
		{ID: "policy", Title: "The policy can be read", Found: "Yes.", Source: ".github/nixfleet.yml at def4567"},
		{ID: "open", Title: "Open, not a draft, from this repository onto its default branch", Found: "Open, update-flake-lock onto main.", Source: github},
		{ID: "author", Title: "The author may bring updates", Found: "github-actions[bot] (id 41898282, Bot).", Source: github},
		{ID: "files", Title: "Only lock files are changed", Found: "flake.lock.", Source: github + "/files"},
		{ID: "locks", Title: "The lock files can be read, before and after", Found: "flake.lock at def4567 and at 9f8e7d6.", Source: "GET /repos/aurora/nixcfg/contents/flake.lock"},
		{ID: "inputs", Title: "Inputs keep their sources; only revisions change", Found: "3 inputs change.", Source: "flake.lock"},
		{ID: "transitive", Title: "Inputs of inputs stay the same ones", Found: "No input of an input came, went or was re-pointed, other than policy allows.", Source: "flake.lock", Soft: true},
		{ID: "lineage", Title: "New revisions are on their branch, and newer than the old ones", Found: "3 new revisions, by GitHub's comparison.", Source: "GET /repos/…/compare"},
		{ID: "dates", Title: "Dates of new revisions are true", Found: "3 equal the commit's date on GitHub.", Source: "GET /repos/…/commits"},
		{ID: "hashes", Title: "Hashes are those of the trees", Outcome: fleet.Off, Found: "No host has the tag evaluator, so nobody fetched the trees to compare them.", Source: "hosts"},
		{ID: "input_age", Title: "New revisions are known for long enough", Outcome: fleet.Off, Found: "Policy asks for no age.", Source: ".github/nixfleet.yml", Soft: true},
		{ID: "settings", Title: "Every setting of the policy can be honoured", Found: "Yes.", Source: ".github/nixfleet.yml", Soft: true},
		{ID: "required", Title: "At least one check is required", Found: "build, eval.", Source: "branch protection and policy"},
		{ID: "checks", Title: "Required checks passed at the head commit", Found: "build (github-actions), eval (github-actions).", Source: "GET /repos/aurora/nixcfg/commits/9f8e7d6/check-runs"},
		{ID: "auto_merge", Title: "A person or the policy wants the merge", Found: "Policy merges by itself.", Source: ".github/nixfleet.yml", Soft: true},
		{ID: "hold", Title: "Hold before the merge", Found: "1 h since " + b.ago(80*time.Minute).UTC().Format("2006-01-02 15:04 UTC") + ".", Source: "when NixFleet first saw this head commit", Soft: true},
		{ID: "label", Title: "Not held by a label", Found: "The label nixfleet/hold is not set.", Source: github, Soft: true},
		{ID: "rollout", Title: "No rollout of this repository is running", Found: "None.", Source: "rollouts", Soft: true},
		{ID: "mergeable", Title: "It merges cleanly", Found: "GitHub says it does.", Source: github},
	}
	for i := range list {
		list[i].At = at
		if list[i].Outcome == "" {
			list[i].Outcome = fleet.Passed
		}
	}
	return list
}

func (b book) inputs() []fleet.InputChange {
	day := 24 * time.Hour
	change := func(path, owner, from, to string, moved time.Duration) fleet.InputChange {
		return fleet.InputChange{Path: path, Kind: "updated",
			From: "github:" + owner + "/" + from, To: "github:" + owner + "/" + to, FromRev: from, ToRev: to,
			FromDate: b.ago(moved + 2*day), ToDate: b.ago(2 * day), Commits: int(moved / (40 * time.Minute)),
			CompareURL: "https://github.com/" + owner + "/compare/" + from[:12] + "..." + to[:12]}
	}
	return []fleet.InputChange{
		change("nixpkgs", "NixOS/nixpkgs", "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334", "f0e1d2c3b4a5968778695a4b3c2d1e0f99887766", 7*day),
		change("home-manager", "nix-community/home-manager", "0c9b8a7f6e5d4c3b2a19080f0e0d0c0b0a090807", "77665544332211ffeeddccbbaa99887766554433", 5*day),
		change("nixfleet", "nixfleet/nixfleet", "5a4b3c2d1e0f9988776655443322110ffeeddccb", "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00", 12*day),
	}
}

// set replaces what was found of one condition.
func set(u *fleet.Update, c fleet.Condition) {
	for i, old := range u.Verdict.Conditions {
		if old.ID == c.ID {
			c.Title, c.Source, c.At = old.Title, old.Source, old.At
			u.Verdict.Conditions[i] = c
		}
	}
}

// as puts an update without a hold into a state.
func (b book) as(state fleet.UpdateState, headline string) fleet.Update {
	u := b.holding()
	u.State, u.Verdict.State, u.Verdict.Headline = state, state, headline
	u.Verdict.HoldUntil = time.Time{}
	u.Verdict.Conditions = b.conditions()
	return u
}

func (b book) checks() fleet.Update {
	u := b.as(fleet.UpdateChecks, "Waits for checks: build (github-actions) is in progress.")
	set(&u, fleet.Condition{ID: "checks", Outcome: fleet.Waiting, Found: "build (github-actions) is in progress."})
	set(&u, fleet.Condition{ID: "hold", Outcome: fleet.Waiting, Soft: true, Found: "1 h since it was first seen.", Remedy: "Merge & Deploy does not wait for it."})
	return u
}

func (b book) ready() fleet.Update {
	u := b.as(fleet.UpdateReady, "Ready: waits for a person to press Merge & Deploy.")
	set(&u, fleet.Condition{ID: "auto_merge", Outcome: fleet.Waiting, Soft: true, Found: "Policy says auto_merge: {enabled: false}.", Remedy: "Merge & Deploy merges it."})
	return u
}

func (b book) asked() fleet.Update {
	u := b.checks()
	u.Request = &fleet.MergeRequest{By: fleet.Actor{Login: "alice"}, HeadSHA: pull, At: b.ago(40 * time.Second), Deploy: true}
	set(&u, fleet.Condition{ID: "hold", Outcome: fleet.Waiting, Soft: true, Overridden: true, Found: "1 h since it was first seen."})
	return u
}

func (b book) held() fleet.Update {
	u := b.as(fleet.UpdateReady, "Ready, but waits: bob holds it since 11:20 UTC.")
	u.Hold = &fleet.Hold{By: fleet.Actor{Login: "bob"}, At: b.ago(40 * time.Minute), Until: b.now.Add(2*24*time.Hour - 40*time.Minute)}
	found := "bob holds it since " + u.Hold.At.UTC().Format("2006-01-02 15:04 UTC") + ", until " + u.Hold.Until.UTC().Format("2006-01-02 15:04 UTC") + "."
	u.Verdict.Headline = "Ready, but waits: " + found
	u.Verdict.Conditions = append(u.Verdict.Conditions, fleet.Condition{ID: "held", Title: "Not held by a person", Outcome: fleet.Waiting, Soft: true,
		Found: found, Remedy: "Press Release hold, or Merge & Deploy.", Source: "the Hold button", At: b.now})
	return u
}

func (b book) merging() fleet.Update {
	return b.as(fleet.UpdateMerging, "Merging at 9f8e7d6.")
}

func (b book) failing() fleet.Update {
	u := b.as(fleet.UpdateFailing, "Not merged: build (github-actions) failed.")
	set(&u, fleet.Condition{ID: "checks", Outcome: fleet.Refused, Found: "build (github-actions) failed.", Remedy: "Repair it and push, or run the check again. A new head commit is judged anew."})
	return u
}

func (b book) conflict() fleet.Update {
	u := b.as(fleet.UpdateConflict, "GitHub says that it conflicts with main.")
	set(&u, fleet.Condition{ID: "mergeable", Outcome: fleet.Refused, Found: "GitHub says that it conflicts with main.", Remedy: "Rebase the pull request, or let the update workflow run again."})
	return u
}

func (b book) blocked(id, title, found, remedy string) fleet.Update {
	u := b.as(fleet.UpdateBlocked, "Blocked: "+found)
	set(&u, fleet.Condition{ID: id, Outcome: fleet.Refused, Found: found, Remedy: remedy})
	return u
}

func (b book) unread() fleet.Update {
	u := b.as(fleet.UpdateBlocked, "Blocked: Dates of new revisions are true: GitHub's date of NixOS/nixpkgs@f0e1d2c could not be read: 502 Bad Gateway.")
	set(&u, fleet.Condition{ID: "dates", Outcome: fleet.Unread, Found: "GitHub's date of NixOS/nixpkgs@f0e1d2c (input 'nixpkgs') could not be read: 502 Bad Gateway.", Remedy: "NixFleet tries again by itself."})
	return u
}

func (b book) hostile() fleet.Update {
	long := "flake.lock: Update <script>alert('title')</script> \u202eesrever \"quoted\" & `code` "
	for range 4 {
		long += "averyveryverylongwordwithoutanyplacetobreakitbecausepeopledothat "
	}
	u := b.blocked("inputs", "", "<img src=x onerror=alert(1)>: owner changes from </li></ul><script>alert(2)</script> to x.", "`javascript:alert(3)`")
	u.Title, u.URL = long, "javascript:alert(document.domain)"
	u.Verdict.Inputs = append(u.Verdict.Inputs,
		fleet.InputChange{Path: "hyprland/wlroots/<b>bold</b>", Kind: "added", To: "git+https://git.example.org/a/very/long/path/to/some/repository.git?ref=main&rev=0123456789", CompareURL: "javascript:alert(4)"},
		fleet.InputChange{Path: "systems", Kind: "removed", From: "follows 'nixpkgs/systems'"})
	return u
}

// merged is an update that is through.
func (b book) merged() fleet.Update {
	u := b.as(fleet.UpdateMerged, "Merged by policy as def4567.")
	u.MergeSHA, u.MergedBy, u.MergedAt, u.ChangedAt = head, "policy", b.ago(6*time.Minute), b.ago(6*time.Minute)
	return u
}
