package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// People is who has signed in, with their sessions and tokens. Everything is recorded
// before it returns, and doing it twice is the same as doing it once.
type People interface {
	// SessionsOf lists the sessions of whoever has one that lasts.
	SessionsOf(ctx context.Context, s Session) ([]fleet.SessionView, error)
	// EndSession ends one of them.
	EndSession(ctx context.Context, s Session, id string) error
	// EndOwnSessions ends all of them, the one that asks as well.
	EndOwnSessions(ctx context.Context, s Session) error
	// Everybody lists who has signed in.
	Everybody(ctx context.Context) ([]fleet.PersonView, error)
	// EndSessionsOf ends all sessions of somebody, at an administrator's wish.
	EndSessionsOf(ctx context.Context, by Session, p fleet.PersonView) error
	Tokens
}

func (d *Dashboard) peopleRoutes(mux *http.ServeMux) {
	mux.Handle("GET /settings/you", d.signedIn(d.youPage))
	mux.Handle("GET /settings/you/end", d.signedIn(d.askEndSession))
	mux.Handle("POST /settings/you/end", d.press(RoleViewer, d.endSession))
	mux.Handle("GET /settings/people", d.signedIn(d.peoplePage))
	mux.Handle("GET /settings/people/end", d.signedIn(d.askEndSessionsOf))
	mux.Handle("POST /settings/people/end", d.press(RoleAdmin, d.endSessionsOf))
	d.tokenRoutes(mux)
}

// youView is the page about who looks.
type youView struct {
	Page     page
	Sessions []fleet.SessionView
}

func (d *Dashboard) youPage(w http.ResponseWriter, r *http.Request, who visitor) {
	list, err := d.cfg.People.SessionsOf(r.Context(), who.session)
	if err != nil {
		d.unread(w, r, "your sessions", err)
		return
	}
	v := youView{Page: d.page(w, r, who), Sessions: list}
	v.Page.At = "settings"
	d.show(w, r, http.StatusOK, youPage(v))
}

// unread says that a page could not be read.
func (d *Dashboard) unread(w http.ResponseWriter, r *http.Request, what string, err error) {
	d.cfg.Log.Error().Ctx(r.Context()).Err(err).Str("path", r.URL.Path).Msg("read " + what)
	d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: title(what) + " could not be read, because the database did not answer. Try again."})
}

// askEndSession asks before one session ends, or all.
func (d *Dashboard) askEndSession(w http.ResponseWriter, r *http.Request, who visitor) {
	list, err := d.cfg.People.SessionsOf(r.Context(), who.session)
	if err != nil {
		d.unread(w, r, "your sessions", err)
		return
	}
	id := r.URL.Query().Get("session")
	if id == "" {
		d.ask(w, r, who, asking{title: "Sign out everywhere", rows: endAllRows(len(list)), post: "/settings/you/end", danger: true,
			confirm: "Sign out of " + plural(len(list), "session", "sessions")})
		return
	}
	for _, s := range list {
		if s.ID == id && !s.This {
			d.ask(w, r, who, asking{title: "End a session", rows: endOneRows(s), post: "/settings/you/end", confirm: "End this session", danger: true,
				fields: url.Values{"session": {id}}})
			return
		}
	}
	d.answer(w, r, notice{http.StatusNotFound, "This session has ended already."})
}

func (d *Dashboard) endSession(r *http.Request, who visitor) (pressed, error) {
	if id := r.PostFormValue("session"); id != "" {
		return pressed{"The session has ended. A page that is open in it says so within seconds.", "/settings/you"}, d.cfg.People.EndSession(r.Context(), who.session, id)
	}
	return pressed{"You are signed out everywhere.", "/login"}, d.cfg.People.EndOwnSessions(r.Context(), who.session)
}

// peopleView is the page with everybody.
type peopleView struct {
	Page   page
	People []fleet.PersonView
	Offer  Offer
}

func (d *Dashboard) peoplePage(w http.ResponseWriter, r *http.Request, who visitor) {
	v := peopleView{Page: d.page(w, r, who)}
	v.Page.At = "settings"
	if !who.may(RoleAdmin) {
		d.show(w, r, http.StatusForbidden, peoplePage(v))
		return
	}
	var err error
	if v.People, err = d.cfg.People.Everybody(r.Context()); err == nil {
		v.Offer, err = d.cfg.Sessions.Offer(r.Context())
	}
	if err != nil {
		d.unread(w, r, "who has signed in", err)
		return
	}
	d.show(w, r, http.StatusOK, peoplePage(v))
}

// personKey names somebody in a form: github/7, or local/admin.
func personKey(p fleet.PersonView) string {
	if p.Local() {
		return "local/" + p.Login
	}
	return "github/" + strconv.FormatInt(p.ID, 10)
}

// person finds who a form names.
func (d *Dashboard) person(r *http.Request, key string) (fleet.PersonView, error) {
	list, err := d.cfg.People.Everybody(r.Context())
	if err != nil {
		return fleet.PersonView{}, err
	}
	for _, p := range list {
		if personKey(p) == key {
			return p, nil
		}
	}
	return fleet.PersonView{}, ErrUnknown
}

func (d *Dashboard) askEndSessionsOf(w http.ResponseWriter, r *http.Request, who visitor) {
	if !who.may(RoleAdmin) {
		d.answer(w, r, notice{http.StatusForbidden, "Only administrators end the sessions of others; your role is " + who.role + "."})
		return
	}
	p, err := d.person(r, r.URL.Query().Get("person"))
	if err != nil {
		d.answer(w, r, d.refusal(r, who, err))
		return
	}
	d.ask(w, r, who, asking{title: "End all sessions of " + p.Login, rows: endOthersRows(p), post: "/settings/people/end", danger: true,
		confirm: "End " + plural(p.Sessions, "session", "sessions") + " of " + p.Login, fields: url.Values{"person": {personKey(p)}}})
}

func (d *Dashboard) endSessionsOf(r *http.Request, who visitor) (pressed, error) {
	p, err := d.person(r, r.PostFormValue("person"))
	if err != nil {
		return pressed{}, err
	}
	return pressed{"The sessions of " + p.Login + " have ended.", "/settings/people"}, d.cfg.People.EndSessionsOf(r.Context(), who.session, p)
}

// wayIn is how somebody signed in, for a sentence.
func (v visitor) wayIn() string {
	if v.local() {
		return "past GitHub, with a link or the admin token of the server"
	}
	return "with GitHub"
}

// roleMeans says what a role is good for.
func roleMeans(role string) string {
	switch role {
	case RoleAdmin:
		return "everything, also the settings, hosts and keys."
	case RoleOperator:
		return "looking, merging, and deploying."
	}
	return "looking at everything, and changing nothing."
}

// enumerated is a list for a sentence: a, b and c.
func enumerated(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " and " + list[last]
}

// place is a session's browser and address, as far as they are known.
func place(s fleet.SessionView) string {
	name := s.Browser
	if name == "" {
		name = "A browser"
	}
	return strings.TrimSuffix(name+" at "+s.Address, " at ")
}

// personLook is somebody's role in a pill.
func personLook(p fleet.PersonView, now time.Time) look {
	switch {
	case p.Role == fleet.RoleNone:
		return look{"error", "blocked", "no access"}
	case !p.Local() && now.Sub(p.Checked) >= fleet.RoleTrust && p.Sessions+p.Tokens > 0 && p.Role != RoleViewer:
		return look{"stale", "stale", p.Role + ", unconfirmed"}
	}
	return look{"ok", "ok", p.Role}
}
