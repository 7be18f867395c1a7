package fleet

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func (w *world) factsOf(r *Rollout) RolloutFacts {
	f := RolloutFacts{Rollout: *r, Hosts: w.hosts, Newer: w.newer, NewerHosts: w.newerHosts, Busy: w.busy, Hearing: w.hearing}
	if r == w.main && w.restore != nil {
		restoring := *w.restore
		f.Restoring = &restoring
	}
	return f
}

// look advances both rollouts.
func (w *world) look(t *rapid.T) {
	w.lookAt(t, w.main)
	if w.restore != nil {
		w.lookAt(t, w.restore)
	}
}

// lookAt advances one rollout, checks everything that must hold of any move, does
// what the move asks for, and looks again.
func (w *world) lookAt(t *rapid.T, r *Rollout) {
	m := Advance(w.factsOf(r), w.now)
	w.check(t, r, m)
	w.carryOut(t, r, m)
	if m.Again.Equal(w.now.Add(againNext)) {
		return // asks for another look itself
	}
	if again := Advance(w.factsOf(r), w.now); again.State != r.State || again.Restore ||
		len(again.Orders)+len(again.Reboots)+len(again.Cancel) > 0 || !slices.Equal(again.Hosts, r.Hosts) {
		t.Fatalf("a second look changes something: %+v\nthen %+v", m, again)
	}
}

func (w *world) check(t *rapid.T, r *Rollout, m Move) {
	if !LegalRollout(r.State, m.State) {
		t.Fatalf("from %s to %s", r.State, m.State)
	}
	if len(m.Hosts) != len(r.Hosts) {
		t.Fatalf("hosts were lost: %+v became %+v", r.Hosts, m.Hosts)
	}
	busy, failed := 0, 0
	for i, p := range m.Hosts {
		was := r.Hosts[i]
		if p.Host != was.Host || p.Wave != was.Wave || !slices.Contains(AllHostStates(), p.State) {
			t.Fatalf("a host was lost: %+v became %+v", was, p)
		}
		if was.State.Terminal() && p.State != was.State {
			t.Fatalf("%s had ended as %s, and is %s", p.Host, was.State, p.State)
		}
		given := slices.Contains(m.Orders, p.Host) || slices.Contains(m.Reboots, p.Host)
		if !was.State.UnderWay() && p.State.UnderWay() != given {
			t.Fatalf("%s went from %s to %s, given an order: %v", p.Host, was.State, p.State, given)
		}
		if p.State.UnderWay() {
			busy++
		}
		if p.State == HostFailed || p.State == HostReverted {
			failed++
		}
	}
	if busy > r.Plan.MaxParallel {
		t.Fatalf("%d hosts under way, at most %d are allowed: %+v", busy, r.Plan.MaxParallel, m.Hosts)
	}
	if given := len(m.Orders) + len(m.Reboots); given > 0 {
		if m.State != RolloutRunning && m.State != RolloutSucceeded {
			t.Fatalf("orders to %v and %v in a rollout that is %s", m.Orders, m.Reboots, m.State)
		}
		if r.Kind != RolloutRestore && failed >= r.Plan.MaxFailures {
			t.Fatalf("orders to %v and %v after %d failures", m.Orders, m.Reboots, failed)
		}
	}
	w.checkOrders(t, r, m)
	if !m.Again.IsZero() && !m.Again.After(w.now) {
		t.Fatalf("look again at %s, which is not after %s", m.Again, w.now)
	}
	if m.State.Blocks() && m.State != RolloutPaused && busy == 0 && m.Again.IsZero() && !m.Restore {
		t.Fatalf("it is %s, nobody is under way, and nothing will wake it: %+v", m.State, m)
	}
}

// checkOrders: nobody who holds an order is given another, none is given before its
// turn, and none outside of the windows.
func (w *world) checkOrders(t *rapid.T, r *Rollout, m Move) {
	for _, name := range slices.Concat(m.Orders, m.Reboots) {
		was := r.Hosts[slices.IndexFunc(r.Hosts, func(p HostProgress) bool { return p.Host == name })]
		if w.open[was.Order] {
			t.Fatalf("%s is given an order while it holds %s", name, was.Order)
		}
		if slices.Contains(m.Cancel, name) {
			t.Fatalf("%s is given an order that is taken back at once", name)
		}
		for _, p := range m.Hosts {
			if p.State == HostWaiting && p.Wave < was.Wave && was.State == HostWaiting {
				t.Fatalf("%s of wave %d is ordered while %s of wave %d waits", name, was.Wave, p.Host, p.Wave)
			}
		}
		if h := w.hosts[name]; !h.RevokedAt.IsZero() || !h.Online(w.now) {
			t.Fatalf("%s is revoked or away, and is ordered", name)
		}
		if w.newer && r == w.main && r.State == RolloutSucceeded && w.newerHosts[name] {
			t.Fatalf("%s belongs to a newer rollout, and is given an older commit", name)
		}
	}
	if open, _, _ := opens(r.Plan.Windows, w.now); !open && len(m.Orders) > 0 {
		t.Fatalf("orders to %v outside of the windows", m.Orders)
	}
	if open, _ := RebootWindowOpen(r.Plan, w.now); !open && len(m.Reboots) > 0 {
		t.Fatalf("restarts of %v outside of the windows", m.Reboots)
	}
}

// carryOut does what app and db do with a move.
func (w *world) carryOut(t *rapid.T, r *Rollout, m Move) {
	for i, p := range m.Hosts {
		if was := r.Hosts[i]; was.Order != "" && p.Order == "" {
			delete(w.open, was.Order)
		}
	}
	r.State, r.Hosts = m.State, slices.Clone(m.Hosts)
	w.settle()
	for i := range r.Hosts {
		p := &r.Hosts[i]
		switch {
		case slices.Contains(m.Reboots, p.Host):
			p.Order = w.send(r, p.Host, "reboot", p.Target.Path)
			w.open[p.Order] = true
		case slices.Contains(m.Orders, p.Host) && r.Kind == RolloutRestore:
			p.Order = w.send(r, p.Host, "rollback", p.Target.Path)
			w.open[p.Order] = true
		case slices.Contains(m.Orders, p.Host):
			p.Order = w.send(r, p.Host, "deploy", "new")
			w.open[p.Order] = true
		case slices.Contains(m.Cancel, p.Host) && w.machines[p.Host].newest.rollout == r.ID:
			w.send(r, p.Host, "noop", "")
		}
	}
	if m.Restore {
		if r != w.main || w.restore != nil {
			t.Fatal("it is restored twice")
		}
		plan, hosts := MakeRestore(*r, w.hosts)
		w.restore = &Rollout{ID: "restore", Kind: RolloutRestore, Restores: r.ID, Commit: r.Commit, State: RolloutPlanned, Plan: plan, Hosts: hosts}
	}
}

// actions are what may happen in a modelled fleet.
func (w *world) actions() map[string]func(*rapid.T) {
	host := func(do func(t *rapid.T, name string)) func(*rapid.T) {
		return func(t *rapid.T) {
			if len(w.names) > 0 {
				do(t, rapid.SampledFrom(w.names).Draw(t, "host"))
			}
		}
	}
	person := func(events ...RolloutEvent) func(*rapid.T) {
		return func(t *rapid.T) {
			w.main.State = NextRolloutState(w.main.State, rapid.SampledFrom(events).Draw(t, "event"))
		}
	}
	return map[string]func(*rapid.T){
		"":     w.look,
		"work": host(w.work),
		"finish": host(func(t *rapid.T, name string) {
			for range len(modelSteps) + 2 {
				w.work(t, name)
			}
			w.deliverAll()
		}),
		"turn": func(t *rapid.T) { // everybody works, and the rollout goes on
			w.look(t)
			for _, name := range w.names {
				for range len(modelSteps) + 2 {
					w.work(t, name)
				}
			}
			w.deliverAll()
			w.look(t)
		},
		"work on":   host(func(t *rapid.T, name string) { w.work(t, name); w.deliverAll() }),
		"deliver":   w.deliverSome,
		"silence":   host(func(_ *rapid.T, name string) { w.machines[name].silent = true }),
		"return":    host(func(_ *rapid.T, name string) { w.machines[name].silent = false; w.pass(0) }),
		"by hand":   host(func(_ *rapid.T, name string) { m := w.machines[name]; m.path, m.profile, m.byHand = "new", "new", true }),
		"restart":   func(*rapid.T) { w.now = w.now.Add(time.Hour); w.hearing = w.now },
		"busy":      func(t *rapid.T) { w.busy = rapid.Bool().Draw(t, "busy") },
		"person":    person(RolloutPause, RolloutResume, RolloutResume),
		"abort":     person(RolloutAbort, RolloutPause, RolloutResume),
		"roll back": person(RolloutRollBack, RolloutPause, RolloutResume),
		"revoke": host(func(t *rapid.T, name string) {
			if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
				h := w.hosts[name]
				h.RevokedAt = w.now
				w.hosts[name] = h
			}
		}),
		"reboot": host(func(_ *rapid.T, name string) {
			m := w.machines[name]
			m.path, m.needsReboot, m.booted = m.profile, false, w.now
		}),
		"exclude": host(w.exclude),
		"newer": func(t *rapid.T) {
			w.newer, w.newerHosts = rapid.Bool().Draw(t, "newer"), map[string]bool{}
			if w.main.State.Terminal() && len(w.names) > 0 && w.newer { // else it waits for this one
				w.newerHosts[rapid.SampledFrom(w.names).Draw(t, "host")] = true
			}
		},
		"pass": func(t *rapid.T) {
			w.pass(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 2 * time.Minute, 10 * time.Minute, 3 * time.Hour}).Draw(t, "time"))
		},
	}
}

func (w *world) exclude(t *rapid.T, name string) {
	i := slices.IndexFunc(w.main.Hosts, func(p HostProgress) bool { return p.Host == name })
	was := w.main.Hosts[i]
	p, takeBack, err := Exclude(was, w.now)
	if err != nil {
		if !was.State.Terminal() && !was.State.UnderWay() {
			t.Fatalf("%s can't be left out: %v", was.State, err)
		}
		return
	}
	if takeBack != (was.Order != "" && was.State != HostExcluded) {
		t.Fatalf("of %+v an order is to be taken back: %v", was, takeBack)
	}
	w.main.Hosts = slices.Clone(w.main.Hosts)
	w.main.Hosts[i] = p
	w.settle()
	if takeBack && w.machines[name].newest.rollout == w.main.ID {
		w.send(w.main, name, "noop", "")
	}
}

func TestNoSequenceOfEventsLeavesARolloutAstray(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		t.Repeat(w.actions())
		w.end(t)
	})
}

// end lets everybody come back and do their best: then each rollout ends, or is one
// that the budget has stopped, and each host is where the rollouts say.
func (w *world) end(t *rapid.T) {
	w.busy, w.newer, w.newerHosts = false, false, nil
	w.main.State = NextRolloutState(w.main.State, RolloutResume)
	for _, m := range w.machines {
		m.silent = false
	}
	for range 6*len(w.names) + 30 {
		w.pass(3 * time.Hour)
		w.look(t)
		w.look(t)
		for range len(modelSteps) + 3 {
			for _, name := range w.names {
				w.bestOf(name)
			}
		}
		w.deliverAll()
	}
	for _, m := range w.machines { // a person restarts who waits for it
		m.path, m.needsReboot = m.profile, false
	}
	for range 3 {
		w.pass(catchUpWithin)
		w.look(t)
	}
	w.checkEnd(t)
}

// bestOf lets a machine work on its order, and well.
func (w *world) bestOf(name string) {
	m := w.machines[name]
	switch {
	case m.working.id != m.newest.id && !m.switching():
		m.working, m.step = modelOrder{}, 0
		if m.newest.kind != "noop" && m.newest.id != m.done {
			m.working = m.newest
			w.answer(name, modelSteps[0])
		}
	case m.working.id == "":
	case m.step < len(modelSteps)-1:
		m.step++
		if m.step == 3 {
			m.apply()
		}
		w.answer(name, modelSteps[m.step])
	default:
		w.answer(name, HostSaysHealthy)
	}
}

// failedLater reports whether a host was away while the others went back, and did not
// get there on its return: the restore had succeeded by then.
func (w *world) failedLater(name string) bool {
	return w.restore != nil && w.restore.State == RolloutSucceeded && slices.ContainsFunc(w.restore.Hosts, func(p HostProgress) bool {
		return p.Host == name && p.State != HostHealthy
	})
}

func (w *world) checkEnd(t *rapid.T) {
	if len(w.open) > 0 {
		t.Fatalf("orders that never ended: %v", w.open)
	}
	for _, r := range []*Rollout{w.main, w.restore} {
		if r == nil {
			continue
		}
		if !r.State.Terminal() && r.State != RolloutHalted {
			t.Fatalf("everybody is back, and it is still %s: %+v", r.State, r.Hosts)
		}
		for _, p := range r.Hosts {
			if !p.State.Terminal() && (p.State != HostWaiting || r.State != RolloutHalted) {
				t.Fatalf("everybody is back, and %s is still %s in a rollout that is %s", p.Host, p.State, r.State)
			}
		}
	}
	for _, p := range w.main.Hosts {
		m := w.machines[p.Host]
		gone := !w.hosts[p.Host].RevokedAt.IsZero() || m.byHand || p.State == HostExcluded || w.failedLater(p.Host)
		switch {
		case gone:
		case w.main.State == RolloutRolledBack && (m.path != "old" || m.profile != "old"):
			t.Fatalf("it is rolled back, and %s runs %s: %+v, restore %+v", p.Host, m.path, p, w.restore)
		case w.restore == nil && p.State == HostHealthy && m.path != "new":
			t.Fatalf("%s is healthy, and runs %s", p.Host, m.path)
		}
	}
}
