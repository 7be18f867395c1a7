package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Tokens are those of programs. They fail with a [Refused] for reasons meant for people.
type Tokens interface {
	// TokensFor lists the tokens of whoever has a session; for an administrator those of
	// everybody.
	TokensFor(ctx context.Context, s Session) ([]fleet.TokenView, error)
	// MakeToken makes one, and returns its text, which is kept nowhere.
	MakeToken(ctx context.Context, s Session, t TokenWish) (text string, err error)
	// RevokeToken makes one useless. What there is not, or is not theirs, is [ErrUnknown].
	RevokeToken(ctx context.Context, s Session, id string) error
}

// TokenWish is a token that somebody asks for.
type TokenWish struct {
	Name string
	Role string
	Days int // 0: until it is revoked
}

// usualDays is how long a token works unless somebody says otherwise.
const usualDays = 90

// lifetimes are what the form offers.
var lifetimes = []struct {
	days  int
	words string
}{{7, "7 days"}, {30, "30 days"}, {usualDays, "90 days"}, {365, "a year"}, {0, "until it is revoked"}}

func (d *Dashboard) tokenRoutes(mux *http.ServeMux) {
	mux.Handle("GET /settings/tokens", d.signedIn(d.tokensPage))
	mux.Handle("POST /settings/tokens", d.signedIn(d.makeToken))
	mux.Handle("GET /settings/tokens/revoke", d.signedIn(d.askRevoke))
	mux.Handle("POST /settings/tokens/revoke", d.press(RoleViewer, d.revokeToken))
}

// tokensView is the page with tokens.
type tokensView struct {
	Page   page
	Works  []fleet.TokenView
	Past   []fleet.TokenView // that let nobody in any more
	Wish   TokenWish         // what stands in the form
	Fault  string            // why it was not made
	Made   string            // the text of the one that was made just now
	Server string            // for the example
}

// roles are what the person may give a token.
func (v tokensView) roles() []string {
	var list []string
	for _, role := range []string{RoleViewer, RoleOperator, RoleAdmin} {
		if v.Page.Who.may(role) {
			list = append(list, role)
		}
	}
	return list
}

// others reports whether tokens of other people are listed.
func (v tokensView) others() bool { return v.Page.Who.may(RoleAdmin) }

func (d *Dashboard) tokensPage(w http.ResponseWriter, r *http.Request, who visitor) {
	d.showTokens(w, r, who, http.StatusOK, tokensView{Wish: TokenWish{Role: RoleViewer, Days: usualDays}})
}

func (d *Dashboard) showTokens(w http.ResponseWriter, r *http.Request, who visitor, status int, v tokensView) {
	list, err := d.cfg.People.TokensFor(r.Context(), who.session)
	if err != nil && v.Made == "" { // a token that was made is shown, whatever becomes of the list
		d.unread(w, r, "the tokens", err)
		return
	}
	now := d.cfg.Now()
	for _, t := range list {
		if t.Works(now) {
			v.Works = append(v.Works, t)
		} else {
			v.Past = append(v.Past, t)
		}
	}
	v.Page, v.Server = d.page(w, r, who), d.cfg.PublicURL
	v.Page.At = "settings"
	d.show(w, r, status, tokensPage(v))
}

// makeToken makes a token and shows it, once: it goes into this answer and nowhere else.
func (d *Dashboard) makeToken(w http.ResponseWriter, r *http.Request, who visitor) {
	if err := r.ParseForm(); err != nil || r.PostFormValue("build") != d.build {
		d.answer(w, r, notice{http.StatusConflict, "The form did not arrive whole, or the dashboard was updated since this page was loaded. No token was made; go back, reload, and try again."})
		return
	}
	v := tokensView{Wish: TokenWish{Name: r.PostFormValue("name"), Role: r.PostFormValue("role")}}
	days, err := strconv.Atoi(r.PostFormValue("days"))
	if err != nil || days < 0 {
		v.Wish.Days, v.Fault = usualDays, "Choose how long the token shall work."
		d.showTokens(w, r, who, http.StatusUnprocessableEntity, v)
		return
	}
	v.Wish.Days = days
	text, err := d.cfg.People.MakeToken(r.Context(), who.session, v.Wish)
	var refused Refused
	switch {
	case errors.As(err, &refused):
		v.Fault = refused.Error()
		d.showTokens(w, r, who, http.StatusUnprocessableEntity, v)
	case err != nil:
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("make a token")
		v.Fault = "No token was made, because the database did not answer. Try again."
		d.showTokens(w, r, who, http.StatusServiceUnavailable, v)
	default:
		d.wake()
		v.Made = text
		d.showTokens(w, r, who, http.StatusCreated, v)
	}
}

func (d *Dashboard) askRevoke(w http.ResponseWriter, r *http.Request, who visitor) {
	list, err := d.cfg.People.TokensFor(r.Context(), who.session)
	if err != nil {
		d.unread(w, r, "the tokens", err)
		return
	}
	id := r.URL.Query().Get("token")
	for _, t := range list {
		if t.ID == id && t.Revoked.IsZero() {
			d.ask(w, r, who, asking{title: "Revoke the token " + t.Name, rows: revokeRows(t), post: "/settings/tokens/revoke", danger: true,
				confirm: "Revoke " + t.Name, fields: url.Values{"token": {id}}})
			return
		}
	}
	d.answer(w, r, notice{http.StatusNotFound, "This token is revoked already."})
}

func (d *Dashboard) revokeToken(r *http.Request, who visitor) (pressed, error) {
	return pressed{"The token is revoked. Whatever uses it is refused from now on.", "/settings/tokens"},
		d.cfg.People.RevokeToken(r.Context(), who.session, r.PostFormValue("token"))
}

// tokenLook is what a token is good for, in a pill.
func tokenLook(t fleet.TokenView, now time.Time) look {
	switch {
	case !t.Revoked.IsZero():
		return look{"unknown", "blocked", "revoked"}
	case !t.Expires.IsZero() && !t.Expires.After(now):
		return look{"unknown", "clock", "expired"}
	case t.May == fleet.RoleNone:
		return look{"error", "blocked", "its owner has no access"}
	case t.May != t.Role:
		return look{"stale", "stale", t.May + " only"}
	}
	return look{"ok", "ok", t.Role}
}
