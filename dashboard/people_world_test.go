package dashboard

import (
	"context"
	"fmt"

	"github.com/nixfleet/nixfleet/fleet"
)

// What the world is at its doors, and who is in it.

func (w *world) Session(_ context.Context, cookie string) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessErr != nil {
		return Session{}, w.sessErr
	}
	role, ok := w.sessions[cookie]
	switch {
	case !ok && w.access.Ended != "":
		return Session{}, Ended(w.access.Ended)
	case !ok:
		return Session{}, ErrSignedOut
	}
	s := Session{ID: "S1", Actor: fleet.Actor{ID: 1, Login: "alice", Type: "User"}, Role: role, Because: w.access.Because, Unconfirmed: w.access.Unconfirmed}
	if w.access.Local {
		s.Actor = fleet.Actor{Login: "ada (local)", Type: "local"}
	}
	return s, nil
}

func (w *world) Login(_ context.Context, token string, _ From) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessErr != nil {
		return "", w.sessErr
	}
	if token != "right" {
		return "", ErrSignedOut
	}
	return "op", nil
}

func (w *world) Logout(_ context.Context, cookie string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, cookie)
	return w.sessErr
}

func (w *world) Offer(context.Context) (Offer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Offer{GitHub: len(w.access.Repos) > 0, Repos: w.access.Repos}, w.sessErr
}

func (w *world) SignIn(_ context.Context, next string, _ From) (address, secret string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.github != "" {
		return w.github + "/login/github/callback?code=c&state=s", "the secret", w.sessErr
	}
	return "https://github.example/login/oauth/authorize?state=s&next=" + escaped(next), "the secret", w.sessErr
}

func (w *world) Return(_ context.Context, secret, state, code string, from From) (cookie, next string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doors = append(w.doors, fmt.Sprintf("%s %s %s %s", secret, state, code, from.Address))
	switch a := w.access; {
	case w.sessErr != nil:
		return "", "", w.sessErr
	case a.Refused != "":
		return "", "", Refused(a.Refused)
	case a.Away:
		return "", "", fmt.Errorf("%w: timeout", ErrAway)
	case a.Lost:
		return "", "", ErrLost
	}
	w.sessions["back"] = RoleOperator
	return "back", "//evil.example/", nil // what was stored is judged again
}

// did notes what was asked of people.
func (w *world) did(format string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.askErr == nil {
		w.doors = append(w.doors, fmt.Sprintf(format, args...))
	}
	return w.askErr
}

func (w *world) SessionsOf(context.Context, Session) ([]fleet.SessionView, error) {
	return w.access.Sessions, w.readErr
}

func (w *world) EndSession(_ context.Context, s Session, id string) error {
	return w.did("%s ends %s", s.Actor.Login, id)
}

func (w *world) EndOwnSessions(_ context.Context, s Session) error {
	return w.did("%s ends all", s.Actor.Login)
}

func (w *world) Everybody(context.Context) ([]fleet.PersonView, error) {
	return w.access.People, w.readErr
}

func (w *world) EndSessionsOf(_ context.Context, by Session, p fleet.PersonView) error {
	return w.did("%s ends all of %s", by.Actor.Login, p.Login)
}

func (w *world) TokensFor(context.Context, Session) ([]fleet.TokenView, error) {
	return w.access.Tokens, w.readErr
}

func (w *world) MakeToken(_ context.Context, s Session, t TokenWish) (string, error) {
	return "nxf_secret", w.did("%s makes %s %s %d", s.Actor.Login, t.Name, t.Role, t.Days)
}

func (w *world) RevokeToken(_ context.Context, s Session, id string) error {
	return w.did("%s revokes %s", s.Actor.Login, id)
}
