package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// The wishes that a person may have about an update. They are parts of addresses.
const (
	askMerge   = "merge"   // and deploy
	askOnly    = "only"    // merge, and deploy nothing
	askHold    = "hold"    // do not merge by itself
	askRelease = "release" // end a hold
)

// offers are the wishes that v takes now.
func (v updateView) offers() []string {
	var list []string
	if v.offer.possible {
		list = append(list, askMerge, askOnly)
	}
	switch {
	case !v.State.Open() || v.Ignored:
	case v.held == nil:
		list = append(list, askHold)
	default:
		list = append(list, askRelease)
	}
	return list
}

func (v updateView) offered(what string) bool { return slices.Contains(v.offers(), what) }

// stance is what a question about v is bound to: its head, its hold, and what may be
// asked of it.
func (v updateView) stance() string {
	return strings.Join(append([]string{v.HeadSHA, v.heldAt()}, v.offers()...), " ")
}

// holdStance is what the question of a hold is bound to. A hold is for the update,
// whatever its head is.
func (v updateView) holdStance() string {
	return fmt.Sprint(v.heldAt(), " ", v.offered(askHold))
}

// heldAt is which hold the page shows: a press is void for any other.
func (v updateView) heldAt() string {
	if v.held == nil {
		return ""
	}
	return v.held.At.UTC().Format(time.RFC3339Nano)
}

// element is the id of the element that stands for v on any page.
func (v updateView) element() string { return fmt.Sprintf("u-%d", v.ID) }

// askURL is where a wish is asked about.
func askURL(v updateView, what string) templ.SafeURL {
	return templ.URL(fmt.Sprintf("/updates/%d/ask/%s", v.ID, what))
}

// asking is the question before a wish is recorded. Both kinds of merge are posted to
// one address.
func (v updateView) asking(what string) asking {
	a := asking{
		post: fmt.Sprintf("/updates/%d/%s", v.ID, what), about: v.element(), state: v.stance(),
		fields: url.Values{"head_sha": {v.HeadSHA}, "held_at": {v.heldAt()}},
	}
	number := fmt.Sprintf(" #%d", v.Number)
	switch what {
	case askMerge, askOnly:
		deploy := what == askMerge
		a.post = fmt.Sprintf("/updates/%d/merge", v.ID)
		a.fields.Set("deploy", yes(deploy))
		a.title, a.confirm, a.rows = "Merge only"+number, v.offer.confirm(deploy), mergeRows(v, deploy)
		if deploy {
			a.title = "Merge & deploy" + number
		}
		if !v.offer.possible {
			a.stops = v.offer.why
		}
	case askHold:
		a.title, a.confirm, a.rows = "Hold"+number, "Hold", holdRows(v)
		a.about, a.state = v.element()+"-acts", v.holdStance()
		if !v.offered(what) {
			a.stops = "It is held already. Release that hold first, to give it another end."
		}
	case askRelease:
		a.title, a.confirm, a.rows = "Release the hold of"+number, "Release hold", nowRows(v)
		if v.held != nil {
			a.rows = releaseRows(v)
		} else {
			a.stops = "Nobody holds it."
		}
	}
	if !v.State.Open() {
		a.stops = "It is " + strings.ToLower(v.look.word) + " already."
	}
	return a
}

// askUpdate asks before one of the wishes.
func (d *Dashboard) askUpdate(what string) http.Handler {
	return d.signedIn(func(w http.ResponseWriter, r *http.Request, who visitor) {
		v, err := d.updateNow(r)
		switch {
		case errors.Is(err, ErrUnknown):
			d.notFound(w, r, "There is no such update.")
		case err != nil:
			d.cfg.Log.Error().Err(err).Str("path", r.URL.Path).Msg("read an update")
			d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "The update could not be read, because the database did not answer. Nothing was done; try again."})
		default:
			a := v.asking(what)
			if !who.may(RoleOperator) {
				a.stops = "Read-only: this needs the operator role, yours is " + who.role + "."
			}
			d.ask(w, r, who, a)
		}
	})
}

// updateNow reads the update that an address names.
func (d *Dashboard) updateNow(r *http.Request) (updateView, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return updateView{}, ErrUnknown
	}
	u, err := d.cfg.Updates.UpdateByID(r.Context(), id)
	if err == nil && u.Ignored {
		err = ErrUnknown
	}
	if err != nil {
		return updateView{}, err
	}
	o, err := d.cfg.Views.Overview(r.Context())
	if err != nil {
		return updateView{}, err
	}
	return d.scene(o).update(u), nil
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
func (f offer) stopRule() string { return failureRule(f.budget, f.onFailure) }
