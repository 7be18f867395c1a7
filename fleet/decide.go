package fleet

import (
	"fmt"
	"slices"
	"time"
)

// How soon to look again where nothing tells us that something changed. Webhooks
// wake an update long before; these only bound what a lost one costs. See patience.
const (
	againUnread  = time.Minute
	againChecks  = 5 * time.Minute
	againBlocked = 15 * time.Minute
	againAtLast  = time.Hour // half of what SPEC 6 allows a steady pull request to cost
)

// Concerns reports whether a pull request is an update at all: it touches a lock
// file of the policy, and either touches nothing else or comes from an allowed
// author. Others are ignored. Where that can't be read it is not taken for one;
// reason then says so, and Decide's verdict says when to look again.
func Concerns(s Snapshot) (bool, string) {
	policy := DefaultPolicy()
	if s.Policy.Known() {
		policy = s.Policy.Value
	}
	if !s.Files.Known() {
		return false, "The changed files could not be read" + because(s.Files.Err) + "."
	}
	locks, extra := 0, 0
	for _, f := range s.Files.Value {
		if slices.Contains(policy.Updates.Files, f.Path) || slices.Contains(policy.Updates.Files, f.Previous) {
			locks++
		} else {
			extra++
		}
	}
	name, allowed := allowedAuthor(policy, s.Authors, s.Pull.Value.Author)
	switch {
	case locks == 0:
		return false, "It changes no lock file (" + list(slices.Clone(policy.Updates.Files)) + ")."
	case extra == 0:
		return true, "It changes only lock files."
	case allowed && s.Pull.Known():
		return true, "It changes a lock file, and " + plain(name, 100) + " may bring updates."
	}
	return false, "It changes more than lock files, and its author brings no updates."
}

// Decide judges one update by everything that is known of it (SPEC 5). It is a
// pure function: the same snapshot at the same time gives the same verdict. It
// orders a merge only if every condition passed, does not apply, or is soft and
// overridden by a person for exactly this head SHA.
func Decide(s Snapshot, now time.Time) Verdict {
	p := &proof{s: s, now: now, pull: s.Pull.Value}
	if !s.Pull.Known() {
		p.add(begin("open", "Open, not a draft, from this repository onto its default branch", s.Pull))
		return p.verdict(UpdateBlocked, "The pull request could not be read"+because(s.Pull.Err)+".", p.patience(againUnread, againChecks))
	}
	switch {
	case p.pull.Merged:
		return p.verdict(UpdateMerged, mergedHeadline(p.pull), time.Time{})
	case p.pull.State == "closed":
		return p.verdict(UpdateClosed, "Closed without a merge.", time.Time{})
	}
	policy := begin("policy", "The policy can be read", s.Policy)
	if policy.Outcome == Unread {
		policy.Remedy = "While the policy file is broken nothing merges. Correct it on the default branch."
		p.add(policy)
		p.open()
		p.mergeable()
		return p.conclude(time.Time{})
	}
	policy.Found = "Yes."
	p.add(policy)
	p.policy = s.Policy.Value
	p.open()
	p.author()
	p.files()
	p.locks()
	p.inputs()
	p.lineage()
	p.dates()
	p.hashes()
	aged := p.age()
	p.settings()
	p.rules()
	p.checks(p.required())
	p.approval()
	p.wanted()
	until := p.hold()
	p.calm()
	p.held()
	p.mergeable()
	p.refusal()
	return p.conclude(later(until, aged))
}

func mergedHeadline(pull Pull) string {
	by := orElse(plain(pull.MergedBy.Login, 100), "somebody")
	return fmt.Sprintf("Merged by %s as %s.", by, orElse(shortSHA(pull.MergeCommitSHA), "a commit not named yet"))
}

// conclude finds the state that the conditions amount to (SPEC 3). What needs a
// change comes before what needs patience; the merge comes last, and only if
// nothing is left.
func (p *proof) conclude(holdUntil time.Time) Verdict {
	checks := p.find("checks")
	for _, c := range p.conditions {
		switch {
		case c.Outcome == Unread:
			return p.verdict(UpdateBlocked, "Blocked: "+c.Found, p.patience(againUnread, againChecks))
		case c.Outcome == Refused && !c.Overridden && c.ID != "checks" && c.ID != "mergeable":
			return p.verdict(UpdateBlocked, "Blocked: "+c.Found, p.patience(againBlocked, againAtLast))
		}
	}
	waits := func(id string) bool { c := p.find(id); return c.Outcome == Waiting && !c.Overridden }
	switch {
	case p.find("mergeable").Outcome == Refused:
		return p.verdict(UpdateConflict, p.find("mergeable").Found, p.patience(againBlocked, againAtLast))
	case checks.Outcome == Refused:
		return p.verdict(UpdateFailing, "Not merged: "+checks.Found, p.patience(againBlocked, againAtLast))
	case checks.Outcome == Waiting:
		return p.verdict(UpdateChecks, "Waits for checks: "+checks.Found, p.patience(againChecks, againAtLast))
	case waits("approval"):
		return p.verdict(UpdateChecks, "Waits for a person: "+p.find("approval").Found, p.patience(againChecks, againAtLast))
	case waits("auto_merge"), waits("label"), waits("held"):
		return p.verdict(UpdateReady, p.readyHeadline(), p.patience(againBlocked, againAtLast))
	case waits("hold"), waits("input_age"):
		v := p.verdict(UpdateHolding, "", holdUntil)
		v.HoldUntil = holdUntil
		v.Headline = fmt.Sprintf("Merges %s if nothing changes.", clock(roundUp(holdUntil), p.now))
		return v
	case waits("freeze"), waits("rollout"), waits("refusal"):
		return p.verdict(UpdateReady, p.readyHeadline(), p.patience(againBlocked, againAtLast))
	case waits("mergeable"):
		return p.verdict(UpdateChecks, "GitHub is still finding out whether it merges cleanly.", p.patience(mergeableAgain, mergeableAtLast))
	}
	return p.merge()
}

// patience is when to look again at what somebody else has to change. Webhooks tell
// of that; the look is for those that get lost. So it comes soon while the head is
// young, and more and more seldom, up to the most, while it waits.
func (p *proof) patience(least, most time.Duration) time.Time {
	rest := least
	if seen := p.s.Recorded.HeadSeen; !seen.IsZero() {
		rest = min(max(least, p.now.Sub(seen)/4), most)
	}
	return p.now.Add(rest)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ChecksPassed reports whether the look found all required checks passed. The
// first time it did is when a hold that counts from the checks begins.
func (v Verdict) ChecksPassed() bool {
	for _, c := range v.Conditions {
		if c.ID == "checks" {
			return c.settled()
		}
	}
	return false
}

func (p *proof) readyHeadline() string {
	for _, id := range []string{"auto_merge", "label", "held", "freeze", "rollout", "refusal"} {
		if c := p.find(id); c.Outcome == Waiting && !c.Overridden {
			if id == "auto_merge" {
				return "Ready: waits for a person to press Merge & Deploy."
			}
			return "Ready, but waits: " + c.Found
		}
	}
	return "Ready."
}

// verdict puts the account together. The next look is the earlier of the given
// time and of what a waiting condition asked for.
func (p *proof) verdict(state UpdateState, headline string, again time.Time) Verdict {
	if !again.IsZero() {
		p.wake(again)
	}
	v := Verdict{
		State:      state,
		HeadSHA:    p.pull.HeadSHA,
		Headline:   headline,
		Conditions: p.conditions,
		At:         p.now,
	}
	if !again.IsZero() {
		v.Again = p.again
	}
	for _, d := range p.diffs {
		v.Inputs = append(v.Inputs, inputChanges(d, p.s.Lineages, len(p.diffs) > 1)...)
		v.Unchanged += unchanged(d)
	}
	return v
}
