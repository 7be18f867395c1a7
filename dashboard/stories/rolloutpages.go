package stories

import (
	"fmt"
	"slices"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

const rolloutID = "01KAJ3T7Q8M2V5X9Z4C6B1N0RW"

// rolloutPages are the stories of the list of rollouts, of one rollout, and of what is
// asked before something is done to one.
func (b book) rolloutPages() []Story {
	list := Story{Name: "rollouts", About: "All rollouts: one goes on, a commit is in quarantine, many have ended.", Path: "/rollouts", Overview: b.deploying(), Ended: b.endedRollouts(31), Quarantine: b.quarantine()}
	older := list
	older.Name, older.Path, older.Ended = "rollouts-older", "/rollouts?before=01KAJ3T7Q8M2V5X9Z4C6B1N0RW", b.endedRollouts(4)
	older.About = "The second page of the list."
	none := Story{Name: "rollouts-empty", About: "No rollout yet.", Path: "/rollouts", Overview: b.fleet(b.nine())}
	filtered := Story{Name: "rollouts-filtered", About: "No rollout is like what is filtered for.", Path: "/rollouts?state=rolled_back", Overview: b.fleet(b.nine())}
	all := slices.Concat([]Story{list, older, none, filtered}, b.rolloutStates(), b.rolloutQuestions(), b.startStories())
	looked := []string{
		"rollouts", "rollouts-empty", "rollout-planned", "rollout-late", "rollout-window", "rollout-halted", "rollout-aborted", "rollout-viewer",
		"rollout-crowd", "rollout-hostile", "rollout-ask-abort", "rollout-ask-rollback", "start-wrong", "start-backward",
	}
	for i := range all {
		all[i].Alike = !slices.Contains(looked, all[i].Name)
	}
	return all
}

// page is the page of a rollout.
func (b book) page(name, about string, r fleet.RolloutDetail) Story {
	return Story{Name: "rollout-" + name, About: about, Path: "/rollouts/" + r.ID, Overview: b.with(b.nine(), r.Rollout), Rollout: &r}
}

// detail is what is around a rollout that follows the merge of update 42.
func (b book) detail(r fleet.Rollout, happened ...fleet.RolloutChange) fleet.RolloutDetail {
	for i := range r.Hosts {
		p := &r.Hosts[i]
		if p.State == fleet.HostWaiting || p.State == fleet.HostExcluded || p.State == fleet.HostCancelled {
			p.StartedAt = time.Time{}
			continue
		}
		p.Order, p.Before = fmt.Sprintf("01KAJ3TORDER%02d", i), fleet.System{Path: systemPath(p.Host, "0aa9"), Commit: before}
		p.Switched = p.State == fleet.HostHealthy || p.State == fleet.HostVerifying
	}
	happened = append(happened,
		fleet.RolloutChange{At: b.ago(6*time.Minute + 4*time.Second), Actor: "policy", What: "running", Reason: "Its turn has come."},
		fleet.RolloutChange{At: b.ago(6*time.Minute + 6*time.Second), Actor: "policy", What: "planned", Reason: "update 42 merged"})
	return fleet.RolloutDetail{
		Rollout: r, CreatedAt: b.ago(6*time.Minute + 6*time.Second), Repo: b.repo(), Happened: happened,
		Update: &fleet.PullRef{ID: 42, Number: 42, Title: "flake.lock: Update", URL: "https://github.com/aurora/nixcfg/pull/42"},
	}
}

func (b book) change(what, actor, reason string) fleet.RolloutChange {
	return fleet.RolloutChange{At: b.ago(40 * time.Second), Actor: actor, What: what, Reason: reason}
}

// rolloutStates are a rollout in every state that it can be in.
func (b book) rolloutStates() []Story {
	h := func(n int, s fleet.HostState) []fleet.HostState { return slices.Repeat([]fleet.HostState{s}, n) }
	planned := b.rollout(fleet.RolloutPlanned)
	planned.Plan, planned.Hosts, planned.StartedAt = fleet.Plan{}, nil, time.Time{}
	waits := b.detail(planned)
	waits.Happened, waits.WaitsFor = waits.Happened[1:], "01KAJ3A0Q8M2V5X9Z4C6B1N0RW"

	early := b.rollout(fleet.RolloutRunning, fleet.HostOrdered, fleet.HostFetching)
	late := b.rollout(fleet.RolloutRunning, append(h(7, fleet.HostHealthy), fleet.HostVerifying, fleet.HostOffline)...)
	late.Hosts[2].State, late.Hosts[2].Note = fleet.HostDeferred, "A restart is needed: the kernel changed. It restarts Sun 03:00."
	soaking := b.rollout(fleet.RolloutRunning, h(2, fleet.HostHealthy)...)
	closed := b.rollout(fleet.RolloutRunning, h(2, fleet.HostHealthy)...)
	closed.Plan.Waves[0].Soak, closed.Plan.Windows = 0, []fleet.Freeze{b.otherDay()}
	paused := b.rollout(fleet.RolloutPaused, b.midWave()...)
	ended := func(state fleet.RolloutState, hosts ...fleet.HostState) fleet.Rollout {
		r := b.rollout(state, hosts...)
		r.EndedAt = b.ago(40 * time.Second)
		return r
	}
	succeeded := b.detail(ended(fleet.RolloutSucceeded, h(9, fleet.HostHealthy)...), b.change("succeeded", "policy", "Every host has ended."))
	succeeded.Changes = &fleet.HostChanges{Host: "csb0", Order: "01KAJ3TORDER00", Change: fleet.Change{
		Packages: slices.Repeat([]fleet.PackageChange{{Name: "openssl"}}, 20), More: 22, SizeFrom: 9_120_000_000, SizeTo: 9_132_400_000}}
	return append(b.rolloutTroubles(ended),
		b.page("planned", "It waits for another rollout of the repository.", waits),
		b.page("early", "The canaries have just been given their orders.", b.detail(early)),
		b.page("late", "The last host verifies; one is deferred, one is offline.", b.detail(late)),
		b.page("soaking", "The canaries are done and watched.", b.detail(soaking)),
		b.page("window", "The next wave waits for its window.", b.detail(closed)),
		b.page("paused", "A person paused it.", b.detail(paused, b.change("paused", "alice", "hsb8 makes strange noises"))),
		b.page("succeeded", "Everything is deployed.", succeeded),
	)
}

// rolloutTroubles are the rollouts that did not go well.
func (b book) rolloutTroubles(ended func(fleet.RolloutState, ...fleet.HostState) fleet.Rollout) []Story {
	halted := b.detail(b.halted().Rollouts[0], b.change("halted", "policy", "2 hosts failed, and the policy stops at 1 (max_failures)."))
	halted.Quarantine = "2 hosts failed, and the policy stops at 1 (max_failures)."
	reverts := halted
	reverts.State, reverts.EndedAt = fleet.RolloutFailed, b.ago(40*time.Second)
	reverts.Happened = append([]fleet.RolloutChange{b.change("failed", "policy", "2 hosts failed, and no other has got there.")}, halted.Happened[1:]...)
	reverts.Revert = fleet.Revert{Number: 43, Found: "Pull request #43 takes def4567 back."}
	back := b.rollingBack()
	turning := b.detail(back.Rollouts[1], b.change("rolling_back", "policy", "1 host failed, and the policy stops at 1 (max_failures)."))
	turning.RestoredBy = &back.Rollouts[0]
	restore := b.detail(back.Rollouts[0])
	restore.Parent, restore.Hosts = &back.Rollouts[1], back.Rollouts[0].Hosts
	rolled := turning
	rolled.State, rolled.EndedAt = fleet.RolloutRolledBack, b.ago(10*time.Second)
	rolled.Happened = append([]fleet.RolloutChange{b.change("rolled_back", "policy", "Every host that could be reached runs what it ran before.")}, turning.Happened...)
	aborted := b.detail(ended(fleet.RolloutAborted, fleet.HostHealthy, fleet.HostHealthy, fleet.HostHealthy, fleet.HostVerifying, fleet.HostCancelled,
		fleet.HostCancelled, fleet.HostCancelled, fleet.HostCancelled, fleet.HostExcluded), b.change("aborted", "alice", "the wrong branch"))
	aborted.Overtook = "01KAJ3Z9Q8M2V5X9Z4C6B1N0RW"
	superseded := b.detail(ended(fleet.RolloutSuperseded, fleet.HostHealthy, fleet.HostHealthy, fleet.HostCancelled, fleet.HostCancelled, fleet.HostCancelled,
		fleet.HostCancelled, fleet.HostCancelled, fleet.HostCancelled, fleet.HostCancelled), b.change("superseded", "policy", "A newer rollout of the repository takes its place before the next wave."))
	superseded.SupersededBy = "01KAJ3Z9Q8M2V5X9Z4C6B1N0RW"
	viewer := b.page("viewer", "A viewer sees everything and steers nothing.", halted)
	viewer.Role = "viewer"
	return []Story{
		b.page("halted", "Hosts failed; the budget is spent.", halted),
		b.page("failed", "It failed, and a pull request takes the commit back.", reverts),
		b.page("rolling-back", "Its hosts go back.", turning), b.page("restore", "The rollout that takes the hosts back.", restore),
		b.page("rolled-back", "Its hosts are back.", rolled), b.page("aborted", "A person aborted it; another one came since.", aborted),
		b.page("superseded", "A newer rollout took its place.", superseded), viewer,
		b.page("crowd", "A thousand hosts: only those that somebody may want to look at have a line.", b.crowd()),
		b.page("hostile", "Hostile strings in everything that comes from elsewhere.", b.hostileRollout()),
	}
}

// otherDay is a window that is closed now.
func (b book) otherDay() fleet.Freeze {
	day := func(d int) string { return b.now.UTC().AddDate(0, 0, d).Format("Mon") }
	return fleet.Freeze{From: day(2) + " 02:00", To: day(2) + " 05:00", TZ: "UTC", Reason: "maintenance"}
}

// crowd is a rollout of a thousand hosts, half done.
func (b book) crowd() fleet.RolloutDetail {
	r := b.rollout(fleet.RolloutRunning)
	r.Plan.MaxFailures, r.Plan.MaxParallel = 20, 8
	r.Hosts, r.Plan.Waves = nil, []fleet.Wave{{Name: "canary", Soak: 10 * time.Minute}, {Name: "half"}, {Name: "rest"}}
	for i := range 1000 {
		p := fleet.HostProgress{Host: fmt.Sprintf("node%03d", i), Wave: min(i/10, 1) + i/500, State: fleet.HostHealthy}
		p.StartedAt, p.EndedAt = b.ago(5*time.Minute), b.ago(2*time.Minute)
		switch {
		case i == 123 || i == 321:
			p.State, p.Failure = fleet.HostFailed, &fleet.HostError{Step: "switching", Code: "exit", ExitCode: 4, Message: "units failed: nginx.service"}
		case i >= 488:
			p.State, p.StartedAt, p.EndedAt = fleet.HostWaiting, time.Time{}, time.Time{}
		case i >= 480:
			p.State, p.Since, p.EndedAt = []fleet.HostState{fleet.HostBuilding, fleet.HostSwitching, fleet.HostVerifying}[i%3], b.ago(time.Duration(i-470)*time.Second), time.Time{}
		case i%97 == 3:
			p.State, p.StartedAt, p.EndedAt = fleet.HostOffline, time.Time{}, time.Time{}
		}
		r.Hosts = append(r.Hosts, p)
	}
	return b.detail(r)
}

func (b book) hostileRollout() fleet.RolloutDetail {
	const bad = `"><script>alert(7)</script><img src=x onerror=alert(8)>`
	r := b.halted().Rollouts[0]
	r.Reason, r.Actor, r.Plan.Waves[0].Name = bad, "<b>eve", bad
	r.Plan.Health = []fleet.HealthCheck{{Unit: bad + "`"}, {Command: []string{"sh", bad}}}
	for i := range r.Hosts {
		r.Hosts[i].Note = bad
		if f := r.Hosts[i].Failure; f != nil {
			f.Step, f.Message, f.LogTail = bad, bad, bad
		}
	}
	d := b.detail(r, b.change("halted", bad, bad))
	d.Quarantine, d.Update.Title, d.Update.URL = bad, bad, "javascript:alert(9)"
	d.Revert = fleet.Revert{Found: bad}
	return d
}
