package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// WhatIf is a change to the facts, for the question what would happen then.
type WhatIf struct {
	Checks    map[string]string // conclusions of required checks by name, e.g. success; "missing" takes the check away
	At        time.Time         // judge as of then; zero: now
	Merge     bool              // as if a person had asked for the merge
	Mergeable *bool
	Hold      *bool // as if a person held it, or had released it
	Labels    []string
}

// Simulate judges an update as if the facts were others. It is Decide on an altered
// copy of the snapshot; nothing is stored, and a zero WhatIf gives Decide's verdict.
func Simulate(s Snapshot, w WhatIf, now time.Time) Verdict {
	if !w.At.IsZero() {
		now = w.At
	}
	if len(w.Checks) > 0 {
		s.Checks = supposeChecks(s, w.Checks, now)
	}
	if w.Mergeable != nil {
		s.Pull.Value.Mergeable = w.Mergeable
	}
	if len(w.Labels) > 0 {
		s.Pull.Value.Labels = append(slices.Clone(s.Pull.Value.Labels), w.Labels...)
	}
	person := Actor{Login: "a person", Type: "User", ID: -1}
	if w.Hold != nil {
		s.Recorded.Hold = nil
		if *w.Hold {
			s.Recorded.Hold = &Hold{By: person, At: now}
		}
	}
	if w.Merge {
		s.Recorded.Request = &MergeRequest{By: person, HeadSHA: s.Pull.Value.HeadSHA, At: now, Deploy: true}
	}
	return Decide(s, now)
}

// supposeChecks replaces what was reported under each name by one run of the app
// that is required, so that the supposed result counts.
func supposeChecks(s Snapshot, suppose map[string]string, now time.Time) Reading[[]Check] {
	checks := slices.DeleteFunc(slices.Clone(s.Checks.Value), func(c Check) bool { return suppose[c.Name] != "" })
	asked := (&proof{s: s, policy: s.Policy.Value}).required()
	for name, conclusion := range suppose {
		if conclusion == "missing" || conclusion == "" {
			continue
		}
		sources := []RequiredCheck{{Name: name}}
		if named := slices.DeleteFunc(slices.Clone(asked), func(r RequiredCheck) bool { return r.Name != name }); len(named) > 0 {
			sources = named
		}
		for _, r := range sources {
			k := Check{Name: name, Kind: "run", AppID: r.AppID, App: r.App, State: "completed", Conclusion: conclusion, At: now}
			if conclusion == "pending" {
				k.State, k.Conclusion = "in_progress", ""
			}
			checks = append(checks, k)
		}
	}
	return Known(checks, "supposed", now)
}

// suppositions are the results that a check may be supposed to have.
var suppositions = []string{"success", "neutral", "skipped", "failure", "cancelled", "timed_out", "action_required", "pending", "missing"}

// ParseSupposed reads suppositions of the form "check:result", for [WhatIf].
func ParseSupposed(list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	checks := make(map[string]string, len(list))
	for _, s := range list {
		i := strings.LastIndex(s, ":")
		if i <= 0 || !slices.Contains(suppositions, s[i+1:]) {
			return nil, fmt.Errorf("%q is no supposition about a check; write NAME:RESULT, where RESULT is one of %s", plain(s, 100), strings.Join(suppositions, ", "))
		}
		checks[s[:i]] = s[i+1:]
	}
	return checks, nil
}
