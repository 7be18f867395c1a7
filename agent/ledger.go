package agent

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Why work on an order stops although neither it nor the agent ended.
var (
	errSuperseded = errors.New("a newer order came before this one switched")
	errCancelled  = errors.New("a cancel order stopped it")
)

// ledger is the journal with its rules: which order may take which step, and
// what a new order does to those before it. All decisions are made under one
// lock, so that a newer order and the begin of a switch cannot both win.
type ledger struct {
	mu      sync.Mutex
	journal *journal
	stamp   func() agentbus.Answer // an answer with clock and boot id filled in
	facts   func() *agentbus.Observation
	stop    context.CancelCauseFunc // ends the work on running
	running string                  // order id

	work    chan struct{} // told when there may be an order to work on
	answers chan struct{} // told when there may be an answer to send
}

func newLedger(j *journal, stamp func() agentbus.Answer, facts func() *agentbus.Observation) *ledger {
	return &ledger{
		journal: j, stamp: stamp, facts: facts,
		work: make(chan struct{}, 1), answers: make(chan struct{}, 1),
	}
}

// accept takes on o, which the bus has verified. What o makes obsolete is ended
// first: after a crash between the two, o comes again.
func (l *ledger) accept(o agentbus.Order) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.Gen <= l.journal.rec.Gen {
		return nil
	}
	if l.journal.rec.knows(o.ID) || !validID(o.ID) {
		return l.append(entry{Passed: o.Gen}) // nothing to answer, and never asked for again
	}
	var entries []entry
	said := agentbus.Answer{Step: agentbus.StepReceived}
	if bad := checkOrder(o); bad != nil {
		said = agentbus.Answer{Step: agentbus.StepRefused, Error: bad}
	} else {
		var note string
		entries, note = l.displace(o)
		switch o.Kind {
		case agentbus.KindCancel, agentbus.KindNoop:
			said = agentbus.Answer{Step: agentbus.StepHealthy, Note: note}
		}
	}
	reply := l.reply(o, 1, said)
	entries = append(entries, entry{Order: &o}, entry{Answer: &reply})
	if err := l.append(entries...); err != nil {
		return err
	}
	wake(l.work)
	return nil
}

// displace ends the orders that o stops, and says in words what became of them.
func (l *ledger) displace(o agentbus.Order) (entries []entry, note string) {
	if o.Kind == agentbus.KindCancel {
		note = "order " + o.Cancels + " is not under way"
	}
	for _, w := range l.journal.rec.Works {
		step, cause := agentbus.StepSuperseded, errSuperseded
		if o.Kind == agentbus.KindCancel {
			step, cause = agentbus.StepCancelled, errCancelled
		}
		if !displaces(o, w.Order) {
			continue
		}
		if w.begun() {
			note = "order " + w.Order.ID + " has begun to switch and runs to its end"
			continue
		}
		a := l.reply(w.Order, w.Seq+1, agentbus.Answer{Step: step, Note: cause.Error() + ": " + o.ID})
		entries = append(entries, entry{Answer: &a})
		note = "order " + w.Order.ID + " stopped"
		if l.running == w.Order.ID {
			l.stop(cause)
		}
	}
	return entries, note
}

// displaces reports whether order o makes the older order p pointless. A refresh
// only looks, so it stops nothing but another refresh.
func displaces(o, p agentbus.Order) bool {
	switch o.Kind {
	case agentbus.KindCancel:
		return o.Cancels == p.ID
	case agentbus.KindRefresh:
		return p.Kind == agentbus.KindRefresh
	default:
		return true
	}
}

// refuse answers an order that the bus would not vouch for. Nothing in o is to
// be believed, so a refusal never touches an order that was taken on: else a
// replayed envelope could end the order it was copied from.
func (l *ledger) refuse(o agentbus.Order, code, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !validID(o.ID) || l.journal.rec.knows(o.ID) {
		return nil
	}
	o.Gen = min(o.Gen, math.MaxInt64) // more is no number that the server could take
	a := l.reply(o, 1, agentbus.Answer{Step: agentbus.StepRefused, Error: &agentbus.StepError{
		Step: agentbus.StepReceived, Code: code, Message: clip(reason, 500),
	}})
	return l.append(entry{Answer: &a})
}

// begin records that the order is about to take a step, with what the answer says
// beside it. Steps already recorded are not repeated. The error is why the order
// must not go on.
func (l *ledger) begin(id string, said agentbus.Answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.journal.rec.work(id)
	if !ok {
		return errSuperseded
	}
	if rank(said.Step) <= rank(w.Step) {
		return nil
	}
	a := l.reply(w.Order, w.Seq+1, said)
	return l.append(entry{Answer: &a})
}

// finish records the end of an order. An order that has ended stays as it ended.
func (l *ledger) finish(id string, said agentbus.Answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.journal.rec.work(id)
	if !ok {
		return nil
	}
	a := l.reply(w.Order, w.Seq+1, said)
	return l.append(entry{Answer: &a})
}

// confirm forgets the answers that the server has recorded.
func (l *ledger) confirm(c agentbus.Confirm) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.journal.rec.Unconfirmed {
		if a.Order == c.Order && a.Seq <= c.Seq {
			return l.append(entry{Confirm: &c})
		}
	}
	return nil
}

// next is the oldest order that has not ended, with the context to work on it
// in; the context ends early when the order is displaced.
func (l *ledger) next(ctx context.Context) (context.Context, work, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		l.stop(nil)
	}
	l.running, l.stop = "", nil
	if len(l.journal.rec.Works) == 0 {
		return ctx, work{}, false
	}
	w := l.journal.rec.Works[0]
	ctx, l.stop = context.WithCancelCause(ctx)
	l.running = w.Order.ID
	return ctx, w, true
}

// snapshot is a copy of what the journal says now.
func (l *ledger) snapshot() record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.journal.rec.clone()
}

func (l *ledger) append(entries ...entry) error {
	if err := l.journal.append(entries...); err != nil {
		return err
	}
	wake(l.answers)
	return nil
}

// reply is the answer number seq to o: what is said, by whom and when.
func (l *ledger) reply(o agentbus.Order, seq uint32, said agentbus.Answer) agentbus.Answer {
	a, by := said, l.stamp()
	a.V, a.At, a.BootID = by.V, by.At, by.BootID
	a.Order, a.Gen, a.Seq, a.Note = o.ID, o.Gen, seq, clip(said.Note, 500)
	if said.Step.Final() {
		a.Facts = l.facts()
	}
	return a
}

// rank orders the steps on the way to healthy.
func rank(s agentbus.Step) int {
	switch s {
	case agentbus.StepReceived:
		return 1
	case agentbus.StepFetching:
		return 2
	case agentbus.StepBuilding:
		return 3
	case agentbus.StepSwitching:
		return 4
	case agentbus.StepVerifying:
		return 5
	case agentbus.StepHealthy, agentbus.StepDeferred, agentbus.StepFailed, agentbus.StepReverted,
		agentbus.StepRefused, agentbus.StepSuperseded, agentbus.StepCancelled:
		return 6
	}
	return 0
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
