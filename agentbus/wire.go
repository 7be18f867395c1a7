package agentbus

import "time"

// ProtocolVersion is the v field of everything on the wire. A peer that meets a
// version it does not know refuses in words instead of guessing.
const ProtocolVersion = 1

// Kind names what an order asks for. There is no "run this command".
type Kind string

// The order kinds (SPEC 9). A host that does not know a kind refuses it.
const (
	KindDeploy       Kind = "deploy"        // pull, build, switch, verify
	KindPull         Kind = "pull"          // bring the checkout to the commit
	KindSwitch       Kind = "switch"        // build and switch to the commit of the checkout
	KindTest         Kind = "test"          // as switch, but the next boot is as before
	KindBoot         Kind = "boot"          // as switch, but only from the next boot on
	KindRollback     Kind = "rollback"      // the only way back: to Target, else to Commit, else to the system before the running one
	KindRestartAgent Kind = "restart_agent" // a new agent process
	KindReboot       Kind = "reboot"        // restart the machine; done when it is back
	KindRefresh      Kind = "refresh"       // observe the facts again; an evaluator also evaluates Evaluate
	KindUpdateInputs Kind = "update_inputs" // make a newer lock in a throw-away checkout and send it back
	KindCancel       Kind = "cancel"        // stop the order named in Cancels, if it has not begun to switch
	KindNoop         Kind = "noop"          // nothing: replaces an order that is no longer wanted
)

// Order is one instruction to one host. It is signed as the exact bytes of its
// JSON, see [Envelope]; Gen makes it newer or older than any other order to the
// same host and is drawn from Postgres before the order is published.
type Order struct {
	V       int    `json:"v"`
	Fleet   string `json:"fleet"`             // id of the installation that signs; a host knows its own
	Host    string `json:"host"`              // the name of the host it is for
	Gen     uint64 `json:"gen"`               // strictly increasing per host
	ID      string `json:"id"`                // the order id, a ULID
	Rollout string `json:"rollout,omitempty"` // for log lines; the host does not act on it
	Kind    Kind   `json:"kind"`
	Cancels string `json:"cancels,omitempty"` // order id, for KindCancel
	Repo    string `json:"repo"`              // clone URL of the flake
	Branch  string `json:"branch"`            // default branch, for counting how far the checkout is behind
	Commit  string `json:"commit"`            // 40 hex digits
	Attr    string `json:"attr"`              // e.g. nixosConfigurations.web1
	// Target is a store path: what a rollback goes back to (one of the host's own
	// generations), or what must run once a reboot is over. Empty means not named.
	Target    string      `json:"target,omitempty"`
	Expected  string      `json:"expected,omitempty"`  // what Commit comes to for Attr, where somebody has evaluated it: no need to do it again
	NoEval    bool        `json:"no_eval,omitempty"`   // another host evaluates for this one: only look
	Evaluate  []string    `json:"evaluate,omitempty"`  // attributes to evaluate at Commit for other hosts, with KindRefresh
	Inputs    []string    `json:"inputs,omitempty"`    // root inputs to update, with KindUpdateInputs; none means all
	LockFile  string      `json:"lock_file,omitempty"` // path in the repository, with KindUpdateInputs; default flake.lock
	IssuedAt  int64       `json:"iat"`                 // Unix milliseconds
	ExpiresAt int64       `json:"exp"`                 // Unix milliseconds
	Nonce     string      `json:"nonce"`               // 128 random bits, hex
	Policy    OrderPolicy `json:"policy"`
}

// OrderPolicy is what the repository's policy says about carrying out an order.
// Zero durations mean the agent's own defaults.
type OrderPolicy struct {
	FetchTimeout  Seconds       `json:"fetch_timeout_s,omitempty"`
	BuildTimeout  Seconds       `json:"build_timeout_s,omitempty"`
	SwitchTimeout Seconds       `json:"switch_timeout_s,omitempty"`
	VerifyTimeout Seconds       `json:"verify_timeout_s,omitempty"`
	Health        []HealthCheck `json:"health,omitempty"`
	// Settle is how long all has to stay well after the first good look.
	Settle Seconds `json:"settle_s,omitempty"`
	// Anchors are host:port addresses beside the bus that tell a lost network from
	// a server that is down. The agent adds those that it knows itself.
	Anchors []string `json:"anchors,omitempty"`
	// Unreachable is what becomes of a good switch while the bus does not answer and
	// an anchor does: keep (the default) or rollback.
	Unreachable string `json:"unreachable,omitempty"`
	// Reboot is never (the default), when_needed (the agent reboots within the
	// order), or window (the order ends deferred, a reboot order follows).
	Reboot string `json:"reboot,omitempty"`
}

// Seconds is a duration on the wire, in whole seconds.
type Seconds int64

// Duration converts s for use with timers.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// HealthCheck is one check of the policy's deploy.health; exactly one field is set.
type HealthCheck struct {
	Unit    string   `json:"unit,omitempty"`    // a systemd unit that must be active
	HTTP    string   `json:"http,omitempty"`    // a URL that must answer 2xx
	Command []string `json:"command,omitempty"` // argv that must exit 0
}

// Step is where a host is with an order. The names are those of the host states
// within a rollout (SPEC 3).
type Step string

// The steps. Received to Healthy come in this order for a deploy; the others end
// an order early.
const (
	StepReceived  Step = "received"  // journalled, about to begin
	StepFetching  Step = "fetching"  // git brings the commit
	StepBuilding  Step = "building"  // nix evaluates and builds
	StepSwitching Step = "switching" // the supervisor activates
	StepVerifying Step = "verifying" // activation ended, facts are checked
	StepHealthy   Step = "healthy"   // all is well; for kinds other than deploy and switch: done
	StepDeferred  Step = "deferred"  // final for this order: the new system waits for a reboot that the order may not make

	StepFailed     Step = "failed"     // the order failed; Error says at which step and why
	StepReverted   Step = "reverted"   // the host rolled itself back; Error says why
	StepRefused    Step = "refused"    // the order was not acceptable; Error.Code is a Refusal
	StepSuperseded Step = "superseded" // a newer order came before this one switched
	StepCancelled  Step = "cancelled"  // a cancel order stopped it
)

// Final reports whether an order ends with s.
func (s Step) Final() bool {
	switch s {
	case StepHealthy, StepDeferred, StepFailed, StepReverted, StepRefused, StepSuperseded, StepCancelled:
		return true
	case StepReceived, StepFetching, StepBuilding, StepSwitching, StepVerifying:
		return false
	}
	return false
}

// Answer is one acknowledged step of one order. (Host, Order, Seq) is its
// identity: repeating an answer changes nothing. The server takes the host from
// the subject that the broker guarded, never from the body.
type Answer struct {
	V      int          `json:"v"`
	Order  string       `json:"order"`
	Gen    uint64       `json:"gen"`
	Seq    uint32       `json:"seq"` // counts from 1 within the order
	Step   Step         `json:"step"`
	At     int64        `json:"at"` // Unix milliseconds, the host's clock
	BootID string       `json:"boot_id,omitempty"`
	Note   string       `json:"note,omitempty"`  // one line for people, e.g. "already built"
	Error  *StepError   `json:"error,omitempty"` // set for failed, reverted and refused
	Facts  *Observation `json:"facts,omitempty"` // what the host saw after the step, for final answers
	// Change says what the order does to the system: with the answer to switching
	// before it is done, and with the final answer.
	Change *Change `json:"change,omitempty"`
	// Generations are the systems that the host can go back to, newest first; with
	// final answers.
	Generations []Generation `json:"generations,omitempty"`
	Lock        []byte       `json:"lock,omitempty"`      // of update_inputs: the new lock, gzip
	Evaluated   []Evaluated  `json:"evaluated,omitempty"` // of a refresh with Evaluate
}

// Change is the way from one system to another.
type Change struct {
	From       string          `json:"from,omitempty"` // store path; empty where none ran
	To         string          `json:"to"`
	FromCommit string          `json:"from_commit,omitempty"`
	ToCommit   string          `json:"to_commit,omitempty"`
	Packages   []PackageChange `json:"packages,omitempty"`  // at most 200, the greatest changes in size first
	More       int             `json:"more,omitempty"`      // that were left out
	SizeFrom   int64           `json:"size_from,omitempty"` // bytes of the whole closure; 0: not known
	SizeTo     int64           `json:"size_to,omitempty"`
}

// PackageChange is one package that differs between two closures. No From means
// added, no To removed.
type PackageChange struct {
	Name  string   `json:"name"`
	From  []string `json:"from,omitempty"` // versions
	To    []string `json:"to,omitempty"`
	Bytes int64    `json:"bytes,omitempty"` // that it grew by
}

// Generation is one system of the host's profile.
type Generation struct {
	Number  int    `json:"number"`
	Path    string `json:"path"`
	Commit  string `json:"commit,omitempty"` // that it was built from, where known
	At      int64  `json:"at,omitempty"`     // Unix seconds
	Running bool   `json:"running,omitempty"`
	Booted  bool   `json:"booted,omitempty"`
}

// Evaluated is what a commit comes to for one attribute. Exactly one of Path and
// Error is set.
type Evaluated struct {
	Attr  string `json:"attr"`
	Path  string `json:"path,omitempty"`
	Error string `json:"error,omitempty"`
}

// StepError says why an order did not end well.
type StepError struct {
	Step     Step   `json:"step"`                // the step that was under way
	Code     string `json:"code"`                // a short fixed word, e.g. build_failed
	Message  string `json:"message"`             // one plain sentence
	ExitCode int    `json:"exit_code,omitempty"` // of the program that failed
	LogTail  string `json:"log_tail,omitempty"`  // at most 8 KiB
}

// Refusals: the codes of a StepRefused answer (SPEC 9, Refuses).
const (
	RefusedSignature  = "bad_signature"
	RefusedVersion    = "unknown_version"
	RefusedOtherHost  = "other_host"
	RefusedOtherFleet = "other_fleet"
	RefusedStale      = "not_newer"
	RefusedExpired    = "expired"
	RefusedFuture     = "issued_in_the_future"
	RefusedKind       = "unknown_kind"
	RefusedMalformed  = "malformed"
	RefusedNotAhead   = "not_a_descendant"

	RefusedUnsupported  = "unsupported"        // the platform has no such act
	RefusedNoGeneration = "no_such_generation" // a rollback to what is none of the host's systems
)

// Heartbeat is sent every 15 s, every 5 s while an order is worked on (SPEC 9).
type Heartbeat struct {
	V        int         `json:"v"`
	At       int64       `json:"at"` // Unix milliseconds, the host's clock
	Gen      uint64      `json:"gen"`
	Order    string      `json:"order,omitempty"` // the order being worked on or last worked on
	Seq      uint32      `json:"seq,omitempty"`   // its last answer
	Step     Step        `json:"step,omitempty"`
	Observed Observation `json:"observed"`
}

// Observation is what a host sees of itself. Paths are store paths; an empty
// string means "not known", and Errors says why where there is a reason.
type Observation struct {
	AgentVersion   string            `json:"agent_version"`
	Platform       string            `json:"platform"` // nixos, darwin or home
	BootID         string            `json:"boot_id,omitempty"`
	UptimeSeconds  int64             `json:"uptime_s,omitempty"`
	CheckoutCommit string            `json:"checkout_commit,omitempty"` // what the agent's own checkout is at
	RemoteCommit   string            `json:"remote_commit,omitempty"`   // origin's default branch as last fetched
	Behind         int               `json:"behind,omitempty"`          // commits that RemoteCommit has and the checkout lacks
	Ahead          int               `json:"ahead,omitempty"`
	RunningCommit  string            `json:"running_commit,omitempty"` // what the running system was built from
	RunningPath    string            `json:"running_path,omitempty"`   // target of /run/current-system
	BootedPath     string            `json:"booted_path,omitempty"`    // target of /run/booted-system
	ProfilePath    string            `json:"profile_path,omitempty"`
	ExpectedPath   string            `json:"expected_path,omitempty"`   // what ExpectedCommit evaluates to for this host
	ExpectedCommit string            `json:"expected_commit,omitempty"` // the commit that was evaluated
	Lock           *LockSummary      `json:"lock,omitempty"`
	RebootNeeded   bool              `json:"reboot_needed,omitempty"`
	FailedUnits    []string          `json:"failed_units,omitempty"`
	Load1          float64           `json:"load1,omitempty"`
	MemoryUsed     uint64            `json:"memory_used,omitempty"`  // bytes
	MemoryTotal    uint64            `json:"memory_total,omitempty"` // bytes
	StoreFree      uint64            `json:"store_free,omitempty"`   // bytes free on the file system of the Nix store
	StoreTotal     uint64            `json:"store_total,omitempty"`  // bytes
	Errors         map[string]string `json:"errors,omitempty"`       // last failure by step: fetch, evaluate, build, switch
	OrderKeys      []string          `json:"order_keys,omitempty"`   // ids of the keys whose orders it obeys
}

// LockSummary is what the Lock compartment needs of the checkout's flake.lock.
type LockSummary struct {
	SHA256 string      `json:"sha256"` // of the file, hex
	Inputs []LockInput `json:"inputs"` // the root inputs, by name
}

// LockInput is one root input; LastModified is Unix seconds, 0 where unknown.
type LockInput struct {
	Name         string `json:"name"`
	Rev          string `json:"rev,omitempty"`
	LastModified int64  `json:"last_modified,omitempty"`
}

// LogChunk is a piece of an order's output, at most 32 KiB. (Host, Order, Offset) is
// its identity: a host sends again from where the bus last took one.
type LogChunk struct {
	V      int    `json:"v"`
	Order  string `json:"order"`
	Offset int64  `json:"offset"` // of its first byte in the order's output
	Step   Step   `json:"step"`
	At     int64  `json:"at"` // Unix milliseconds
	Text   []byte `json:"text"`
	Last   bool   `json:"last,omitempty"` // the output ends with this chunk, which may be empty
}

// Confirm tells a host that the server has recorded its answers to Order up to
// and including Seq, so that the host may stop repeating them. It is signed like
// an order and travels on the same subject, but is never kept in the bucket.
type Confirm struct {
	V     int         `json:"v"`
	Fleet string      `json:"fleet"`
	Host  string      `json:"host"`
	Order string      `json:"order"`
	Seq   uint32      `json:"seq"`
	Log   *LogConfirm `json:"log,omitempty"` // how far the output is recorded; then Seq may be 0
}

// LogConfirm is sent when the last chunk of an output came, and when one came that
// does not follow what is recorded: the host goes on from Bytes.
type LogConfirm struct {
	Bytes int64 `json:"bytes"`           // recorded without a gap
	Whole bool  `json:"whole,omitempty"` // nothing more is wanted
}

// Summons asks a host to renew its certificate now, since there is something to
// learn, such as a new order key. It travels like a [Confirm].
type Summons struct {
	V     int    `json:"v"`
	Fleet string `json:"fleet"`
	Host  string `json:"host"`
}

// Envelope carries signed bytes. The signature covers DSSE's pre-authentication
// encoding of Type and Payload, so nothing has to be re-serialised to check it
// (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
type Envelope struct {
	KeyID   string `json:"kid"`
	Type    string `json:"type"` // TypeOrder, TypeConfirm, TypeSummons or TypeKeys
	Payload []byte `json:"payload"`
	Sig     []byte `json:"sig"`
}

// Payload types of an envelope.
const (
	TypeOrder   = "application/vnd.nixfleet.order+json"
	TypeConfirm = "application/vnd.nixfleet.confirm+json"
	TypeSummons = "application/vnd.nixfleet.summons+json"
)
