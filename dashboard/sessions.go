package dashboard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// Sessions knows who may come in.
type Sessions interface {
	// Login trades an access token for a session. An unknown or expired token is
	// [ErrSignedOut].
	Login(ctx context.Context, token string) (session string, actor fleet.Actor, role string, err error)
	// Session says whose session a cookie is; [ErrSignedOut] when nobody's.
	Session(ctx context.Context, cookie string) (actor fleet.Actor, role string, err error)
	// Logout ends a session; ending one that is gone is no error.
	Logout(ctx context.Context, cookie string) error
}

// ErrSignedOut says that a token or a session is not, or no longer, valid. Any
// other error of [Sessions] means that this could not be found out.
var ErrSignedOut = errors.New("not signed in")

// The roles, in rising order of what they may do.
const (
	RoleViewer   = "viewer"   // sees everything, changes nothing
	RoleOperator = "operator" // merges and deploys
	RoleAdmin    = "admin"    // also changes settings
)

// visitor is who makes a request.
type visitor struct {
	actor  fleet.Actor
	role   string
	cookie string
}

// visitor finds out who makes r.
func (d *Dashboard) visitor(r *http.Request) (visitor, error) {
	c, err := r.Cookie(d.cookieName())
	if err != nil || c.Value == "" {
		return visitor{}, ErrSignedOut
	}
	actor, role, err := d.cfg.Sessions.Session(r.Context(), c.Value)
	if err != nil {
		return visitor{}, err
	}
	return visitor{actor: actor, role: role, cookie: c.Value}, nil
}

// signedIn serves next to people who are signed in and sends others to the
// sign-in page.
func (d *Dashboard) signedIn(next func(http.ResponseWriter, *http.Request, visitor)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := d.visitor(r)
		switch {
		case errors.Is(err, ErrSignedOut) && r.Method == http.MethodGet:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		case errors.Is(err, ErrSignedOut):
			d.answer(w, r, notice{Status: http.StatusUnauthorized, Text: "You are signed out. Sign in again, then repeat this."})
		case err != nil:
			d.cfg.Log.Error().Err(err).Msg("read session")
			d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "Your session could not be read, because the database did not answer. Nothing was changed; try again."})
		default:
			next(w, r.WithContext(fleet.By(r.Context(), fleet.WayPage)), who)
		}
	})
}

func (d *Dashboard) loginPage(w http.ResponseWriter, r *http.Request) {
	if _, err := d.visitor(r); err == nil && r.URL.Query().Get("token") == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	// The token of a link is only put into a form: fetching a link signs nobody in.
	d.show(w, r, http.StatusOK, loginPage(login{Token: r.URL.Query().Get("token"), Page: d.page(w, r, visitor{})}))
}

func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimSpace(r.PostFormValue("token"))
	session, actor, role, err := d.cfg.Sessions.Login(r.Context(), token)
	switch {
	case errors.Is(err, ErrSignedOut):
		d.show(w, r, http.StatusUnauthorized, loginPage(login{Page: d.page(w, r, visitor{}),
			Problem: "This token is not valid, or has expired. Tokens for signing in work once; ask for a new one."}))
	case err != nil:
		d.cfg.Log.Error().Err(err).Msg("sign in")
		d.show(w, r, http.StatusServiceUnavailable, loginPage(login{Page: d.page(w, r, visitor{}), Token: token,
			Problem: "The token could not be checked, because the database did not answer. Try again."}))
	default:
		d.cfg.Log.Info().Str("actor", actor.Login).Str("role", role).Msg("signed in")
		http.SetCookie(w, d.cookie(session))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	if who, err := d.visitor(r); err == nil {
		if err := d.cfg.Sessions.Logout(r.Context(), who.cookie); err != nil {
			d.cfg.Log.Error().Err(err).Msg("sign out")
			d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "You are still signed in: the session could not be ended, because the database did not answer. Try again."})
			return
		}
	}
	gone := d.cookie("")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// cookie makes the session cookie. Lax, because a link from a pull request must
// find the person signed in; posts from other sites are refused by their origin.
func (d *Dashboard) cookie(value string) *http.Cookie {
	return &http.Cookie{
		Name: d.cookieName(), Value: value, Path: "/",
		HttpOnly: true, Secure: d.secureCookies(), SameSite: http.SameSiteLaxMode,
	}
}

func (d *Dashboard) cookieName() string {
	if d.secureCookies() {
		return "__Host-nixfleet"
	}
	return "nixfleet"
}

// secureCookies reports whether browsers take a Secure cookie from us: over TLS,
// and from loopback, which they trust without it.
func (d *Dashboard) secureCookies() bool {
	u, err := url.Parse(d.cfg.PublicURL)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}
