package db_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"pgregory.net/rapid"
)

// post is the way between the server and one host, as far as both see it: the bus
// holds one order and takes none that is not newer, the host reads it while it is
// online, and its answers come in order, once or more often.
type post struct {
	*world
	rt      *rapid.T
	host    string
	issued  []string
	bus     fleet.Order
	online  bool
	gen     uint64        // of the newest order that the host has seen
	works   []fleet.Order // that it has taken up
	answers []db.AnswerRow
	seq     map[string]uint32
	read    map[string]bool
	rollout int
}

func (p *post) ok(err error) {
	if err != nil {
		p.rt.Fatal(err)
	}
}

func (p *post) issueOne(kind string) {
	id := fmt.Sprintf("%s-%d", p.host, len(p.issued))
	o := p.of(kind, id, p.host)
	if kind == fleet.OrderCancel {
		if len(p.issued) == 0 {
			return
		}
		o.Detail.Cancels = rapid.SampledFrom(p.issued).Draw(p.rt, "cancels")
	}
	o.ExpiresAt = p.now.Add(time.Duration(rapid.IntRange(1, 4).Draw(p.rt, "hours")) * time.Hour)
	_, err := p.d.IssueOrders(p.t.Context(), []fleet.Order{o}, p.now)
	p.ok(err)
	p.issued = append(p.issued, id)
}

// put is what the bus does with an order.
func (p *post) put(o fleet.Order) {
	if o.Gen > p.bus.Gen {
		p.bus = o
	}
}

// send carries out what the outbox asks for.
func (p *post) send() {
	effects, err := p.d.ClaimEffects(p.t.Context(), p.now, lease, 100, "send")
	p.ok(err)
	for _, e := range effects {
		rows, err := p.d.OrdersToSend(p.t.Context(), []string{p.host}, p.now)
		p.ok(err)
		for _, r := range rows {
			p.put(r.Order)
		}
		p.ok(p.d.FinishEffect(p.t.Context(), e))
	}
}

// readBus is the host's look at the bus. Taking an order up ends those that it
// displaces, as agents do.
func (p *post) readBus() {
	o := p.bus
	if !p.online || o.Gen <= p.gen {
		return
	}
	p.gen, p.read[o.ID] = o.Gen, true
	if !o.ExpiresAt.After(p.now) {
		p.say(o, "refused")
		return
	}
	p.works = slices.DeleteFunc(p.works, func(w fleet.Order) bool {
		gone := o.Kind != fleet.OrderRefresh && (o.Kind != fleet.OrderCancel || o.Detail.Cancels == w.ID)
		if gone {
			p.say(w, "superseded")
		}
		return gone
	})
	p.say(o, "received")
	p.works = append(p.works, o)
}

func (p *post) say(o fleet.Order, step string) {
	p.seq[o.ID]++
	p.answers = append(p.answers, db.AnswerRow{
		StreamSeq: 1, Host: p.host, Order: o.ID, Gen: o.Gen, Seq: p.seq[o.ID], Step: step, At: p.now, Raw: []byte(step),
	})
}

func (p *post) finish(step string) {
	if p.online && len(p.works) > 0 {
		p.say(p.works[0], step)
		p.works = p.works[1:]
	}
}

// deliver records the first n answers, and forgets them unless they come again.
func (p *post) deliver(n int, again bool) {
	n = min(n, len(p.answers))
	_, err := p.d.RecordAnswers(p.t.Context(), p.answers[:n], p.now)
	p.ok(err)
	if !again {
		p.answers = p.answers[n:]
	}
}

func (p *post) startRollout() {
	p.rollout++
	id := fmt.Sprintf("R-%s-%d", p.host, p.rollout)
	p.running(id, id, p.host)
	p.issued = append(p.issued, id+"-"+p.host)
}

// settle lets everybody be there, without the clock, until nothing moves.
func (p *post) settle() {
	p.online = true
	for range 4 * (len(p.issued) + 1) {
		p.after(lease) // what a worker held when it was killed
		p.send()
		p.readBus()
		for len(p.works) > 0 {
			p.finish("healthy")
		}
		p.deliver(len(p.answers), false)
	}
}

// check holds what came of the orders against what was done.
func (p *post) check() {
	for _, id := range p.issued {
		o, err := p.d.Order(p.t.Context(), id)
		p.ok(err)
		if o.EndedAt.IsZero() {
			p.rt.Fatalf("order %s (%s, generation %d) never ended: %s", id, o.Kind, o.Gen, o.State)
		}
		if !p.read[id] && o.Note == "" {
			p.rt.Fatalf("order %s (%s) never reached its host, and nothing says why: %+v", id, o.Kind, o)
		}
		if p.read[id] == o.ReceivedAt.IsZero() {
			p.rt.Fatalf("the host has seen order %s: %t; the server says that it took it up at %v", id, p.read[id], o.ReceivedAt)
		}
	}
}

// Whatever is issued, lost, late or repeated: no order is lost without a word, each
// ends, and the host sees generations grow.
func TestNoOrderIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		p := &post{world: w, rt: t, host: fmt.Sprintf("h%d", round), online: true, seq: map[string]uint32{}, read: map[string]bool{}}
		w.hosts(p.host)
		kinds := []string{"deploy", "pull", "rollback", "refresh", "reboot", "restart_agent", "cancel"}
		t.Repeat(map[string]func(*rapid.T){
			"issue":   func(t *rapid.T) { p.issueOne(rapid.SampledFrom(kinds).Draw(t, "kind")) },
			"rollout": func(*rapid.T) { p.startRollout() },
			"send":    func(*rapid.T) { p.send() },
			"killed while sending": func(*rapid.T) {
				_, err := w.d.ClaimEffects(w.t.Context(), w.now, lease, 100, "send")
				p.ok(err)
			},
			"read": func(*rapid.T) { p.readBus() },
			"step": func(*rapid.T) { p.step("switching") },
			"finish": func(t *rapid.T) {
				p.finish(rapid.SampledFrom([]string{"healthy", "failed", "deferred"}).Draw(t, "end"))
			},
			"deliver": func(t *rapid.T) { p.deliver(rapid.IntRange(1, 3).Draw(t, "n"), rapid.Bool().Draw(t, "again")) },
			"away":    func(*rapid.T) { p.online = !p.online },
			"clock":   func(t *rapid.T) { w.after(time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute) },
			"overdue": func(*rapid.T) {
				_, err := w.d.EndOverdueOrders(w.t.Context(), w.now, 2)
				p.ok(err)
			},
		})
		p.settle()
		_, err := w.d.EndOverdueOrders(w.t.Context(), w.now, 1000)
		p.ok(err)
		p.settle()
		p.check()
	})
}

// step is a step on the way of what the host works on.
func (p *post) step(step string) {
	if p.online && len(p.works) > 0 {
		p.say(p.works[0], step)
	}
}
