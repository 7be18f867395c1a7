package agent

import (
	"slices"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Bounds of what the journal remembers.
const (
	maxRecent      = 256 // ids of orders that were seen, to answer each once
	maxUnconfirmed = 512 // answers that wait for their confirmation
)

// entry is one line of the journal; exactly one field is set.
type entry struct {
	Snapshot *record           `json:"snapshot,omitempty"`
	Order    *agentbus.Order   `json:"order,omitempty"`   // taken on
	Answer   *agentbus.Answer  `json:"answer,omitempty"`  // a step is about to begin, or the order ended
	Confirm  *agentbus.Confirm `json:"confirm,omitempty"` // the server has recorded answers
	Passed   uint64            `json:"passed,omitempty"`  // generation of an order that was passed over
}

// record is what the journal says: the orders that have not ended and the
// answers that are not confirmed. It is a pure fold over the entries; applying
// an entry a second time changes nothing.
type record struct {
	Gen         uint64            `json:"gen"` // of the newest order taken on or refused
	Works       []work            `json:"works,omitempty"`
	Last        work              `json:"last"` // the order that ended last
	Unconfirmed []agentbus.Answer `json:"unconfirmed,omitempty"`
	Recent      []string          `json:"recent,omitempty"` // order ids, oldest first
}

// work is an order and how far it has come.
type work struct {
	Order agentbus.Order `json:"order"`
	Step  agentbus.Step  `json:"step,omitempty"` // "" until the first answer
	Seq   uint32         `json:"seq,omitempty"`  // of the last answer
}

// begun reports whether the order has reached the point of no return: from here
// on it runs to its end whatever newer orders say.
func (w work) begun() bool {
	return w.Step == agentbus.StepSwitching || w.Step == agentbus.StepVerifying
}

func (r *record) apply(e entry) {
	switch {
	case e.Snapshot != nil:
		*r = *e.Snapshot
	case e.Order != nil:
		r.applyOrder(*e.Order)
	case e.Answer != nil:
		r.applyAnswer(*e.Answer)
	case e.Confirm != nil:
		r.applyConfirm(*e.Confirm)
	case e.Passed != 0:
		r.Gen = max(r.Gen, e.Passed)
	}
}

func (r *record) applyOrder(o agentbus.Order) {
	if r.knows(o.ID) {
		return
	}
	r.remember(o.ID)
	r.Gen = max(r.Gen, o.Gen)
	r.Works = append(r.Works, work{Order: o})
}

// applyAnswer takes the next answer of a known order, or the only answer of an
// order that was never taken on: a refusal of something that could not be trusted.
func (r *record) applyAnswer(a agentbus.Answer) {
	i := slices.IndexFunc(r.Works, func(w work) bool { return w.Order.ID == a.Order })
	if i < 0 {
		if r.knows(a.Order) || a.Step != agentbus.StepRefused {
			return
		}
		r.remember(a.Order)
		r.keep(a)
		return
	}
	w := &r.Works[i]
	if a.Seq != w.Seq+1 {
		return
	}
	w.Step, w.Seq = a.Step, a.Seq
	r.keep(a)
	if a.Step.Final() {
		r.Last = *w
		r.Works = slices.Delete(r.Works, i, i+1)
	}
}

func (r *record) applyConfirm(c agentbus.Confirm) {
	r.Unconfirmed = slices.DeleteFunc(r.Unconfirmed, func(a agentbus.Answer) bool {
		return a.Order == c.Order && a.Seq <= c.Seq
	})
}

// keep holds a for repetition. Over the bound the oldest answer goes that does
// not end an order: the end says more than the way to it.
func (r *record) keep(a agentbus.Answer) {
	if len(r.Unconfirmed) >= maxUnconfirmed {
		i := slices.IndexFunc(r.Unconfirmed, func(a agentbus.Answer) bool { return !a.Step.Final() })
		i = max(i, 0)
		r.Unconfirmed = slices.Delete(r.Unconfirmed, i, i+1)
	}
	r.Unconfirmed = append(r.Unconfirmed, a)
}

func (r *record) knows(id string) bool { return slices.Contains(r.Recent, id) }

func (r *record) remember(id string) {
	if len(r.Recent) >= maxRecent {
		r.Recent = slices.Delete(r.Recent, 0, 1)
	}
	r.Recent = append(r.Recent, id)
}

func (r *record) work(id string) (work, bool) {
	for _, w := range r.Works {
		if w.Order.ID == id {
			return w, true
		}
	}
	return work{}, false
}

// clone copies r so that the copy can be changed or written while r goes on.
func (r *record) clone() record {
	c := *r
	c.Works = slices.Clone(r.Works)
	c.Unconfirmed = slices.Clone(r.Unconfirmed)
	c.Recent = slices.Clone(r.Recent)
	return c
}
