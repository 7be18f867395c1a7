package fleet

import (
	"cmp"
	"slices"
	"time"
)

// EvaluatorTag marks hosts that work out for all hosts of their repository what a
// commit comes to.
const EvaluatorTag = "evaluator"

// Evaluation is what a commit comes to for a flake attribute, from whoever worked it
// out first. Exactly one of Path and Error is set.
type Evaluation struct {
	Commit string
	Attr   string
	Path   string // store path
	Error  string
	Host   string // that worked it out
	At     time.Time
}

// answers reports whether e is about the commit that a host's checkout is at.
func (e *Evaluation) answers(f HostFacts) bool {
	return e != nil && e.Commit == f.CheckoutCommit && f.CheckoutCommit != ""
}

// evaluated reports whether the host knows by itself what its checkout comes to.
func (f HostFacts) evaluated() bool {
	return f.ExpectedPath != "" && f.ExpectedCommit == f.CheckoutCommit && f.CheckoutCommit != ""
}

// Evaluates reports whether h works out for others what a commit comes to.
func (h Host) Evaluates() bool {
	return slices.Contains(h.Tags, EvaluatorTag) && !h.EnrolledAt.IsZero() && h.RevokedAt.IsZero()
}

// evaluatorsOf finds the evaluator of each repository: the first by name that is
// online, or else the first.
func evaluatorsOf(hosts []HostView, now time.Time) map[int64]*Host {
	found := map[int64]*Host{}
	for i := range hosts {
		h := &hosts[i].Host
		if !h.Evaluates() {
			continue
		}
		was := found[h.RepoID]
		if was == nil || h.Online(now) && !was.Online(now) || h.Online(now) == was.Online(now) && h.Name < was.Name {
			found[h.RepoID] = h
		}
	}
	return found
}

// waitsFor says in words who is to work out what a host's checkout comes to. An
// evaluator looks at the head of the default branch; all else is the host's own matter.
func waitsFor(in CompartmentFacts, now time.Time) string {
	switch e := in.Evaluator; {
	case e == nil || in.Host.Facts.CheckoutCommit != in.RepoHead:
		return "waits for the host to evaluate its checkout."
	case !e.Online(now):
		return "waits for the evaluator " + plain(e.Name, 63) + ", which is offline. Refresh has the host evaluate by itself."
	default:
		return "waits for the evaluator " + plain(e.Name, 63) + "."
	}
}

// Evaluator is a host that may be asked now to evaluate for others.
type Evaluator struct {
	Name string
	Busy bool // it was asked for the same commit and has not answered
}

// Unevaluated is an attribute that nobody has evaluated at the head of its repository.
type Unevaluated struct {
	Attr     string
	Attempts int    // how often it was asked for
	Host     string // that was asked last; empty: nobody was
	Order    string // by which it was asked
}

// EvaluationOrder is what one evaluator is asked for by one order.
type EvaluationOrder struct {
	Host  string
	Attrs []Unevaluated
}

// AssignEvaluations gives each evaluator that is free at most limit attributes, those
// first that were asked for least. What one evaluator did not answer goes to another,
// where there is one.
func AssignEvaluations(evaluators []Evaluator, wanted []Unevaluated, limit int) []EvaluationOrder {
	var free []EvaluationOrder
	for _, e := range evaluators {
		if !e.Busy {
			free = append(free, EvaluationOrder{Host: e.Name})
		}
	}
	if len(free) == 0 {
		return nil
	}
	wanted = slices.Clone(wanted)
	slices.SortStableFunc(wanted, func(a, b Unevaluated) int {
		return cmp.Or(cmp.Compare(a.Attempts, b.Attempts), cmp.Compare(a.Attr, b.Attr))
	})
	for _, w := range wanted {
		best := -1
		for i, o := range free {
			if len(o.Attrs) == limit || o.Host == w.Host && len(free) > 1 {
				continue
			}
			if best < 0 || len(o.Attrs) < len(free[best].Attrs) {
				best = i
			}
		}
		if best >= 0 {
			free[best].Attrs = append(free[best].Attrs, w)
		}
	}
	return slices.DeleteFunc(free, func(o EvaluationOrder) bool { return len(o.Attrs) == 0 })
}
