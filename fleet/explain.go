package fleet

import (
	"slices"
	"time"
)

// Explanation is one look at an update, judged as it is and as it would be by
// suppositions. Both are of the same facts, so that they can be laid side by side.
type Explanation struct {
	Repo     Repo
	Number   int
	Title    string
	URL      string
	Required []string // names of the checks that must pass, each once
	Labels   []string // that the pull request has
	Now      Verdict
	Then     Verdict // as supposed; Now where nothing was
	Supposed bool
}

// Explain judges a snapshot twice. Nothing is stored.
func Explain(s Snapshot, w WhatIf, now time.Time) Explanation {
	e := Explanation{
		Repo: s.Repo, Number: s.Number, Title: s.Pull.Value.Title, URL: s.Pull.Value.URL, Labels: s.Pull.Value.Labels,
		Now: Decide(s, now), Supposed: w.Supposes(),
	}
	e.Then = e.Now
	if e.Supposed {
		e.Then = Simulate(s, w, now)
	}
	for _, r := range (&proof{s: s, policy: s.Policy.Value}).required() {
		if !slices.Contains(e.Required, r.Name) {
			e.Required = append(e.Required, r.Name)
		}
	}
	return e
}

// Supposes reports whether w changes any fact.
func (w WhatIf) Supposes() bool {
	return !w.At.IsZero() || w.Merge || w.Hold != nil || w.Mergeable != nil || len(w.Checks)+len(w.Labels) > 0
}
