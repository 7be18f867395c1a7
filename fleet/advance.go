package fleet

import (
	"fmt"
	"slices"
	"time"
)

// RolloutFacts is everything that Advance may know of one rollout at one moment.
type RolloutFacts struct {
	Rollout Rollout         // with Plan and Hosts; before it starts, those that MakePlan made
	Hosts   map[string]Host // by name, as they are now
	Newer   bool            // a newer rollout of the same repository is planned or has begun
	Busy    bool            // another rollout of the same repository blocks, see [RolloutState.Blocks]

	// Hearing is since when hosts could be heard without a break: when this server
	// connected to the bus. Zero means for as long as anybody asks. Until
	// [OnlineWithin] has passed, silence says nothing about a host.
	Hearing time.Time
}

// Move is what one look at a rollout came to.
type Move struct {
	State    RolloutState
	Hosts    []HostProgress // all of them, in the rollout's order
	Orders   []string       // hosts to give the order of this rollout now, reachable or not
	Cancel   []string       // hosts whose order must be taken back (replaced by a noop)
	Headline string
	Reason   string    // why State changed; empty when it did not
	Again    time.Time // when to look again without being woken; zero: only when woken
}

const (
	againOffline = 15 * time.Second // while the silence of a host is unclear
	againNext    = time.Second      // when one change of state leads to another
)

// advancing is one run of Advance.
type advancing struct {
	f    RolloutFacts
	now  time.Time
	move Move
}

// Advance decides what a rollout does next: which hosts get their order, which
// have run out of time, whether it has ended. It is pure, and running it again on
// what it returned changes nothing, unless it asked for another look at once.
//
// Waves go in order. A wave is done when each of its hosts has ended, is offline
// or was put off; the next begins after the soak. At most max_parallel hosts are
// under way in the whole rollout. A host that is offline when its turn comes gets
// its order all the same (offline: catch_up), finds it on return, and neither
// takes a place nor keeps its wave waiting; with offline: skip it is left out.
// The failure that reaches max_failures halts the rollout; hosts under way finish.
func Advance(f RolloutFacts, now time.Time) Move {
	a := &advancing{f: f, now: now}
	a.move = Move{State: f.Rollout.State, Hosts: slices.Clone(f.Rollout.Hosts)}
	switch {
	case f.Rollout.State == RolloutPlanned && f.Newer:
		a.event(RolloutOvertaken, "A newer rollout of the repository takes its place.")
	case f.Rollout.State == RolloutPlanned && f.Busy:
		a.wake(now.Add(time.Minute))
	case f.Rollout.State == RolloutPlanned:
		a.event(RolloutStart, "Its turn has come.")
	}
	a.hosts()
	a.budget()
	a.dispatch()
	a.finish()
	if a.move.State == RolloutHalted && f.Newer {
		a.event(RolloutOvertaken, "It was halted, and a newer rollout of the repository takes its place.")
	}
	a.tidy()
	r := f.Rollout
	r.State, r.Hosts = a.move.State, a.move.Hosts
	a.move.Headline = headline(r)
	return a.move
}

// event changes the rollout's state, once in a look: each change is one line of the
// table, which the database guards. What follows from it is left to another look at once.
func (a *advancing) event(e RolloutEvent, why string) {
	to := NextRolloutState(a.move.State, e)
	switch {
	case to == a.move.State:
	case a.move.State != a.f.Rollout.State:
		a.wake(a.now.Add(againNext))
	default:
		a.move.State, a.move.Reason = to, why
	}
}

func (a *advancing) wake(t time.Time) {
	if t.After(a.now) && (a.move.Again.IsZero() || t.Before(a.move.Again)) {
		a.move.Again = t
	}
}

// silence says what is known of a host that has to be given an order.
type silence int

const (
	heard   silence = iota
	unclear         // not heard, but perhaps because nobody listened
	away
)

// hears judges a host. A server that was down itself has heard nobody, and must
// not take the whole fleet for offline: that would open all waves at once.
func (a *advancing) hears(name string) silence {
	if a.f.Hosts[name].Online(a.now) {
		return heard
	}
	listened := a.f.Hearing.IsZero() || a.now.Sub(a.f.Hearing) > OnlineWithin
	if listened {
		for _, h := range a.f.Hosts {
			if h.Online(a.now) {
				return away
			}
		}
	}
	return unclear
}

// hosts applies what time and people did to each host, whatever the rollout's state.
func (a *advancing) hosts() {
	life := a.f.Rollout.Plan.OrderLifetime()
	for i := range a.move.Hosts {
		p := &a.move.Hosts[i]
		host, known := a.f.Hosts[p.Host]
		revoked := !known || !host.RevokedAt.IsZero() // unknown: its name belongs to another repository now
		switch {
		case revoked && p.State == HostWaiting:
			*p = p.After(HostLeftOut, a.now)
		case revoked && !p.State.Terminal():
			*p = p.After(HostSaysCancelled, a.now)
		case p.State == HostOffline || p.State == HostDeferred:
			a.lapse(p)
		case p.State.UnderWay():
			a.deadline(p, life)
		}
	}
}

// lapse ends what nobody came back for.
func (a *advancing) lapse(p *HostProgress) {
	ends := p.Since.Add(catchUpWithin)
	if a.now.Before(ends) {
		a.wake(ends) // the host's own return wakes the rollout before
		return
	}
	*p = p.After(HostExpired, a.now)
	a.takeBack(p.Host)
}

// deadline fails a host whose order's time is up, and puts one aside that is gone
// before it took its order up.
func (a *advancing) deadline(p *HostProgress, life time.Duration) {
	began := p.StartedAt
	if began.IsZero() { // it came back from offline
		began = orTime(p.Since, a.now)
		p.StartedAt = began
	}
	if ends := began.Add(life); a.now.Before(ends) {
		a.wake(ends)
	} else {
		step := p.State
		*p = p.After(HostExpired, a.now)
		p.Failure = &HostError{
			Step: string(step), Code: "expired",
			Message: fmt.Sprintf("The host did not finish within %s; it was last heard to be %s.", life, step),
		}
		a.takeBack(p.Host)
		return
	}
	if p.State != HostOrdered || a.f.Rollout.Plan.Offline == "skip" {
		return
	}
	switch a.hears(p.Host) {
	case away:
		*p = p.After(HostUnreachable, a.now)
	case unclear:
		a.wake(a.now.Add(againOffline))
	case heard:
		a.wake(a.f.Hosts[p.Host].LastSeen.Add(OnlineWithin + time.Second))
	}
}

func orTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// budget halts the rollout once as many hosts failed as the plan allows.
func (a *advancing) budget() {
	failed, open := 0, 0
	for _, p := range a.move.Hosts {
		switch {
		case p.State == HostFailed || p.State == HostReverted:
			failed++
		case p.State == HostWaiting || p.State.UnderWay():
			open++
		}
	}
	limit := max(1, a.f.Rollout.Plan.MaxFailures)
	if failed < limit || open == 0 {
		return
	}
	why := fmt.Sprintf("%s failed, and the policy halts at %d (max_failures).", count(failed, "host"), limit)
	if on := a.f.Rollout.Plan.OnFailure; on != "halt" && on != "" {
		why += fmt.Sprintf(" on_failure: %s is not done by this version yet.", on)
	}
	a.event(RolloutSpent, why)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// dispatch gives orders to the hosts whose turn it is.
func (a *advancing) dispatch() {
	if a.move.State != RolloutRunning {
		return
	}
	open, next, err := opens(a.f.Rollout.Plan.Windows, a.now)
	if err != nil || !open {
		a.wake(orTime(next, a.now.Add(time.Hour)))
		return
	}
	current := a.currentWave()
	for w, wave := range a.f.Rollout.Plan.Waves {
		a.wave(w)
		if w < current {
			continue // begun waves are not taken back when one of their hosts returns
		}
		done, ended, proven := a.waveDone(w)
		if !done {
			return
		}
		if soaked := ended.Add(wave.Soak); proven && soaked.After(a.now) && a.waitingAfter(w) {
			a.wake(soaked)
			return
		}
	}
}

// currentWave is the last wave of which any host was given its order.
func (a *advancing) currentWave() int {
	current := 0
	for _, p := range a.move.Hosts {
		if p.State != HostWaiting && p.State != HostExcluded && p.State != HostCancelled {
			current = max(current, p.Wave)
		}
	}
	return current
}

// wave gives orders within one wave, as far as places are free.
func (a *advancing) wave(w int) {
	busy := 0
	for _, p := range a.move.Hosts {
		if p.State.UnderWay() {
			busy++
		}
	}
	for i := range a.move.Hosts {
		p := &a.move.Hosts[i]
		if p.Wave != w || p.State != HostWaiting {
			continue
		}
		switch a.hears(p.Host) {
		case unclear:
			a.wake(a.now.Add(againOffline))
		case away:
			if a.f.Rollout.Plan.Offline == "skip" {
				*p = p.After(HostLeftOut, a.now)
				continue
			}
			*p = p.After(HostUnreachable, a.now)
			a.move.Orders = append(a.move.Orders, p.Host)
		case heard:
			if busy >= max(1, a.f.Rollout.Plan.MaxParallel) {
				continue
			}
			busy++
			*p = p.After(HostGiven, a.now)
			a.move.Orders = append(a.move.Orders, p.Host)
			a.wake(a.now.Add(OnlineWithin + time.Second))
		}
	}
}

// waveDone reports whether no host of a wave is waited for, when the last one
// ended, and whether any host of it runs the commit: without one there is nothing
// to soak.
func (a *advancing) waveDone(w int) (done bool, ended time.Time, proven bool) {
	for _, p := range a.move.Hosts {
		switch {
		case p.Wave != w:
			continue
		case p.State == HostWaiting || p.State.UnderWay():
			return false, time.Time{}, false
		case p.State == HostHealthy:
			proven = true
		}
		if at := orTime(p.EndedAt, p.Since); p.State.Terminal() && at.After(ended) {
			ended = at
		}
	}
	return true, ended, proven
}

func (a *advancing) waitingAfter(w int) bool {
	return slices.ContainsFunc(a.move.Hosts, func(p HostProgress) bool { return p.Wave > w && p.State == HostWaiting })
}

// finish ends the rollout when nobody is waited for any more.
func (a *advancing) finish() {
	healthy, failed, later := 0, 0, 0
	for _, p := range a.move.Hosts {
		switch {
		case p.State == HostWaiting || p.State.UnderWay():
			return
		case p.State == HostHealthy:
			healthy++
		case p.State == HostFailed || p.State == HostReverted:
			failed++
		case p.State == HostOffline || p.State == HostDeferred:
			later++
		}
	}
	switch {
	case failed >= max(1, a.f.Rollout.Plan.MaxFailures), failed > 0 && healthy == 0:
		a.event(RolloutGiveUp, fmt.Sprintf("%s failed, and none is left to go.", count(failed, "host")))
	case len(a.move.Hosts) == 0:
		a.event(RolloutFinish, "No host takes part.")
	case later > 0:
		a.event(RolloutFinish, fmt.Sprintf("%d healthy, %s to catch up.", healthy, count(later, "host")))
	default:
		a.event(RolloutFinish, "Every host has ended.")
	}
}

// tidy sees to the hosts of a rollout that will give no more orders: those that
// wait are cancelled, and orders that nobody has taken up are taken back, so that
// a host that returns does not run what was stopped. After success they stay.
func (a *advancing) tidy() {
	stopped := a.move.State == RolloutHalted || a.move.State.Terminal() && a.move.State != RolloutSucceeded
	if !stopped {
		return
	}
	for i := range a.move.Hosts {
		p := &a.move.Hosts[i]
		switch {
		case p.State == HostOffline || p.State == HostDeferred:
			*p = p.After(HostSaysCancelled, a.now)
			a.takeBack(p.Host)
		case p.State == HostWaiting && a.move.State.Terminal():
			*p = p.After(HostSaysCancelled, a.now)
		}
	}
}

// takeBack makes sure that a host does not begin its order. One that would have been
// given in this very look is not given at all.
func (a *advancing) takeBack(host string) {
	if i := slices.Index(a.move.Orders, host); i >= 0 {
		a.move.Orders = slices.Delete(a.move.Orders, i, i+1)
		return
	}
	if !slices.Contains(a.move.Cancel, host) {
		a.move.Cancel = append(a.move.Cancel, host)
	}
}
