package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

var allKinds = append([]agentbus.Kind{agentbus.KindCancel, agentbus.KindNoop}, olderKinds...)

// TestEveryPairOfKinds says in words what the table says in letters, and looks at
// what a ledger makes of each pair: which order is worked on, and which has ended.
func TestEveryPairOfKinds(t *testing.T) {
	t.Parallel()
	aims := []agentbus.Kind{
		agentbus.KindDeploy, agentbus.KindPull, agentbus.KindSwitch, agentbus.KindTest, agentbus.KindBoot, agentbus.KindRollback,
	}
	isAim := func(k agentbus.Kind) bool { return strings.Contains(fmt.Sprint(aims), string(k)) }
	looks := func(k agentbus.Kind) bool { return k == agentbus.KindRefresh || k == agentbus.KindUpdateInputs }
	errands := func(k agentbus.Kind) bool { return k == agentbus.KindRestartAgent || k == agentbus.KindReboot }
	usesCheckout := func(k agentbus.Kind) bool { return actionOf(k) != actSwitch || k == agentbus.KindSwitch }
	want := func(newer, older agentbus.Kind) relation {
		switch {
		case newer == agentbus.KindCancel:
			return stops // it names the older one
		case newer == agentbus.KindNoop && isAim(older):
			return stops
		case newer == agentbus.KindNoop:
			return waits
		case older == agentbus.KindPull && usesCheckout(newer):
			return waits
		case isAim(newer) && isAim(older):
			return stops
		case errands(older) || looks(older):
			switch {
			case newer == older:
				return stops
			case looks(older) && !looks(newer), newer == agentbus.KindRefresh && older == agentbus.KindUpdateInputs:
				return first
			}
			return waits
		case errands(newer):
			return first
		}
		return waits
	}
	for _, older := range olderKinds {
		for _, newer := range allKinds {
			t.Run(fmt.Sprintf("%s after %s", newer, older), func(t *testing.T) {
				t.Parallel()
				p, o := testOrder(1, older), testOrder(2, newer)
				o.Cancels = p.ID
				rel := want(newer, older)
				if got := relate(o, p); got != rel {
					t.Fatalf("relation %c, want %c", got, rel)
				}
				checkPair(t, p, o, rel, false)
				checkPair(t, p, o, rel, true)
			})
		}
	}
}

// checkPair accepts p and then o, p being under way or not.
func checkPair(t *testing.T, p, o agentbus.Order, rel relation, working bool) {
	t.Helper()
	l := openLedger(t, t.TempDir())
	defer l.journal.close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, _, _, err := l.next(t.Context())
	must(err)
	must(l.accept(p))
	if working {
		ctx, _, _, err = l.next(t.Context())
		must(err)
	}
	must(l.accept(o))
	if stopped := ctx.Err() != nil; stopped != (working && rel != waits) {
		t.Errorf("work stopped: %v", stopped)
	}
	rec := l.snapshot()
	if _, open := rec.work(p.ID); open != (working || rel != stops) {
		t.Errorf("the older order is open: %v, while worked on: %v", open, working)
	}
	if _, open := rec.work(o.ID); open != (!instant(o.Kind) || working && rel == stops) {
		t.Errorf("the newer order is open: %v, while worked on: %v", open, working)
	}
	_, w, ok, err := l.next(t.Context())
	must(err)
	next := map[relation]string{waits: p.ID, stops: o.ID, first: o.ID}[rel]
	if instant(o.Kind) && rel == stops {
		next = ""
	}
	if w.Order.ID != next || ok != (next != "") {
		t.Errorf("next is %q, want %q", w.Order.ID, next)
	}
}

func TestWhatHasBegunIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, newer := range allKinds {
		l := openLedger(t, t.TempDir())
		defer l.journal.close()
		p, o := testOrder(1, agentbus.KindDeploy), testOrder(2, newer)
		o.Cancels = p.ID
		if err := l.accept(p); err != nil {
			t.Fatal(err)
		}
		ctx, _, _, err := l.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.begin(p.ID, agentbus.Answer{Step: agentbus.StepSwitching}); err != nil {
			t.Fatal(err)
		}
		if err := l.accept(o); err != nil {
			t.Fatal(err)
		}
		if ctx.Err() != nil {
			t.Errorf("%s stopped a switch", newer)
		}
		if _, w, _, _ := l.next(t.Context()); w.Order.ID != p.ID {
			t.Errorf("%s went before a switch: next is %s", newer, w.Order.ID)
		}
	}
}

// A refresh that evaluates for others takes long, and is not given up for a look.
func TestALookGoesBeforeAnEvaluation(t *testing.T) {
	t.Parallel()
	look, evaluation := testOrder(2, agentbus.KindRefresh), testOrder(1, agentbus.KindRefresh)
	evaluation.Evaluate = []string{"nixosConfigurations.web2"}
	if got := relate(look, evaluation); got != first {
		t.Errorf("a look after an evaluation: %c", got)
	}
	if got := relate(evaluation, look); got != stops {
		t.Errorf("an evaluation after a look: %c", got)
	}
}
