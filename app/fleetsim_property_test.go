package app

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/fleet"
)

// No history of crashes, partitions, lost and repeated answers, and systems that do
// not build or do not start keeps an order from ending, leaves a host on a system
// that no order asked for, has more hosts under way than the policy allows, or shows
// a commit that does not run. Once the faults stop, every host runs what the fleet
// wants.
//
// One server works on it, or two of them on one database and one bus.
//
// -rapid.checks says how many histories, -rapid.seed repeats one.
func TestAnyHistoryOfHostsEndsWhereAnOrderLed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSimFleet(t, rt, 3, rapid.IntRange(1, 2).Draw(rt, "servers"), rapid.SampledFrom([]string{"halt", "rollback"}).Draw(rt, "on_failure"))
		defer s.end()
		s.everyone(s.hub.Head(simRepo, "main"))
		for range rapid.IntRange(1, 2).Draw(rt, "rollouts") {
			s.drawFaults()
			s.rollOut(s.drawCommit())
			s.judge("after a rollout")
			if rapid.Bool().Draw(rt, "heal") {
				s.heal()
			}
		}
		s.heal()
		s.converge(s.push(nil))
	})
}

// everyone deploys a commit to all hosts, so that each runs something.
func (s *simFleet) everyone(commit string) {
	names := []string{}
	for _, h := range s.hosts {
		names = append(names, h.name)
	}
	must(s.t, s.app.Deploy(s.ctx, simOperator, DeployRequest{Hosts: names, Commit: commit, Reason: "first"}))
	s.impatient("every host to run the first commit", func(fleet.Overview) bool {
		return !slices.ContainsFunc(s.hosts, func(h *simHost) bool { return h.runs() != commit })
	})
}

// drawCommit pushes a commit whose systems are good on most hosts.
func (s *simFleet) drawCommit() string {
	commit := s.push(nil)
	for _, h := range s.hosts {
		how := rapid.SampledFrom([]string{"good", "good", "good", "good", "nobuild", "refuse", "half"}).Draw(s.rt, "system of "+h.name)
		if how != "good" {
			s.behave(commit, h.name, how)
		}
	}
	return commit
}

var (
	simSteps = []agentbus.Step{
		agentbus.StepReceived, agentbus.StepFetching, agentbus.StepBuilding, agentbus.StepSwitching,
		agentbus.StepVerifying, agentbus.StepHealthy, agentbus.StepFailed, agentbus.StepReverted,
	}
	simFaults = []string{"crash before", "crash after", "lose", "twice", "cut"}
)

// drawFaults plans a few faults at steps of hosts.
func (s *simFleet) drawFaults() {
	for range rapid.IntRange(0, 5).Draw(s.rt, "faults") {
		h := rapid.SampledFrom(s.hosts).Draw(s.rt, "host")
		h.plan(rapid.SampledFrom(simSteps).Draw(s.rt, "step"), rapid.SampledFrom(simFaults).Draw(s.rt, "fault"))
	}
}

func (s *simFleet) heal() {
	for _, h := range s.hosts {
		h.heal()
	}
}

// rollOut waits until the rollout of a pushed commit has come as far as it can: hosts
// that are cut off keep it waiting for nobody.
func (s *simFleet) rollOut(commit string) {
	s.impatient("the rollout of "+commit+" to come to rest", func(o fleet.Overview) bool {
		found := false
		for _, r := range o.Rollouts {
			if r.State == fleet.RolloutPlanned || r.State.Blocks() {
				return false
			}
			found = found || r.Commit == commit
		}
		return found
	})
}

// judge holds every host against its orders: it runs what some order asked for, and,
// where the server has heard all the time how they went, what the last good one did.
func (s *simFleet) judge(when string) {
	for _, h := range s.hosts {
		runs, want, asked := h.runs(), "", false
		orders := s.ordered(h.name)
		for _, o := range slices.Backward(orders) { // oldest first
			asked = asked || o.Commit == runs
			if o.State == fleet.HostHealthy && (o.Kind == "deploy" || o.Kind == "rollback") {
				want = o.Commit
			}
		}
		switch open := slices.ContainsFunc(orders, func(o fleet.Order) bool { return o.EndedAt.IsZero() }); {
		case !asked:
			s.breaks("%s, %s runs %.7s, which no order asked for", when, h.name, runs)
		case !h.wasCut() && !open && runs != want:
			s.breaks("%s, %s runs %.7s, but the last order that ended well led to %.7s", when, h.name, runs, want)
		}
	}
}

// converge waits until every host runs the commit, its facts say so, and nothing is
// left open.
func (s *simFleet) converge(commit string) {
	s.impatient("every host to run "+commit, func(o fleet.Overview) bool {
		for _, v := range o.Hosts {
			i := slices.IndexFunc(s.hosts, func(h *simHost) bool { return h.name == v.Host.Name })
			if s.hosts[i].runs() != commit || v.Host.Facts.RunningCommit != commit {
				return false
			}
		}
		return true
	})
	s.impatient("every order to end", func(fleet.Overview) bool {
		for _, h := range s.hosts {
			if slices.ContainsFunc(s.ordered(h.name), func(o fleet.Order) bool { return o.EndedAt.IsZero() }) {
				return false
			}
		}
		return true
	})
	s.judge("at the end")
}
