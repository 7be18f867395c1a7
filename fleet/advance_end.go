package fleet

import (
	"fmt"
	"slices"
)

// spent says why no further host may be ordered, empty while one may: as many failed
// as the plan allows, or all that could be reached did. One that restores goes on.
func (a *advancing) spent() string {
	if a.restores() {
		return ""
	}
	n, limit := a.tally(), max(1, a.f.Rollout.Plan.MaxFailures)
	switch {
	case n.failed >= limit:
		return fmt.Sprintf("%s failed, and the policy stops at %d (max_failures).", count(n.failed, "host"), limit)
	case n.failed > 0 && n.healthy+n.waiting+n.underWay == 0:
		return fmt.Sprintf("%s failed, and no other has got there.", count(n.failed, "host"))
	}
	return ""
}

// budget stops the rollout, or turns it back, once the failures have spent it. With
// nobody left to stop or to take back, finish ends it.
func (a *advancing) budget() {
	why := a.spent()
	if why == "" || a.move.State != RolloutRunning && a.move.State != RolloutPaused {
		return
	}
	n := a.tally()
	back := a.f.Rollout.Plan.OnFailure == "rollback"
	switch {
	case back && (n.waiting+n.underWay > 0 || len(a.toRestore()) > 0):
		a.event(RolloutRollBack, why+" By policy (on_failure: rollback) the hosts that switched go back.")
	case n.waiting+n.underWay > 0:
		a.event(RolloutSpent, why)
	}
}

// finish ends the rollout when nobody is waited for any more.
func (a *advancing) finish() {
	n := a.tally()
	if n.waiting+n.underWay > 0 || a.move.State != RolloutRunning && a.move.State != RolloutPaused {
		return
	}
	why := a.spent()
	switch {
	case why != "":
		a.event(RolloutGiveUp, why)
	case a.restores() && a.astray() > 0:
		a.event(RolloutGiveUp, fmt.Sprintf("%s did not go back.", count(a.astray(), "host")))
	case len(a.move.Hosts) == 0:
		a.event(RolloutFinish, "No host takes part.")
	case n.later > 0:
		a.event(RolloutFinish, fmt.Sprintf("%d healthy, %s to catch up.", n.healthy, count(n.later, "host")))
		a.wake(a.now.Add(againNext)) // what newer rollouts leave to it is now its own
	default:
		a.event(RolloutFinish, "Every host has ended.")
	}
}

// astray counts the hosts of ours that have ended without being where they were to go.
func (a *advancing) astray() int {
	n := 0
	for _, p := range a.move.Hosts {
		host, known := a.f.Hosts[p.Host]
		ours := known && host.RevokedAt.IsZero()
		if p.State == HostFailed || p.State == HostReverted || p.State == HostCancelled && ours {
			n++
		}
	}
	return n
}

// overtaken gives way to a newer rollout: at once when halted, which it may repair;
// else when nobody is under way, and the next wave has not begun or a person has
// paused it.
func (a *advancing) overtaken() {
	if !a.f.Newer || a.restores() {
		return
	}
	switch {
	case a.move.State == RolloutHalted:
		a.event(RolloutOvertaken, "It was halted, and a newer rollout of the repository takes its place.")
	case a.move.State != RolloutRunning && a.move.State != RolloutPaused, a.tally().underWay > 0:
	case a.move.State == RolloutPaused:
		a.event(RolloutOvertaken, "It was paused, and a newer rollout of the repository takes its place.")
	case a.boundary():
		a.event(RolloutOvertaken, "A newer rollout of the repository takes its place before the next wave.")
	}
}

// boundary reports whether the rollout stands between two waves, or before the first.
func (a *advancing) boundary() bool {
	current := a.currentWave()
	return !a.begun() || !slices.ContainsFunc(a.move.Hosts, func(p HostProgress) bool {
		return p.Wave <= current && p.State == HostWaiting
	})
}

// stopped reports whether the rollout will give no more orders. After success it
// still gives them to those that catch up, unless these fail, or all of it is undone.
func (a *advancing) stopped() bool {
	switch s := a.move.State; {
	case s == RolloutSucceeded:
		return a.f.Restoring != nil || a.spent() != ""
	case s == RolloutHalted, s == RolloutRollingBack:
		return true
	default:
		return s.Terminal()
	}
}

// tidy sees to the hosts of a rollout that will give no more orders: those that
// wait are cancelled, and orders that nobody has taken up are taken back, so that
// a host that returns does not run what was stopped. Of a halted one the hosts that
// had no order yet keep waiting, for people to see.
func (a *advancing) tidy() {
	if !a.stopped() {
		return
	}
	for i := range a.move.Hosts {
		p := &a.move.Hosts[i]
		switch {
		case p.State == HostOffline || p.State == HostDeferred:
			*p = p.After(HostSaysCancelled, a.now)
			a.takeBack(*p)
		case p.State == HostWaiting && a.move.State != RolloutHalted:
			*p = p.After(HostSaysCancelled, a.now)
		case p.State == HostOrdered && a.move.State == RolloutRollingBack && a.hears(p.Host) == away:
			a.vanished(p)
		}
	}
}

// takeBack makes sure that a host does not begin the order that it holds.
func (a *advancing) takeBack(p HostProgress) {
	if p.Order != "" && !slices.Contains(a.move.Cancel, p.Host) {
		a.move.Cancel = append(a.move.Cancel, p.Host)
	}
}

// toRestore are the hosts that would have to go back now.
func (a *advancing) toRestore() []HostProgress {
	_, hosts := MakeRestore(a.rollout(), a.f.Hosts)
	return hosts
}

// goBack has a rollout restored that is to be undone, once nobody is under way, and
// ends with what became of that.
func (a *advancing) goBack() {
	if a.move.State != RolloutRollingBack || a.tally().underWay > 0 {
		return
	}
	switch r := a.f.Restoring; {
	case r == nil && len(a.toRestore()) > 0:
		a.move.Restore = true
	case r == nil:
		a.event(RolloutRestored, "No host has to go back.")
	case r.State == RolloutSucceeded:
		a.event(RolloutRestored, "Every host that could be reached runs what it ran before.")
	case r.State.Terminal():
		a.event(RolloutGiveUp, fmt.Sprintf("The rollback is %s: %s", r.State, Headline(*r, nil, a.now)))
	default:
		a.wake(a.now.Add(againOther))
	}
}

// aftermath says what the failures of a commit call for beyond the rollout itself.
func (a *advancing) aftermath() {
	why := a.spent()
	if why == "" {
		return
	}
	switch a.move.State {
	case RolloutHalted, RolloutFailed, RolloutSucceeded:
		a.move.Quarantine = why
		// Going back to an older commit adds none that could be reverted.
		a.move.RevertPR = a.f.Rollout.Plan.OnFailure == "revert_pr" && a.f.Rollout.Kind != RolloutBackward
	case RolloutRollingBack, RolloutRolledBack:
		a.move.Quarantine = why
	case RolloutPlanned, RolloutRunning, RolloutPaused, RolloutAborted, RolloutSuperseded:
	}
}
