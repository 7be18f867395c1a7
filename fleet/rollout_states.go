package fleet

import "slices"

// RolloutEvent is what can happen to a rollout as a whole.
type RolloutEvent string

// The events of a rollout.
const (
	RolloutStart     RolloutEvent = "start"        // its turn has come, the plan is frozen
	RolloutFinish    RolloutEvent = "finish"       // every host has ended or will catch up
	RolloutGiveUp    RolloutEvent = "give_up"      // every host has ended, and the failures outweigh; or there is no plan
	RolloutSpent     RolloutEvent = "budget_spent" // as many hosts failed as the policy allows
	RolloutPause     RolloutEvent = "pause"        // by a person
	RolloutResume    RolloutEvent = "resume"       // by a person
	RolloutAbort     RolloutEvent = "abort"        // by a person
	RolloutOvertaken RolloutEvent = "overtaken"    // a newer rollout of the same repository takes its place
	RolloutRollBack  RolloutEvent = "roll_back"    // by a person or by policy
	RolloutRestored  RolloutEvent = "restored"     // every host runs what it ran before
)

var rolloutStates = []RolloutState{
	RolloutPlanned, RolloutRunning, RolloutSucceeded, RolloutPaused, RolloutHalted,
	RolloutRollingBack, RolloutRolledBack, RolloutFailed, RolloutAborted, RolloutSuperseded,
}

// rolloutTable: a rollout that works is overtaken only between two waves, see
// [Advance]; until then the newer one waits. A halted one gives way, because the
// newer commit is usually the repair. Resuming does not lift a halt: the budget
// would still be spent.
var rolloutTable = table[RolloutState, RolloutEvent]{
	RolloutPlanned: {
		RolloutStart:     RolloutRunning,
		RolloutGiveUp:    RolloutFailed, // no plan could be made
		RolloutAbort:     RolloutAborted,
		RolloutOvertaken: RolloutSuperseded,
	},
	RolloutRunning: {
		RolloutFinish:    RolloutSucceeded,
		RolloutGiveUp:    RolloutFailed,
		RolloutSpent:     RolloutHalted,
		RolloutPause:     RolloutPaused,
		RolloutAbort:     RolloutAborted,
		RolloutOvertaken: RolloutSuperseded,
		RolloutRollBack:  RolloutRollingBack,
	},
	RolloutPaused: {
		RolloutFinish:    RolloutSucceeded,
		RolloutGiveUp:    RolloutFailed,
		RolloutSpent:     RolloutHalted,
		RolloutResume:    RolloutRunning,
		RolloutAbort:     RolloutAborted,
		RolloutOvertaken: RolloutSuperseded,
		RolloutRollBack:  RolloutRollingBack,
	},
	RolloutHalted: {
		RolloutAbort:     RolloutAborted,
		RolloutOvertaken: RolloutSuperseded,
		RolloutRollBack:  RolloutRollingBack,
	},
	RolloutRollingBack: {
		RolloutRestored: RolloutRolledBack,
		RolloutGiveUp:   RolloutFailed,
		RolloutAbort:    RolloutAborted,
	},
	RolloutSucceeded:  {},
	RolloutRolledBack: {},
	RolloutFailed:     {},
	RolloutAborted:    {},
	RolloutSuperseded: {},
}

// NextRolloutState is where a rollout in s goes upon e. Every pair has an answer;
// an event that does not apply changes nothing.
func NextRolloutState(s RolloutState, e RolloutEvent) RolloutState { return rolloutTable.next(s, e) }

// LegalRollout reports whether a rollout may go from one state to another in one step.
func LegalRollout(from, to RolloutState) bool { return rolloutTable.legal(from, to) }

// Terminal reports whether nothing leads out of s. Hosts of an ended rollout may
// still answer: those that were offline catch up, those under way finish.
func (s RolloutState) Terminal() bool { return rolloutTable.terminal(s) }

// Blocks reports whether a rollout in s keeps merges and newer rollouts of its
// repository waiting.
func (s RolloutState) Blocks() bool {
	return s == RolloutRunning || s == RolloutPaused || s == RolloutRollingBack
}

// AllRolloutStates lists the states in the order of a rollout's life.
func AllRolloutStates() []RolloutState { return slices.Clone(rolloutStates) }

// AllRolloutEvents lists the events.
func AllRolloutEvents() []RolloutEvent {
	return []RolloutEvent{
		RolloutStart, RolloutFinish, RolloutGiveUp, RolloutSpent, RolloutPause,
		RolloutResume, RolloutAbort, RolloutOvertaken, RolloutRollBack, RolloutRestored,
	}
}

// RolloutEdges lists every line of the table that changes a state.
func RolloutEdges() []Edge[RolloutState, RolloutEvent] { return rolloutTable.edges() }

// RolloutDiagram is the table as a Mermaid state diagram.
func RolloutDiagram() string { return rolloutTable.mermaid(RolloutPlanned, rolloutStates) }
