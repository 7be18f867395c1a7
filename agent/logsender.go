package agent

import (
	"bytes"
	"context"
	"os"
	"time"
	"unicode/utf8"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	chunkBytes = 32 << 10
	chunkDelay = 250 * time.Millisecond // so that a chatty build does not send every line alone
)

// sendLogs sends the output of orders as it comes, and what an earlier process
// could not.
func (a *Agent) sendLogs(ctx context.Context) error {
	retry := time.Duration(0)
	for ctx.Err() == nil {
		wait, ok := a.sendOutput(ctx)
		if !ok { // more output is no reason to try sooner
			retry = max(min(2*retry, resendMost), resendFirst)
			pause(ctx, retry)
			continue
		}
		retry = 0
		timer := time.NewTimer(wait)
		select {
		case <-a.logs.wake:
			pause(ctx, chunkDelay)
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	for _, l := range a.logs.pending() {
		l.rest()
	}
	return ctx.Err()
}

// sendOutput sends all that is there to be sent, and returns when to look again;
// ok is false if the bus did not take it.
func (a *Agent) sendOutput(ctx context.Context) (wait time.Duration, ok bool) {
	wait = unconfirmedMax
	for _, l := range a.logs.pending() {
		for ctx.Err() == nil {
			chunks, gone := l.next(!a.ledger.works(l.order), a.cfg.Now())
			if gone {
				a.logs.drop(l)
			}
			if len(chunks) == 0 {
				break
			}
			taken, err := a.cfg.Link.Log(ctx, chunks)
			l.took(chunks[:taken], a.cfg.Now())
			if err != nil {
				return 0, false
			}
		}
		wait = min(wait, l.wait(a.cfg.Now()))
	}
	return wait, true
}

// works reports whether an order has not ended.
func (l *ledger) works(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.journal.rec.work(id)
	return ok
}

// next are the chunks to send now. An output that has ended ends with a last
// chunk, which is sent again until the server says that it has everything. Gone
// means that the output is not there any more.
func (l *orderLog) next(ended bool, now time.Time) (chunks []agentbus.LogChunk, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended = ended && l.file == nil
	if l.state.Sent == l.size && (!ended || now.Before(l.lastDue)) {
		return nil, false
	}
	file, err := os.Open(l.path)
	if err != nil {
		return nil, true
	}
	defer file.Close()
	text := make([]byte, min(l.size-l.state.Sent, agentbus.LogWindow*chunkBytes))
	if _, err := file.ReadAt(text, l.state.Sent); err != nil && len(text) > 0 {
		return nil, true // it is shorter than what was written to it
	}
	at := l.state.Sent
	for len(chunks) < agentbus.LogWindow {
		step, until := l.stepAt(at)
		rest := text[:min(int64(len(text)), until-at)]
		whole := at+int64(len(rest)) == until && (until < l.size || ended)
		n := cut(rest, !whole)
		last := ended && at+int64(n) == l.size
		if n == 0 && !last {
			break
		}
		chunks = append(chunks, agentbus.LogChunk{
			V: agentbus.ProtocolVersion, Order: l.order, Offset: at, Step: step,
			At: now.UnixMilli(), Text: text[:n:n], Last: last,
		})
		at, text = at+int64(n), text[n:]
		if last {
			break
		}
	}
	return chunks, false
}

// stepAt is the step that the output at a byte belongs to, and where that ends.
func (l *orderLog) stepAt(at int64) (step agentbus.Step, until int64) {
	step, until = agentbus.StepReceived, l.size
	for _, s := range l.state.Steps {
		if s.At > at {
			return step, min(until, s.At)
		}
		step = s.Step
	}
	return step, until
}

// cut is how much of p makes the next chunk: whole lines of a long text, whole
// characters of one whose line does not end.
func cut(p []byte, more bool) int {
	if len(p) > chunkBytes {
		p, more = p[:chunkBytes], true
		if i := bytes.LastIndexByte(p[3*chunkBytes/4:], '\n'); i >= 0 {
			return 3*chunkBytes/4 + i + 1
		}
	}
	if !more {
		return len(p)
	}
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if c := p[len(p)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(p[len(p)-i:]) {
				return len(p) - i
			}
			break
		}
	}
	return len(p)
}

// took notes that the bus has the chunks.
func (l *orderLog) took(chunks []agentbus.LogChunk, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range chunks {
		if c.Offset != l.state.Sent {
			return // the server asked for another part meanwhile
		}
		l.state.Sent += int64(len(c.Text))
		if c.Last {
			l.lastPause = max(min(2*l.lastPause, unconfirmedMax), unconfirmedMin)
			l.lastDue = now.Add(l.lastPause)
			l.save()
		}
	}
	if l.state.Sent-l.saved >= saveEach {
		l.save()
	}
}

// rest writes down how far the output was sent, for the next process.
func (l *orderLog) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.saved != l.state.Sent {
		l.save()
	}
}

// wait is how long there is nothing to do unless something comes.
func (l *orderLog) wait(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lastDue.After(now) {
		return l.lastDue.Sub(now)
	}
	return unconfirmedMax
}
