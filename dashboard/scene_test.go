package dashboard

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestAStoppedUpdateShowsFirstWhatStopsIt(t *testing.T) {
	t.Parallel()
	passed := fleet.Condition{ID: "files", Title: "Files", Outcome: fleet.Passed}
	hold := fleet.Condition{ID: "hold", Title: "Hold", Outcome: fleet.Waiting, Soft: true}
	refused := func(title string) fleet.Condition {
		return fleet.Condition{ID: title, Title: title, Outcome: fleet.Refused}
	}
	for name, tt := range map[string]struct {
		conditions []fleet.Condition
		open       []string
		why, fold  string
	}{
		"nothing stops it": {[]fleet.Condition{passed, hold}, []string{"Hold"}, "", "Show the 1 that hold"},
		"one condition does": {[]fleet.Condition{passed, hold, refused("Locks")}, []string{"Locks"},
			"“Locks” is refused, and nobody can override that here." + elsewhere, "Show the other 2"},
		"several do": {[]fleet.Condition{passed, hold, refused("Locks"), refused("Dates")}, []string{"Locks", "Dates"},
			"2 conditions stand in the way that nobody can override here." + elsewhere, "Show the other 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := fleet.Update{State: fleet.UpdateHolding, HeadSHA: "a", Verdict: fleet.Verdict{HeadSHA: "a", Conditions: tt.conditions}}
			v := scene{}.update(u)
			var open []string
			for _, c := range v.open {
				open = append(open, c.Title)
			}
			if diff := cmp.Diff(tt.open, open); diff != "" {
				t.Errorf("in sight (-want +got):\n%s", diff)
			}
			if v.offer.why != tt.why || v.fold() != tt.fold || v.holds != 1 {
				t.Errorf("it says %q, %q and %q", v.offer.why, v.fold(), v.tally())
			}
		})
	}
}

func TestHowFarAnInputMoves(t *testing.T) {
	t.Parallel()
	for by, want := range map[time.Duration]string{
		0: "", 7 * 24 * time.Hour: "+7 d", 47 * time.Hour: "+1 d", -3 * time.Hour: "-3 h", 90 * time.Second: "+1 min", 20 * time.Second: "+20 s",
	} {
		if got := moved(fleet.InputChange{FromDate: noon, ToDate: noon.Add(by)}); got != want {
			t.Errorf("%v is written %q, want %q", by, got, want)
		}
	}
}
