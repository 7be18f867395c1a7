package agent

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/agentbus"
)

// host is an agent with its ledger, the work that it does in between, and the
// server that it answers.
type host struct {
	t      *rapid.T
	dir    string
	l      *ledger
	sent   []agentbus.Order // by the server; the host gets the newest that it lacks
	got    map[string][]agentbus.Answer
	safe   int64 // size of the journal that no crash can take back: what it said was sent
	ctx    context.Context
	doing  string // order under way
	marked string // order that was to be stopped when the host crashed
}

func (h *host) open() {
	h.l, h.doing = openLedger(h.t, h.dir), ""
	h.safe = h.l.journal.size
}

func (h *host) must(err error) {
	if err != nil {
		h.t.Fatal(err)
	}
}

// deliver brings the newest order, as the bus does until it is taken on.
func (h *host) deliver() {
	if len(h.sent) > 0 {
		h.must(h.l.accept(h.sent[len(h.sent)-1]))
	}
}

func (h *host) next() {
	if h.doing != "" {
		return
	}
	ctx, w, ok, err := h.l.next(h.t.Context())
	h.must(err)
	if h.ctx, h.doing = ctx, w.Order.ID; !ok {
		h.doing = ""
	}
	rec := h.l.snapshot()
	for _, w := range rec.Works {
		if w.Stop != nil {
			h.t.Fatalf("order %s is to be stopped, nothing works on it, and it has not ended", w.Order.ID)
		}
	}
	end := rec.end(h.marked)
	if known := h.got[h.marked]; end == "" && len(known) > 0 {
		end = known[len(known)-1].Step
	}
	if h.marked != "" && end != agentbus.StepCancelled && end != agentbus.StepSuperseded {
		h.t.Fatalf("order %s was to be stopped before the crash and is now %q", h.marked, end)
	}
	h.marked = ""
}

// send gives the server all that it has not confirmed.
func (h *host) send() {
	for _, a := range h.l.snapshot().Unconfirmed {
		known := h.got[a.Order]
		switch {
		case int(a.Seq) <= len(known):
			if diff := cmp.Diff(known[a.Seq-1], a); diff != "" {
				h.t.Fatalf("answer %d to %s was another before:\n%s", a.Seq, a.Order, diff)
			}
		case int(a.Seq) != len(known)+1:
			h.t.Fatalf("answer %d to %s follows answer %d", a.Seq, a.Order, len(known))
		case len(known) > 0 && known[len(known)-1].Step.Final():
			h.t.Fatalf("order %s goes on after its end: %+v", a.Order, a)
		default:
			h.got[a.Order] = append(known, a)
		}
	}
	h.safe = h.l.journal.size
}

// crash ends the process, perhaps in the middle of what it last wrote.
func (h *host) crash() {
	_ = h.l.journal.close()
	data, err := os.ReadFile(h.l.journal.path)
	h.must(err)
	lines := bytes.SplitAfter(data[min(h.safe, int64(len(data))):], []byte{'\n'})
	keep := bytes.Join(lines[:rapid.IntRange(0, len(lines)).Draw(h.t, "lines that were written")], nil)
	h.must(os.WriteFile(h.l.journal.path, append(data[:min(h.safe, int64(len(data)))], keep...), 0o600))
	h.open()
	h.marked = ""
	for _, w := range h.l.snapshot().Works {
		if w.Stop != nil {
			h.marked = w.Order.ID
		}
	}
	h.deliver()
}

// check looks at the rules that hold at any time.
func (h *host) check() {
	begun := 0
	rec := h.l.snapshot()
	for _, w := range rec.Works {
		if w.begun() {
			begun++
		}
		if w.begun() && w.Stop != nil {
			h.t.Fatalf("order %s begins to switch although it is to be stopped", w.Order.ID)
		}
	}
	if begun > 1 {
		h.t.Fatalf("%d orders have begun to switch at once: %+v", begun, rec.Works)
	}
	if end := rec.end(h.doing); h.doing != "" && end != "" {
		h.t.Fatalf("order %s has ended as %s while something works on it", h.doing, end)
	}
	if h.l.journal.size < h.safe { // it was compacted
		h.safe = h.l.journal.size
	}
}

// Whatever orders come, wherever the work on them stops and the agent crashes,
// every order ends exactly once, and never before its work has.
func TestEveryOrderEndsOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		h := &host{t: t, dir: dir, got: map[string][]agentbus.Answer{}}
		h.open()
		defer func() { _ = h.l.journal.close() }()
		t.Repeat(map[string]func(*rapid.T){
			"order": func(t *rapid.T) {
				o := testOrder(uint64(len(h.sent)+1), rapid.SampledFrom(append(allKinds, agentbus.KindCancel, "run")).Draw(t, "kind"))
				o.Cancels = fmt.Sprintf("o%d", rapid.IntRange(0, len(h.sent)+1).Draw(t, "cancels"))
				h.sent = append(h.sent, o)
				h.deliver()
			},
			"next": func(*rapid.T) { h.next() },
			"step": func(t *rapid.T) {
				if h.doing != "" {
					_ = h.l.begin(h.doing, agentbus.Answer{Step: rapid.SampledFrom([]agentbus.Step{
						agentbus.StepFetching, agentbus.StepBuilding, agentbus.StepSwitching, agentbus.StepVerifying,
					}).Draw(t, "step")})
				}
			},
			"leave": func(*rapid.T) {
				if h.doing != "" {
					_, _ = h.l.leave(h.doing, "", errand{Act: errandReboot})
				}
			},
			"end": func(t *rapid.T) {
				if id := h.doing; id != "" {
					h.doing = ""
					h.must(h.l.finish(id, agentbus.Answer{Step: rapid.SampledFrom([]agentbus.Step{
						agentbus.StepHealthy, agentbus.StepDeferred, agentbus.StepFailed, agentbus.StepReverted,
					}).Draw(t, "end")}))
				}
			},
			"work stops": func(*rapid.T) {
				if h.doing != "" && h.ctx.Err() != nil {
					h.doing = ""
				}
			},
			"send":    func(*rapid.T) { h.send() },
			"confirm": func(t *rapid.T) { h.confirm() },
			"crash":   func(*rapid.T) { h.crash() },
			"":        func(*rapid.T) { h.check() },
		})
		h.drain()
	})
}

func (h *host) confirm() {
	for id, answers := range h.got {
		h.must(h.l.confirm(agentbus.Confirm{Order: id, Seq: uint32(len(answers))}))
	}
}

// drain works off what is left and looks at how everything has ended.
func (h *host) drain() {
	h.deliver()
	for range 2*len(h.sent) + 1 {
		if h.doing != "" {
			h.must(h.l.finish(h.doing, agentbus.Answer{Step: agentbus.StepHealthy}))
			h.doing = ""
		}
		h.next()
	}
	h.send()
	if rec := h.l.snapshot(); len(rec.Works) > 0 {
		h.t.Fatalf("orders that never end: %+v", rec.Works)
	}
	for id, answers := range h.got {
		if last := answers[len(answers)-1]; !last.Step.Final() {
			h.t.Fatalf("order %s has not ended: %+v", id, answers)
		}
	}
	if n := len(h.sent); n > 0 && len(h.got[h.sent[n-1].ID]) == 0 {
		h.t.Fatalf("the newest order has no answer")
	}
}

// A cancel order is not answered before what it stops has stopped, and wins over a
// crash in between.
func TestCancelWaitsForTheEndOfTheWork(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		dir := t.TempDir()
		l := openLedger(t, dir)
		p, o, n := testOrder(1, agentbus.KindDeploy), testOrder(2, agentbus.KindCancel), testOrder(3, agentbus.KindDeploy)
		o.Cancels = p.ID
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(l.accept(p))
		ctx, _, _, err := l.next(t.Context())
		must(err)
		must(l.begin(p.ID, agentbus.Answer{Step: agentbus.StepBuilding}))
		must(l.accept(o))
		must(l.accept(n))
		if context.Cause(ctx) != errCancelled {
			t.Errorf("the work ends for %v", context.Cause(ctx))
		}
		if got := ends(l); got != "" {
			t.Errorf("ended while the work goes on: %s", got)
		}
		if err := l.begin(p.ID, agentbus.Answer{Step: agentbus.StepSwitching}); err != errCancelled {
			t.Errorf("a cancelled order begins to switch: %v", err)
		}
		if crash {
			_ = l.journal.close()
			l = openLedger(t, dir)
			again := testOrder(4, agentbus.KindCancel)
			again.Cancels = p.ID
			must(l.accept(again)) // what the crash left of the work is not gone yet
			if got := ends(l); got != "" {
				t.Errorf("ended before the next process has looked: %s", got)
			}
		}
		_, w, _, err := l.next(t.Context())
		must(err)
		if got := ends(l); got != "o1 cancelled, o2 healthy"+map[bool]string{true: ", o4 healthy"}[crash] || w.Order.ID != n.ID {
			t.Errorf("crash %v: ended %s, next %s", crash, got, w.Order.ID)
		}
		_ = l.journal.close()
	}
}

// ends are the final answers that the ledger has, in order.
func ends(l *ledger) (text string) {
	for _, a := range l.snapshot().Unconfirmed {
		if a.Step.Final() {
			if text != "" {
				text += ", "
			}
			text += a.Order + " " + string(a.Step)
		}
	}
	return text
}
