package fleet

import (
	"strings"
	"testing"
	"time"
)

func TestHeldByAPerson(t *testing.T) {
	t.Parallel()
	hold := func(until time.Time) func(testing.TB, *Snapshot) {
		return bendRecorded(func(r *Recorded) {
			r.Hold = &Hold{By: Actor{ID: 5, Login: "ada", Type: "User"}, At: noon.Add(-2 * time.Hour), Until: until}
		})
	}
	holding := bendRecorded(func(r *Recorded) { r.HeadSeen = noon.Add(-time.Minute) })
	for name, c := range map[string]struct {
		bend    func(testing.TB, *Snapshot)
		state   UpdateState
		outcome Outcome
		found   string
		again   time.Duration
	}{
		"until it is released":       {hold(time.Time{}), UpdateReady, Waiting, "ada holds it since 2026-03-04 10:00 UTC.", restedHead},
		"until a time":               {hold(noon.Add(5 * time.Minute)), UpdateReady, Waiting, "until 2026-03-04 12:05 UTC.", 5 * time.Minute},
		"until now":                  {hold(noon), UpdateMerging, Passed, "ada held it until 2026-03-04 12:00 UTC.", mergingAgain},
		"within the hold time":       {all(hold(time.Time{}), holding), UpdateReady, Waiting, "ada holds it", againBlocked},
		"and merged by a person":     {all(hold(time.Time{}), asked(headSHA)), UpdateMerging, Waiting, "ada holds it", mergingAgain},
		"and asked for another head": {all(hold(time.Time{}), asked(newRev)), UpdateReady, Waiting, "ada holds it", restedHead},
		"while a check fails":        {all(hold(time.Time{}), bendChecks()), UpdateChecks, Waiting, "ada holds it", restedHead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := goodSnapshot(t)
			c.bend(t, &s)
			v := Decide(s, noon)
			var held Condition
			for _, one := range v.Conditions {
				if one.ID == "held" {
					held = one
				}
			}
			if v.State != c.state || held.Outcome != c.outcome || !strings.Contains(held.Found, c.found) || v.Again.Sub(noon) != c.again {
				t.Errorf("%s, %s %q, again in %s; want %s, %s %q, in %s", v.State, held.Outcome, held.Found, v.Again.Sub(noon), c.state, c.outcome, c.found, c.again)
			}
			if !held.Soft || held.Overridden != (c.state == UpdateMerging && c.outcome == Waiting) {
				t.Errorf("soft %v, overridden %v", held.Soft, held.Overridden)
			}
			if (held.Remedy == "") == (c.outcome == Waiting) || c.state == UpdateReady && !strings.Contains(v.Headline, "ada holds it") {
				t.Errorf("%q, %q", held.Remedy, v.Headline)
			}
		})
	}
	if v := Decide(goodSnapshot(t), noon); strings.Contains(strings.ToLower(v.Headline), "held") || (*Hold)(nil).Active(noon) {
		t.Error("held without a hold")
	}
}
