package fleet

import (
	"slices"
	"time"
)

// dispatch gives orders to the hosts whose turn it is: first to those of earlier
// waves that are back or may be restarted, then wave by wave.
func (a *advancing) dispatch() {
	switch a.move.State {
	case RolloutRunning:
	case RolloutSucceeded:
		if a.f.Quarantined {
			return // whoever is away waits until that is lifted
		}
	default:
		return
	}
	if a.stopped() || a.spent() != "" {
		return
	}
	a.places = max(1, a.f.Rollout.Plan.MaxParallel) - a.tally().underWay
	if inside, until, err := frozen(a.f.Rollout.Plan.Freeze, a.now); err != nil || inside != nil {
		a.wake(orTime(until, a.now.Add(time.Hour)))
		return
	}
	a.restarts()
	open, next, err := opens(a.f.Rollout.Plan.Windows, a.now)
	if err != nil || !open {
		a.wake(orTime(next, a.now.Add(time.Hour)))
		return
	}
	a.returns()
	if a.move.State == RolloutRunning {
		a.waves()
	}
}

// ours reports whether this rollout may still give an order to a host that was away
// or put off: an older order must not come after a newer one.
func (a *advancing) ours(host string) bool {
	switch {
	case !a.f.Newer, a.restores() && a.move.State == RolloutRunning:
		return true
	case a.move.State == RolloutSucceeded:
		return a.f.NewerHosts != nil && !a.f.NewerHosts[host]
	}
	return false // it is about to be overtaken
}

// returns gives their order to hosts that were away and are heard again.
func (a *advancing) returns() {
	for i := range a.move.Hosts {
		p := &a.move.Hosts[i]
		if p.State != HostOffline || !a.ours(p.Host) {
			continue
		}
		if a.hears(p.Host) != heard {
			// Whoever was heard just while it was put aside does not wake the rollout by
			// its return. From then on everybody does.
			a.wake(p.Since.Add(OnlineWithin + time.Second))
			continue
		}
		a.give(p)
	}
}

// restarts gives a reboot order to hosts that were put off, where and when the
// policy lets them restart. One that has restarted since its order and still needs
// to is left to people: another time would not help.
func (a *advancing) restarts() {
	open, next := RebootWindowOpen(a.f.Rollout.Plan, a.now)
	for i := range a.move.Hosts {
		p := &a.move.Hosts[i]
		if p.State != HostDeferred || !a.ours(p.Host) {
			continue
		}
		a.wake(a.now.Add(againDeferred(a.now.Sub(p.Since))))
		switch {
		case !open:
			a.wake(next)
		case a.hears(p.Host) == heard && !restarted(*p, a.f.Hosts[p.Host].Facts) && a.places > 0:
			a.places--
			*p = p.After(HostGiven, a.now)
			p.Target.Path = a.target(*p, a.f.Hosts[p.Host])
			p.StartedAt = a.now // the time that a restart may take begins anew
			a.move.Reboots = append(a.move.Reboots, p.Host)
			a.wake(a.now.Add(OnlineWithin + time.Second))
		}
	}
}

// againDeferred is how soon to look again at a host that was put off for a while
// already. Somebody may restart it, of which its facts tell, but nothing wakes.
func againDeferred(since time.Duration) time.Duration {
	return min(max(since/8, time.Minute), time.Hour)
}

// restarted reports whether the host has started since it was given its order.
func restarted(p HostProgress, f HostFacts) bool {
	return f.Uptime > 0 && !p.StartedAt.IsZero() && f.At.Add(-f.Uptime).After(p.StartedAt)
}

// RebootWindowOpen reports whether hosts that need it may be restarted now without
// a person, and else when the next window begins; zero: none will. Without any
// window, reboot: window means at any time.
func RebootWindowOpen(plan Plan, now time.Time) (open bool, next time.Time) {
	switch plan.Reboot {
	case "when_needed":
		return true, time.Time{}
	case "window":
		windows := plan.RebootWindows
		if len(windows) == 0 {
			windows = plan.Windows
		}
		open, next, err := opens(windows, now)
		return open && err == nil, next
	default:
		return false, time.Time{}
	}
}

// give gives a host the rollout's order, if a place is free.
func (a *advancing) give(p *HostProgress) {
	if a.places <= 0 {
		return
	}
	a.places--
	*p = p.After(HostGiven, a.now)
	if f := a.f.Hosts[p.Host].Facts; f.RunningPath != "" {
		p.Before = System{Path: f.RunningPath, Commit: f.RunningCommit}
	}
	a.move.Orders = append(a.move.Orders, p.Host)
	a.wake(a.now.Add(OnlineWithin + time.Second))
}

// waves gives orders within the current wave, and begins the next one once that is
// done and soaked, unless a newer rollout waits for the boundary.
func (a *advancing) waves() {
	if a.f.Newer && !a.restores() && !a.begun() {
		return
	}
	current := a.currentWave()
	for w, wave := range a.f.Rollout.Plan.Waves {
		if w > current && a.f.Newer && !a.restores() {
			return
		}
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

// turned reports whether a host has had its turn.
func turned(p HostProgress) bool {
	return p.State != HostWaiting && p.State != HostExcluded && p.State != HostCancelled
}

// begun reports whether any host has had its turn.
func (a *advancing) begun() bool { return slices.ContainsFunc(a.move.Hosts, turned) }

// currentWave is the last wave of which any host has had its turn.
func (a *advancing) currentWave() int {
	current := 0
	for _, p := range a.move.Hosts {
		if turned(p) {
			current = max(current, p.Wave)
		}
	}
	return current
}

// wave gives orders within one wave, as far as places are free.
func (a *advancing) wave(w int) {
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
			a.wake(a.now.Add(OnlineWithin + time.Second))
		case heard:
			a.give(p)
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
