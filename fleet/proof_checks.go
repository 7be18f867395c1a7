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
		c.refuse("Neither branch protection nor the policy file requires a check.",
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

// from reports whether k was reported by the source that r asks for.
func (r RequiredCheck) from(k Check) bool {
	if r.AppID != 0 && k.AppID != r.AppID {
		return false
	}
	return r.App == "" || k.App == r.App
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
			c.Remedy = "A check that is never reported may have another name, come from another app, or not run on this pull request."
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
	reported, other := "", ""
	for _, k := range p.s.Checks.Value {
		if k.Name != r.Name || (p.s.OwnAppID != 0 && k.AppID == p.s.OwnAppID) {
			continue
		}
		if r.from(k) {
			reported = k.Kind
		} else {
			other = orElse(k.App, fmt.Sprintf("app %d", k.AppID))
		}
		same = append(same, k)
	}
	if reported == "" {
		if other != "" {
			return fmt.Sprintf("%s %s, only by %s", r, neverReported, other), Waiting
		}
		return fmt.Sprintf("%s %s", r, neverReported), Waiting
	}
	text, outcome = fmt.Sprintf("%s passed", r), Passed
	for _, k := range same {
		if !r.from(k) && !slices.ContainsFunc(same, func(o Check) bool { return r.from(o) && o.Kind != k.Kind }) {
			continue // another source's check of the same kind stands beside, and does not count
		}
		word, o := k.outcome()
		if o == Refused || (o == Waiting && outcome == Passed) {
			text, outcome = fmt.Sprintf("%s %s", r, word), o
		}
	}
	return text, outcome
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
