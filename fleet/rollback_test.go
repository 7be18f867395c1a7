package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newRollback is a rollout of four hosts in two waves that goes back when one fails:
// h1 and h2 run the new system already, h3 and h4 have their order.
func newRollback(t *testing.T) *story {
	t.Helper()
	s := newStory(t, enrolled(4, noon), func(p *DeployPolicy) {
		p.OnFailure = "rollback"
		p.Waves = []WavePolicy{{Name: "first", Hosts: "2"}, {Name: "second", Hosts: "2"}}
	})
	s.runs("old", "h1", "h2", "h3", "h4")
	s.orders("h1 h2")
	s.switched("h1", "h2")
	s.passes(time.Minute)
	s.runs("new", "h1", "h2")
	s.says(HostSaysHealthy, "h1")
	s.passes(time.Minute)
	s.says(HostSaysHealthy, "h2")
	s.orders("h3 h4")
	return s
}

func TestOnFailureRollback(t *testing.T) {
	t.Parallel()
	s := newRollback(t)
	s.switched("h3", "h4")
	s.says(HostSaysFailed, "h3")
	s.orders("")
	s.is(RolloutRollingBack, "Rolling back… (1 host still under way)")
	if want := "1 host failed, and the policy stops at 1 (max_failures). By policy (on_failure: rollback) the hosts that switched go back."; s.last.Reason != want {
		t.Errorf("reason %q", s.last.Reason)
	}
	if s.last.Restore || s.last.Quarantine == "" {
		t.Errorf("restores %v while a host is under way, quarantine %q", s.last.Restore, s.last.Quarantine)
	}
	s.passes(time.Minute)
	s.runs("new", "h3", "h4")
	s.says(HostSaysReverted, "h4") // went back by itself
	s.orders("")
	s.is(RolloutRollingBack, "Rolling back…")
	if !s.last.Restore {
		t.Fatal("nobody is under way, and it is not restored")
	}
	plan, hosts := MakeRestore(s.facts.Rollout, s.facts.Hosts)
	restore := Rollout{ID: "R", Kind: RolloutRestore, Restores: "D", State: RolloutPlanned, Plan: plan, Hosts: hosts}
	want := []Wave{{Name: "second", Hosts: []string{"h3"}}, {Name: "first", Hosts: []string{"h2", "h1"}}}
	if diff := cmp.Diff(want, plan.Waves); diff != "" {
		t.Errorf("the way back (-want +got):\n%s", diff)
	}
	for _, p := range hosts {
		if p.Target != (System{Path: "old", Commit: "c-old"}) || p.State != HostWaiting {
			t.Errorf("%s goes to %+v, and is %s", p.Host, p.Target, p.State)
		}
	}

	back := &story{t: t, now: s.now, facts: RolloutFacts{Rollout: restore, Hosts: s.facts.Hosts, Newer: true}}
	back.orders("h3")
	back.is(RolloutRunning, "Rolling back 0/3 hosts…")
	back.says(HostSaysHealthy, "h3")
	back.orders("h2 h1")
	s.facts.Restoring = &back.facts.Rollout
	s.orders("")
	s.is(RolloutRollingBack, "Rolling back 1/3 hosts…")
	if s.last.Restore {
		t.Error("it is restored twice")
	}
	back.says(HostSaysHealthy, "h1", "h2")
	back.orders("")
	back.is(RolloutSucceeded, "Rolled back 3/3 hosts.")
	s.orders("")
	s.is(RolloutRolledBack, "Rolled back 3/3 hosts.")
}

func TestARollbackThatDoesNotSucceed(t *testing.T) {
	t.Parallel()
	s := newRollback(t)
	s.says(HostSaysFailed, "h3", "h4")
	s.look()
	plan, hosts := MakeRestore(s.facts.Rollout, s.facts.Hosts)
	restore := Rollout{Kind: RolloutRestore, State: RolloutPlanned, Plan: plan, Hosts: hosts}
	back := &story{t: t, now: s.now, facts: RolloutFacts{Rollout: restore, Hosts: s.facts.Hosts}}
	back.orders("h2 h1")
	back.says(HostSaysFailed, "h2") // does not stop it
	back.look()
	back.is(RolloutRunning, "Rolling back 0/2 hosts… (1 failed)")
	back.says(HostSaysHealthy, "h1")
	back.look()
	back.is(RolloutFailed, "Rollback failed: 1/2 hosts went back, 1 failed.")
	if back.last.Quarantine != "" || back.last.RevertPR {
		t.Errorf("what it restores is not its own commit: %+v", back.last)
	}
	s.facts.Restoring = &back.facts.Rollout
	s.look()
	s.is(RolloutFailed, "Failed: deployed 2/4 hosts, 2 failed, and the rollback failed.")
	if s.last.Restore || s.last.Quarantine == "" {
		t.Errorf("restores %v, quarantine %q", s.last.Restore, s.last.Quarantine)
	}
}

func TestARestoreCountsWhoDidNotGoBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		how  func(s *story)
		want RolloutState
	}{
		"all went back":       {func(s *story) { s.says(HostSaysHealthy, "h1") }, RolloutSucceeded},
		"one was cancelled":   {func(s *story) { s.says(HostSaysCancelled, "h1") }, RolloutFailed},
		"one has other plans": {func(s *story) { s.says(HostSaysSuperseded, "h1") }, RolloutFailed},
		"one went forward":    {func(s *story) { s.says(HostSaysReverted, "h1") }, RolloutFailed},
		"one was left out":    {func(s *story) { s.says(HostLeftOut, "h1") }, RolloutSucceeded},
		"one is not ours":     {func(s *story) { s.facts.Hosts["h1"] = Host{Name: "h1", RevokedAt: s.now} }, RolloutSucceeded},
	} {
		s := newStory(t, enrolled(2, noon), func(p *DeployPolicy) { p.Waves = nil })
		s.facts.Rollout.Kind = RolloutRestore
		s.orders("h1 h2")
		c.how(s)
		s.says(HostSaysHealthy, "h2")
		s.look()
		if s.last.State != c.want {
			t.Errorf("%s: %s %q, expected %s", name, s.last.State, s.last.Headline, c.want)
		}
	}
}

func TestARollbackOfNobodyEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStory(t, enrolled(3, noon), func(p *DeployPolicy) { p.OnFailure = "rollback" })
	s.orders("h1 h2")
	s.says(HostSaysFailed, "h1", "h2") // could not build
	s.look()
	s.is(RolloutRollingBack, "Rolling back…")
	s.look()
	s.is(RolloutRolledBack, "Rolled back: no host had to.")
	s.host("h3", HostCancelled)
}

func TestTheLastFailureRollsBackToo(t *testing.T) {
	t.Parallel()
	s := newRollback(t)
	s.says(HostSaysHealthy, "h3")
	s.says(HostSaysFailed, "h4")
	s.look()
	if s.last.State != RolloutRollingBack || !s.last.Restore {
		t.Errorf("%s, restores: %v", s.last.State, s.last.Restore)
	}
}

func TestAPersonsRollback(t *testing.T) {
	t.Parallel()
	for _, from := range []RolloutState{RolloutRunning, RolloutPaused, RolloutHalted} {
		s := newRollback(t)
		s.facts.Rollout.State = NextRolloutState(from, RolloutRollBack)
		s.says(HostSaysReceived, "h3")
		s.passes(OnlineWithin+time.Second, "h4")
		s.look() // h4 has not taken its order up, and is gone
		s.takenBack("h4")
		s.host("h4", HostCancelled)
		s.is(RolloutRollingBack, "Rolling back… (1 host still under way)")
		s.says(HostSaysCancelled, "h3")
		s.look()
		if !s.last.Restore || s.last.Quarantine != "" {
			t.Errorf("from %s: restores %v, quarantine %q", from, s.last.Restore, s.last.Quarantine)
		}
		s.facts.Rollout.State = NextRolloutState(s.facts.Rollout.State, RolloutAbort)
		s.look()
		s.is(RolloutAborted, "Aborted at 2/4 hosts, 2 skipped.")
		if s.last.Restore {
			t.Error("it was aborted, and is restored")
		}
	}
}

func TestWhatFailuresCallFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		onFailure  string
		kind       RolloutKind
		hosts      int
		state      RolloutState
		quarantine bool
		revert     bool
	}{
		"halt":              {"halt", RolloutDeploy, 4, RolloutHalted, true, false},
		"revert":            {"revert_pr", RolloutDeploy, 4, RolloutHalted, true, true},
		"a kind not named":  {"revert_pr", "", 4, RolloutHalted, true, true},
		"the only host":     {"revert_pr", RolloutDeploy, 1, RolloutFailed, true, true},
		"backward":          {"revert_pr", RolloutBackward, 4, RolloutHalted, true, false},
		"rollback":          {"rollback", RolloutDeploy, 4, RolloutRollingBack, true, false},
		"one that restores": {"revert_pr", RolloutRestore, 4, RolloutRunning, false, false},
	} {
		s := newStory(t, enrolled(c.hosts, noon), func(p *DeployPolicy) { p.OnFailure, p.Waves = c.onFailure, nil })
		s.facts.Rollout.Kind = c.kind
		s.look()
		if s.last.Quarantine != "" || s.last.RevertPR {
			t.Errorf("%s: nothing has failed, but quarantine %q, revert %v", name, s.last.Quarantine, s.last.RevertPR)
		}
		s.says(HostSaysFailed, "h1")
		for range 2 { // it holds as long as the state does
			s.look()
			if s.last.State != c.state || (s.last.Quarantine != "") != c.quarantine || s.last.RevertPR != c.revert {
				t.Errorf("%s: %s, quarantine %q, revert %v", name, s.last.State, s.last.Quarantine, s.last.RevertPR)
			}
		}
	}
}

// Laptops that come back after the rollout has succeeded are hosts like any other:
// the budget holds for them.
func TestFailuresOfThoseWhoCatchUpStopTheOthers(t *testing.T) {
	t.Parallel()
	hosts := enrolled(4, noon)
	hosts[2].LastSeen, hosts[3].LastSeen = time.Time{}, time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) { p.Waves, p.MaxParallel = nil, 2 })
	s.orders("h1 h2")
	s.says(HostSaysHealthy, "h1", "h2")
	s.look()
	s.is(RolloutSucceeded, "Deployed 2/4 hosts, 2 will catch up.")
	s.passes(time.Hour, "h4")
	s.orders("h3")
	s.says(HostSaysFailed, "h3")
	s.passes(time.Hour)
	s.orders("")
	s.host("h4", HostCancelled)
	s.is(RolloutSucceeded, "Deployed 2/4 hosts, 1 failed, 1 skipped.")
	if !strings.Contains(s.last.Quarantine, "1 host failed") {
		t.Errorf("quarantine %q", s.last.Quarantine)
	}
}

func TestHostsThatCatchUpAreLeftToTheRestore(t *testing.T) {
	t.Parallel()
	hosts := enrolled(2, noon)
	hosts[1].LastSeen = time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) { p.Waves = nil })
	s.orders("h1")
	s.says(HostSaysHealthy, "h1")
	s.look()
	s.facts.Restoring = &Rollout{Kind: RolloutRestore, State: RolloutRunning}
	s.passes(time.Minute)
	s.orders("")
	s.host("h2", HostCancelled)
}

func TestHostsThatCatchUpWaitForTheEndOfAQuarantine(t *testing.T) {
	t.Parallel()
	hosts := enrolled(3, noon)
	hosts[1].LastSeen = time.Time{}
	s := newStory(t, hosts, func(p *DeployPolicy) {
		p.Waves, p.Reboot = nil, "window"
		p.RebootWindows = []Freeze{{From: "Wed 13:00", To: "Wed 14:00"}}
	})
	s.orders("h1 h3")
	s.says(HostSaysHealthy, "h1")
	s.says(HostPutOff, "h3")
	s.facts.Quarantined = true // by a rollout that a person asked for since
	s.look()
	s.is(RolloutSucceeded, "Deployed 1/3 hosts, 2 will catch up.")
	s.passes(time.Hour)
	s.orders("")
	if len(s.last.Reboots) > 0 {
		t.Errorf("restarts of %v", s.last.Reboots)
	}
	s.facts.Quarantined = false
	s.orders("h2")
	if len(s.last.Reboots) != 1 {
		t.Errorf("restarts of %v, expected h3", s.last.Reboots)
	}
}
