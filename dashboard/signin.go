package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Doors are the ways in: with GitHub, or with a token that only the server's own
// machine gives out. A way that was tried too often is [TooSoon].
type Doors interface {
	// Offer says what the sign-in page can offer.
	Offer(ctx context.Context) (Offer, error)
	// SignIn sends a browser to GitHub: to address, while it keeps secret. Afterwards
	// the person wants to go to next.
	SignIn(ctx context.Context, next string, from From) (address, secret string, err error)
	// Return ends a visit to GitHub that came back with state and code, in the browser
	// with the secret: the person gets a session of the role that GitHub says. It fails
	// with [ErrLost] and [ErrAway], and with a [Refused] for who has no access.
	Return(ctx context.Context, secret, state, code string, from From) (cookie, next string, err error)
	// Login trades an access token for a session. An unknown or expired token is
	// [ErrSignedOut].
	Login(ctx context.Context, token string, from From) (cookie string, err error)
}

// Offer is what the sign-in page can offer.
type Offer struct {
	GitHub bool     // people can sign in with GitHub
	Repos  []string // whose permissions decide
}

// From is where a browser is, and what it says that it is.
type From struct{ Address, Browser string }

// ErrLost says that a visit to GitHub is not known: it came back before, took too
// long, or began in another browser.
var ErrLost = errors.New("this sign-in is not known")

// ErrAway says that GitHub did not answer, or not as it should.
var ErrAway = errors.New("GitHub did not answer")

// TooSoon is how long somebody has to wait before the next try.
type TooSoon time.Duration

func (e TooSoon) Error() string { return "too many tries; wait " + e.words() }

func (e TooSoon) words() string {
	return plural(int(time.Duration(e)/time.Second)+1, "second", "seconds")
}

// login is the sign-in page.
type login struct {
	Page    page
	Offer   Offer
	Token   string // from a link: signing in takes one press
	Next    string // where the person wanted to go
	Problem string
	Ended   string // why the session is over that the browser had
}

// github is the way to GitHub, and after it where the person wanted to go.
func (l login) github() string {
	if l.Next == "" || l.Next == "/" {
		return "/login/github"
	}
	return "/login/github?next=" + url.QueryEscape(l.Next)
}

func (d *Dashboard) loginRoutes(mux *http.ServeMux) {
	mux.Handle("GET /login", http.HandlerFunc(d.loginPage))
	mux.Handle("POST /login", http.HandlerFunc(d.login))
	mux.Handle("GET /login/github", http.HandlerFunc(d.toGitHub))
	mux.Handle("GET /login/github/callback", http.HandlerFunc(d.fromGitHub))
	mux.Handle("POST /logout", http.HandlerFunc(d.logout))
}

// loginFor is the sign-in page that leads back to the page that r asked for.
func loginFor(r *http.Request) string {
	if next := local(r.URL.RequestURI()); next != "/" && !scripted(r) {
		return "/login?next=" + url.QueryEscape(next)
	}
	return "/login"
}

// local is a path of ours, or the Fleet page for anything that could lead elsewhere.
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") || strings.HasPrefix(u.Path, "/login") || len(path) > 1000 {
		return "/"
	}
	return path
}

func from(r *http.Request) From {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	return From{Address: address, Browser: browserName(r.UserAgent())}
}

func (d *Dashboard) loginPage(w http.ResponseWriter, r *http.Request) {
	l := login{Token: r.URL.Query().Get("token"), Next: local(r.URL.Query().Get("next"))}
	switch _, err := d.visitor(r); {
	case err == nil && l.Token == "":
		http.Redirect(w, r, l.Next, http.StatusSeeOther)
		return
	case err != nil:
		if ended, ok := errors.AsType[Ended](err); ok {
			l.Ended = ended.Error()
		}
	}
	// The token of a link is only put into a form: fetching a link signs nobody in.
	d.showLogin(w, r, http.StatusOK, l)
}

// showLogin shows the sign-in page with what the server can offer now.
func (d *Dashboard) showLogin(w http.ResponseWriter, r *http.Request, status int, l login) {
	var err error
	if l.Offer, err = d.cfg.Sessions.Offer(r.Context()); err != nil {
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("what the sign-in page can offer")
	}
	l.Page = d.page(w, r, visitor{})
	d.show(w, r, status, loginPage(l))
}

// login signs in with a token.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	token, next := strings.TrimSpace(r.PostFormValue("token")), local(r.PostFormValue("next"))
	cookie, err := d.cfg.Sessions.Login(r.Context(), token, from(r))
	if err == nil {
		d.welcome(w, r, cookie, next)
		return
	}
	l := login{Next: next}
	if early, ok := errors.AsType[TooSoon](err); ok {
		l.Problem = "Too many tokens from your address were wrong. Wait " + early.words() + ", then try again."
		d.tooSoon(w, r, early, l)
		return
	}
	if errors.Is(err, ErrSignedOut) {
		l.Problem = "This token is not valid, or has expired. Tokens for signing in work once; ask for a new one."
		d.showLogin(w, r, http.StatusUnauthorized, l)
		return
	}
	d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("sign in")
	l.Token, l.Problem = token, "The token could not be checked, because the database did not answer. Try again."
	d.showLogin(w, r, http.StatusServiceUnavailable, l)
}

func (d *Dashboard) tooSoon(w http.ResponseWriter, r *http.Request, early TooSoon, l login) {
	w.Header().Set("Retry-After", strconv.Itoa(int(time.Duration(early)/time.Second)+1))
	d.showLogin(w, r, http.StatusTooManyRequests, l)
}

// welcome gives the browser its session, and ends the one that it had: whoever knew
// that cookie does not come along.
func (d *Dashboard) welcome(w http.ResponseWriter, r *http.Request, cookie, next string) {
	if who, err := d.visitor(r); err == nil {
		if err := d.cfg.Sessions.Logout(r.Context(), who.cookie); err != nil {
			d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("end the session before")
		}
	}
	http.SetCookie(w, d.cookie(cookie))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// visitLasts is how long a visit to GitHub may take.
const visitLasts = 10 * time.Minute

func (d *Dashboard) visitCookie(secret string) *http.Cookie {
	c := d.cookie(secret)
	c.Name, c.MaxAge = d.cookieName()+"-visit", int(visitLasts/time.Second)
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}

// toGitHub sends the browser to GitHub.
func (d *Dashboard) toGitHub(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.Query().Get("next"))
	address, secret, err := d.cfg.Sessions.SignIn(r.Context(), next, from(r))
	if err != nil {
		d.signInFailed(w, r, login{Next: next}, err)
		return
	}
	http.SetCookie(w, d.visitCookie(secret))
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// fromGitHub is where GitHub brings the browser back to.
func (d *Dashboard) fromGitHub(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	kept, err := r.Cookie(d.visitCookie("").Name)
	http.SetCookie(w, d.visitCookie(""))
	switch {
	case q.Get("error") == "access_denied":
		d.showLogin(w, r, http.StatusForbidden, login{Problem: "You cancelled on GitHub, so you are not signed in."})
		return
	case q.Get("error") != "":
		d.cfg.Log.Warn().Ctx(r.Context()).Str("error", fmt.Sprintf("%.60q", q.Get("error"))).Msg("GitHub refused a sign-in")
		d.showLogin(w, r, http.StatusBadGateway, login{Problem: "GitHub refused the sign-in. An administrator finds out why with nixfleet doctor."})
		return
	case err != nil || kept.Value == "":
		d.signInFailed(w, r, login{}, ErrLost)
		return
	}
	cookie, next, err := d.cfg.Sessions.Return(r.Context(), kept.Value, q.Get("state"), q.Get("code"), from(r))
	if err != nil {
		d.signInFailed(w, r, login{}, err)
		return
	}
	d.welcome(w, r, cookie, local(next))
}

// signInFailed says why nobody is signed in.
func (d *Dashboard) signInFailed(w http.ResponseWriter, r *http.Request, l login, err error) {
	if early, ok := errors.AsType[TooSoon](err); ok {
		l.Problem = "Too many sign-ins began at your address. Wait " + early.words() + ", then try again."
		d.tooSoon(w, r, early, l)
		return
	}
	status := http.StatusServiceUnavailable
	var refused Refused
	switch {
	case errors.As(err, &refused):
		status, l.Problem = http.StatusForbidden, refused.Error()
	case errors.Is(err, ErrLost):
		status, l.Problem = http.StatusBadRequest, "This sign-in has expired, was used before, or began in another browser. Try again."
	case errors.Is(err, ErrAway):
		status, l.Problem = http.StatusBadGateway, "GitHub did not answer, so your role is not known. Try again in a minute; in an emergency, nixfleet login-link on the server lets you in."
	default:
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("sign in with GitHub")
		l.Problem = "You could not be signed in, because the database did not answer. Try again."
	}
	d.showLogin(w, r, status, l)
}
