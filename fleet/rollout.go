package fleet

import "time"

// Plan is a rollout as it was frozen when it started.
type Plan struct {
	Waves       []Wave        `json:"waves"`
	MaxParallel int           `json:"max_parallel"` // hosts under way at once, at least 1
	MaxFailures int           `json:"max_failures"` // the failure that reaches this number spends the budget; at least 1
	OnFailure   string        `json:"on_failure"`   // halt, rollback or revert_pr
	Offline     string        `json:"offline"`      // catch_up or skip
	Timeouts    Timeouts      `json:"timeouts"`
	Health      []HealthCheck `json:"health,omitempty"`
	Windows     []Freeze      `json:"windows,omitempty"` // orders are given only inside these; none means always

	Reboot        string        `json:"reboot,omitempty"` // never, when_needed or window
	Freeze        []Freeze      `json:"freeze,omitempty"` // no orders are given inside these
	RebootWindows []Freeze      `json:"reboot_windows,omitempty"`
	Unreachable   string        `json:"unreachable,omitempty"` // keep or rollback
	Anchors       []string      `json:"anchors,omitempty"`
	Settle        time.Duration `json:"settle,omitempty"`
}

// Wave is one group of hosts that goes before the next.
type Wave struct {
	Name  string        `json:"name"`
	Hosts []string      `json:"hosts"`
	Soak  time.Duration `json:"soak,omitempty"` // after the last host of it ended, before the next wave
}

// RolloutKind says what a rollout's orders do.
type RolloutKind string

// The kinds of a rollout.
const (
	RolloutDeploy   RolloutKind = "deploy"   // forward to the commit
	RolloutBackward RolloutKind = "backward" // to the commit, also where it is older than what runs: a person said so
	RolloutRestore  RolloutKind = "restore"  // each host to what it ran before the rollout named in Restores
)

// Rollout is one commit brought to a set of hosts in waves.
type Rollout struct {
	ID        string // a ULID
	Kind      RolloutKind
	Restores  string // id of the rollout that this one undoes, with RolloutRestore
	RepoID    int64
	UpdateID  int64 // 0 when a push started it
	Commit    string
	State     RolloutState
	Plan      Plan
	Reason    string // why it was started
	Actor     string // who started it
	Headline  string // e.g. "Deploying 3/9 hosts…"
	StartedAt time.Time
	EndedAt   time.Time
	Revert    Revert
	Hosts     []HostProgress
}

// Revert is the pull request that takes a rollout's commit back (on_failure: revert_pr).
type Revert struct {
	Number int    `json:"number,omitempty"` // of the pull request; 0 where there is none
	Found  string `json:"found,omitempty"`  // what became of it, in one sentence; empty where none was asked for, or while it isn't known
	Commit string `json:"commit,omitempty"` // that was made for it, on no branch at first
	Base   string `json:"base,omitempty"`   // that Commit was made on
}

// HostProgress is one host within a rollout.
type HostProgress struct {
	Host      string     `json:"host"`
	Wave      int        `json:"wave"` // index into Plan.Waves
	State     HostState  `json:"state"`
	Order     string     `json:"order,omitempty"` // id of the order it works on
	Since     time.Time  `json:"since,omitzero"`  // when it entered State
	StartedAt time.Time  `json:"started_at,omitzero"`
	EndedAt   time.Time  `json:"ended_at,omitzero"`
	Failure   *HostError `json:"failure,omitempty"`
	// Before is what ran when the host was given its order, and where a rollback leads.
	Before System `json:"before,omitzero"`
	// Target is what the host is to run in the end, once that is known: the path that
	// it built, or, in a restore, the path to go back to.
	Target System `json:"target,omitzero"`
	// Switched says that an activation was begun, so that a rollback concerns it.
	Switched bool   `json:"switched,omitempty"`
	Note     string `json:"note,omitempty"` // one line for people, e.g. why it is deferred
}

// System is one built system of a host.
type System struct {
	Path   string `json:"path,omitempty"`   // store path
	Commit string `json:"commit,omitempty"` // that it was built from, where known
}

// HostError says why a host did not get there.
type HostError struct {
	Step     string `json:"step"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	ExitCode int    `json:"exit_code,omitempty"`
	LogTail  string `json:"log_tail,omitempty"`
}

// Order is an instruction to one host as the domain sees it; app puts it into
// the wire's words. Gen is drawn from the host's row in the transaction that
// creates the order.
type Order struct {
	ID        string // a ULID
	Host      string
	Gen       uint64
	Kind      string
	Rollout   string
	RepoID    int64
	Commit    string
	Detail    OrderDetail
	Actor     string
	Reason    string
	IssuedAt  time.Time
	ExpiresAt time.Time // until when it may be begun

	ReceivedAt time.Time // the host's first answer; until then it may not know of the order
	EndedAt    time.Time
	State      HostState
	Failure    *HostError
	Note       string // one line for people
}

// OrderDetail is what an order says beyond its kind and commit. Each field belongs to
// the kinds that package agentbus names at the field of the same name.
type OrderDetail struct {
	Target   string   `json:"target,omitempty"`
	Cancels  string   `json:"cancels,omitempty"`
	Evaluate []string `json:"evaluate,omitempty"`
	Inputs   []string `json:"inputs,omitempty"`
	LockFile string   `json:"lock_file,omitempty"`
	AsPull   bool     `json:"as_pull,omitempty"` // of update_inputs, for the server: a pull request, whatever policy says
	// Deploy is how an order of its own, outside of any rollout, is carried out.
	Deploy *DeployPolicy `json:"deploy,omitempty"`
}

// Change is what an order does, or did, to a host's system.
type Change struct {
	From     System          `json:"from,omitzero"`
	To       System          `json:"to,omitzero"`
	Packages []PackageChange `json:"packages,omitempty"`
	More     int             `json:"more,omitempty"`      // that were left out
	SizeFrom int64           `json:"size_from,omitempty"` // bytes of the whole closure, 0 where not known
	SizeTo   int64           `json:"size_to,omitempty"`
}

// PackageChange is one package that differs between two systems. No From means
// added, no To removed.
type PackageChange struct {
	Name  string   `json:"name"`
	From  []string `json:"from,omitempty"` // versions
	To    []string `json:"to,omitempty"`
	Bytes int64    `json:"bytes,omitempty"`
}

// Generation is one system that a host can go back to.
type Generation struct {
	Number int `json:"number"`
	System
	At      time.Time `json:"at,omitzero"`
	Running bool      `json:"running,omitempty"`
	Booted  bool      `json:"booted,omitempty"`
}
