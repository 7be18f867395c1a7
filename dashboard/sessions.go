package dashboard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Sessions knows who may come in. How one signs in is [Doors]'.
type Sessions interface {
	// Session says whose session a cookie is; [ErrSignedOut] when nobody's, as an
	// [Ended] where it is known why.
	Session(ctx context.Context, cookie string) (Session, error)
	// Logout ends a session; ending one that is gone is no error.
	Logout(ctx context.Context, cookie string) error
	Doors
}

// Session is what a cookie stands for.
type Session struct {
	ID      string // names it where the cookie must not be
	Actor   fleet.Actor
	Role    string
	Because string // what GitHub said, such as "write on aurora/nixcfg"; empty for who did not come by GitHub
	// Unconfirmed is since when GitHub has not confirmed the role, where that is why it
	// is less than it was.
	Unconfirmed time.Time
}

// ErrSignedOut says that a token or a session is not, or no longer, valid. Any
// other error of [Sessions] means that this could not be found out.
var ErrSignedOut = errors.New("not signed in")

// Ended is [ErrSignedOut] with the reason, for the person.
type Ended string

func (e Ended) Error() string { return string(e) }

// Is makes it an ErrSignedOut.
func (Ended) Is(target error) bool { return target == ErrSignedOut }

// The roles, in rising order of what they may do.
const (
	RoleViewer   = fleet.RoleViewer
	RoleOperator = fleet.RoleOperator
	RoleAdmin    = fleet.RoleAdmin
)

// visitor is who makes a request.
type visitor struct {
	actor   fleet.Actor
	role    string
	cookie  string
	session Session
}

// local reports whether somebody came past GitHub, with what only the server's own
// machine gives out.
func (v visitor) local() bool { return v.actor.Type == "local" }

// visitor finds out who makes r.
func (d *Dashboard) visitor(r *http.Request) (visitor, error) {
	c, err := r.Cookie(d.cookieName())
	if err != nil || c.Value == "" {
		return visitor{}, ErrSignedOut
	}
	s, err := d.cfg.Sessions.Session(r.Context(), c.Value)
	if err != nil {
		return visitor{}, err
	}
	return visitor{actor: s.Actor, role: s.Role, cookie: c.Value, session: s}, nil
}

// signedIn serves next to people who are signed in and sends others to the
// sign-in page.
func (d *Dashboard) signedIn(next func(http.ResponseWriter, *http.Request, visitor)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := d.visitor(r)
		switch {
		case errors.Is(err, ErrSignedOut) && r.Method == http.MethodGet:
			http.Redirect(w, r, loginFor(r), http.StatusSeeOther)
		case errors.Is(err, ErrSignedOut):
			d.answer(w, r, notice{Status: http.StatusUnauthorized, Text: "You are signed out. Sign in again, then repeat this."})
		case gone(r):
		case err != nil:
			d.cfg.Log.Error().Err(err).Msg("read session")
			d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "Your session could not be read, because the database did not answer. Nothing was changed; try again."})
		default:
			next(w, r.WithContext(fleet.By(r.Context(), fleet.WayPage)), who)
		}
	})
}

func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	if who, err := d.visitor(r); err == nil {
		if err := d.cfg.Sessions.Logout(r.Context(), who.cookie); err != nil {
			d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("sign out")
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
