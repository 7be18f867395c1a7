package dashboard

import (
	"errors"
	"net/http"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// pressed is what came of a press that was carried out.
type pressed struct {
	text string // for the person who pressed
	next string // path of the page to go to; empty: the page stays, and without script it is the Fleet page
}

// BadRequest is an error for people: what a form carries is not what it asks for.
type BadRequest string

func (e BadRequest) Error() string { return string(e) }

// may reports whether v has at least a role.
func (v visitor) may(least string) bool { return fleet.RoleCovers(v.role, least) }

// press serves every post that changes something: it is for people of at least a
// role, from a page of this build. do records the wish; it may be called again for
// the same press, and must then do nothing more. Errors that are no [Refused],
// [BadRequest], [ErrUnknown] or [ErrHeadMoved] are logged, and people are told that
// nothing was done.
func (d *Dashboard) press(least string, do func(r *http.Request, who visitor) (pressed, error)) http.Handler {
	return d.signedIn(func(w http.ResponseWriter, r *http.Request, who visitor) {
		if !d.mayPress(w, r, who, least) {
			return
		}
		p, err := do(r, who)
		if err != nil {
			d.answer(w, r, d.refusal(r, who, err))
			return
		}
		d.cfg.Log.Info().Ctx(r.Context()).Str("path", r.URL.Path).Str("actor", who.actor.Login).Msg(p.text)
		d.wake()
		d.done(w, r, p)
	})
}

// mayPress reports whether a post is of somebody who may, and from a page of this build;
// where it is not, it has answered.
func (d *Dashboard) mayPress(w http.ResponseWriter, r *http.Request, who visitor, least string) bool {
	err := r.ParseForm()
	switch {
	case err != nil:
		d.answer(w, r, notice{http.StatusBadRequest, "The form did not arrive whole, so nothing was done. Reload the page and try again."})
	case !who.may(least):
		d.answer(w, r, notice{http.StatusForbidden, "Read-only: this needs the " + least + " role, yours is " + who.role + "."})
	case r.PostFormValue("build") != d.build:
		d.answer(w, r, notice{http.StatusConflict, "The dashboard was updated since this page was loaded. Reload it, look again, then press the button."})
	default:
		return true
	}
	return false
}

// refusal says why nothing was done.
func (d *Dashboard) refusal(r *http.Request, who visitor, err error) notice {
	if refused, ok := errors.AsType[Refused](err); ok {
		return notice{http.StatusConflict, refused.Error()}
	}
	if bad, ok := errors.AsType[BadRequest](err); ok {
		return notice{http.StatusBadRequest, bad.Error()}
	}
	switch {
	case errors.Is(err, ErrHeadMoved):
		return notice{http.StatusConflict, "The pull request changed since you looked, so nothing was done. Review it again."}
	case errors.Is(err, ErrUnknown):
		return notice{http.StatusNotFound, "It is not there any more, so nothing was done."}
	}
	d.cfg.Log.Error().Ctx(r.Context()).Err(err).Str("path", r.URL.Path).Str("actor", who.actor.Login).Msg("record a wish")
	return notice{http.StatusServiceUnavailable, "The request could not be recorded, so nothing was done. Try again."}
}

// done answers a press that was carried out: a script with a line and where to go,
// a plain form with a redirect, so that reloading does not post again.
func (d *Dashboard) done(w http.ResponseWriter, r *http.Request, p pressed) {
	n := notice{http.StatusAccepted, p.text}
	if scripted(r) && p.next == "" {
		d.answer(w, r, n)
		return
	}
	d.flash(w, n)
	next := p.next
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		next = "/"
	}
	if scripted(r) {
		w.Header().Set("X-Next", next)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}
