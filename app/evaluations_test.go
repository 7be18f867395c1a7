package app

import (
	"slices"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestOrdersCarryWhatIsKnown(t *testing.T) {
	t.Parallel()
	const path, at = "/nix/store/x", "aaa"
	for name, c := range map[string]struct {
		kind   agentbus.Kind
		commit string
		known  db.Expectation
		want   agentbus.Order
	}{
		"nothing":             {agentbus.KindPull, at, db.Expectation{}, agentbus.Order{Commit: at}},
		"a path":              {agentbus.KindPull, at, db.Expectation{Commit: at, Path: path}, agentbus.Order{Commit: at, Expected: path}},
		"somebody works":      {agentbus.KindDeploy, at, db.Expectation{Commit: at, Waits: true}, agentbus.Order{Commit: at, NoEval: true}},
		"of the checkout":     {agentbus.KindRefresh, "", db.Expectation{Commit: at, Path: path}, agentbus.Order{Commit: at, Expected: path}},
		"a switch names none": {agentbus.KindSwitch, "", db.Expectation{Commit: at, Path: path}, agentbus.Order{}},
	} {
		c.want.Kind = c.kind
		if got := informed(agentbus.Order{Kind: c.kind, Commit: c.commit}, c.known); got.Commit != c.want.Commit || got.Expected != c.want.Expected || got.NoEval != c.want.NoEval {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Two replicas look at the same moment: a head is evaluated once, by all evaluators
// together, and the next head takes its place.
func TestEvaluatorsAreAskedOnceForEachHead(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	p.host("build1", fleet.EvaluatorTag)
	p.host("build2", fleet.EvaluatorTag)
	p.host("web1")
	look := func() {
		t.Helper()
		for range 2 {
			_, err := p.workEvaluations(t.Context())
			must(t, err)
		}
	}
	asked := func() (attrs []string) {
		t.Helper()
		for _, name := range []string{"build1", "build2"} {
			found, err := p.db.OrdersToSend(t.Context(), []string{name}, p.clock.now())
			must(t, err)
			for _, o := range found {
				if o.Order.Kind != "refresh" || o.Order.Commit != p.main() || o.Order.Actor != "evaluator" {
					t.Errorf("%+v", o.Order)
				}
				attrs = append(attrs, o.Order.Detail.Evaluate...)
			}
		}
		slices.Sort(attrs)
		return attrs
	}
	want := []string{"nixosConfigurations.build1", "nixosConfigurations.build2", "nixosConfigurations.web1"}
	look()
	if got := asked(); !slices.Equal(got, want) {
		t.Errorf("asked for %v", got)
	}
	p.commit(pressedRepo, "main", map[string]string{"x": "y"})
	p.turn()
	look()
	if got := asked(); !slices.Equal(got, want) {
		t.Errorf("at the next head asked for %v", got)
	}
	p.clock.forward(time.Hour)
	n, err := p.workEvaluations(t.Context())
	if err != nil || n != 0 {
		t.Errorf("with all evaluators away, %d are asked (%v)", n, err)
	}
}
