package fleet

import "time"

// DefaultPolicy is what holds for a repository without a policy file, and for
// each key that a policy file leaves out: the values of SPEC 8, apart from those
// that only make sense for one repository (checks, trust, windows, health,
// receivers), which are empty. With no required check anywhere an update is
// blocked until somebody names one or says require_checks: false.
func DefaultPolicy() Policy {
	return Policy{
		Updates: UpdatePolicy{
			Strategy: "github",
			Commit:   CommitDirect,
			Files:    []string{"flake.lock"},
			Authors:  []string{"github-actions[bot]", "renovate[bot]"},
			AutoMerge: AutoMerge{
				Enabled:      true,
				Hold:         time.Hour,
				HoldFrom:     "opened",
				Method:       "squash",
				DeleteBranch: true,
			},
			RequireChecks: true,
		},
		Deploy: DeployPolicy{
			Auto:  true,
			Hosts: "all",
			Waves: []WavePolicy{
				{Name: "canary", Hosts: "tag:canary", Soak: 10 * time.Minute},
				{Name: "half", Hosts: "50%"},
				{Name: "rest", Hosts: "all"},
			},
			MaxParallel: 3,
			MaxFailures: Amount{N: 1},
			OnFailure:   "halt",
			Offline:     "catch_up",
			Reboot:      "never",
			Unreachable: "keep",
			Settle:      5 * time.Second,
			KeepLogs:    30 * 24 * time.Hour,
			Timeouts: Timeouts{
				Fetch:  5 * time.Minute,
				Build:  time.Hour,
				Switch: 10 * time.Minute,
				Verify: 3 * time.Minute,
			},
		},
	}
}
