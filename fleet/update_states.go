package fleet

import "slices"

// UpdateEvent is what can happen to an update. Apart from [MergeRefused] every
// event is a judgement: a look at the whole pull request that came to a state.
type UpdateEvent string

// MergeRefused says that GitHub did not carry out the merge that was asked for,
// and that nothing was merged. The update is looked at again from the start.
const MergeRefused UpdateEvent = "merge_refused"

// Judged is the event that a look came to s.
func Judged(s UpdateState) UpdateEvent { return UpdateEvent("judged_" + string(s)) }

var updateStates = []UpdateState{
	UpdateObserved, UpdateChecks, UpdateHolding, UpdateReady, UpdateMerging, UpdateMerged,
	UpdateFailing, UpdateBlocked, UpdateConflict, UpdateClosed, UpdateSuperseded,
}

// anyJudgement is the row of a state in which a look may come to any result.
// Decisions are derived from the whole snapshot each time (HOUSE rule 3), so an
// update may move between these states freely.
func anyJudgement() map[UpdateEvent]UpdateState {
	row := map[UpdateEvent]UpdateState{}
	for _, s := range updateStates[1:] {
		row[Judged(s)] = s
	}
	return row
}

// updateTable: while a merge is being asked for, only its outcome counts. A look
// that overlaps the call must not take the update out from under it: the call is
// pinned to the head SHA, and GitHub refuses it if that has changed.
var updateTable = table[UpdateState, UpdateEvent]{
	UpdateObserved:   anyJudgement(),
	UpdateChecks:     anyJudgement(),
	UpdateHolding:    anyJudgement(),
	UpdateReady:      anyJudgement(),
	UpdateFailing:    anyJudgement(),
	UpdateBlocked:    anyJudgement(),
	UpdateConflict:   anyJudgement(),
	UpdateClosed:     anyJudgement(), // reopened
	UpdateSuperseded: anyJudgement(), // reopened
	UpdateMerging: {
		Judged(UpdateMerged): UpdateMerged,
		Judged(UpdateClosed): UpdateClosed,
		MergeRefused:         UpdateObserved,
	},
	UpdateMerged: {},
}

// NextUpdateState is where an update in s goes upon e. Every pair has an answer;
// an event that does not apply changes nothing.
func NextUpdateState(s UpdateState, e UpdateEvent) UpdateState { return updateTable.next(s, e) }

// LegalUpdate reports whether an update may go from one state to another in one step.
func LegalUpdate(from, to UpdateState) bool { return updateTable.legal(from, to) }

// Terminal reports whether nothing leads out of s.
func (s UpdateState) Terminal() bool { return updateTable.terminal(s) }

// Open reports whether an update in s is still on its way: neither merged nor
// closed nor superseded.
func (s UpdateState) Open() bool {
	return s != UpdateMerged && s != UpdateClosed && s != UpdateSuperseded
}

// AllUpdateStates lists the states in the order of an update's life.
func AllUpdateStates() []UpdateState { return slices.Clone(updateStates) }

// AllUpdateEvents lists the events.
func AllUpdateEvents() []UpdateEvent {
	events := []UpdateEvent{MergeRefused}
	for _, s := range updateStates[1:] {
		events = append(events, Judged(s))
	}
	return events
}

// UpdateEdges lists every line of the table that changes a state.
func UpdateEdges() []Edge[UpdateState, UpdateEvent] { return updateTable.edges() }

// UpdateDiagram is the table as a Mermaid state diagram.
func UpdateDiagram() string { return updateTable.mermaid(UpdateObserved, updateStates) }
