package fleet

import "time"

// RolloutDetail is the read model of one rollout's page.
type RolloutDetail struct {
	Rollout
	CreatedAt time.Time
	Repo      Repo
	ByPerson  bool
	Force     bool            // also where the commit is in quarantine
	Only      []string        // of the hosts that the policy picks, only these take part; none means all
	Update    *PullRef        // whose merge it follows; nil where none is known
	Happened  []RolloutChange // newest first
	RestoredBy,
	Parent *Rollout // the newest that restores it, and what it restores; nil where there is none
	Overtook     string       // id of a rollout of another commit that has begun since
	SupersededBy string       // id of the newer rollout that took its place
	WaitsFor     string       // id of the rollout that one which has not begun waits for
	Quarantine   string       // why its commit does not spread by itself; empty where it may
	Changes      *HostChanges // what it changed on one of its hosts, for an example
}

// PullRef is a pull request as other pages speak of it.
type PullRef struct {
	ID     int64 // of the update
	Number int
	Title  string
	URL    string
}

// RolloutChange is one change of a rollout: who, when and why.
type RolloutChange struct {
	At     time.Time
	Actor  string
	What   string // the state that it came into, or host_excluded
	Host   string // that it is about; empty for the whole rollout
	Reason string
}

// HostChanges is what an order did to the system of a host.
type HostChanges struct {
	Host, Order string
	Change
}

// RolloutSummary is a rollout without its hosts, which it only counts.
type RolloutSummary struct {
	Rollout
	Update *PullRef
	Count  map[HostState]int
}

// RolloutQuery picks rollouts that have ended, newest first.
type RolloutQuery struct {
	State  RolloutState // empty: any
	RepoID int64        // 0: any
	Before string       // id of the last one of the page before; empty begins with the newest
	Limit  int
}

// Quarantine is a commit that a rollout showed to be bad. Nothing brings it to further
// hosts by itself.
type Quarantine struct {
	RepoID   int64
	Commit   string
	Rollout  string // that showed it
	Reason   string
	At       time.Time
	LiftedBy string // a person, who said that it may spread again
	LiftedAt time.Time
}

// PlannedRollout is what a person's wish to bring a commit to hosts would come to.
type PlannedRollout struct {
	Repo       Repo
	Commit     string // the whole id
	Plan       Plan
	Later      []string // hosts that run a later commit
	Quarantine string   // why the commit does not spread by itself; empty where it may
}
