package dashboard

import (
	"fmt"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// The wishes that a person may have about an update. They are parts of addresses
// and of what the page's script compares.
const (
	askMerge   = "merge"   // and deploy
	askOnly    = "only"    // merge, and deploy nothing
	askHold    = "hold"    // do not merge by itself
	askRelease = "release" // end a hold
)

// offers are the buttons that v has now, for the script that locks what is no
// longer offered.
func (v updateView) offers() string {
	var list []string
	if v.offer.possible {
		list = append(list, askMerge, askOnly)
	}
	if v.State.Open() && v.held == nil {
		list = append(list, askHold)
	}
	if v.State.Open() && v.held != nil {
		list = append(list, askRelease)
	}
	return strings.Join(list, " ")
}

func (v updateView) offered(what string) bool {
	return strings.Contains(" "+v.offers()+" ", " "+what+" ")
}

// heldAt is which hold the page shows: a press is void for any other.
func (v updateView) heldAt() string {
	if v.held == nil {
		return ""
	}
	return v.held.At.UTC().Format(time.RFC3339Nano)
}

// dialogID is the element id of the dialog for a wish.
func (v updateView) dialogID(what string) string { return fmt.Sprintf("%s-%d", what, v.ID) }

func (v updateView) mergeWish(deploy bool) string {
	if deploy {
		return askMerge
	}
	return askOnly
}

func (v updateView) mergeHeading(deploy bool) string {
	if deploy {
		return "Merge & deploy"
	}
	return "Merge only"
}

// actURL is where a wish is posted to. Both kinds of merge are one address.
func actURL(v updateView, what string) templ.SafeURL {
	if what == askOnly {
		what = askMerge
	}
	return templ.URL(fmt.Sprintf("/updates/%d/%s", v.ID, what))
}

// headOf binds a dialog to the head SHA that it speaks of. A hold is for the
// update, whatever its head is.
func headOf(v updateView, what string) templ.Attributes {
	if what == askHold {
		return nil
	}
	return templ.Attributes{"data-head": v.HeadSHA}
}

// yes is a choice as forms carry it.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// askedFor names the request that is on record.
func (v updateView) askedFor() string {
	if v.Request.Deploy {
		return "Merge & Deploy"
	}
	return "Merge only"
}

// left is what stands between an update and its merge once its hold is released.
func (v updateView) left() (waits, stops []fleet.Condition) {
	for _, c := range v.Verdict.Conditions {
		switch {
		case c.ID == "held" || c.Overridden || c.Outcome == fleet.Passed || c.Outcome == fleet.Off:
		case c.Outcome == fleet.Waiting:
			waits = append(waits, c)
		default:
			stops = append(stops, c)
		}
	}
	return waits, stops
}

// duration is one entry of the list of how long a hold may last, in the words of
// the command /nixfleet hold.
type duration struct{ value, words string }

var holdDurations = []duration{
	{"", "until somebody releases it"},
	{"1h", "1 hour"}, {"4h", "4 hours"}, {"1d", "1 day"}, {"2d", "2 days"}, {"7d", "1 week"},
}

// confirm is the label of the button that does it.
func (f offer) confirm(deploy bool) string {
	if !deploy {
		return "Merge, deploy nothing"
	}
	if f.hosts == 0 {
		return "Merge"
	}
	return "Merge & deploy to " + plural(f.hosts, "host", "hosts")
}

// stopRule says what a failure does.
func (f offer) stopRule() string {
	what := map[string]string{
		"rollback":  "ends the rollout; hosts that have switched go back to what they ran",
		"revert_pr": "stops the rollout and opens a pull request that reverts the commit; hosts that have switched stay switched",
	}[f.onFailure]
	if what == "" {
		what = "stops the rollout; hosts that have switched stay switched"
	}
	if f.budget <= 1 {
		return "The first failure " + what + "."
	}
	return fmt.Sprintf("Failure number %d %s.", f.budget, what)
}
