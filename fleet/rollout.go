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
}

// Wave is one group of hosts that goes before the next.
type Wave struct {
	Name  string        `json:"name"`
	Hosts []string      `json:"hosts"`
	Soak  time.Duration `json:"soak,omitempty"` // after the last host of it ended, before the next wave
}

// Rollout is one commit brought to a set of hosts in waves.
type Rollout struct {
	ID        string // a ULID
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
	Hosts     []HostProgress
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
	Actor     string
	Reason    string
	IssuedAt  time.Time
	ExpiresAt time.Time
	EndedAt   time.Time
	State     HostState
}
