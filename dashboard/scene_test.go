package dashboard

import (
	"slices"
	"strings"
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

func TestHearingOfGitHub(t *testing.T) {
	t.Parallel()
	holding := story(t, "holding").Overview
	for name, tt := range map[string]struct {
		hearing fleet.Hearing
		head    time.Duration // how long ago the update's head was first seen
		repoAge time.Duration // since its repository was read
		want    string        // of the banners
	}{
		"a webhook told of the head":        {fleet.Hearing{LastDelivery: noon.Add(-20 * time.Minute)}, 20 * time.Minute, 0, ""},
		"nothing happened for days":         {fleet.Hearing{LastDelivery: noon.Add(-99 * time.Hour)}, 99 * time.Hour, 0, ""},
		"the first webhook is on its way":   {fleet.Hearing{}, 5 * time.Minute, 0, ""},
		"no webhook ever":                   {fleet.Hearing{}, 20 * time.Minute, 0, "g-silent"},
		"found by reading":                  {fleet.Hearing{LastDelivery: noon.Add(-time.Hour)}, 20 * time.Minute, 0, "g-silent"},
		"GitHub could not bring them":       {fleet.Hearing{LastDelivery: noon, Lost: 3}, 0, 0, "g-silent"},
		"some wait, for a moment":           {fleet.Hearing{LastDelivery: noon, Waiting: 9, Oldest: noon.Add(-59 * time.Second)}, 0, 0, ""},
		"some wait for too long":            {fleet.Hearing{LastDelivery: noon, Waiting: 9, Oldest: noon.Add(-61 * time.Second)}, 0, 0, "g-lag"},
		"it can't be read, so who can tell": {fleet.Hearing{LastDelivery: noon.Add(-time.Hour), StaleRepos: 1}, 20 * time.Minute, 16 * time.Minute, "g-stale"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := holding
			o.GitHub = tt.hearing
			o.Repos, o.Updates = slices.Clone(o.Repos), slices.Clone(o.Updates)
			o.Repos[0].HeadAt, o.Updates[0].HeadSeen = noon.Add(-tt.repoAge), noon.Add(-tt.head)
			var got []string
			for _, l := range newDashboard(t, newWorld(o), Config{}).scene(o).banners() {
				got = append(got, l.id)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("banners %q, want %q", got, tt.want)
			}
		})
	}
}
