package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// machine lets one set of tests look at all three tables.
type machine struct {
	states, events []string
	initial        string
	next           func(s, e string) string
	legal          func(from, to string) bool
	terminal       func(s string) bool
	ends           []string // the terminal states, as the specification has them
}

func words[T ~string](all []T) []string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}

func machines() map[string]machine {
	return map[string]machine{
		"update": {
			words(AllUpdateStates()), words(AllUpdateEvents()), string(UpdateObserved),
			func(s, e string) string { return string(NextUpdateState(UpdateState(s), UpdateEvent(e))) },
			func(a, b string) bool { return LegalUpdate(UpdateState(a), UpdateState(b)) },
			func(s string) bool { return UpdateState(s).Terminal() },
			[]string{"merged"},
		},
		"rollout": {
			words(AllRolloutStates()), words(AllRolloutEvents()), string(RolloutPlanned),
			func(s, e string) string { return string(NextRolloutState(RolloutState(s), RolloutEvent(e))) },
			func(a, b string) bool { return LegalRollout(RolloutState(a), RolloutState(b)) },
			func(s string) bool { return RolloutState(s).Terminal() },
			[]string{"succeeded", "rolled_back", "failed", "aborted", "superseded"},
		},
		"proposal": {
			words(AllProposalStates()), words(AllProposalEvents()), string(ProposalReceived),
			func(s, e string) string { return string(NextProposalState(ProposalState(s), ProposalEvent(e))) },
			func(a, b string) bool { return LegalProposal(ProposalState(a), ProposalState(b)) },
			func(s string) bool { return ProposalState(s).Terminal() },
			[]string{"committed", "opened", "refused", "conflicted"},
		},
		"host": {
			words(AllHostStates()), words(AllHostEvents()), string(HostWaiting),
			func(s, e string) string { return string(NextHostState(HostState(s), HostEvent(e))) },
			func(a, b string) bool { return LegalHost(HostState(a), HostState(b)) },
			func(s string) bool { return HostState(s).Terminal() },
			[]string{"healthy", "failed", "reverted", "excluded", "cancelled"},
		},
	}
}

func TestEveryPairOfStateAndEventHasAnAnswer(t *testing.T) {
	t.Parallel()
	for name, m := range machines() {
		for _, s := range m.states {
			for _, e := range m.events {
				to := m.next(s, e)
				if !slices.Contains(m.states, to) {
					t.Errorf("%s: %s upon %s leads to %q, which is no state", name, s, e, to)
				}
				if !m.legal(s, to) {
					t.Errorf("%s: %s upon %s leads to %s, but that is not legal", name, s, e, to)
				}
			}
		}
	}
}

func TestReplayingAnEventChangesNothing(t *testing.T) {
	t.Parallel()
	for name, m := range machines() {
		for _, s := range m.states {
			for _, e := range m.events {
				once := m.next(s, e)
				if twice := m.next(once, e); twice != once {
					t.Errorf("%s: %s upon %s is %s, and upon the same again %s", name, s, e, once, twice)
				}
			}
		}
	}
}

func TestOnlyTerminalStatesAreDeadEnds(t *testing.T) {
	t.Parallel()
	for name, m := range machines() {
		for _, s := range m.states {
			end := slices.Contains(m.ends, s)
			if m.terminal(s) != end {
				t.Errorf("%s: %s is terminal: %v, expected %v", name, s, m.terminal(s), end)
			}
			reach := reachable(m, s)
			if end && len(reach) != 1 {
				t.Errorf("%s: %s is an end, but leads to %v", name, s, reach)
			}
			if !end && !slices.ContainsFunc(m.ends, func(e string) bool { return slices.Contains(reach, e) }) {
				t.Errorf("%s: from %s no end is reached, only %v", name, s, reach)
			}
		}
		if reach := reachable(m, m.initial); len(reach) != len(m.states) {
			t.Errorf("%s: from %s only %v are reached, of %v", name, m.initial, reach, m.states)
		}
	}
}

func reachable(m machine, from string) []string {
	seen := []string{from}
	for i := 0; i < len(seen); i++ {
		for _, e := range m.events {
			if to := m.next(seen[i], e); !slices.Contains(seen, to) {
				seen = append(seen, to)
			}
		}
	}
	return seen
}

func TestUnknownWordsChangeNothing(t *testing.T) {
	t.Parallel()
	for name, m := range machines() {
		for _, s := range m.states {
			if to := m.next(s, "nonsense"); to != s {
				t.Errorf("%s: %s upon nonsense is %s", name, s, to)
			}
		}
		if m.legal("nonsense", m.initial) || m.legal("nonsense", "nonsense") || m.terminal("nonsense") {
			t.Errorf("%s: an unknown state is taken for a known one", name)
		}
	}
}

// A host that holds an order always ends: by its answers in any order, or by time.
func TestEveryOrderEnds(t *testing.T) {
	t.Parallel()
	for _, s := range AllHostStates() {
		holdsOrder := s.UnderWay() || s == HostOffline || s == HostDeferred
		if end := NextHostState(s, HostExpired); holdsOrder && !end.Terminal() {
			t.Errorf("%s upon expiry is %s, which is no end", s, end)
		}
		for _, e := range []HostEvent{HostSaysHealthy, HostSaysFailed, HostSaysReverted, HostSaysRefused, HostSaysSuperseded, HostSaysCancelled} {
			if end := NextHostState(s, e); holdsOrder && !end.Terminal() {
				t.Errorf("%s upon %s is %s, which is no end", s, e, end)
			}
		}
	}
}

func TestAnswersThatComeLateDoNotTakeAHostBack(t *testing.T) {
	t.Parallel()
	steps := []HostEvent{HostSaysReceived, HostSaysFetching, HostSaysBuilding, HostSaysSwitching, HostSaysVerifying, HostSaysHealthy}
	for i := range steps {
		s := HostOrdered
		for _, e := range append(slices.Clone(steps[i:]), steps[:i]...) {
			s = NextHostState(s, e)
		}
		if s != HostHealthy {
			t.Errorf("answers from %s on, then those before it, lead to %s", steps[i], s)
		}
	}
}

func TestAnOrderThatWasPutOffTakesNoFurtherSteps(t *testing.T) {
	t.Parallel()
	for _, e := range []HostEvent{HostSaysReceived, HostSaysFetching, HostSaysBuilding, HostSaysSwitching, HostSaysVerifying, HostPutOff} {
		if got := NextHostState(HostDeferred, e); got != HostDeferred {
			t.Errorf("put off, then %s, is %s", e, got)
		}
	}
	if got := NextHostState(HostDeferred, HostGiven); got != HostOrdered {
		t.Errorf("put off, then given another order, is %s", got)
	}
}

func TestWhileMergingOnlyItsOutcomeCounts(t *testing.T) {
	t.Parallel()
	for _, s := range AllUpdateStates()[1:] {
		want := UpdateMerging
		if s == UpdateMerged || s == UpdateClosed {
			want = s
		}
		if got := NextUpdateState(UpdateMerging, Judged(s)); got != want {
			t.Errorf("merging, judged %s, is %s, expected %s", s, got, want)
		}
	}
	if got := NextUpdateState(UpdateMerging, MergeRefused); got != UpdateObserved {
		t.Errorf("merging, refused, is %s, expected a look from the start", got)
	}
}

func TestHaltedRolloutsGiveWayAndDoNotResume(t *testing.T) {
	t.Parallel()
	if got := NextRolloutState(RolloutHalted, RolloutResume); got != RolloutHalted {
		t.Errorf("halted, resumed, is %s", got)
	}
	if got := NextRolloutState(RolloutHalted, RolloutOvertaken); got != RolloutSuperseded {
		t.Errorf("halted, overtaken, is %s", got)
	}
	if got := NextRolloutState(RolloutRollingBack, RolloutOvertaken); got != RolloutRollingBack {
		t.Errorf("rolling back, overtaken, is %s", got)
	}
}

func TestDiagramsShowEveryEdge(t *testing.T) {
	t.Parallel()
	for _, e := range HostEdges() {
		if !strings.Contains(HostDiagram(), string(e.From)+" --> "+string(e.To)+": ") {
			t.Errorf("the diagram of hosts lacks %s → %s", e.From, e.To)
		}
	}
	if d := RolloutDiagram(); !strings.Contains(d, "planned --> running: start\n") || !strings.Contains(d, "failed --> [*]\n") {
		t.Errorf("the diagram of rollouts is\n%s", d)
	}
	if d := UpdateDiagram(); !strings.HasPrefix(d, "stateDiagram-v2\n    [*] --> observed\n") || !strings.Contains(d, "merging --> observed: merge refused\n") {
		t.Errorf("the diagram of updates is\n%s", d)
	}
	if len(UpdateEdges()) == 0 || len(RolloutEdges()) == 0 {
		t.Errorf("%d edges of updates, %d of rollouts", len(UpdateEdges()), len(RolloutEdges()))
	}
}

func TestProgressKeepsItsTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := HostProgress{Host: "a", State: HostWaiting}.After(HostUnreachable, at)
	if p.State != HostOffline || !p.StartedAt.IsZero() || !p.Since.Equal(at) {
		t.Errorf("offline: %+v", p)
	}
	p = p.After(HostSaysBuilding, at.Add(time.Hour))
	if p.State != HostBuilding || !p.StartedAt.Equal(at.Add(time.Hour)) {
		t.Errorf("back: %+v", p)
	}
	again := p.After(HostSaysBuilding, at.Add(2*time.Hour))
	if again != p {
		t.Errorf("the same answer again changed %+v to %+v", p, again)
	}
	p = p.After(HostSaysHealthy, at.Add(3*time.Hour))
	if p.State != HostHealthy || !p.EndedAt.Equal(at.Add(3*time.Hour)) || !p.StartedAt.Equal(at.Add(time.Hour)) {
		t.Errorf("healthy: %+v", p)
	}
}
