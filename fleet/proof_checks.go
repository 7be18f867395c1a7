package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// CheckRunName is the name of our own check run. It is never counted, also where
// branch protection requires it: it would wait for itself.
const CheckRunName = "NixFleet / lock update"

// required is the first half of condition 10: what must pass is known, and is
// something. It returns the checks to wait for.
func (p *proof) required() []RequiredCheck {
	c := begin("required", "At least one check is required", p.s.Required)
	if c.Outcome != Unread && !p.s.Rules.Known() {
		c = begin("required", c.Title, p.s.Rules)
	}
	defer func() { p.add(c) }()
	var all []RequiredCheck
	take := func(from string, checks []RequiredCheck) {
		for _, r := range checks {
			r.From = orElse(r.From, from)
			ours := r.Name == CheckRunName || (r.AppID != 0 && r.AppID == p.s.OwnAppID)
			if !ours && !slices.ContainsFunc(all, r.same) {
				all = append(all, r)
			}
		}
	}
	take("branch protection", p.s.Required.Value)
	for _, r := range p.s.Rules.Value {
		take(strings.TrimSpace("ruleset "+plain(r.Ruleset, 100)), r.Checks)
	}
	take("policy", p.policy.Updates.RequiredChecks)
	if c.Outcome == Unread {
		return all
	}
	switch {
	case len(all) > 0:
		var names []string
		for _, r := range all {
			names = append(names, fmt.Sprintf("%s (%s)", r.Name, r.From))
		}
		c.Found = list(names) + "."
	case p.policy.Updates.RequireChecks:
		c.refuse("Neither branch protection, nor a ruleset, nor the policy requires a check.",
			"Name the checks that must pass: updates: {required_checks: [{name: build, app: github-actions}]}. "+
				"Or, to merge without any: updates: {require_checks: false}.")
	default:
		c.Outcome, c.Found = Off, "Policy says require_checks: false, and no check is required."
	}
	return all
}

func (r RequiredCheck) same(o RequiredCheck) bool {
	return r.Name == o.Name && r.AppID == o.AppID && r.App == o.App
}

// String names the check and, where one is asked for, its source.
func (r RequiredCheck) String() string {
	switch {
	case r.App != "":
		return r.Name + " of " + r.App
	case r.AppID != 0:
		return fmt.Sprintf("%s of app %d", r.Name, r.AppID)
	}
	return r.Name
}

// from reports whether k was reported by the source that r asks for. A status has
// no App, but a creator: an App's own account counts as that App.
func (p *proof) from(r RequiredCheck, k Check) bool {
	switch {
	case r.AppID != 0 && k.Kind == "status":
		return k.Bot && k.App != "" && k.App == p.slugOf(r.AppID)
	case r.AppID != 0 && k.AppID != r.AppID:
		return false
	}
	// A person whose login is the App's name is not the App.
	return r.App == "" || k.App == r.App && (k.Kind != "status" || k.Bot)
}

// checks is the second half of condition 10: each required check was reported at
// the head SHA by the right source, and everything of that name passed.
func (p *proof) checks(required []RequiredCheck) {
	c := begin("checks", "Required checks passed at the head commit", p.s.Checks)
	defer func() { p.add(c) }()
	if c.Outcome == Unread {
		return
	}
	if len(required) == 0 {
		c.Outcome, c.Found = Off, "No check is required."
		return
	}
	var passed, waiting, failed []string
	for _, r := range required {
		switch text, outcome := p.check(r); outcome {
		case Passed:
			passed = append(passed, text)
		case Refused:
			failed = append(failed, text)
		default:
			waiting = append(waiting, text)
		}
	}
	switch {
	case len(failed) > 0:
		c.refuse(list(failed)+".", "Repair what fails, or run the check again.")
	case len(waiting) > 0:
		c.Outcome = Waiting
		c.Found = list(waiting) + "."
		if len(passed) > 0 {
			c.Found += fmt.Sprintf(" %d of %d passed.", len(passed), len(required))
		}
		if strings.Contains(c.Found, neverReported) {
			c.Remedy = p.neverRan()
		}
	default:
		c.Found = list(passed) + "."
	}
}

const neverReported = "was never reported"

// check judges one required check. A check run and a status of the same name
// must both pass, as GitHub has it.
func (p *proof) check(r RequiredCheck) (text string, outcome Outcome) {
	var same []Check
	kinds, other := map[string]bool{}, ""
	for _, k := range p.s.Checks.Value {
		if k.Name != r.Name || (p.s.OwnAppID != 0 && k.AppID == p.s.OwnAppID) {
			continue
		}
		if p.from(r, k) {
			kinds[k.Kind] = true
		} else {
			other = orElse(k.App, fmt.Sprintf("app %d", k.AppID))
		}
		same = append(same, k)
	}
	if len(kinds) == 0 {
		if other != "" {
			return fmt.Sprintf("%s %s, only by %s", r, neverReported, other), Waiting
		}
		return fmt.Sprintf("%s %s", r, neverReported), Waiting
	}
	text, outcome = fmt.Sprintf("%s passed", r), Passed
	newest := map[string]bool{} // sources of which the newest run was judged
	for _, k := range same {
		if !p.from(r, k) && (kinds[k.Kind] || len(kinds) == 0) {
			continue // another source's check of the same kind stands beside, and does not count
		}
		source := fmt.Sprintf("%s %d %s", k.Kind, k.AppID, k.App)
		older := newest[source]
		newest[source] = true
		if older && k.replaced() {
			continue
		}
		word, o := k.outcome()
		if o == Refused || (o == Waiting && outcome == Passed) {
			text, outcome = fmt.Sprintf("%s %s", r, word), o
		}
	}
	return text, outcome
}

// replaced reports whether a newer run of the same name in another suite may stand
// for k: it never came to a result of its own. Workflows that several events start
// cancel each other like this. A failure is not replaced but by running it again.
func (k Check) replaced() bool {
	return k.State == "completed" && (k.Conclusion == "cancelled" || k.Conclusion == "stale")
}

// outcome is a check's result in words. What is not known to pass does not.
func (k Check) outcome() (word string, o Outcome) {
	if k.State != "completed" {
		return "is " + strings.ReplaceAll(orElse(plain(k.State, 30), "pending"), "_", " "), Waiting
	}
	switch k.Conclusion {
	case "success", "neutral", "skipped":
		return "passed", Passed
	case "failure", "error":
		return "failed", Refused
	case "action_required":
		return "waits for somebody to act on it", Refused
	case "timed_out":
		return "timed out", Refused
	case "cancelled":
		return "was cancelled", Refused
	}
	return fmt.Sprintf("ended with %q", plain(k.Conclusion, 30)), Refused
}
