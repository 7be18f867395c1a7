package fleet

import "time"

// Snapshot is everything that Decide may know of one update at one moment: what
// GitHub said, read by SHA wherever that is possible, and what we recorded
// ourselves.
type Snapshot struct {
	Repo   Repo
	Number int

	Policy    Reading[Policy]                 // of the base branch; the built-in policy where there is no file
	Pull      Reading[Pull]                   // the pull request itself
	Files     Reading[[]ChangedFile]          // all changed files
	Modes     Reading[map[string]string]      // git mode ("100644") of each changed file at the head SHA
	MergeBase Reading[string]                 // of base branch and head SHA
	Locks     map[string]Reading[LockPair]    // by path: the lock at the merge base and at the head SHA
	Required  Reading[[]RequiredCheck]        // what classic protection requires on the base branch
	Rules     Reading[[]BranchRule]           // the rulesets in force on the base branch
	Checks    Reading[[]Check]                // check runs and statuses at the head SHA
	Suites    Reading[[]CheckSuite]           // check suites at the head SHA, to find workflows that wait for approval
	Authors   Reading[map[string]Actor]       // the policy's author names, resolved to ids
	Commits   map[string]Reading[CommitFacts] // by "owner/repo@rev": the new revisions of GitHub inputs
	Lineages  map[string]Reading[Lineage]     // by "owner/repo@old...new" and "owner/repo@ref...new" (ref empty: default branch)
	OwnAppID  int64                           // our own App, never counted as a check

	Recorded Recorded
}

// Recorded is what our own database knows about an update.
type Recorded struct {
	FirstSeen      time.Time     // when we first saw the pull request
	HeadSeen       time.Time     // when we first saw this head SHA
	ChecksPassed   time.Time     // when its required checks were first all seen passed; zero if not
	Request        *MergeRequest // a person's Merge & Deploy, if it names this head SHA
	Hold           *Hold         // a person's hold, if one was not released
	RunningRollout string        // commit of a rollout of the same repository that has not ended; empty if none
	Refusal        *MergeRefusal // GitHub's last refusal to merge, if it was for this head SHA

	Proposed string // commit that we made ourselves from a host's lock, if it is this head SHA; else empty

	Receivers []string // names of those that notices can be sent to

	InputsSeen map[string]time.Time // by InputsToSee's keys: when any lock first showed us that revision
}

// MergeRefusal is GitHub's own word against a merge that we had proven. Until
// then nothing is asked again; a zero Until means not before the head SHA changes
// or a person asks again.
type MergeRefusal struct {
	HeadSHA string    `json:"head_sha"`
	Message string    `json:"message"` // verbatim
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"`
}

// MergeRequest is a person's wish to merge one head SHA now. It is void for any
// other head SHA.
type MergeRequest struct {
	By      Actor     `json:"by"`
	HeadSHA string    `json:"head_sha"`
	At      time.Time `json:"at"`
	Deploy  bool      `json:"deploy"`
}

// Hold is a person's word that an update is not to merge by itself. It outlives
// the head SHA: it is about the update, not about one version of it.
type Hold struct {
	By    Actor     `json:"by"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"` // zero: until it is released
}

// Active reports whether the hold still counts; a nil one never does.
func (h *Hold) Active(now time.Time) bool {
	return h != nil && (h.Until.IsZero() || h.Until.After(now))
}

// Pull is what GitHub says of a pull request.
type Pull struct {
	Title          string
	URL            string
	State          string // open or closed
	Draft          bool
	Merged         bool
	MergeCommitSHA string // set once merged
	MergedBy       Actor
	Author         Actor
	BaseRef        string
	BaseSHA        string
	BaseRepoID     int64
	HeadRef        string
	HeadSHA        string
	HeadRepoID     int64 // 0 where the head repository is gone
	ChangedFiles   int
	Mergeable      *bool // nil while GitHub is still finding out
	Labels         []string
	CreatedAt      time.Time
}

// ChangedFile is one file of a pull request.
type ChangedFile struct {
	Path     string
	Status   string // added, modified, removed, renamed, copied, changed, unchanged
	Previous string // for renames
}

// LockPair is one lock file before and after.
type LockPair struct{ Base, Head []byte }

// RequiredCheck is a check that must pass. AppID 0 means that any source counts;
// App is the app's slug where only that is known (policy).
type RequiredCheck struct {
	Name  string `json:"name"`
	AppID int64  `json:"app_id,omitempty"`
	App   string `json:"app,omitempty"`
	From  string `json:"from,omitempty"` // "branch protection", "ruleset" or "policy"
}

// Check is one check run or commit status at the head SHA: the newest of its name,
// source and suite. Newer ones come first.
type Check struct {
	Name       string
	Kind       string // "run" or "status"
	AppID      int64  // 0 where unknown
	App        string // slug; for statuses the creator's login
	Bot        bool   // of statuses: the creator is an App's own account
	State      string // queued, in_progress, completed; statuses: pending or completed
	Conclusion string // success, failure, neutral, skipped, cancelled, timed_out, action_required, stale, error
	URL        string
	At         time.Time
}

// BranchRule is one rule of a ruleset that is in force on the base branch. Types
// that we don't know are kept: they must neither fail the reading nor be passed over.
type BranchRule struct {
	Type    string          `json:"type"`    // GitHub's word, e.g. required_status_checks, merge_queue
	Ruleset string          `json:"ruleset"` // where it comes from, for people
	Checks  []RequiredCheck `json:"checks,omitempty"`
	Reviews int             `json:"reviews,omitempty"` // approving reviews that a pull_request rule asks for
	Methods []string        `json:"methods,omitempty"` // merge methods that a pull_request rule allows; empty: all
}

// CheckSuite is one app's suite at the head SHA. Suites are never judged: an app
// that reports nothing leaves its suite queued for ever. They only tell which
// workflows wait for a person's approval.
type CheckSuite struct {
	AppID      int64
	App        string // slug
	Status     string
	Conclusion string // action_required: its workflows wait for approval
	Runs       int    // check runs in it; 0: never reported
}

// Lineage is how one revision of an input lies to another commit or branch of the
// same repository, in the words of GitHub's compare: identical, ahead, behind or
// diverged, from the base's point of view.
type Lineage struct {
	Status string
	Ahead  int // commits between, where it is ahead
}

// OnBranch reports whether a revision that was compared with a branch is on it.
func (l Lineage) OnBranch() bool { return l.Status == "identical" || l.Status == "behind" }

// CommitFacts is what GitHub says of one revision of an input.
type CommitFacts struct {
	CommitterDate time.Time
}

// OpenPull is a pull request in the list of those that are open onto the default
// branch.
type OpenPull struct {
	Number  int
	Version string // changes with its head SHA, and whenever GitHub says that it was updated
}
