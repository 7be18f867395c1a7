package fleet

// UpdateState is where one update is on its way (SPEC 3).
type UpdateState string

// The states of an update.
const (
	UpdateObserved   UpdateState = "observed"   // recorded, not evaluated yet
	UpdateChecks     UpdateState = "checks"     // waits for named checks at the head SHA
	UpdateHolding    UpdateState = "holding"    // proven, waits until a shown time
	UpdateReady      UpdateState = "ready"      // proven, waits for a person or a window
	UpdateMerging    UpdateState = "merging"    // the merge is being asked for
	UpdateMerged     UpdateState = "merged"     // terminal
	UpdateFailing    UpdateState = "failing"    // a required check failed
	UpdateBlocked    UpdateState = "blocked"    // the proof failed or could not be read
	UpdateConflict   UpdateState = "conflict"   // GitHub says it does not merge cleanly
	UpdateClosed     UpdateState = "closed"     // closed without a merge; can be reopened
	UpdateSuperseded UpdateState = "superseded" // its change reached the default branch by another way; can be reopened
)

// RolloutState is where one rollout is (SPEC 3).
type RolloutState string

// The states of a rollout.
const (
	RolloutPlanned     RolloutState = "planned"
	RolloutRunning     RolloutState = "running"
	RolloutSucceeded   RolloutState = "succeeded"
	RolloutPaused      RolloutState = "paused" // by a person
	RolloutHalted      RolloutState = "halted" // the failure budget is spent
	RolloutRollingBack RolloutState = "rolling_back"
	RolloutRolledBack  RolloutState = "rolled_back"
	RolloutFailed      RolloutState = "failed"
	RolloutAborted     RolloutState = "aborted"
	RolloutSuperseded  RolloutState = "superseded"
)

// HostState is where one host is within a rollout (SPEC 3).
type HostState string

// The states of a host within a rollout.
const (
	HostWaiting   HostState = "waiting"   // its wave has not come, or no slot is free
	HostOrdered   HostState = "ordered"   // the order is on its way
	HostReceived  HostState = "received"  // the host has written it to its journal
	HostFetching  HostState = "fetching"  // git
	HostBuilding  HostState = "building"  // nix
	HostSwitching HostState = "switching" // activation
	HostVerifying HostState = "verifying" // checks after activation
	HostHealthy   HostState = "healthy"   // done
	HostFailed    HostState = "failed"    // with step, exit code and log tail
	HostReverted  HostState = "reverted"  // the host rolled itself back
	HostOffline   HostState = "offline"   // skipped for now, catches up
	HostDeferred  HostState = "deferred"  // a reboot or a window is needed
	HostExcluded  HostState = "excluded"  // not part of it
	HostCancelled HostState = "cancelled" // by a person or a newer rollout
)
