package fleet

import (
	"slices"
	"time"
)

// Policy is `.github/nixfleet.yml` of the base branch (SPEC 8), or the same
// settings from elsewhere where that file is absent.
type Policy struct {
	Updates UpdatePolicy
	Deploy  DeployPolicy
	Notify  []NotifyRule
}

// UpdatePolicy says which pull requests are updates and when they merge.
type UpdatePolicy struct {
	Strategy       string   // github or host
	Commit         string   // with strategy host: CommitDirect or CommitPullRequest
	Files          []string // lock files, e.g. flake.lock
	Authors        []string // logins; compared by id
	AutoMerge      AutoMerge
	RequiredChecks []RequiredCheck
	RequireChecks  bool // false: merge even when nothing is required
	Inputs         InputPolicy
	Freeze         []Freeze
}

// What becomes of a lock that a host made.
const (
	CommitDirect      = "direct"       // a commit on the default branch
	CommitPullRequest = "pull_request" // a pull request of the App's
)

// AutoMerge says when a proven update merges by itself.
type AutoMerge struct {
	Enabled      bool
	Hold         time.Duration
	HoldFrom     string // opened (when we first saw the head SHA) or checks
	Method       string // squash, merge or rebase
	DeleteBranch bool
	MinInputAge  time.Duration
	Overlap      bool // also while a rollout of the repository is running
}

// InputPolicy says what an update may change beside revisions.
type InputPolicy struct {
	AllowAdded     bool
	AllowRemoved   bool
	AllowRepointed bool
	Trust          []string // URL prefixes of inputs that GitHub can't answer for
}

// Freeze is a weekly window in which nothing merges.
type Freeze struct{ From, To, TZ, Reason string }

// DeployPolicy says how a commit is brought to hosts.
type DeployPolicy struct {
	Auto        bool
	Hosts       string // selector
	Waves       []WavePolicy
	MaxParallel int
	MaxFailures Amount
	OnFailure   string // halt, rollback or revert_pr
	Offline     string // catch_up or skip
	Reboot      string // never, when_needed or window
	Windows     []Freeze
	Timeouts    Timeouts
	Health      []HealthCheck

	// Freeze is when nothing is deployed that nobody asked for. It is no key of its
	// own: see [Policy.Unasked].
	Freeze []Freeze

	RebootWindows []Freeze      // with Reboot window: when hosts may reboot; none means Windows
	Unreachable   string        // keep or rollback: of a good switch while the server does not answer and the network does
	Anchors       []string      // host:port that tell a lost network from a server that is down
	Settle        time.Duration // how long all has to stay well after a switch
	KeepLogs      time.Duration // how long the output of orders is kept
}

// Unasked is how a commit is brought to hosts that no person asked for: not while a
// freeze keeps updates from merging by themselves.
func (p Policy) Unasked() DeployPolicy {
	d := p.Deploy
	d.Freeze = slices.Clone(p.Updates.Freeze)
	return d
}

// WavePolicy is one wave before it is resolved to hosts.
type WavePolicy struct {
	Name  string
	Hosts string // selector, count or percentage
	Soak  time.Duration
}

// Amount is a count, or a percentage of the hosts of a rollout.
type Amount struct {
	N       int
	Percent bool
}

// Timeouts bounds the steps of an order; zero means the agent's defaults.
type Timeouts struct {
	Fetch  time.Duration `json:"fetch,omitempty"`
	Build  time.Duration `json:"build,omitempty"`
	Switch time.Duration `json:"switch,omitempty"`
	Verify time.Duration `json:"verify,omitempty"`
}

// HealthCheck is one check after a switch; exactly one field is set.
type HealthCheck struct {
	Unit    string   `json:"unit,omitempty"`
	HTTP    string   `json:"http,omitempty"`
	Command []string `json:"command,omitempty"`
}

// NotifyRule sends events to a named receiver.
type NotifyRule struct {
	To string
	On []string
}
