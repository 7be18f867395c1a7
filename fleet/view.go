package fleet

import "time"

// Overview is the read model of the Fleet page: one consistent snapshot.
type Overview struct {
	At       time.Time
	GitHub   Hearing
	Repos    []RepoView
	Hosts    []HostView
	Updates  []Update  // open ones, and those that ended within the last day; newest first
	Rollouts []Rollout // running ones, and the newest ended one of each repository
	Silent   []SilentReceiver
	Agent    string // the version that agents should have
}

// SilentReceiver is a receiver of notices that can't be reached.
type SilentReceiver struct {
	Name  string
	Since time.Time
	Error string
}

// Hearing is how GitHub is heard: webhooks that came and wait, and repositories that
// are read at intervals whether or not one came.
type Hearing struct {
	LastDelivery time.Time // when the newest webhook came; zero: none has
	Waiting      int       // webhooks that are stored and not handled yet
	Oldest       time.Time // when the one came that has waited longest; zero: none waits
	StaleRepos   int       // watched repositories that were not read for three rounds
	Lost         int       // webhooks that GitHub tried to bring in vain, at the last look
}

// RepoView is a watched repository.
type RepoView struct {
	Repo        Repo
	HeadSHA     string // of the default branch, as last read
	HeadAt      time.Time
	PolicyError string  // why the policy file is broken; empty when it is not
	Policy      *Policy // as last read, so that people see what a merge would do; nil when not known
}

// PolicyView is what rules a repository, and where it comes from.
type PolicyView struct {
	Repo      Repo
	Source    string    // file, settings or built-in
	File      string    // address of the policy file, also where there is none yet
	Settings  string    // made here, as YAML; they wait while a file rules
	ChangedBy string    // who made them, also where they are empty again
	ChangedAt time.Time // zero where nobody ever made any
	Problem   string    // why what rules can't be read; nothing merges meanwhile
	Policy    *Policy   // what rules; nil where it can't be read
}

// HostView is one host with its derived compartments and what it is doing.
type HostView struct {
	Host         Host
	Online       bool
	Compartments []Compartment
	Progress     *HostProgress // within the running rollout, if it takes part
	Doing        string        // kind of the order that it works on; empty: none
	Evaluation   *Evaluation   // of the commit that its checkout is at; nil where nobody has worked it out
}

// Light is the state of a compartment (SPEC 4).
type Light string

// The states of a compartment.
const (
	LightOK      Light = "ok"      // green
	LightStale   Light = "stale"   // yellow
	LightError   Light = "error"   // red
	LightUnknown Light = "unknown" // grey
	LightWorking Light = "working" // blue
)

// Compartment is one of a host's three: git, lock or system.
type Compartment struct {
	ID       string    `json:"id"` // git, lock or system
	Question string    `json:"question"`
	Light    Light     `json:"light"`
	Label    string    `json:"label"`           // two or three words for the cell
	Tooltip  []string  `json:"tooltip"`         // lines; a line of only "─" is a rule
	Badge    string    `json:"badge,omitempty"` // e.g. "Update PR pending #42"
	AsOf     time.Time `json:"as_of,omitzero"`  // age of the facts, shown when the host is offline
	Dimmed   bool      `json:"dimmed,omitempty"`
}
