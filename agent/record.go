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

// entry is one line of the journal; exactly one field is set, except that an
// errand goes with the answer that announces it.
type entry struct {
	Snapshot *record           `json:"snapshot,omitempty"`
	Order    *agentbus.Order   `json:"order,omitempty"`   // taken on
	Stop     *stopping         `json:"stop,omitempty"`    // a newer order ends an older one
	Answer   *agentbus.Answer  `json:"answer,omitempty"`  // a step is about to begin, or the order ended
	Errand   *errand           `json:"errand,omitempty"`  // what the process is about to do that it does not outlive
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
	// Stop is set once the order is to end early. It has not ended before what it
	// started is gone.
	Stop   *stopping `json:"stop,omitempty"`
	Errand *errand   `json:"errand,omitempty"`
}

// stopping says that an order is to end because of a newer one.
type stopping struct {
	Order string        `json:"order"`
	By    string        `json:"by"` // id of the newer order
	As    agentbus.Step `json:"as"` // cancelled or superseded
}

// errand is an act that ends the process that does it: the next one sees by the
// mark whether it is done.
type errand struct {
	Act     string `json:"act"`     // restart or reboot
	Process string `json:"process"` // that does it
	Boot    string `json:"boot"`    // during which it is done
	At      int64  `json:"at"`      // Unix milliseconds
}

// begun reports whether the order has reached the point of no return: from here
// on it runs to its end whatever newer orders say.
func (w work) begun() bool { return noReturn(w.Step) }

func noReturn(s agentbus.Step) bool {
	return s == agentbus.StepSwitching || s == agentbus.StepVerifying
}

func (r *record) apply(e entry) {
	switch {
	case e.Snapshot != nil:
		*r = *e.Snapshot
	case e.Order != nil:
		r.applyOrder(*e.Order)
	case e.Stop != nil:
		r.applyStop(*e.Stop)
	case e.Answer != nil:
		r.applyAnswer(*e.Answer, e.Errand)
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

// applyStop marks an order that can still be stopped. The first to stop it counts.
func (r *record) applyStop(s stopping) {
	for i := range r.Works {
		if w := &r.Works[i]; w.Order.ID == s.Order && w.Stop == nil && !w.begun() {
			w.Stop = &s
		}
	}
}

// applyAnswer takes the next answer of a known order, or the only answer of an
// order that was never taken on: a refusal of something that could not be trusted.
func (r *record) applyAnswer(a agentbus.Answer, e *errand) {
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
	if e != nil {
		w.Errand = e
	}
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

// current is the order under way, or the one that ended last.
func (r *record) current() (w work, open bool) {
	if w, open = pick(r.Works); open {
		return w, true
	}
	return r.Last, false
}

// end is how an order ended, as far as that is remembered.
func (r *record) end(id string) agentbus.Step {
	if r.Last.Order.ID == id {
		return r.Last.Step
	}
	for _, a := range r.Unconfirmed {
		if a.Order == id && a.Step.Final() {
			return a.Step
		}
	}
	return ""
}

// clone copies r so that the copy can be changed or written while r goes on.
func (r *record) clone() record {
	c := *r
	c.Works = slices.Clone(r.Works)
	c.Unconfirmed = slices.Clone(r.Unconfirmed)
	c.Recent = slices.Clone(r.Recent)
	return c
}
