package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// Lifetimes of what lets a person in. A sign-in link is for right now; a session
// is for a working day.
const (
	loginLinkTTL = 15 * time.Minute
	sessionTTL   = 12 * time.Hour
)

// errUnknownToken says no more than that: a stranger learns nothing from it.
var errUnknownToken = errors.New("the token is not known, or it has expired")

// sessions lets people in with the admin token or a one-time link. Only hashes
// are kept.
type sessions struct{ a *App }

// LoginLink makes a one-time sign-in address with the given role, valid for 15
// minutes. It is for the machine that the server runs on.
func (a *App) LoginLink(ctx context.Context, actor, role string) (string, error) {
	token := newToken()
	if err := a.db.CreateLogin(ctx, hash(token), actor, role, a.cfg.Now().Add(loginLinkTTL)); err != nil {
		return "", err
	}
	return a.cfg.URL + "/login?token=" + token, nil
}

// Login exchanges a token for a session.
func (s sessions) Login(ctx context.Context, token string) (session string, actor fleet.Actor, role string, err error) {
	now := s.a.cfg.Now()
	name, role := "admin", "admin"
	if !s.a.isAdmin(token) {
		if name, role, err = s.a.db.UseLogin(ctx, hash(token), now); err != nil {
			return "", fleet.Actor{}, "", signedOut(err)
		}
	}
	session = newToken()
	if err := s.a.db.CreateSession(ctx, hash(session), name, role, now.Add(sessionTTL)); err != nil {
		return "", fleet.Actor{}, "", err
	}
	return session, fleet.Actor{Login: name, Type: "local"}, role, nil
}

// Session returns whom a session belongs to.
func (s sessions) Session(ctx context.Context, session string) (fleet.Actor, string, error) {
	name, role, err := s.a.db.Session(ctx, hash(session), s.a.cfg.Now())
	if err != nil {
		return fleet.Actor{}, "", signedOut(err)
	}
	return fleet.Actor{Login: name, Type: "local"}, role, nil
}

// signedOut tells "nobody's" from "could not be found out".
func signedOut(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return dashboard.ErrSignedOut
	}
	return err
}

// Logout ends a session.
func (s sessions) Logout(ctx context.Context, session string) error {
	return s.a.db.DeleteSession(ctx, hash(session))
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
