package dashboard

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// asked are the answers to what was recorded; posts without script come back to
// them by a redirect.
var asked = map[string]string{
	askMerge:   "Recorded. NixFleet merges this pull request as soon as every condition that can’t be overridden holds.",
	askOnly:    "Recorded. NixFleet merges this pull request as soon as every condition that can’t be overridden holds, and deploys nothing.",
	askHold:    "Recorded. This pull request does not merge by itself until the hold ends.",
	askRelease: "Recorded. The hold is released; what holds for this pull request is looked at again now.",
	"app":      "The GitHub App exists, and NixFleet works as it from now on.",
}

// wish is what a form asks for, and how it is recorded.
type wish struct {
	what  string // a key of asked
	store func(ctx context.Context, by fleet.Actor, seen Seen) error
}

// act serves a button of an update: it reads what the person saw and wants, and
// records it for those who may.
func (d *Dashboard) act(read func(*http.Request) (wish, error)) func(http.ResponseWriter, *http.Request, visitor) {
	return func(w http.ResponseWriter, r *http.Request, who visitor) {
		seen, err := readSeen(r)
		if err != nil {
			d.answer(w, r, notice{Status: http.StatusBadRequest, Text: "The request does not name what you saw. Reload the page and try again."})
			return
		}
		wanted, err := read(r)
		switch {
		case err != nil:
			d.answer(w, r, notice{Status: http.StatusBadRequest, Text: err.Error()})
			return
		case !who.mayAct():
			d.answer(w, r, notice{Status: http.StatusForbidden, Text: "Read-only: this needs the operator role, yours is " + who.role + "."})
			return
		case r.PostFormValue("build") != d.build:
			d.answer(w, r, notice{Status: http.StatusConflict, Text: "The dashboard was updated since this page was loaded. Reload it, look again, then press the button."})
			return
		}
		log := d.cfg.Log.With().Int64("update", seen.Update).Str("head_sha", seen.HeadSHA).Str("actor", who.actor.Login).Str("wish", wanted.what).Logger()
		err = wanted.store(r.Context(), who.actor, seen)
		var refused Refused
		switch {
		case errors.Is(err, ErrHeadMoved):
			d.answer(w, r, notice{Status: http.StatusConflict, Text: "The pull request changed since you looked, so nothing was done. Review it again."})
		case errors.As(err, &refused):
			d.answer(w, r, notice{Status: http.StatusConflict, Text: refused.Error()})
		case err != nil:
			log.Error().Err(err).Msg("record a wish")
			d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "The request could not be recorded, so nothing was done. Try again."})
		default:
			log.Info().Msg("asked for")
			d.wake()
			d.done(w, r, wanted.what)
		}
	}
}

// readSeen is what every form of an update carries.
func readSeen(r *http.Request) (Seen, error) {
	seen := Seen{HeadSHA: r.PostFormValue("head_sha")}
	var err error
	if seen.Update, err = strconv.ParseInt(r.PathValue("id"), 10, 64); err != nil {
		return seen, err
	}
	if seen.HeadSHA == "" {
		return seen, errors.New("no head SHA")
	}
	if at := r.PostFormValue("held_at"); at != "" {
		seen.HeldAt, err = time.Parse(time.RFC3339Nano, at)
	}
	return seen, err
}

func (d *Dashboard) merge(r *http.Request) (wish, error) {
	what := map[string]string{"yes": askMerge, "no": askOnly}[r.PostFormValue("deploy")]
	if what == "" {
		return wish{}, Refused("The request does not say whether to deploy. Reload the page and try again.")
	}
	return wish{what, func(ctx context.Context, by fleet.Actor, seen Seen) error {
		return d.cfg.Actions.Merge(ctx, by, seen, what == askMerge)
	}}, nil
}

// hold takes a duration in the words of the command /nixfleet hold.
func (d *Dashboard) hold(r *http.Request) (wish, error) {
	line := fleet.CommandWord + " hold " + strings.TrimSpace(r.PostFormValue("for"))
	c, err := fleet.ParseCommand(line, d.cfg.Now())
	if err != nil {
		return wish{}, Refused("Nothing is held: " + err.Error() + ".")
	}
	return wish{askHold, func(ctx context.Context, by fleet.Actor, seen Seen) error {
		return d.cfg.Actions.Hold(ctx, by, seen, c.Until)
	}}, nil
}

func (d *Dashboard) release(*http.Request) (wish, error) {
	return wish{askRelease, d.cfg.Actions.Release}, nil
}
