package fleet_test

import (
	"slices"
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
)

// Each line names what a new order of the kind ends of what waits for the same host.
func TestWhatANewOrderReplaces(t *testing.T) {
	t.Parallel()
	system := []string{"deploy", "pull", "switch", "test", "boot", "rollback"}
	build := []string{"deploy", "switch", "test", "boot", "rollback"} // a person who orders pull, then switch, wants both
	want := map[string][]string{
		"deploy": system, "pull": system, "rollback": system, "switch": build, "test": build, "boot": build,
		"restart_agent": {"restart_agent"}, "reboot": {"reboot"}, "refresh": {"refresh"}, "update_inputs": {"update_inputs"},
		"cancel": nil, "noop": nil,
	}
	if kinds := fleet.AllOrderKinds(); len(kinds) != len(want) {
		t.Errorf("%d kinds, the table of this test has %d", len(kinds), len(want))
	}
	for _, kind := range fleet.AllOrderKinds() {
		for _, older := range fleet.AllOrderKinds() {
			o, p := fleet.Order{ID: "B", Host: "h", Kind: kind}, fleet.Order{ID: "A", Host: "h", Kind: older}
			if got := o.Replaces(p); got != slices.Contains(want[kind], older) {
				t.Errorf("%s replaces %s: %t", kind, older, got)
			}
			p.Host = "another"
			if o.Replaces(p) {
				t.Errorf("%s replaces %s of another host", kind, older)
			}
		}
	}
}

func TestACancelReplacesWhatItNames(t *testing.T) {
	t.Parallel()
	cancel := fleet.Order{ID: "C", Host: "h", Kind: "cancel", Detail: fleet.OrderDetail{Cancels: "A"}}
	if !cancel.Replaces(fleet.Order{ID: "A", Host: "h", Kind: "reboot"}) || cancel.Replaces(fleet.Order{ID: "B", Host: "h", Kind: "reboot"}) {
		t.Error("a cancel ends the order that it names, and no other")
	}
}

// Somebody waits for what an evaluator was asked.
func TestARefreshDoesNotReplaceAnEvaluation(t *testing.T) {
	t.Parallel()
	o := fleet.Order{ID: "B", Host: "h", Kind: "refresh"}
	if o.Replaces(fleet.Order{ID: "A", Host: "h", Kind: "refresh", Detail: fleet.OrderDetail{Evaluate: []string{"nixosConfigurations.a"}}}) {
		t.Error("an evaluation for others was replaced by a mere look")
	}
}
