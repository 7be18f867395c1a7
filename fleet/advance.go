package fleet

import (
	"fmt"
	"slices"
	"time"
)

// RolloutFacts is everything that Advance may know of one rollout at one moment.
type RolloutFacts struct {
	Rollout Rollout         // with Plan and Hosts; before it starts, those that MakePlan or MakeRestore made
	Hosts   map[string]Host // by name, as they are now
	Newer   bool            // a newer rollout of the same repository is planned or has begun; one that restores is none
	Busy    bool            // another rollout of the same repository blocks, see [RolloutState.Blocks]; not the one that this one restores

	// NewerHosts are the hosts of the newer rollouts that have begun. Whoever is away
	// or put off is left to those. Nil means that nobody knows which hosts they are.
	NewerHosts map[string]bool

	// Quarantined says that the commit must not spread any further: another rollout of
	// it has shown it to be bad.
	Quarantined bool

	// Restoring is the newest rollout that restores this one, with its hosts; nil: none yet.
	Restoring *Rollout

	// Hearing is since when hosts could be heard without a break: when this server
	// connected to the bus. Zero means for as long as anybody asks. Until
	// [OnlineWithin] has passed, silence says nothing about a host.
	Hearing time.Time
}

// Move is what one look at a rollout came to.
type Move struct {
	State    RolloutState
	Hosts    []HostProgress // all of them, in the rollout's order
	Orders   []string       // hosts to give the order of this rollout now
	Reboots  []string       // hosts to give a reboot order now: deferred, in an open reboot window
	Cancel   []string       // hosts whose order must be taken back (replaced by a noop)
	Headline string
	Reason   string    // why State changed; empty when it did not
	Again    time.Time // when to look again without being woken; zero: only when woken

	// What is wanted for as long as it is said, not once: whoever does it finds out
	// whether it was done.
	Restore    bool   // start the rollout that restores this one, if there is none
	RevertPR   bool   // open a pull request that reverts the commit
	Quarantine string // why the commit is to be put into quarantine; empty: it is not
}

const (
	againOffline = 15 * time.Second // while the silence of a host is unclear
	againNext    = time.Second      // when one change of state leads to another
	againOther   = time.Minute      // while another rollout is waited for, whose end wakes this one
)

// advancing is one run of Advance.
type advancing struct {
	f    RolloutFacts
	now  time.Time
	move Move

	anybody bool // some host is heard
	places  int  // that are free for further hosts
}

// Advance decides what a rollout does next: which hosts get their order, which
// have run out of time, whether it has ended. It is pure, and running it again on
// what it returned changes nothing, unless it asked for another look at once.
//
// Waves go in order. A wave is done when each of its hosts has ended, is offline
// or was put off; the next begins after the soak. At most max_parallel hosts are
// under way in the whole rollout. A host that is offline when its turn comes takes
// no place and does not keep its wave waiting: it gets its order when it is heard
// again (offline: catch_up), also after the rollout has succeeded, or is left out
// (offline: skip). A host that was put off is restarted as the policy says.
//
// The failure that reaches max_failures halts the rollout or, by policy, turns it
// back; hosts under way finish. A newer rollout takes its place between two waves.
func Advance(f RolloutFacts, now time.Time) Move {
	a := &advancing{f: f, now: now}
	a.move = Move{State: f.Rollout.State, Hosts: slices.Clone(f.Rollout.Hosts)}
	for _, h := range f.Hosts {
		a.anybody = a.anybody || h.Online(now)
	}
	a.begin()
	a.hosts()
	a.budget()
	a.dispatch()
	a.finish()
	a.overtaken()
	a.tidy()
	a.goBack()
	a.aftermath()
	a.move.Headline = Headline(a.rollout(), f.Restoring, now)
	return a.move
}

// begin starts a planned rollout, if nothing is before it.
func (a *advancing) begin() {
	switch {
	case a.move.State != RolloutPlanned:
	case a.f.Newer && !a.restores():
		a.event(RolloutOvertaken, "A newer rollout of the repository takes its place.")
	case a.f.Busy:
		a.wake(a.now.Add(againOther))
	default:
		a.event(RolloutStart, "Its turn has come.")
	}
}

// restores reports whether this rollout undoes another. Such a one is urgent: no
// failure stops it, and nothing newer takes its place.
func (a *advancing) restores() bool { return a.f.Rollout.Kind == RolloutRestore }

// rollout is the rollout as the move leaves it.
func (a *advancing) rollout() Rollout {
	r := a.f.Rollout
	r.State, r.Hosts = a.move.State, a.move.Hosts
	return r
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
	if listened && a.anybody {
		return away
	}
	return unclear
}

// tally counts the hosts of a rollout by what they mean for its end.
type tally struct {
	waiting  int // for their order
	underWay int
	healthy  int
	failed   int // or reverted
	later    int // offline or put off
}

func (a *advancing) tally() tally {
	var n tally
	for _, p := range a.move.Hosts {
		switch {
		case p.State == HostWaiting:
			n.waiting++
		case p.State.UnderWay():
			n.underWay++
		case p.State == HostHealthy:
			n.healthy++
		case p.State == HostFailed || p.State == HostReverted:
			n.failed++
		case p.State == HostOffline || p.State == HostDeferred:
			n.later++
		}
	}
	return n
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
