package fleet

import (
	"fmt"
	"time"
)

// hosts applies what time, people and the hosts' own facts did to each host,
// whatever the rollout's state.
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
			a.put(p, host)
		case p.State.UnderWay():
			a.deadline(p, life)
		}
	}
}

// put sees to a host that is offline or was put off: it may have got there without
// us, a newer rollout may have taken it over, or nobody came back for it.
func (a *advancing) put(p *HostProgress, host Host) {
	switch {
	case a.arrived(*p, host):
		*p = p.After(HostSaysHealthy, a.now)
	case a.f.Newer && a.f.NewerHosts[p.Host]:
		*p = p.After(HostSaysSuperseded, a.now)
		p.Note = "Left to a newer rollout."
	default:
		a.lapse(p)
	}
}

// arrived reports whether a host was seen since to run what it is to run, with
// nothing left to restart for: somebody restarted it, or switched it by hand.
func (a *advancing) arrived(p HostProgress, host Host) bool {
	f := host.Facts
	return f.At.After(p.Since) && f.RunningPath != "" && f.RunningPath == a.target(p, host) && !f.RebootNeeded
}

// target is the path that a host is to run in the end, empty where nobody knows.
func (a *advancing) target(p HostProgress, host Host) string {
	if p.Target.Path == "" && !a.restores() && host.Facts.ExpectedCommit == a.f.Rollout.Commit {
		return host.Facts.ExpectedPath
	}
	return p.Target.Path
}

// lapse ends what nobody came back for.
func (a *advancing) lapse(p *HostProgress) {
	ends := p.Since.Add(catchUpWithin)
	if a.now.Before(ends) {
		a.wake(ends) // the host's own return wakes the rollout before
		return
	}
	*p = p.After(HostExpired, a.now)
	a.takeBack(*p)
}

// deadline fails a host whose order's time is up, and puts one aside that is gone
// before it took its order up.
func (a *advancing) deadline(p *HostProgress, life time.Duration) {
	if p.StartedAt.IsZero() { // it began without having been seen to
		p.StartedAt = orTime(p.Since, a.now)
	}
	if ends := p.StartedAt.Add(life); a.now.Before(ends) {
		a.wake(ends)
	} else {
		step := p.State
		*p = p.After(HostExpired, a.now)
		p.Failure = &HostError{
			Step: string(step), Code: codeExpired,
			Message: fmt.Sprintf("The host did not finish within %s; it was last heard to be %s.", life, step),
		}
		a.takeBack(*p)
		return
	}
	if p.State != HostOrdered {
		return
	}
	switch a.hears(p.Host) {
	case away:
		a.vanished(p)
	case unclear:
		a.wake(a.now.Add(againOffline))
	case heard:
		a.wake(a.f.Hosts[p.Host].LastSeen.Add(OnlineWithin + time.Second))
	}
}

// vanished puts a host aside that is gone with an order that it has not taken up.
// The order is taken back, and another given once a place is free after its
// return: else all that are away would begin at the moment of their return.
func (a *advancing) vanished(p *HostProgress) {
	switch {
	case a.move.State == RolloutRollingBack:
		*p = p.After(HostSaysCancelled, a.now)
		a.takeBack(*p)
	case a.f.Rollout.Plan.Offline != "skip": // there its deadline ends it
		a.takeBack(*p)
		*p = p.After(HostUnreachable, a.now)
		p.Order = ""
	}
}
