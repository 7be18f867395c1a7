package fleet

import "time"

// Verdict is the result of Decide: a state, the reasons, what follows, and when
// to look again. It is stored as it is, and shown everywhere as it is.
type Verdict struct {
	State      UpdateState   `json:"state"`
	HeadSHA    string        `json:"head_sha"`
	Headline   string        `json:"headline"` // one plain sentence, e.g. "Merges at 14:20 UTC if nothing changes."
	Conditions []Condition   `json:"conditions"`
	Inputs     []InputChange `json:"inputs,omitempty"`
	Unchanged  int           `json:"unchanged,omitempty"` // the flake's own inputs that stay as they are
	HoldUntil  time.Time     `json:"hold_until,omitzero"` // for the countdown
	Merge      *MergeOrder   `json:"merge,omitempty"`     // set only in state merging
	Again      time.Time     `json:"again,omitzero"`      // when to look again without being woken; zero: only when woken
	At         time.Time     `json:"at"`
}

// Outcome is what was found of one condition.
type Outcome string

// The outcomes of a condition.
const (
	Passed  Outcome = "passed"
	Waiting Outcome = "waiting" // time or another party will settle it
	Refused Outcome = "refused" // it does not hold; a change is needed
	Unread  Outcome = "unknown" // it could not be read; never merges
	Off     Outcome = "off"     // policy or missing parts make it not apply
)

// Condition is one line of the proof (SPEC 5).
type Condition struct {
	ID         string    `json:"id"`    // stable word: open, author, files, locks, inputs, dates, checks, hold, mergeable, policy …
	Title      string    `json:"title"` // what is asked, in plain words
	Outcome    Outcome   `json:"outcome"`
	Found      string    `json:"found"`            // what was found
	Remedy     string    `json:"remedy,omitempty"` // what to do, where something can be done
	Source     string    `json:"source,omitempty"` // where it was read
	At         time.Time `json:"at,omitzero"`      // when it was read
	Soft       bool      `json:"soft,omitempty"`   // a person's Merge & Deploy overrides it
	Overridden bool      `json:"overridden,omitempty"`
}

// InputChange is one changed input, ready to show.
type InputChange struct {
	Path       string    `json:"path"`           // e.g. hyprland/wlroots
	Kind       string    `json:"kind"`           // updated, added, removed
	From       string    `json:"from,omitempty"` // flake URL as Nix prints it, or "follows 'x'"
	To         string    `json:"to,omitempty"`
	FromRev    string    `json:"from_rev,omitempty"`
	ToRev      string    `json:"to_rev,omitempty"`
	FromDate   time.Time `json:"from_date,omitzero"`
	ToDate     time.Time `json:"to_date,omitzero"`
	Repointed  bool      `json:"repointed,omitempty"`   // it comes from elsewhere now, or follows another input
	Commits    int       `json:"commits,omitempty"`     // between the two; 0 where not known
	CompareURL string    `json:"compare_url,omitempty"` // for forges that have such a page
}

// MergeOrder is the merge that a verdict asks for, pinned to the head SHA.
type MergeOrder struct {
	HeadSHA      string `json:"head_sha"`
	Base         string `json:"base"`   // branch that it was proven against
	Method       string `json:"method"` // squash, merge or rebase
	Title        string `json:"title"`
	Message      string `json:"message"` // keeps Nix's account of the inputs
	DeleteBranch string `json:"delete_branch,omitempty"`
	Deploy       bool   `json:"deploy"` // start a rollout afterwards
	By           Actor  `json:"by"`     // who asked; login "policy" for an automatic merge
}
