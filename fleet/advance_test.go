package fleet

import (
	"testing"
	"time"
)

func TestARolloutOfNineHosts(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(9, noon), nil)
	s.orders("h1 h2")
	s.is(RolloutRunning, "Deploying 0/9 hosts…")
	s.says(HostSaysReceived, "h1", "h2")
	s.says(HostSaysHealthy, "h1")
	s.orders("")
	s.says(HostSaysHealthy, "h2")
	s.orders("") // soaks
	if want := noon.Add(10 * time.Minute); !s.last.Again.Equal(want) {
		t.Errorf("looks again at %s, expected %s, the end of the soak", s.last.Again, want)
	}
	s.passes(10*time.Minute - time.Second)
	s.orders("")
	s.passes(time.Second)
	s.orders("h3 h4 h5") // max_parallel 3 of 5
	s.says(HostSaysBuilding, "h3", "h4", "h5")
	s.says(HostSaysHealthy, "h4")
	s.orders("h6")
	s.is(RolloutRunning, "Deploying 3/9 hosts…")
	s.says(HostSaysHealthy, "h3", "h5", "h6")
	s.orders("h7")
	s.says(HostSaysHealthy, "h7")
	s.orders("h8 h9") // no soak
	s.says(HostSaysHealthy, "h8", "h9")
	s.orders("")
	s.is(RolloutSucceeded, "Deployed 9/9 hosts.")
	if s.last.Reason != "Every host has ended." || !s.last.Again.IsZero() {
		t.Errorf("ended with %q, again %s", s.last.Reason, s.last.Again)
	}
}

func TestTheFirstFailureSpendsABudgetOfOne(t *testing.T) {
	t.Parallel()
	for _, budget := range []int{0, 1} {
		s := newStory(t, enrolled(9, noon), func(p *DeployPolicy) { p.MaxFailures.N = budget })
		s.orders("h1 h2")
		s.says(HostSaysFailed, "h1")
		s.orders("")
		s.is(RolloutHalted, "Halted at 0/9 hosts, 1 failed.")
		if want := "1 host failed, and the policy stops at 1 (max_failures)."; s.last.Reason != want {
			t.Errorf("reason %q, expected %q", s.last.Reason, want)
		}
		s.says(HostSaysHealthy, "h2") // was under way, and finishes
		s.orders("")
		s.is(RolloutHalted, "Halted at 1/9 hosts, 1 failed.")
		s.host("h3", HostWaiting)
	}
}

func TestFailuresWithinTheBudgetAreTolerated(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(3, noon), func(p *DeployPolicy) { p.MaxFailures.N = 2; p.Waves = nil })
	s.orders("h1 h2 h3")
	s.says(HostSaysReverted, "h1")
	s.says(HostSaysHealthy, "h2", "h3")
	s.orders("")
	s.is(RolloutSucceeded, "Deployed 2/3 hosts, 1 failed.")
}

func TestARolloutWithNothingLeftToHaltFails(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(1, noon), nil)
	s.orders("h1")
	s.says(HostSaysFailed, "h1")
	s.orders("")
	s.is(RolloutFailed, "Failed: deployed 0/1 hosts, 1 failed.")
}

func TestOfflineHostsCatchUp(t *testing.T) {
	t.Parallel()
	hosts := enrolled(4, noon)
	hosts[0].LastSeen = noon.Add(-time.Hour)
	s := newStory(t, hosts, func(p *DeployPolicy) { p.MaxParallel = 1; p.Waves[0].Soak = 0 })
	s.orders("h2") // h1 takes no place
	s.host("h1", HostOffline)
	s.says(HostSaysHealthy, "h2")
	s.orders("h3") // h1 does not keep its wave waiting
	s.passes(0)
	s.orders("") // h1 is back, and there is no place
	s.host("h1", HostOffline)
	s.says(HostSaysHealthy, "h3")
	s.orders("h1") // before those that follow
	s.says(HostSaysHealthy, "h1")
	s.orders("h4")
	s.says(HostSaysHealthy, "h4")
	s.orders("")
	s.is(RolloutSucceeded, "Deployed 4/4 hosts.")
}

func TestARolloutEndsWithoutThoseWhoStayAway(t *testing.T) {
	t.Parallel()
	hosts := enrolled(3, noon)
	hosts[2].LastSeen = time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) { p.Waves = nil })
	s.orders("h1 h2")
	s.says(HostSaysHealthy, "h1", "h2")
	s.orders("")
	s.is(RolloutSucceeded, "Deployed 2/3 hosts, 1 will catch up.")
	s.passes(time.Hour, "h3")
	s.orders("")
	if want := noon.Add(catchUpWithin); !s.last.Again.Equal(want) {
		t.Errorf("looks again at %s, expected %s, when nobody waits for it any more", s.last.Again, want)
	}
	s.passes(time.Hour)
	s.orders("h3")
	s.says(HostSaysHealthy, "h3")
	s.look()
	s.is(RolloutSucceeded, "Deployed 3/3 hosts.")
}

func TestOrdersForThoseWhoNeverReturnLapse(t *testing.T) {
	t.Parallel()
	hosts := enrolled(2, noon)
	hosts[1].LastSeen = time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) { p.Waves = nil })
	s.orders("h1")
	s.says(HostSaysHealthy, "h1")
	s.look()
	s.passes(catchUpWithin, "h2")
	s.look()
	s.host("h2", HostCancelled)
	s.is(RolloutSucceeded, "Deployed 1/2 hosts, 1 skipped.")
}

func TestSkippedHostsAreLeftOut(t *testing.T) {
	t.Parallel()
	hosts := enrolled(3, noon)
	hosts[0].LastSeen = time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) { p.Offline = "skip"; p.Waves = nil })
	s.orders("h2 h3")
	s.host("h1", HostExcluded)
	s.says(HostSaysHealthy, "h2", "h3")
	s.orders("")
	s.is(RolloutSucceeded, "Deployed 2/3 hosts, 1 skipped.")
}

func TestAHostThatVanishesBeforeItTookItsOrder(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(3, noon), func(p *DeployPolicy) { p.MaxParallel = 1; p.Waves = nil })
	s.orders("h1")
	s.passes(OnlineWithin, "h1")
	s.orders("")
	s.passes(time.Second, "h1")
	s.orders("h2") // the place is free
	s.host("h1", HostOffline)
	s.takenBack("h1") // it must not begin by itself on its return
	s.passes(0)
	s.orders("")
	s.says(HostSaysHealthy, "h2")
	s.orders("h1")
}

func TestAHostThatVanishesAtWorkFailsOnlyWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(2, noon), func(p *DeployPolicy) { p.MaxParallel = 1; p.Waves = nil })
	s.orders("h1")
	s.says(HostSaysSwitching, "h1")
	life := s.facts.Rollout.Plan.OrderLifetime()
	s.passes(life-time.Second, "h1")
	s.orders("")
	s.host("h1", HostSwitching)
	if want := noon.Add(life); !s.last.Again.Equal(want) {
		t.Errorf("looks again at %s, expected %s", s.last.Again, want)
	}
	s.passes(time.Second, "h1")
	s.orders("")
	s.host("h1", HostFailed)
	s.is(RolloutHalted, "Halted at 0/2 hosts, 1 failed.")
	if f := s.last.Hosts[0].Failure; f == nil || f.Code != "expired" || f.Step != "switching" {
		t.Errorf("failure %+v", f)
	}
	s.takenBack("h1")
}

// A server that was away has heard nobody. It must not take the fleet for offline,
// which would open all waves at once.
func TestSilenceAfterARestartIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		s := newStory(t, enrolled(9, noon), nil)
		s.now = noon.Add(time.Hour)
		s.orders("") // nobody was heard for an hour: perhaps it was us
		if s.last.Again.IsZero() || s.last.Again.Sub(s.now) > time.Minute {
			t.Errorf("looks again at %s", s.last.Again)
		}
		if known {
			s.facts.Hearing = s.now.Add(-time.Second)
		}
		s.passes(0, "h2", "h3", "h4")
		if known {
			s.orders("h1") // others may still call in
			s.host("h2", HostWaiting)
			s.passes(OnlineWithin+time.Second, "h2", "h3", "h4")
			s.orders("")
			s.host("h2", HostOffline)
			continue
		}
		s.orders("h1")
		s.host("h2", HostOffline)
	}
}

func TestPausedRolloutsGiveNoOrders(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(3, noon), func(p *DeployPolicy) { p.MaxParallel = 1; p.Waves = nil })
	s.orders("h1")
	s.facts.Rollout.State = RolloutPaused
	s.says(HostSaysHealthy, "h1")
	s.orders("")
	s.is(RolloutPaused, "Paused at 1/3 hosts.")
	s.facts.Rollout.State = RolloutRunning
	s.orders("h2")
}

func TestAbortedRolloutsTakeBackWhatNobodyTookUp(t *testing.T) {
	t.Parallel()
	hosts := enrolled(4, noon)
	hosts[1].LastSeen = time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) { p.MaxParallel = 1; p.Waves = nil })
	s.orders("h1")
	s.says(HostSaysBuilding, "h1")
	s.says(HostPutOff, "h3")
	s.facts.Rollout.Hosts[2].Order = "an order"
	s.facts.Rollout.State = RolloutAborted
	s.orders("")
	s.host("h1", HostBuilding) // finishes
	s.host("h2", HostCancelled)
	s.host("h3", HostCancelled)
	s.takenBack("h3")
	s.says(HostSaysHealthy, "h1")
	s.look()
	s.is(RolloutAborted, "Aborted at 1/4 hosts, 3 skipped.")
}

func TestRolloutsOfOneRepositoryGoOneByOne(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(2, noon), nil)
	s.facts.Busy = true
	s.orders("")
	s.is(RolloutPlanned, "Planned for 2 hosts.")
	s.facts.Newer = true
	s.orders("")
	s.is(RolloutSuperseded, "Superseded by a newer rollout at 0/2 hosts.")
	s.host("h1", HostCancelled)
}

func TestRevokedHostsLeave(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(3, noon), func(p *DeployPolicy) { p.MaxParallel = 1; p.Waves = nil })
	s.orders("h1")
	for _, name := range []string{"h1", "h2"} {
		h := s.facts.Hosts[name]
		h.RevokedAt = noon
		s.facts.Hosts[name] = h
	}
	s.orders("h3")
	s.host("h1", HostCancelled)
	s.host("h2", HostExcluded)
}

func TestOrdersAreGivenOnlyInsideWindows(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(1, noon), func(p *DeployPolicy) {
		p.Windows = []Freeze{{From: "Wed 13:00", To: "Wed 14:00"}} // noon is on a Wednesday
	})
	s.orders("")
	if want := noon.Add(time.Hour); s.last.State != RolloutRunning || !s.last.Again.Equal(want) {
		t.Errorf("%s, looks again at %s, expected %s", s.last.State, s.last.Again, want)
	}
	s.orders("")
	s.is(RolloutRunning, "Deploying 0/1 hosts… It waits until "+noon.Add(time.Hour).Format("Mon 2006-01-02")+" 13:00 UTC, when it may deploy again.")
	s.passes(time.Hour)
	s.orders("h1")
}

// What nobody asked for waits for the end of a freeze; what a person asked for does not.
func TestAFreezeHoldsUpWhatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	policy := Policy{Deploy: DefaultPolicy().Deploy, Updates: UpdatePolicy{Freeze: []Freeze{{From: "Wed 11:00", To: "Wed 14:00", Reason: "audit"}}}}
	s := newStory(t, enrolled(1, noon), func(p *DeployPolicy) { p.Freeze = policy.Unasked().Freeze })
	s.orders("")
	if want := noon.Add(2 * time.Hour); !s.last.Again.Equal(want) {
		t.Errorf("it looks again at %s, expected %s", s.last.Again, want)
	}
	s.orders("")
	s.is(RolloutRunning, "Deploying 0/1 hosts… It waits until "+noon.Format("Mon 2006-01-02")+" 14:00 UTC, the end of a freeze (audit).")
	s.passes(2 * time.Hour)
	s.orders("h1")

	asked := newStory(t, enrolled(1, noon), func(p *DeployPolicy) { p.Freeze = policy.Deploy.Freeze })
	asked.orders("h1")
}

func TestARolloutOfNobodySucceeds(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil, nil)
	s.orders("")
	s.is(RolloutRunning, "Deploying 0/0 hosts…") // one change of state in one look
	s.orders("")
	s.is(RolloutSucceeded, "Nothing to deploy: no host takes part.")
}

func TestEmptyWavesAndWavesOfTheAbsentDoNotSoak(t *testing.T) {
	t.Parallel()
	hosts := enrolled(4, noon)
	hosts[0].LastSeen, hosts[1].LastSeen = time.Time{}, time.Time{}
	s := newStory(t, hosts, nil)
	s.orders("h3 h4")
	s.host("h1", HostOffline)
	s.host("h4", HostOrdered)
}

func TestAReturningCanaryDoesNotTakeBackALaterWave(t *testing.T) {
	t.Parallel()
	hosts := enrolled(4, noon)
	hosts[0].LastSeen = time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) { p.MaxParallel = 2 })
	s.orders("h2")
	s.says(HostSaysHealthy, "h2")
	s.look()
	s.passes(10*time.Minute, "h1")
	s.orders("h3 h4")
	s.says(HostSaysHealthy, "h3")
	s.passes(0)
	s.orders("h1")
	s.says(HostSaysHealthy, "h4")
	s.orders("")
	s.says(HostSaysHealthy, "h1")
	s.orders("")
	s.is(RolloutSucceeded, "Deployed 4/4 hosts.")
}

func TestARolloutWithoutHostsYetIsJustPlanned(t *testing.T) {
	t.Parallel()
	if got := Headline(Rollout{State: RolloutPlanned}, nil, time.Time{}); got != "Planned." {
		t.Errorf("it says %q", got)
	}
}
