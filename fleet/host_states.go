package fleet

import (
	"slices"
	"time"
)

// HostEvent is what can happen to a host within a rollout. The words of an
// agent's answers are events as they stand, so an answer's step converts to one.
type HostEvent string

// The events of a host within a rollout.
const (
	HostGiven       HostEvent = "ordered"     // it was given its order, and is reachable
	HostUnreachable HostEvent = "unreachable" // it has its order or gets it now, but nobody hears from it
	HostLeftOut     HostEvent = "excluded"    // it does not take part after all
	HostPutOff      HostEvent = "deferred"    // a reboot or a window is needed
	HostExpired     HostEvent = "expired"     // its order's time is up

	HostSaysReceived   HostEvent = "received"
	HostSaysFetching   HostEvent = "fetching"
	HostSaysBuilding   HostEvent = "building"
	HostSaysSwitching  HostEvent = "switching"
	HostSaysVerifying  HostEvent = "verifying"
	HostSaysHealthy    HostEvent = "healthy"
	HostSaysFailed     HostEvent = "failed"
	HostSaysReverted   HostEvent = "reverted"
	HostSaysRefused    HostEvent = "refused"    // it did not accept the order
	HostSaysSuperseded HostEvent = "superseded" // a newer order came first
	HostSaysCancelled  HostEvent = "cancelled"  // also: taken back by the server
)

var hostStates = []HostState{
	HostWaiting, HostOrdered, HostReceived, HostFetching, HostBuilding, HostSwitching, HostVerifying,
	HostHealthy, HostFailed, HostReverted, HostOffline, HostDeferred, HostExcluded, HostCancelled,
}

// underWay are the states in which a host works on its order, in their order.
// Only later ones are reached from earlier ones: answers that come late change nothing.
var underWay = []HostState{
	HostOrdered, HostReceived, HostFetching, HostBuilding, HostSwitching, HostVerifying,
}

// answered is the row of a host that holds an order: the steps after its own,
// the ways to end, and the extra lines of this one state.
func answered(at HostState, extra map[HostEvent]HostState) map[HostEvent]HostState {
	row := map[HostEvent]HostState{
		HostSaysHealthy:    HostHealthy,
		HostSaysFailed:     HostFailed,
		HostSaysReverted:   HostReverted,
		HostSaysRefused:    HostFailed,
		HostSaysSuperseded: HostCancelled,
		HostSaysCancelled:  HostCancelled,
		HostPutOff:         HostDeferred,
		HostExpired:        HostFailed,
	}
	for _, s := range underWay[max(1, slices.Index(underWay, at)+1):] {
		row[HostEvent(s)] = s
	}
	for e, s := range extra {
		row[e] = s
	}
	return row
}

// hostTable: once a host has taken its order up, silence changes nothing until
// the order expires. A host that never took it up because it is away is no
// failure: it catches up, or its order lapses.
var hostTable = table[HostState, HostEvent]{
	HostWaiting: {
		HostGiven:          HostOrdered,
		HostUnreachable:    HostOffline,
		HostLeftOut:        HostExcluded,
		HostPutOff:         HostDeferred,
		HostSaysSuperseded: HostCancelled,
		HostSaysCancelled:  HostCancelled,
	},
	HostOrdered: answered(HostOrdered, map[HostEvent]HostState{
		HostUnreachable: HostOffline,
		HostLeftOut:     HostExcluded,
	}),
	HostReceived:  answered(HostReceived, nil),
	HostFetching:  answered(HostFetching, nil),
	HostBuilding:  answered(HostBuilding, nil),
	HostSwitching: answered(HostSwitching, nil),
	HostVerifying: answered(HostVerifying, nil),
	HostOffline: answered(HostOffline, map[HostEvent]HostState{
		HostGiven:   HostOrdered,
		HostLeftOut: HostExcluded,
		HostExpired: HostCancelled,
	}),
	HostDeferred: answered(HostVerifying, map[HostEvent]HostState{ // its order has ended: no step of it comes after
		HostGiven:   HostOrdered,
		HostLeftOut: HostExcluded,
		HostExpired: HostCancelled,
	}),
	HostHealthy:   {},
	HostFailed:    {},
	HostReverted:  {},
	HostExcluded:  {},
	HostCancelled: {},
}

// NextHostState is where a host in s goes upon e. Every pair has an answer; an
// event that does not apply, or comes late or twice, changes nothing.
func NextHostState(s HostState, e HostEvent) HostState { return hostTable.next(s, e) }

// LegalHost reports whether a host may go from one state to another in one step.
func LegalHost(from, to HostState) bool { return hostTable.legal(from, to) }

// Terminal reports whether nothing leads out of s.
func (s HostState) Terminal() bool { return hostTable.terminal(s) }

// UnderWay reports whether a host in s works on an order, and so takes one of
// the rollout's max_parallel places.
func (s HostState) UnderWay() bool { return slices.Contains(underWay, s) }

// AllHostStates lists the states in the order of a host's way.
func AllHostStates() []HostState { return slices.Clone(hostStates) }

// AllHostEvents lists the events.
func AllHostEvents() []HostEvent {
	return []HostEvent{
		HostGiven, HostUnreachable, HostLeftOut, HostPutOff, HostExpired,
		HostSaysReceived, HostSaysFetching, HostSaysBuilding, HostSaysSwitching, HostSaysVerifying,
		HostSaysHealthy, HostSaysFailed, HostSaysReverted, HostSaysRefused, HostSaysSuperseded, HostSaysCancelled,
	}
}

// HostEdges lists every line of the table that changes a state. A database may
// join answers with it to apply many at once.
func HostEdges() []Edge[HostState, HostEvent] { return hostTable.edges() }

// HostDiagram is the table as a Mermaid state diagram.
func HostDiagram() string { return hostTable.mermaid(HostWaiting, hostStates) }

// After is p once e has happened at the given time. StartedAt is when the host
// could begin: when it was ordered, or when it came back; EndedAt when it ended.
func (p HostProgress) After(e HostEvent, at time.Time) HostProgress {
	to := NextHostState(p.State, e)
	if to == p.State {
		return p
	}
	p.State, p.Since = to, at
	if to.UnderWay() && p.StartedAt.IsZero() {
		p.StartedAt = at
	}
	if to == HostOffline {
		p.StartedAt = time.Time{}
	}
	if to.Terminal() {
		p.EndedAt = at
	}
	return p
}
