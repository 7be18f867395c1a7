package fleet

import (
	"strings"
	"testing"
	"time"
)

// newPutOff is a rollout of three hosts that were put off after they switched to
// the path "new".
func newPutOff(t *testing.T, change func(*DeployPolicy)) *story {
	t.Helper()
	s := newStory(t, enrolled(3, noon), func(p *DeployPolicy) {
		p.Waves, p.MaxParallel, p.Reboot = nil, 3, "window"
		change(p)
	})
	s.orders("h1 h2 h3")
	for i := range s.facts.Rollout.Hosts {
		s.facts.Rollout.Hosts[i].Target.Path = "new"
	}
	s.passes(time.Minute)
	s.says(HostPutOff, "h1", "h2", "h3")
	for _, name := range []string{"h1", "h2", "h3"} {
		s.observes(name, func(f *HostFacts) { f.RunningPath, f.RebootNeeded, f.Uptime = "new", true, time.Hour })
	}
	return s
}

func (s *story) restarts(want string) {
	s.t.Helper()
	if got := strings.Join(s.look().Reboots, " "); got != want {
		s.t.Errorf("%s: restarts of %q, expected %q (%s)", s.now.Format(time.TimeOnly), got, want, s.last.Headline)
	}
}

func TestHostsThatWerePutOffRestartInTheirWindow(t *testing.T) {
	t.Parallel()
	s := newPutOff(t, func(p *DeployPolicy) { p.RebootWindows = []Freeze{{From: "Thu 02:00", To: "Thu 04:00"}} })
	s.facts.Rollout.Plan.MaxParallel = 2
	s.restarts("")
	s.restarts("")
	s.is(RolloutSucceeded, "Deployed 0/3 hosts, 3 will catch up.")
	s.passes(14*time.Hour-time.Minute, "h1") // h1 is away
	s.restarts("h2 h3")
	s.host("h2", HostOrdered)
	s.says(HostSaysReceived, "h2", "h3")
	s.passes(5 * time.Minute)
	s.restarts("") // as many as may be under way at once
	s.says(HostSaysHealthy, "h2")
	s.restarts("h1")
	s.says(HostSaysFailed, "h1", "h3")
	s.look()
	s.is(RolloutSucceeded, "Deployed 1/3 hosts, 2 failed.")
}

// The order names what must run once the host is back, from wherever that is known.
func TestARestartNamesWhatMustRun(t *testing.T) {
	t.Parallel()
	s := newPutOff(t, func(*DeployPolicy) {})
	s.facts.Rollout.Commit = "c1"
	for i := range s.facts.Rollout.Hosts {
		s.facts.Rollout.Hosts[i].Target.Path = []string{"new", "", ""}[i]
	}
	s.observes("h2", func(f *HostFacts) { f.ExpectedPath, f.ExpectedCommit = "evaluated", "c1" })
	s.observes("h3", func(f *HostFacts) { f.ExpectedPath, f.ExpectedCommit = "evaluated", "c2" })
	s.restarts("h1 h2 h3")
	for i, want := range []string{"new", "evaluated", ""} {
		if got := s.last.Hosts[i].Target.Path; got != want {
			t.Errorf("h%d has to run %q, expected %q", i+1, got, want)
		}
	}
}

func TestARestartIsGivenItsOwnTime(t *testing.T) {
	t.Parallel()
	s := newPutOff(t, func(*DeployPolicy) {})
	s.passes(2 * time.Hour) // the order of the rollout would have expired
	s.restarts("h1 h2 h3")
	s.says(HostSaysReceived, "h1", "h2", "h3")
	life := s.facts.Rollout.Plan.OrderLifetime()
	s.passes(life - time.Second)
	s.restarts("")
	s.host("h1", HostReceived)
	s.passes(time.Second)
	s.restarts("")
	s.host("h1", HostFailed)
}

func TestNobodyRestartsAfterTheBudgetIsSpent(t *testing.T) {
	t.Parallel()
	s := newPutOff(t, func(*DeployPolicy) {})
	s.facts.Rollout.Plan.MaxParallel = 1
	s.restarts("h1")
	s.says(HostSaysFailed, "h1")
	s.restarts("")
	s.restarts("")
	s.host("h2", HostCancelled)
	if s.last.Quarantine == "" {
		t.Error("a commit that hosts do not start with is not put into quarantine")
	}
}

func TestOneThatRestartedInVainIsLeftToPeople(t *testing.T) {
	t.Parallel()
	s := newPutOff(t, func(*DeployPolicy) {})
	s.restarts("h1 h2 h3")
	s.passes(10 * time.Minute)
	s.says(HostPutOff, "h1", "h2", "h3")
	for _, name := range []string{"h1", "h2", "h3"} {
		s.observes(name, func(f *HostFacts) { f.Uptime = time.Minute })
	}
	s.restarts("")
	s.host("h1", HostDeferred)
}

func TestAPersonRestartsWhatThePolicyDoesNot(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{time.Second, 20 * 24 * time.Hour} {
		s := newPutOff(t, func(p *DeployPolicy) { p.Reboot = "never" })
		s.restarts("")
		s.look()
		s.is(RolloutSucceeded, "Deployed 0/3 hosts, 3 will catch up.")
		s.passes(after)
		s.observes("h1", func(f *HostFacts) { f.RebootNeeded = false })
		s.observes("h2", func(f *HostFacts) { f.RebootNeeded, f.RunningPath = false, "another" })
		s.look()
		s.host("h1", HostHealthy)
		s.host("h2", HostDeferred)
		s.host("h3", HostDeferred)
		if s.last.Again.IsZero() || s.last.Again.Sub(s.now) > time.Hour {
			t.Errorf("looks again at %s: nobody tells that a host was restarted", s.last.Again)
		}
	}
}

func TestWhatAHostTellsLaterCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*HostFacts)
		want   HostState
	}{
		"it runs what the commit comes to": {func(f *HostFacts) { f.RunningPath = "new" }, HostHealthy},
		"as nobody has evaluated":          {func(f *HostFacts) { f.RunningPath, f.ExpectedPath = "new", "" }, HostOrdered},
		"as another commit comes to":       {func(f *HostFacts) { f.RunningPath, f.ExpectedCommit = "new", "other" }, HostOrdered},
		"it has to restart":                {func(f *HostFacts) { f.RunningPath, f.RebootNeeded = "new", true }, HostOrdered},
		"it runs something else":           {func(*HostFacts) {}, HostOrdered},
		"it told that before":              {func(f *HostFacts) { f.RunningPath, f.At = "new", noon }, HostOrdered},
		"it knows nothing of itself":       {func(f *HostFacts) { f.RunningPath, f.ExpectedPath = "", "" }, HostOrdered},
	} {
		hosts := enrolled(2, noon)
		hosts[1].LastSeen = time.Time{}
		s := newStory(t, hosts, func(p *DeployPolicy) { p.Waves = nil })
		s.facts.Rollout.Commit = "c1"
		s.orders("h1")
		s.passes(time.Minute)
		s.observes("h2", func(f *HostFacts) {
			f.RunningPath, f.ExpectedPath, f.ExpectedCommit = "old", "new", "c1"
			c.change(f)
		})
		s.look()
		t.Log(name)
		s.host("h2", c.want)
	}
}

func TestRebootWindows(t *testing.T) {
	t.Parallel()
	closed := []Freeze{{From: "Wed 13:00", To: "Wed 14:00"}} // noon is on a Wednesday
	open := []Freeze{{From: "Wed 11:00", To: "Wed 13:00"}}
	for name, c := range map[string]struct {
		plan Plan
		open bool
		next time.Time
	}{
		"never":                         {Plan{Reboot: "never", RebootWindows: open}, false, time.Time{}},
		"not said":                      {Plan{RebootWindows: open}, false, time.Time{}},
		"when needed":                   {Plan{Reboot: "when_needed", RebootWindows: closed}, true, time.Time{}},
		"an open window":                {Plan{Reboot: "window", RebootWindows: open, Windows: closed}, true, time.Time{}},
		"a closed window":               {Plan{Reboot: "window", RebootWindows: closed, Windows: open}, false, noon.Add(time.Hour)},
		"the windows of deploys, open":  {Plan{Reboot: "window", Windows: open}, true, time.Time{}},
		"the windows of deploys, shut":  {Plan{Reboot: "window", Windows: closed}, false, noon.Add(time.Hour)},
		"no window at all":              {Plan{Reboot: "window"}, true, time.Time{}},
		"a window that nobody can read": {Plan{Reboot: "window", RebootWindows: []Freeze{{From: "x"}}}, false, time.Time{}},
	} {
		if isOpen, next := RebootWindowOpen(c.plan, noon); isOpen != c.open || !next.Equal(c.next) {
			t.Errorf("%s: open %v, next %s, expected %v, %s", name, isOpen, next, c.open, c.next)
		}
	}
}
