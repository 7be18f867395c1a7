package agent

import (
	"context"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// How long one try may take, and the pauses between tries: short while the bus
// does not take an answer, longer while the server has not confirmed it.
const (
	answerTimeout  = 5 * time.Second
	resendFirst    = 500 * time.Millisecond
	resendMost     = 10 * time.Second
	unconfirmedMin = 2 * time.Second
	unconfirmedMax = 5 * time.Minute
)

type answerKey struct {
	order string
	seq   uint32
}

// tries is what the sender knows of an answer that is not confirmed.
type tries struct {
	due   time.Time
	after time.Duration // pause before the next try
	holds bool          // the later ones of its order wait until the bus has it
}

// sendAnswers repeats every answer until the server confirms it: that the bus
// took it does not mean that anyone has recorded it.
func (a *Agent) sendAnswers(ctx context.Context) error {
	confirms := a.cfg.Link.Confirms()
	sent := map[answerKey]tries{}
	for ctx.Err() == nil {
		wait := a.sendDue(ctx, sent)
		timer := time.NewTimer(wait)
		var err error
		select {
		case c, ok := <-confirms:
			if !ok {
				confirms = nil
				break
			}
			if c.Log != nil {
				a.logs.confirm(c.Order, *c.Log)
			}
			err = a.ledger.confirm(c)
		case <-a.ledger.answers:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sendDue sends what is due, oldest first, and returns when to look again. An
// answer that the bus does not take holds back the later ones of its order, also
// until its next try: to confirm a later one is to confirm those before it. One
// that no bus would take holds back nothing.
func (a *Agent) sendDue(ctx context.Context, sent map[answerKey]tries) time.Duration {
	pending := a.ledger.snapshot().Unconfirmed
	open := make(map[answerKey]bool, len(pending))
	for _, answer := range pending {
		open[answerKey{answer.Order, answer.Seq}] = true
	}
	for key := range sent {
		if !open[key] {
			delete(sent, key)
		}
	}
	wait := unconfirmedMax
	stuck := map[string]bool{}
	for _, answer := range pending {
		key := answerKey{answer.Order, answer.Seq}
		t := sent[key]
		if stuck[answer.Order] || ctx.Err() != nil {
			continue
		}
		if left := t.due.Sub(a.cfg.Now()); left > 0 {
			stuck[answer.Order] = t.holds
			wait = min(wait, left)
			continue
		}
		err := a.send(ctx, answer)
		ok := err == nil
		t.holds = !ok && !errors.Is(err, agentbus.ErrUnsendable)
		if ok {
			t.after = max(min(2*t.after, unconfirmedMax), unconfirmedMin)
		} else {
			t.after = max(min(2*t.after, resendMost), resendFirst)
		}
		t.due = a.cfg.Now().Add(t.after)
		sent[key] = t
		wait = min(wait, t.after)
		if stuck[answer.Order] = t.holds; !ok && !a.cfg.Link.Connected() {
			break // the others would fare no better
		}
	}
	return wait
}

func (a *Agent) send(ctx context.Context, answer agentbus.Answer) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return a.cfg.Link.Answer(ctx, answer)
}
