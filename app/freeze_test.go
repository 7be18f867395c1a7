package app

import (
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
)

// A freeze goes along with the rollout of a push, and not with one that follows from
// a merge that a person asked for.
func TestAFreezeGoesAlongWithWhatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	p := newWatched(t, `
version: 1
updates:
  require_checks: false
  freeze: [{from: "Fri 18:00", to: "Mon 06:00", reason: weekend}]
`)
	p.turn()
	p.commit(pressedRepo, "main", map[string]string{"flake.lock": p.lock()})
	p.turn()
	claims, err := p.db.ClaimRollouts(t.Context(), p.clock.now(), lease, 8)
	must(t, err)
	if len(claims) != 1 || len(claims[0].Deploy.Freeze) != 1 || claims[0].Deploy.Freeze[0].Reason != "weekend" {
		t.Fatalf("rollouts of the push: %+v, want one with the freeze of the policy", claims)
	}

	policy := fleet.Policy{Updates: fleet.UpdatePolicy{Freeze: claims[0].Deploy.Freeze}}
	if d := deployPolicy(policy, nil); len(d.Freeze) != 1 {
		t.Errorf("a merge by policy has the freezes %v, want the policy's", d.Freeze)
	}
	if d := deployPolicy(policy, &fleet.MergeRequest{}); len(d.Freeze) != 0 {
		t.Errorf("a merge that a person asked for has the freezes %v", d.Freeze)
	}
}
