package agent

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Why work on an order stops although neither it nor the agent ended.
var (
	errSuperseded = errors.New("a newer order came before this one switched")
	errCancelled  = errors.New("a cancel order stopped it")
	errPutOff     = errors.New("a newer order goes first")
)

// errTwoSwitches would be a mistake of the agent's own: one order at a time may be
// past the point of no return.
var errTwoSwitches = errors.New("another order has begun to switch")

// ledger is the journal with its rules: which order may take which step, and
// what a new order does to those before it. All decisions are made under one
// lock, so that a newer order and the begin of a switch cannot both win.
type ledger struct {
	mu      sync.Mutex
	journal *journal
	check   func(agentbus.Order) *agentbus.StepError // why an order can't be taken on
	stamp   func() agentbus.Answer                   // an answer with clock and boot id filled in
	facts   func() *agentbus.Observation
	stop    context.CancelCauseFunc // ends the work on running
	running string                  // order id
	ready   bool                    // what an earlier process left of its work is gone, see next

	work    chan struct{} // told when there may be an order to work on
	answers chan struct{} // told when there may be an answer to send
}

func newLedger(j *journal, check func(agentbus.Order) *agentbus.StepError, stamp func() agentbus.Answer, facts func() *agentbus.Observation) *ledger {
	return &ledger{
		journal: j, check: check, stamp: stamp, facts: facts,
		work: make(chan struct{}, 1), answers: make(chan struct{}, 1),
	}
}

// accept takes on o, which the bus has verified. What o stops is written down
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
	if bad := l.check(o); bad != nil {
		said = agentbus.Answer{Step: agentbus.StepRefused, Error: bad}
	} else {
		entries = l.stopped(o)
	}
	reply := l.reply(o, 1, said)
	if err := l.append(append(entries, entry{Order: &o}, entry{Answer: &reply})...); err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		return err
	}
	l.interrupt()
	wake(l.work)
	return nil
}

// stopped are the marks of the orders that o stops.
func (l *ledger) stopped(o agentbus.Order) (marks []entry) {
	as := agentbus.StepSuperseded
	if o.Kind == agentbus.KindCancel {
		as = agentbus.StepCancelled
	}
	for _, w := range l.journal.rec.Works {
		if relate(o, w.Order) == stops && !w.begun() && w.Stop == nil {
			marks = append(marks, entry{Stop: &stopping{Order: w.Order.ID, By: o.ID, As: as}})
		}
	}
	return marks
}

// settle ends the orders that are to end and on which nothing works any more, and
// then those that were only to stop others. It concludes from the record alone, so
// that it comes to the same after a crash.
func (l *ledger) settle() error {
	var entries []entry
	for _, w := range l.journal.rec.Works {
		if w.Stop == nil || w.Order.ID == l.running || !l.ready {
			continue
		}
		a := l.reply(w.Order, w.Seq+1, agentbus.Answer{
			Step: w.Stop.As, Note: stopCause(w.Stop.As).Error() + ": " + w.Stop.By,
		})
		entries = append(entries, entry{Answer: &a})
	}
	if err := l.append(entries...); err != nil {
		return err
	}
	entries = nil
	for _, w := range l.journal.rec.Works {
		if instant(w.Order.Kind) && !l.stopping(w.Order) {
			a := l.reply(w.Order, w.Seq+1, agentbus.Answer{Step: agentbus.StepHealthy, Note: l.became(w.Order)})
			entries = append(entries, entry{Answer: &a})
		}
	}
	return l.append(entries...)
}

// stopping reports whether something that o stops has not stopped yet.
func (l *ledger) stopping(o agentbus.Order) bool {
	return slices.ContainsFunc(l.journal.rec.Works, func(w work) bool {
		return w.Stop != nil && w.Order.Gen < o.Gen && relate(o, w.Order) == stops
	})
}

// became says what became of the order that o, a cancel order, was to stop.
func (l *ledger) became(o agentbus.Order) string {
	if o.Kind != agentbus.KindCancel {
		return ""
	}
	w, open := l.journal.rec.work(o.Cancels)
	switch end := l.journal.rec.end(o.Cancels); {
	case open && w.Errand != nil:
		return "order " + o.Cancels + " has begun to " + w.Errand.Act + " and runs to its end"
	case open:
		return "order " + o.Cancels + " has begun to switch and runs to its end"
	case end == agentbus.StepCancelled:
		return "order " + o.Cancels + " stopped"
	case end != "":
		return "order " + o.Cancels + " had ended before, as " + string(end)
	}
	return "order " + o.Cancels + " is not under way"
}

func stopCause(as agentbus.Step) error {
	if as == agentbus.StepCancelled {
		return errCancelled
	}
	return errSuperseded
}

// interrupt tells the work under way to stop where it is to end, or where another
// order goes first.
func (l *ledger) interrupt() {
	w, ok := l.journal.rec.work(l.running)
	if !ok {
		return
	}
	if w.Stop != nil {
		l.stop(stopCause(w.Stop.As))
	} else if next, _ := pick(l.journal.rec.Works); next.Order.ID != l.running {
		l.stop(errPutOff)
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
	if err := l.mayBegin(w, ok, said.Step); err != nil {
		return err
	}
	if rank(said.Step) <= rank(w.Step) {
		return nil
	}
	a := l.reply(w.Order, w.Seq+1, said)
	return l.append(entry{Answer: &a})
}

func (l *ledger) mayBegin(w work, open bool, step agentbus.Step) error {
	switch {
	case !open:
		return errSuperseded
	case w.Stop != nil:
		return stopCause(w.Stop.As)
	case !noReturn(step):
		return nil
	}
	for _, other := range l.journal.rec.Works {
		if other.begun() && other.Order.ID != w.Order.ID {
			return errTwoSwitches
		}
	}
	return nil
}

// leave records that this process is about to do what it does not outlive, with
// the answer that says so, and returns the errand as it was first recorded.
func (l *ledger) leave(id, note string, e errand) (errand, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.journal.rec.work(id)
	if ok && w.Errand != nil && w.Errand.Act == e.Act {
		return *w.Errand, nil
	}
	if err := l.mayBegin(w, ok, agentbus.StepVerifying); err != nil {
		return e, err
	}
	a := l.reply(w.Order, w.Seq+1, agentbus.Answer{Step: agentbus.StepVerifying, Note: note})
	e.Boot, e.At = a.BootID, a.At
	return e, l.append(entry{Answer: &a, Errand: &e})
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

// next is the order to work on now, with the context to work on it in; the context
// ends early when another order stops it or goes first. Nothing else is worked on
// when it is called.
func (l *ledger) next(ctx context.Context) (context.Context, work, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		l.stop(nil)
	}
	l.running, l.stop, l.ready = "", nil, true
	if err := l.settle(); err != nil {
		return ctx, work{}, false, err
	}
	w, ok := pick(l.journal.rec.Works)
	if !ok {
		return ctx, work{}, false, nil
	}
	ctx, l.stop = context.WithCancelCause(ctx)
	l.running = w.Order.ID
	return ctx, w, true, nil
}

// snapshot is a copy of what the journal says now.
func (l *ledger) snapshot() record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.journal.rec.clone()
}

func (l *ledger) append(entries ...entry) error {
	if len(entries) == 0 {
		return nil
	}
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
