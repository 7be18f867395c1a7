package fleet

import "time"

// Host is one machine: one flake attribute, one agent, one key.
type Host struct {
	ID         int64
	RepoID     int64
	Name       string // [a-z0-9-]{1,63}
	Attr       string // nixosConfigurations.X, darwinConfigurations.X or homeConfigurations.X
	Tags       []string
	Mode       string    // fleet, manual or automatic
	EnrolledAt time.Time // zero until its agent has enrolled
	RevokedAt  time.Time
	LastSeen   time.Time // server's clock
	LastGen    uint64    // generation of its newest order
	Facts      HostFacts
}

// Platform is nixos, darwin or home, from the attribute.
func (h Host) Platform() string {
	switch {
	case len(h.Attr) > 7 && h.Attr[:7] == "darwinC":
		return "darwin"
	case len(h.Attr) > 5 && h.Attr[:5] == "homeC":
		return "home"
	default:
		return "nixos"
	}
}

// OnlineWithin is how long after its last sign of life a host still counts as
// online: six heartbeats of 15 s (SPEC 9), so that one lost connection does not
// paint a host offline.
const OnlineWithin = 90 * time.Second

// Online reports whether h gave a sign of life recently.
func (h Host) Online(now time.Time) bool {
	return !h.LastSeen.IsZero() && now.Sub(h.LastSeen) <= OnlineWithin
}

// HostFacts is what a host observed of itself; the zero value means that it has
// not reported yet. Empty strings mean "not known".
type HostFacts struct {
	At             time.Time         `json:"at,omitzero"` // server's clock
	AgentVersion   string            `json:"agent_version,omitempty"`
	BootID         string            `json:"boot_id,omitempty"`
	Uptime         time.Duration     `json:"uptime,omitempty"`
	CheckoutCommit string            `json:"checkout_commit,omitempty"`
	RemoteCommit   string            `json:"remote_commit,omitempty"`
	Behind         int               `json:"behind,omitempty"`
	Ahead          int               `json:"ahead,omitempty"`
	RunningCommit  string            `json:"running_commit,omitempty"`
	RunningPath    string            `json:"running_path,omitempty"`
	BootedPath     string            `json:"booted_path,omitempty"`
	ProfilePath    string            `json:"profile_path,omitempty"`
	ExpectedPath   string            `json:"expected_path,omitempty"`
	ExpectedCommit string            `json:"expected_commit,omitempty"`
	Lock           *LockFacts        `json:"lock,omitempty"`
	RebootNeeded   bool              `json:"reboot_needed,omitempty"`
	FailedUnits    []string          `json:"failed_units,omitempty"`
	Load1          float64           `json:"load1,omitempty"`
	MemoryUsed     uint64            `json:"memory_used,omitempty"`
	MemoryTotal    uint64            `json:"memory_total,omitempty"`
	StoreFree      uint64            `json:"store_free,omitempty"`
	StoreTotal     uint64            `json:"store_total,omitempty"`
	Errors         map[string]string `json:"errors,omitempty"`     // last failure by step: fetch, evaluate, build, switch
	OrderKeys      []string          `json:"order_keys,omitempty"` // ids of the keys whose orders it obeys
	ClockOff       time.Duration     `json:"clock_off,omitempty"`  // how far the server's clock is ahead of the host's
	Order          string            `json:"order,omitempty"`      // what it works on, or worked on last
	Step           string            `json:"step,omitempty"`
	Working        bool              `json:"working,omitempty"` // an order is under way
	StepSince      time.Time         `json:"step_since,omitzero"`
}

// LockFacts is a host's flake.lock in short.
type LockFacts struct {
	SHA256 string          `json:"sha256"`
	Inputs []LockInputFact `json:"inputs,omitempty"`
}

// LockInputFact is one root input of a host's flake.lock.
type LockInputFact struct {
	Name         string    `json:"name"`
	Rev          string    `json:"rev,omitempty"`
	LastModified time.Time `json:"last_modified,omitzero"`
}
