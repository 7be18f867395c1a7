package fleet

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is a rollout with hosts that come and go, answer or not, and people who
// interfere. ordered remembers who was given an order.
type world struct {
	facts   RolloutFacts
	now     time.Time
	silent  map[string]bool // hosts that can't be heard
	ordered map[string]bool
	steady  bool // every host is always heard
	names   []string
}

func drawWorld(t *rapid.T) *world {
	policy := DefaultPolicy().Deploy
	policy.MaxParallel = rapid.IntRange(1, 4).Draw(t, "max_parallel")
	policy.MaxFailures = Amount{N: rapid.IntRange(0, 3).Draw(t, "max_failures")}
	policy.Offline = rapid.SampledFrom([]string{"catch_up", "skip"}).Draw(t, "offline")
	policy.Waves[0].Soak = rapid.SampledFrom([]time.Duration{0, 10 * time.Minute}).Draw(t, "soak")
	hosts := enrolled(rapid.IntRange(0, 8).Draw(t, "hosts"), noon)
	plan, progress, err := MakePlan(policy, hosts)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{now: noon, silent: map[string]bool{}, ordered: map[string]bool{}, steady: rapid.Bool().Draw(t, "steady")}
	w.facts = RolloutFacts{Rollout: Rollout{State: RolloutPlanned, Plan: plan, Hosts: progress}, Hosts: map[string]Host{}}
	for _, h := range hosts {
		w.facts.Hosts[h.Name] = h
		w.names = append(w.names, h.Name)
	}
	return w
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for _, name := range w.names {
		if h := w.facts.Hosts[name]; !w.silent[name] {
			h.LastSeen = w.now
			w.facts.Hosts[name] = h
		}
	}
}

func (w *world) answer(name string, e HostEvent) {
	if !w.ordered[name] {
		return // it knows nothing to answer
	}
	hosts := slices.Clone(w.facts.Rollout.Hosts)
	for i := range hosts {
		if hosts[i].Host == name {
			hosts[i] = hosts[i].After(e, w.now)
		}
	}
	w.facts.Rollout.Hosts = hosts
}

func (w *world) underWay(hosts []HostProgress) int {
	n := 0
	for _, p := range hosts {
		if p.State.UnderWay() {
			n++
		}
	}
	return n
}

// look advances the rollout and checks everything that must hold of any move.
func (w *world) look(t *rapid.T) {
	before := w.facts.Rollout
	m := Advance(w.facts, w.now)
	if !LegalRollout(before.State, m.State) {
		t.Fatalf("from %s to %s", before.State, m.State)
	}
	if len(m.Hosts) != len(w.names) {
		t.Fatalf("hosts were lost: %+v became %+v", before.Hosts, m.Hosts)
	}
	given, failed := 0, 0
	for i, p := range m.Hosts {
		was := before.Hosts[i]
		if p.Host != was.Host || p.Wave != was.Wave || !slices.Contains(AllHostStates(), p.State) {
			t.Fatalf("a host was lost: %+v became %+v", was, p)
		}
		if was.State.Terminal() && p.State != was.State {
			t.Fatalf("%s had ended as %s, and is %s", p.Host, was.State, p.State)
		}
		if p.State.UnderWay() && !was.State.UnderWay() {
			given++
		}
		if was.State == HostFailed || was.State == HostReverted {
			failed++
		}
	}
	if given > 0 && w.underWay(m.Hosts) > before.Plan.MaxParallel {
		t.Fatalf("%d hosts under way, at most %d are allowed: %+v", w.underWay(m.Hosts), before.Plan.MaxParallel, m.Hosts)
	}
	if w.steady && w.underWay(m.Hosts) > before.Plan.MaxParallel {
		t.Fatalf("%d hosts under way although nobody was away", w.underWay(m.Hosts))
	}
	if len(m.Orders) > 0 && (m.State != RolloutRunning && m.State != RolloutSucceeded || failed >= max(1, before.Plan.MaxFailures)) {
		t.Fatalf("orders to %v in a rollout that is %s after %d failures", m.Orders, m.State, failed)
	}
	w.checkOrders(t, before, m)
	if !m.Again.IsZero() && !m.Again.After(w.now) {
		t.Fatalf("look again at %s, which is not after %s", m.Again, w.now)
	}
	if m.State == RolloutRunning && w.underWay(m.Hosts) == 0 && m.Again.IsZero() {
		t.Fatalf("it runs, nobody is under way, and nothing will wake it: %+v", m)
	}
	w.facts.Rollout.State, w.facts.Rollout.Hosts = m.State, m.Hosts
	if m.Again.Equal(w.now.Add(againNext)) {
		return // asks for another look itself
	}
	again := Advance(w.facts, w.now)
	if again.State != m.State || len(again.Orders)+len(again.Cancel) > 0 || !slices.Equal(again.Hosts, m.Hosts) {
		t.Fatalf("a second look changes something: %+v\nthen %+v", m, again)
	}
}

// checkOrders: nobody is ordered twice, and no wave before its turn.
func (w *world) checkOrders(t *rapid.T, before Rollout, m Move) {
	for _, name := range m.Orders {
		if w.ordered[name] {
			t.Fatalf("%s is given its order twice", name)
		}
		w.ordered[name] = true
		i := slices.IndexFunc(before.Hosts, func(p HostProgress) bool { return p.Host == name })
		for _, p := range m.Hosts {
			if p.State == HostWaiting && p.Wave < before.Hosts[i].Wave {
				t.Fatalf("%s of wave %d is ordered while %s of wave %d waits", name, before.Hosts[i].Wave, p.Host, p.Wave)
			}
		}
		if h := w.facts.Hosts[name]; !h.RevokedAt.IsZero() {
			t.Fatalf("%s is revoked, and is ordered", name)
		}
	}
}

func TestNoSequenceOfEventsLosesAHostOrExceedsMaxParallel(t *testing.T) {
	t.Parallel()
	answers := AllHostEvents()[5:]
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		actions := map[string]func(*rapid.T){
			"": w.look,
			"answer": func(t *rapid.T) {
				if len(w.names) > 0 {
					w.answer(rapid.SampledFrom(w.names).Draw(t, "host"), rapid.SampledFrom(answers).Draw(t, "answer"))
				}
			},
			"healthy": func(t *rapid.T) {
				if len(w.names) > 0 {
					w.answer(rapid.SampledFrom(w.names).Draw(t, "host"), HostSaysHealthy)
				}
			},
			"pass": func(t *rapid.T) {
				w.pass(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 10 * time.Minute, 3 * time.Hour}).Draw(t, "time"))
			},
			"silence": func(t *rapid.T) {
				if len(w.names) > 0 && !w.steady {
					name := rapid.SampledFrom(w.names).Draw(t, "host")
					w.silent[name] = !w.silent[name]
				}
			},
			"restart": func(*rapid.T) { w.now = w.now.Add(time.Hour); w.facts.Hearing = w.now },
			"newer":   func(t *rapid.T) { w.facts.Newer = rapid.Bool().Draw(t, "newer") },
			"busy":    func(t *rapid.T) { w.facts.Busy = rapid.Bool().Draw(t, "busy") },
			"person": func(t *rapid.T) {
				e := rapid.SampledFrom([]RolloutEvent{RolloutPause, RolloutResume, RolloutResume, RolloutAbort}).Draw(t, "event")
				w.facts.Rollout.State = NextRolloutState(w.facts.Rollout.State, e)
			},
			"revoke": func(t *rapid.T) {
				if len(w.names) > 0 {
					name := rapid.SampledFrom(w.names).Draw(t, "host")
					h := w.facts.Hosts[name]
					h.RevokedAt = w.now
					w.facts.Hosts[name] = h
				}
			},
		}
		t.Repeat(actions)
		w.end(t)
	})
}

// end lets everybody come back and do their best: then the rollout ends, or it is
// one that a person or the budget has stopped.
func (w *world) end(t *rapid.T) {
	w.silent, w.facts.Busy = map[string]bool{}, false
	w.facts.Rollout.State = NextRolloutState(w.facts.Rollout.State, RolloutResume)
	for range 4*len(w.names) + 10 {
		w.pass(15 * time.Minute)
		w.look(t)
		for _, name := range w.names {
			w.answer(name, HostSaysHealthy)
		}
	}
	w.look(t)
	if s := w.facts.Rollout.State; !s.Terminal() && s != RolloutHalted {
		t.Fatalf("everybody is back, and it is still %s: %+v", s, w.facts.Rollout.Hosts)
	}
	for _, p := range w.facts.Rollout.Hosts {
		if !p.State.Terminal() && p.State != HostWaiting {
			t.Fatalf("everybody is back, and %s is still %s", p.Host, p.State)
		}
	}
}
