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

// asked are the answers to what was recorded.
var asked = map[string]string{
	askMerge:   "Recorded. NixFleet merges this pull request as soon as every condition that can’t be overridden holds.",
	askOnly:    "Recorded. NixFleet merges this pull request as soon as every condition that can’t be overridden holds, and deploys nothing.",
	askHold:    "Recorded. This pull request does not merge by itself until the hold ends.",
	askRelease: "Recorded. The hold is released; what holds for this pull request is looked at again now.",
}

// wish is what a form asks for, and how it is recorded.
type wish struct {
	what  string // a key of asked
	store func(ctx context.Context, by fleet.Actor, seen Seen) error
}

// act serves a button of an update: it reads what the person saw and wants, and
// records it for those who may.
func (d *Dashboard) act(read func(*http.Request) (wish, error)) http.Handler {
	return d.press(RoleOperator, func(r *http.Request, who visitor) (pressed, error) {
		seen, err := readSeen(r)
		if err != nil {
			return pressed{}, BadRequest("The request does not name what you saw. Reload the page and try again.")
		}
		wanted, err := read(r)
		if err != nil {
			return pressed{}, err
		}
		return pressed{text: asked[wanted.what]}, wanted.store(r.Context(), who.actor, seen)
	})
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
		return wish{}, BadRequest("The request does not say whether to deploy. Reload the page and try again.")
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
		return wish{}, BadRequest("Nothing is held: " + err.Error() + ".")
	}
	return wish{askHold, func(ctx context.Context, by fleet.Actor, seen Seen) error {
		return d.cfg.Actions.Hold(ctx, by, seen, c.Until)
	}}, nil
}

func (d *Dashboard) release(*http.Request) (wish, error) {
	return wish{askRelease, d.cfg.Actions.Release}, nil
}
