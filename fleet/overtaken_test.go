package fleet

import (
	"testing"
	"time"
)

func newOvertaken(t *testing.T, change func(*DeployPolicy)) *story {
	t.Helper()
	return newStory(t, enrolled(5, noon), func(p *DeployPolicy) {
		p.MaxParallel = 1
		p.Waves = []WavePolicy{{Name: "first", Hosts: "2", Soak: 10 * time.Minute}, {Name: "rest", Hosts: "all"}}
		if change != nil {
			change(p)
		}
	})
}

func TestANewerRolloutTakesThePlaceBetweenTwoWaves(t *testing.T) {
	t.Parallel()
	s := newOvertaken(t, nil)
	s.orders("h1")
	s.facts.Newer = true
	s.orders("")
	s.is(RolloutRunning, "Deploying 0/5 hosts…")
	s.says(HostSaysHealthy, "h1")
	s.orders("h2") // the wave has begun, and is finished
	s.says(HostSaysHealthy, "h2")
	s.orders("") // without the soak
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 2/5 hosts.")
	s.host("h3", HostCancelled)
	if want := "A newer rollout of the repository takes its place before the next wave."; s.last.Reason != want {
		t.Errorf("reason %q", s.last.Reason)
	}
}

func TestANewerRolloutTakesThePlaceDuringTheSoak(t *testing.T) {
	t.Parallel()
	s := newOvertaken(t, nil)
	s.orders("h1")
	s.says(HostSaysHealthy, "h1")
	s.orders("h2")
	s.says(HostSaysHealthy, "h2")
	s.orders("")
	s.passes(5 * time.Minute)
	s.facts.Newer = true
	s.orders("")
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 2/5 hosts.")
}

func TestANewerRolloutWaitsForThoseUnderWayInAnEarlierWave(t *testing.T) {
	t.Parallel()
	s := newOvertaken(t, func(p *DeployPolicy) { p.MaxParallel = 2 })
	h := s.facts.Hosts["h1"]
	h.LastSeen = time.Time{}
	s.facts.Hosts["h1"] = h
	s.orders("h2")
	s.passes(0)
	s.orders("h1") // back
	s.says(HostSaysHealthy, "h2")
	s.facts.Newer = true
	s.orders("")
	s.is(RolloutRunning, "Deploying 1/5 hosts…")
	s.says(HostSaysHealthy, "h1")
	s.orders("")
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 2/5 hosts.")
}

// Nothing that was put off may bring the older commit once a newer one is on its way.
func TestAnOvertakenRolloutTakesBackWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := newOvertaken(t, func(p *DeployPolicy) { p.MaxParallel, p.Reboot = 2, "window" })
	s.orders("h1 h2")
	s.says(HostPutOff, "h1")
	s.passes(OnlineWithin+time.Second, "h2")
	s.facts.Newer = true
	s.look() // h2 has vanished, and h1 is not restarted any more
	if len(s.last.Reboots) > 0 {
		t.Errorf("restarts of %v", s.last.Reboots)
	}
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 0/5 hosts.")
	s.takenBack("h2", "h1")
	s.passes(time.Hour)
	s.orders("")
	s.host("h1", HostCancelled)
	s.host("h2", HostCancelled)
}

func TestANewerRolloutTakesThePlaceOfOneThatHasNotBegun(t *testing.T) {
	t.Parallel()
	s := newOvertaken(t, func(p *DeployPolicy) { p.Windows = []Freeze{{From: "Wed 13:00", To: "Wed 14:00"}} })
	s.orders("")
	s.is(RolloutRunning, "Deploying 0/5 hosts… It waits until Wed 2026-03-04 13:00 UTC, when it may deploy again.")
	s.facts.Newer = true
	s.passes(time.Hour) // its window opens
	s.orders("")
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 0/5 hosts.")
}

func TestANewerRolloutTakesThePlaceOfAPausedOne(t *testing.T) {
	t.Parallel()
	s := newOvertaken(t, nil)
	s.orders("h1")
	s.facts.Rollout.State = RolloutPaused
	s.facts.Newer = true
	s.orders("")
	s.is(RolloutPaused, "Paused at 0/5 hosts.") // h1 is under way
	s.says(HostSaysHealthy, "h1")
	s.orders("")
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 1/5 hosts.")
}

func TestANewerRolloutTakesThePlaceOfAHaltedOne(t *testing.T) {
	t.Parallel()
	s := newOvertaken(t, nil)
	s.orders("h1")
	s.says(HostSaysFailed, "h1")
	s.look()
	s.is(RolloutHalted, "Halted at 0/5 hosts, 1 failed.")
	s.facts.Newer = true
	s.look()
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 0/5 hosts.")
	s.host("h3", HostCancelled)
}

func TestNothingTakesThePlaceOfARestore(t *testing.T) {
	t.Parallel()
	for _, state := range []RolloutState{RolloutPlanned, RolloutRunning, RolloutPaused} {
		s := newOvertaken(t, nil)
		s.facts.Rollout.Kind, s.facts.Rollout.State = RolloutRestore, state
		s.facts.Newer = true
		s.look()
		if s.last.State == RolloutSuperseded {
			t.Errorf("%s: it is superseded", state)
		}
	}
	s := newOvertaken(t, nil)
	s.facts.Newer = true
	s.facts.Rollout.State = RolloutRollingBack
	s.look()
	if s.last.State == RolloutSuperseded {
		t.Error("it goes back, and is superseded")
	}
}

// Which hosts a newer rollout concerns decides who still catches up with this one.
func TestWhoCatchesUpAfterANewerRollout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hosts map[string]bool
		want  string
		h2    HostState
	}{
		"it concerns one of them":     {map[string]bool{"h2": true}, "h3", HostCancelled},
		"it concerns none of them":    {map[string]bool{}, "h2 h3", HostOrdered},
		"nobody knows whom it brings": {nil, "", HostOffline},
	} {
		hosts := enrolled(3, noon)
		hosts[1].LastSeen, hosts[2].LastSeen = time.Time{}, time.Time{}
		s := newStory(t, hosts, func(p *DeployPolicy) { p.Waves = nil })
		s.orders("h1")
		s.says(HostSaysHealthy, "h1")
		s.look()
		s.facts.Newer, s.facts.NewerHosts = true, c.hosts
		s.passes(time.Minute)
		t.Log(name)
		s.orders(c.want)
		s.host("h2", c.h2)
	}
}
