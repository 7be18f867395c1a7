package fleet

import (
	"slices"
	"time"
)

// ProposalState is where a lock that was made on a host is on its way to a commit
// (updates.strategy: host).
type ProposalState string

// The states of a proposal.
const (
	ProposalReceived   ProposalState = "received"   // stored, not judged yet
	ProposalProven     ProposalState = "proven"     // the lock rules hold; the commit is being made
	ProposalCommitted  ProposalState = "committed"  // it is on the default branch; the push starts the rollout
	ProposalOpened     ProposalState = "opened"     // it is a pull request, and goes an update's way from here
	ProposalRefused    ProposalState = "refused"    // a rule does not hold or could not be read, or GitHub takes no such commit
	ProposalConflicted ProposalState = "conflicted" // the branch moved: a new lock has to be made from its new head
)

// ProposalEvent is what can happen to a proposal.
type ProposalEvent string

// The events of a proposal.
const (
	ProposalHolds    ProposalEvent = "rules_hold"
	ProposalFails    ProposalEvent = "refused" // by the rules, or by GitHub for good
	ProposalOutdated ProposalEvent = "branch_moved"
	ProposalLanded   ProposalEvent = "landed"
	ProposalPulled   ProposalEvent = "pull_opened"
)

var proposalStates = []ProposalState{
	ProposalReceived, ProposalProven, ProposalCommitted, ProposalOpened, ProposalRefused, ProposalConflicted,
}

// proposalTable: what was proven is never proven again. The commit's parent is the
// commit that it was proven against, so a branch that moved ends it.
var proposalTable = table[ProposalState, ProposalEvent]{
	ProposalReceived: {
		ProposalHolds:    ProposalProven,
		ProposalFails:    ProposalRefused,
		ProposalOutdated: ProposalConflicted,
	},
	ProposalProven: {
		ProposalLanded:   ProposalCommitted,
		ProposalPulled:   ProposalOpened,
		ProposalFails:    ProposalRefused,
		ProposalOutdated: ProposalConflicted,
	},
	ProposalCommitted:  {},
	ProposalOpened:     {},
	ProposalRefused:    {},
	ProposalConflicted: {},
}

// NextProposalState is where a proposal in s goes upon e. Every pair has an answer;
// an event that does not apply changes nothing.
func NextProposalState(s ProposalState, e ProposalEvent) ProposalState {
	return proposalTable.next(s, e)
}

// LegalProposal reports whether a proposal may go from one state to another in one step.
func LegalProposal(from, to ProposalState) bool { return proposalTable.legal(from, to) }

// Terminal reports whether nothing leads out of s.
func (s ProposalState) Terminal() bool { return proposalTable.terminal(s) }

// AllProposalStates lists the states in the order of a proposal's life.
func AllProposalStates() []ProposalState { return slices.Clone(proposalStates) }

// AllProposalEvents lists the events.
func AllProposalEvents() []ProposalEvent {
	return []ProposalEvent{ProposalHolds, ProposalFails, ProposalOutdated, ProposalLanded, ProposalPulled}
}

// ProposalDiagram is the table as a Mermaid state diagram.
func ProposalDiagram() string { return proposalTable.mermaid(ProposalReceived, proposalStates) }

// Proposal is a lock that was made on a host, or sent by a person, without its bytes.
type Proposal struct {
	ID        string // a ULID
	Repo      Repo
	Host      string // that made it; empty where a person did
	Actor     string // who asked for it
	Reason    string // why, in their words
	Path      string // of the lock file in the repository
	BaseSHA   string // the commit that it was made from
	Inputs    []string
	AsPull    bool // a pull request was asked for; policy may want one, too
	State     ProposalState
	Verdict   ProposalVerdict
	Found     string // one sentence: what became of it
	CommitSHA string // ours, once made; it is on no branch before the state says so
	Number    int    // of the pull request, 0 without
	CreatedAt time.Time
	EndedAt   time.Time
}

// LockWork is a wish for a newer lock, and what became of it: an order to a host, the
// lock that it sent, or a lock that a person sent.
type LockWork struct {
	ID        string // of the proposal, or of the order while there is none
	Repo      Repo
	Host      string // that makes it; empty where a person did
	Actor     string // who asked for it
	Reason    string
	Path      string
	Inputs    []string
	AsPull    bool
	Order     HostState     // how far the host is; empty where a person sent the lock
	State     ProposalState // of the lock; empty while there is none
	Found     string        // one sentence: what became of it
	CommitSHA string
	Number    int // of the pull request, 0 without
	CreatedAt time.Time
	EndedAt   time.Time
}

// Again reports whether the host shall make the lock anew, from the new head of the
// branch: nothing was wrong with it, it came too late.
func (p Proposal) Again() bool { return p.State == ProposalConflicted && p.Host != "" }
