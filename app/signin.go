package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// Lifetimes of what lets a person in. A sign-in link is for right now; a session is for
// a working day, and ends before when nobody uses it. An open page that is looked at
// counts as use.
const (
	loginLinkTTL = 15 * time.Minute
	sessionTTL   = 12 * time.Hour
	sessionIdle  = 2 * time.Hour
)

// adminName is whom the admin token signs in.
const adminName = "admin"

// sessions lets people in, with GitHub, with the admin token or with a one-time link.
// Only hashes are kept.
type sessions struct{ a *App }

// LoginLink makes a one-time sign-in address with the given role, valid for 15
// minutes. It is for the machine that the server runs on.
func (a *App) LoginLink(ctx context.Context, name, role string) (string, error) {
	address, _, err := a.loginLink(ctx, fleet.Actor{Login: "server", Type: "local"}, name, role)
	return address, err
}

func (a *App) loginLink(ctx context.Context, by fleet.Actor, name, role string) (string, time.Time, error) {
	if !localName.MatchString(name) || !fleet.RoleCovers(role, fleet.RoleViewer) {
		return "", time.Time{}, fmt.Errorf("sign-in link for %.60q with role %.20q: a name has letters, digits and . _ -, a role is viewer, operator or admin", name, role)
	}
	token, now := newToken(), a.cfg.Now()
	expires := now.Add(loginLinkTTL)
	if err := a.db.CreateLogin(ctx, hash(token), name, role, expires); err != nil {
		return "", time.Time{}, err
	}
	err := a.db.Remember(ctx, db.Event{
		At: now, Actor: by.Login, Kind: "login.created", Subject: "local/" + name, Detail: map[string]any{"role": role, "of": name},
		Reason: "It signs in " + name + " past GitHub, once, until " + expires.UTC().Format("15:04 UTC") + ".",
	})
	return a.cfg.URL + "/login?token=" + token, expires, err
}

// Login exchanges a token for a session.
func (s sessions) Login(ctx context.Context, token string, from dashboard.From) (string, error) {
	guesses, now := s.a.limited().guesses, s.a.cfg.Now()
	at := limitOf(from.Address)
	if wait := guesses.wait(at); wait > 0 {
		return "", dashboard.TooSoon(wait)
	}
	name, role, reason := adminName, fleet.RoleAdmin, "with the admin token"
	if !s.a.isAdmin(token) {
		var err error
		if name, role, err = s.a.db.UseLogin(ctx, hash(token), now); errors.Is(err, db.ErrNotFound) {
			guesses.count(at)
			s.refused(ctx, stranger, "local", from, "A token was wrong, or good no more.")
			return "", dashboard.ErrSignedOut
		} else if err != nil {
			return "", err
		}
		reason = "with a one-time link"
	}
	return s.begin(ctx, db.NewSession{Owner: db.Owner{Actor: name}, Role: role, Reason: reason}, from)
}

// begin stores a session and returns its cookie.
func (s sessions) begin(ctx context.Context, n db.NewSession, from dashboard.From) (string, error) {
	cookie, now := newToken(), s.a.cfg.Now()
	n.Hash, n.ID, n.Expires, n.By = hash(cookie), newID(now), now.Add(sessionTTL), actorOf(n.Owner).Login
	n.Address, n.Browser = from.Address, from.Browser
	if err := s.a.db.BeginSession(fleet.By(ctx, fleet.WayPage), n, now); err != nil {
		return "", err
	}
	s.a.log.Info().Ctx(ctx).Str("actor", n.By).Str("role", n.Role).Str("from", from.Address).Msg("signed in " + n.Reason)
	return cookie, nil
}

// refused notes that somebody was not let in.
func (s sessions) refused(ctx context.Context, actor, subject string, from dashboard.From, why string) {
	s.a.log.Info().Ctx(ctx).Str("actor", actor).Str("from", from.Address).Msg("not let in: " + why)
	refusals := s.a.limited().refusals
	if refusals.wait("") > 0 {
		return
	}
	refusals.count("")
	err := s.a.db.Remember(fleet.By(ctx, fleet.WayPage), db.Event{
		At: s.a.cfg.Now(), Actor: actor, Kind: "person.refused", Subject: subject, Detail: map[string]any{"address": from.Address}, Reason: why,
	})
	if err != nil {
		s.a.log.Error().Ctx(ctx).Err(err).Msg("a refusal is not in the history")
	}
}

// Session returns whom a cookie belongs to, and what they may do now.
func (s sessions) Session(ctx context.Context, cookie string) (dashboard.Session, error) {
	now := s.a.cfg.Now()
	got, err := s.a.db.Session(ctx, hash(cookie), now, sessionIdle)
	if errors.Is(err, db.ErrNotFound) {
		if why, err := s.a.db.WhyEnded(ctx, hash(cookie)); err == nil && why != "" {
			return dashboard.Session{}, dashboard.Ended(why)
		}
		return dashboard.Session{}, dashboard.ErrSignedOut
	}
	if err != nil {
		return dashboard.Session{}, err
	}
	out := dashboard.Session{ID: got.ID, Actor: actorOf(got.Owner), Role: got.Role, Because: got.Because}
	if got.Owner.Person == 0 {
		return out, nil
	}
	confirmed := true
	if out.Role, confirmed = fleet.RoleNow(got.Role, got.PersonRole, got.Checked, now); !confirmed {
		out.Unconfirmed = got.Checked
	}
	if out.Role == fleet.RoleNone { // ended in the same transaction; never to be let in for want of that
		return dashboard.Session{}, dashboard.ErrSignedOut
	}
	return out, nil
}

// Logout ends a session.
func (s sessions) Logout(ctx context.Context, cookie string) error {
	got, err := s.a.db.Session(ctx, hash(cookie), s.a.cfg.Now(), sessionIdle)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.a.db.EndSessions(fleet.By(ctx, fleet.WayPage), got.Owner, db.SessionEnd{
		ID: got.ID, By: actorOf(got.Owner).Login, Why: "Signed out.",
	}, s.a.cfg.Now())
	return err
}

func (a *App) isAdmin(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return a.admin != nil && subtle.ConstantTimeCompare(sum[:], a.admin) == 1
}

func hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// newToken makes 192 random bits, as text that survives a shell and an address.
func newToken() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}
