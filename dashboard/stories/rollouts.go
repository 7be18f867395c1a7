package stories

import (
	"slices"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

func (b book) rolloutStories() []Story {
	return []Story{
		{Name: "deploying", About: "Three of nine hosts are done; the second wave is under way.", Overview: b.deploying()},
		{Name: "deploying-many", About: "Forty hosts, several failures tolerated.", Overview: b.many()},
		{Name: "paused", About: "A person paused the rollout.", Overview: b.in(fleet.RolloutPaused, b.midWave()...)},
		{Name: "halted", About: "A host failed; the budget is spent.", Overview: b.halted()},
		{Name: "rolling-back", About: "A host failed; those that had switched go back.", Overview: b.rollingBack()},
		{Name: "catching-up", About: "Done, but one host sleeps and follows later.", Overview: b.catchingUp()},
		{Name: "done", About: "Everything deployed.", Overview: b.done()},
	}
}

// rollout is the one that follows the merge of update 42.
func (b book) rollout(state fleet.RolloutState, hosts ...fleet.HostState) fleet.Rollout {
	var members []fleet.Host
	members = append(members, b.nine()...)
	plan, progress, err := fleet.MakePlan(b.policy().Deploy, members)
	if err != nil {
		panic("stories: the policy makes no plan: " + err.Error()) // a mistake in this file
	}
	for i := range progress {
		p := &progress[i]
		if i >= len(hosts) {
			continue
		}
		p.State, p.Since, p.StartedAt = hosts[i], b.ago(time.Duration(12+17*i)*time.Second), b.ago(4*time.Minute)
		if p.State.Terminal() {
			p.EndedAt = b.ago(2 * time.Minute)
		}
	}
	return fleet.Rollout{
		ID: "01KAJ3T7Q8M2V5X9Z4C6B1N0RW", RepoID: 1, UpdateID: 42, Commit: head, State: state, Plan: plan,
		Reason: "update 42 merged", Actor: "policy", StartedAt: b.ago(6*time.Minute + 4*time.Second), Hosts: progress,
	}
}

// in is the fleet while the rollout is in a state.
func (b book) in(state fleet.RolloutState, hosts ...fleet.HostState) fleet.Overview {
	return b.with(b.nine(), b.rollout(state, hosts...))
}

func (b book) with(hosts []fleet.Host, r fleet.Rollout) fleet.Overview {
	at := map[string]fleet.HostProgress{}
	for _, p := range r.Hosts {
		at[p.Host] = p
	}
	for i := range hosts {
		f := &hosts[i].Facts
		switch p := at[hosts[i].Name]; {
		case p.State == fleet.HostHealthy:
		case p.State.UnderWay():
			f.Working, f.Step = true, string(p.State)
			fallthrough
		default: // it still runs what ran before
			f.RunningCommit, f.RunningPath = before, systemPath(hosts[i].Name, "0aa9")
			if p.State == fleet.HostWaiting || p.State == fleet.HostOrdered || p.State == fleet.HostOffline {
				f.CheckoutCommit, f.ExpectedCommit, f.ExpectedPath, f.Behind, f.RemoteCommit = before, before, f.RunningPath, 1, head
			}
		}
	}
	o := b.fleet(hosts, b.merged())
	o.Rollouts = []fleet.Rollout{r}
	fleet.Describe(&o, agent)
	return o
}

func (b book) midWave() []fleet.HostState {
	return []fleet.HostState{
		fleet.HostHealthy, fleet.HostHealthy,
		fleet.HostHealthy, fleet.HostSwitching, fleet.HostBuilding, fleet.HostFetching, fleet.HostWaiting,
		fleet.HostWaiting, fleet.HostWaiting,
	}
}

func (b book) deploying() fleet.Overview { return b.in(fleet.RolloutRunning, b.midWave()...) }

func (b book) halted() fleet.Overview {
	states := b.midWave()
	states[3], states[4], states[5] = fleet.HostFailed, fleet.HostHealthy, fleet.HostReverted
	r := b.rollout(fleet.RolloutHalted, states...)
	r.Hosts[3].Failure = &fleet.HostError{Step: "building", Code: "build_failed", ExitCode: 1,
		Message: "builder for 'prometheus-3.8.drv' failed with exit code 1",
		LogTail: "building '/nix/store/w1q…-prometheus-3.8.drv'...\nerror: hash mismatch in fixed-output derivation:\n         specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n            got:    sha256-9t7y1mH0n2o4P6q8R0s2T4u6V8w0X2y4Z6a8B0c2D4E=\nerror: 1 dependency of derivation '/nix/store/5k…-nixos-system-gpc0-26.05.drv' failed to build"}
	r.Hosts[5].Failure = &fleet.HostError{Step: "verifying", Code: "unit_failed",
		Message: "sshd.service failed after the switch; the host went back to the system that ran before"}
	hosts := b.nine()
	for i := range hosts {
		if hosts[i].Name == r.Hosts[3].Host {
			hosts[i].Facts.Errors = map[string]string{"build": r.Hosts[3].Failure.Message}
		}
	}
	return b.with(hosts, r)
}

// rollingBack is a rollout that turned back, and the one that leads its hosts back.
func (b book) rollingBack() fleet.Overview {
	states := b.midWave()
	states[3], states[4], states[5] = fleet.HostReverted, fleet.HostHealthy, fleet.HostHealthy
	r := b.rollout(fleet.RolloutRollingBack, states...)
	r.Plan.OnFailure = "rollback"
	r.Hosts[3].Failure = &fleet.HostError{Step: "verifying", Code: "units_failed", Message: "units failed that had not before: sshd.service"}
	hosts := b.nine()
	of := map[string]fleet.Host{}
	for i := range r.Hosts {
		p := &r.Hosts[i]
		switch p.State {
		case fleet.HostWaiting:
			p.State, p.EndedAt = fleet.HostCancelled, b.ago(time.Minute)
		case fleet.HostHealthy:
			p.Switched, p.Before = true, fleet.System{Path: systemPath(p.Host, "0aa9"), Commit: before}
		}
	}
	for _, h := range hosts {
		of[h.Name] = h
	}
	back := fleet.Rollout{
		ID: "01KAJ3Z1Q8M2V5X9Z4C6B1N0RW", Kind: fleet.RolloutRestore, Restores: r.ID, RepoID: 1, UpdateID: 42, Commit: head,
		State: fleet.RolloutRunning, Reason: "1 host failed", Actor: "policy", StartedAt: b.ago(70 * time.Second),
	}
	back.Plan, back.Hosts = fleet.MakeRestore(r, of)
	for i, s := range []fleet.HostState{fleet.HostHealthy, fleet.HostHealthy, fleet.HostSwitching, fleet.HostVerifying} {
		if i < len(back.Hosts) {
			back.Hosts[i].State, back.Hosts[i].Since = s, b.ago(time.Duration(9*(i+1))*time.Second)
		}
	}
	o := b.with(hosts, back)
	for i := range o.Hosts { // who is done runs what ran before, who is not yet the new system
		h := &o.Hosts[i].Host
		j := slices.IndexFunc(back.Hosts, func(p fleet.HostProgress) bool { return p.Host == h.Name })
		if done := j < 0 || back.Hosts[j].State == fleet.HostHealthy; done {
			h.Facts.RunningCommit, h.Facts.RunningPath = before, systemPath(h.Name, "0aa9")
		} else {
			h.Facts.RunningCommit, h.Facts.RunningPath = head, h.Facts.ExpectedPath
			h.Facts.CheckoutCommit, h.Facts.ExpectedCommit, h.Facts.Behind = head, head, 0
		}
	}
	o.Rollouts = append(o.Rollouts, r)
	fleet.Describe(&o, agent)
	return o
}

func (b book) catchingUp() fleet.Overview {
	r := b.rollout(fleet.RolloutSucceeded)
	hosts := b.nine()
	for i := range r.Hosts {
		r.Hosts[i].State = fleet.HostHealthy
		if r.Hosts[i].Host == "mba-work" {
			r.Hosts[i].State = fleet.HostOffline
		}
	}
	for i := range hosts {
		if hosts[i].Name == "mba-work" {
			hosts[i].LastSeen, hosts[i].Facts.At = b.ago(26*time.Minute), b.ago(26*time.Minute)
		}
	}
	r.EndedAt = b.ago(90 * time.Second)
	return b.with(hosts, r)
}

func (b book) done() fleet.Overview {
	r := b.rollout(fleet.RolloutSucceeded)
	for i := range r.Hosts {
		r.Hosts[i].State = fleet.HostHealthy
	}
	r.EndedAt = b.ago(90 * time.Second)
	return b.with(b.nine(), r)
}

// many is a rollout larger than one line.
func (b book) many() fleet.Overview {
	var hosts []fleet.Host
	r := b.rollout(fleet.RolloutRunning)
	r.Plan.MaxFailures, r.Plan.MaxParallel = 5, 10
	r.Hosts, r.Plan.Waves = nil, []fleet.Wave{{Name: "canary", Soak: 10 * time.Minute}, {Name: "servers"}, {Name: "rest"}}
	for i := range 40 {
		name := "node" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		hosts = append(hosts, b.host(name, "nixosConfigurations."+name, "server"))
		p := fleet.HostProgress{Host: name, Wave: min(i/4, 1) + i/24, State: fleet.HostHealthy, Since: b.ago(time.Duration(i) * time.Second)}
		switch {
		case i == 11:
			p.State, p.Failure = fleet.HostFailed, &fleet.HostError{Step: "switching", Code: "exit", ExitCode: 4, Message: "units failed: nginx.service"}
		case i >= 26:
			p.State = fleet.HostWaiting
		case i >= 16:
			p.State = []fleet.HostState{fleet.HostBuilding, fleet.HostSwitching, fleet.HostVerifying}[i%3]
		}
		r.Hosts = append(r.Hosts, p)
	}
	return b.with(hosts, r)
}
