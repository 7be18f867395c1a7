package fleet

import "testing"

func TestDescribe(t *testing.T) {
	t.Parallel()
	host := func(repo int64, name string) HostView {
		h := goodFacts().Host
		h.RepoID, h.Name = repo, name
		return HostView{Host: h}
	}
	o := Overview{
		At:    noon,
		Repos: []RepoView{{Repo: Repo{ID: 7, DefaultBranch: "trunk"}, HeadSHA: headSHA}, {Repo: Repo{ID: 8}, HeadSHA: newRev}},
		Hosts: []HostView{host(7, "a"), host(7, "b"), host(8, "a"), host(9, "c")},
		Updates: []Update{
			{Repo: Repo{ID: 7}, Number: 44, State: UpdateMerged},
			{Repo: Repo{ID: 7}, Number: 43, State: UpdateHolding},
			{Repo: Repo{ID: 7}, Number: 42, State: UpdateBlocked},
		},
		Rollouts: []Rollout{
			{RepoID: 7, State: RolloutRunning, Hosts: []HostProgress{{Host: "a", State: HostBuilding}}},
			{RepoID: 8, State: RolloutSucceeded, Hosts: []HostProgress{{Host: "a", State: HostHealthy}}},
		},
	}
	Describe(&o, "2.1.0")
	a, b, other, stray := o.Hosts[0], o.Hosts[1], o.Hosts[2], o.Hosts[3]
	if !a.Online || a.Progress == nil || a.Progress.State != HostBuilding || b.Progress != nil || other.Progress != nil {
		t.Errorf("progress: %+v, %+v, %+v", a.Progress, b.Progress, other.Progress)
	}
	if a.Compartments[1].Badge != "Update PR pending #43" || other.Compartments[1].Badge != "" {
		t.Errorf("badges: %q, %q", a.Compartments[1].Badge, other.Compartments[1].Badge)
	}
	if a.Compartments[0].Tooltip[0] != "Local repo matches `origin/trunk`" || other.Compartments[0].Light != LightStale {
		t.Errorf("git: %+v, %+v", a.Compartments[0], other.Compartments[0])
	}
	if stray.Compartments[0].Light != LightUnknown {
		t.Errorf("of a repository that is not watched: %+v", stray.Compartments[0])
	}
	if o.Rollouts[0].Headline != "Deploying 0/1 hosts…" || o.Rollouts[1].Headline != "Deployed 1/1 hosts." {
		t.Errorf("headlines: %q, %q", o.Rollouts[0].Headline, o.Rollouts[1].Headline)
	}
	before := o.Hosts[0].Compartments[1].Tooltip
	Describe(&o, "2.1.0")
	if len(o.Hosts[0].Compartments) != 3 || len(o.Hosts[0].Compartments[1].Tooltip) != len(before) {
		t.Error("describing twice adds something")
	}
}

func TestAHostOfAStoppedRolloutShowsItsProgressWhileItWorks(t *testing.T) {
	t.Parallel()
	for state, shown := range map[HostState]bool{HostSwitching: true, HostWaiting: false, HostFailed: false} {
		o := Overview{
			At:       noon,
			Hosts:    []HostView{{Host: Host{RepoID: 7, Name: "a"}}},
			Rollouts: []Rollout{{RepoID: 7, State: RolloutHalted, Hosts: []HostProgress{{Host: "a", State: state}}}},
		}
		Describe(&o, "2.1.0")
		if got := o.Hosts[0].Progress != nil; got != shown {
			t.Errorf("%s in a halted rollout is shown: %v, expected %v", state, got, shown)
		}
	}
}
