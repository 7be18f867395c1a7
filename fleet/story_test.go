package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// story plays a rollout: each line changes the world and tells what Advance must
// make of it.
type story struct {
	t     *testing.T
	facts RolloutFacts
	now   time.Time
	last  Move
	given int // orders so far
}

func newStory(t *testing.T, hosts []Host, change func(*DeployPolicy)) *story {
	t.Helper()
	policy := DefaultPolicy().Deploy
	if change != nil {
		change(&policy)
	}
	plan, progress, err := MakePlan(policy, hosts)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, now: noon}
	s.facts = RolloutFacts{Rollout: Rollout{State: RolloutPlanned, Plan: plan, Hosts: progress}, Hosts: map[string]Host{}}
	for _, h := range hosts {
		s.facts.Hosts[h.Name] = h
	}
	return s
}

// look advances, keeps the result, and proves that a second look changes nothing.
func (s *story) look() Move {
	s.t.Helper()
	s.last = Advance(s.facts, s.now)
	s.facts.Rollout.State, s.facts.Rollout.Hosts = s.last.State, slices.Clone(s.last.Hosts)
	for i := range s.facts.Rollout.Hosts { // what the database does
		p := &s.facts.Rollout.Hosts[i]
		if slices.Contains(s.last.Orders, p.Host) || slices.Contains(s.last.Reboots, p.Host) {
			p.Order = fmt.Sprintf("order %d", s.given)
			s.given++
		}
	}
	if s.last.Again.Equal(s.now.Add(againNext)) {
		return s.last // asks for another look itself
	}
	again := Advance(s.facts, s.now)
	if again.State != s.last.State || len(again.Orders)+len(again.Reboots)+len(again.Cancel) > 0 || !slices.Equal(again.Hosts, s.facts.Rollout.Hosts) {
		s.t.Fatalf("a second look changed something: %+v then %+v", s.last, again)
	}
	return s.last
}

// orders looks, and expects these hosts to be given their order.
func (s *story) orders(want string) {
	s.t.Helper()
	if got := strings.Join(s.look().Orders, " "); got != want {
		s.t.Errorf("%s: orders to %q, expected %q (%s)", s.now.Format(time.TimeOnly), got, want, s.last.Headline)
	}
}

// says lets hosts answer.
func (s *story) says(e HostEvent, hosts ...string) {
	s.t.Helper()
	s.facts.Rollout.Hosts = slices.Clone(s.facts.Rollout.Hosts)
	for _, name := range hosts {
		i := slices.IndexFunc(s.facts.Rollout.Hosts, func(p HostProgress) bool { return p.Host == name })
		s.facts.Rollout.Hosts[i] = s.facts.Rollout.Hosts[i].After(e, s.now)
	}
}

// passes lets time pass while all hosts but those named are heard.
func (s *story) passes(d time.Duration, silent ...string) {
	s.now = s.now.Add(d)
	for name, h := range s.facts.Hosts {
		if !slices.Contains(silent, name) {
			h.LastSeen = s.now
			s.facts.Hosts[name] = h
		}
	}
}

func (s *story) is(state RolloutState, headline string) {
	s.t.Helper()
	if s.last.State != state || s.last.Headline != headline {
		s.t.Errorf("%s: %s %q, expected %s %q", s.now.Format(time.TimeOnly), s.last.State, s.last.Headline, state, headline)
	}
}

func (s *story) host(name string, want HostState) {
	s.t.Helper()
	for _, p := range s.last.Hosts {
		if p.Host == name && p.State != want {
			s.t.Errorf("%s: %s is %s, expected %s", s.now.Format(time.TimeOnly), name, p.State, want)
		}
	}
}

// takenBack expects the last look to have taken back the orders of these hosts.
func (s *story) takenBack(hosts ...string) {
	s.t.Helper()
	if diff := cmp.Diff(hosts, s.last.Cancel); diff != "" {
		s.t.Errorf("%s: taken back (-want +got):\n%s", s.now.Format(time.TimeOnly), diff)
	}
}

// observes lets a host tell of itself.
func (s *story) observes(name string, change func(*HostFacts)) {
	h := s.facts.Hosts[name]
	h.Facts.At = s.now
	change(&h.Facts)
	s.facts.Hosts[name] = h
}

// runs lets hosts tell what they run.
func (s *story) runs(path string, names ...string) {
	for _, name := range names {
		s.observes(name, func(f *HostFacts) { f.RunningPath, f.ProfilePath, f.RunningCommit = path, path, "c-"+path })
	}
}

// switched notes that hosts began to switch, as the database does with their answers.
func (s *story) switched(names ...string) {
	s.says(HostSaysSwitching, names...)
	for i := range s.facts.Rollout.Hosts {
		if p := &s.facts.Rollout.Hosts[i]; slices.Contains(names, p.Host) {
			p.Switched = true
		}
	}
}
