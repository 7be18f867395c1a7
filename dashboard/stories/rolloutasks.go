package stories

import (
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// rolloutQuestions are what is asked before something is done to a rollout.
func (b book) rolloutQuestions() []Story {
	running := b.detail(b.rollout(fleet.RolloutRunning, b.midWave()...))
	paused := b.detail(b.rollout(fleet.RolloutPaused, b.midWave()...))
	halted := b.detail(b.halted().Rollouts[0])
	halted.Quarantine = "2 hosts failed, and the policy stops at 1 (max_failures)."
	done := b.rollout(fleet.RolloutSucceeded)
	for i := range done.Hosts {
		done.Hosts[i].State, done.Hosts[i].EndedAt = fleet.HostHealthy, b.ago(time.Minute)
	}
	done.EndedAt = b.ago(time.Minute)
	asked := func(name, about, path string, r fleet.RolloutDetail) Story {
		s := b.page("ask-"+name, about, r)
		s.Path += path
		return s
	}
	viewer := asked("viewer", "A viewer is told why there is no button.", "/pause", running)
	viewer.Role = "viewer"
	lift := Story{Name: "quarantine-lift", About: "Before a commit may spread again.", Overview: b.catchingUp(), Quarantine: b.quarantine(),
		Path: "/rollouts/quarantine/lift?repo=aurora%2Fnixcfg&commit=" + head}
	return []Story{
		asked("pause", "Before a rollout is paused.", "/pause", running), asked("resume", "Before it goes on.", "/resume", paused),
		asked("abort", "Before it is aborted.", "/abort", running), asked("abort-sure", "Aborting is asked twice.", "/abort?sure=1&reason=wrong%20branch", running),
		asked("rollback", "Before its hosts go back.", "/rollback", running), asked("undo", "Before an ended rollout is taken back.", "/rollback", b.detail(done)),
		asked("retry", "Before what failed is tried again.", "/retry", halted), asked("retry-one", "Before one host is tried again.", "/retry?host="+failedIn(halted), halted),
		asked("exclude", "Before a host is taken out.", "/exclude?host="+waitingIn(running), running),
		asked("no", "What can't be done says why.", "/resume", halted), viewer, lift,
	}
}

func failedIn(r fleet.RolloutDetail) string  { return hostIn(r, fleet.HostFailed) }
func waitingIn(r fleet.RolloutDetail) string { return hostIn(r, fleet.HostWaiting) }

func hostIn(r fleet.RolloutDetail, s fleet.HostState) string {
	for _, p := range r.Hosts {
		if p.State == s {
			return p.Host
		}
	}
	panic("stories: no host is " + string(s)) // a mistake in this folder
}

// startStories are what is asked before a rollout is started.
func (b book) startStories() []Story {
	plan := func(commit string) *fleet.PlannedRollout {
		p, _, err := fleet.MakePlan(b.policy().Deploy, b.nine())
		if err != nil {
			panic("stories: the policy makes no plan: " + err.Error()) // a mistake in this folder
		}
		return &fleet.PlannedRollout{Repo: b.repo(), Commit: commit, Plan: p}
	}
	backward := plan(before)
	backward.Later, backward.Quarantine = []string{"csb0", "csb1", "hsb0"}, "1 host failed, and the policy stops at 1 (max_failures)."
	frozen := plan(head)
	frozen.Plan.Windows = []fleet.Freeze{b.otherDay()}
	return []Story{
		{Name: "start", About: "Before the fleet is updated.", Path: "/rollouts/new", Overview: b.fleet(b.sleeping()), Planned: plan(head)},
		{Name: "start-edit", About: "Where a rollout is put together.", Path: "/rollouts/new?edit=1&hosts=tag%3Acanary", Overview: b.fleet(b.nine()), Planned: plan(head)},
		{Name: "start-wrong", About: "A selector that is none.", Path: "/rollouts/new?hosts=tag%3Acanary%20nad%20x", Overview: b.fleet(b.nine())},
		{Name: "start-backward", About: "A commit that is older than what hosts run, and in quarantine.", Path: "/rollouts/new?backward=1&force=1&commit=" + before[:7], Overview: b.fleet(b.nine()), Planned: backward},
		{Name: "start-refused", About: "The same without saying so.", Path: "/rollouts/new?commit=" + before[:7], Overview: b.fleet(b.nine()), Planned: backward},
		{Name: "start-window", About: "Outside the windows, while another rollout goes on.", Path: "/rollouts/new", Overview: b.deploying(), Planned: frozen},
	}
}

func (b book) quarantine() []fleet.Quarantine {
	return []fleet.Quarantine{{RepoID: 1, Commit: head, Rollout: rolloutID, Reason: "2 hosts failed, and the policy stops at 1 (max_failures).", At: b.ago(3 * time.Hour)}}
}

// endedRollouts are n rollouts that have ended, newest first.
func (b book) endedRollouts(n int) []fleet.RolloutSummary {
	states := []fleet.RolloutState{fleet.RolloutSucceeded, fleet.RolloutSucceeded, fleet.RolloutFailed, fleet.RolloutSucceeded, fleet.RolloutAborted, fleet.RolloutRolledBack, fleet.RolloutSuperseded}
	said := map[fleet.RolloutState]string{
		fleet.RolloutSucceeded: "Deployed 9/9 hosts.", fleet.RolloutFailed: "Failed: deployed 7/9 hosts, 2 failed.", fleet.RolloutAborted: "Aborted at 3/9 hosts.",
		fleet.RolloutRolledBack: "Rolled back 4/4 hosts.", fleet.RolloutSuperseded: "Superseded by a newer rollout at 2/9 hosts.",
	}
	var list []fleet.RolloutSummary
	for i := range n {
		at := b.ago(time.Duration(i+1) * 31 * time.Hour)
		state := states[i%len(states)]
		r := fleet.Rollout{ID: fmt.Sprintf("01KAH%02dQ8M2V5X9Z4C6B1N0RW", 99-i), RepoID: 1, UpdateID: int64(41 - i), Commit: before, State: state,
			Headline: said[state], Actor: []string{"policy", "alice"}[i%2], StartedAt: at.Add(-14 * time.Minute), EndedAt: at}
		s := fleet.RolloutSummary{Rollout: r, Count: map[fleet.HostState]int{fleet.HostHealthy: 9}}
		if i%3 == 0 {
			s.Update = &fleet.PullRef{ID: r.UpdateID, Number: 41 - i, Title: "flake.lock: Update"}
		}
		if state != fleet.RolloutSucceeded {
			s.Count = map[fleet.HostState]int{fleet.HostHealthy: 7, fleet.HostFailed: 2}
		}
		list = append(list, s)
	}
	return list
}
