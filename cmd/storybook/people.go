package main

import (
	"context"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// reader is signed in with the role of a story, or not at all.
type reader struct{ story stories.Story }

func (r reader) Session(context.Context, string) (dashboard.Session, error) {
	a := r.story.Access
	switch {
	case r.story.Role != "":
		s := dashboard.Session{ID: "S1", Actor: fleet.Actor{ID: 1, Login: "alice", Type: "User"}, Role: r.story.Role, Because: a.Because, Unconfirmed: a.Unconfirmed}
		if a.Local {
			s.Actor = fleet.Actor{Login: "ada (local)", Type: "local"}
		}
		return s, nil
	case a.Ended != "":
		return dashboard.Session{}, dashboard.Ended(a.Ended)
	}
	return dashboard.Session{}, dashboard.ErrSignedOut
}

func (r reader) Logout(context.Context, string) error { return nil }

func (r reader) Offer(context.Context) (dashboard.Offer, error) {
	return dashboard.Offer{GitHub: len(r.story.Access.Repos) > 0, Repos: r.story.Access.Repos}, nil
}

// SignIn comes back at once, as if GitHub's button had been pressed.
func (r reader) SignIn(context.Context, string, dashboard.From) (address, secret string, err error) {
	return "/login/github/callback?code=0123456789abcdef&state=s", "secret", nil
}

func (r reader) Return(context.Context, string, string, string, dashboard.From) (cookie, next string, err error) {
	switch a := r.story.Access; {
	case a.Refused != "":
		return "", "", dashboard.Refused(a.Refused)
	case a.Away:
		return "", "", dashboard.ErrAway
	}
	return "", "", dashboard.ErrLost
}

func (r reader) Login(context.Context, string, dashboard.From) (string, error) {
	return "", dashboard.ErrSignedOut
}

func (r reader) SessionsOf(context.Context, dashboard.Session) ([]fleet.SessionView, error) {
	return r.story.Access.Sessions, nil
}

func (r reader) EndSession(context.Context, dashboard.Session, string) error { return nil }

func (r reader) EndOwnSessions(context.Context, dashboard.Session) error { return nil }

func (r reader) Everybody(context.Context) ([]fleet.PersonView, error) {
	return r.story.Access.People, nil
}

func (r reader) EndSessionsOf(context.Context, dashboard.Session, fleet.PersonView) error { return nil }

func (r reader) TokensFor(context.Context, dashboard.Session) ([]fleet.TokenView, error) {
	return r.story.Access.Tokens, nil
}

func (r reader) MakeToken(_ context.Context, _ dashboard.Session, t dashboard.TokenWish) (string, error) {
	if t.Name == "ci" {
		return "", dashboard.Refused("You have a token named ci already; revoke it first, or choose another name.")
	}
	return "nxf_4f1d0c9b8a7e6f5d4c3b2a19080716253443526170819203", nil
}

func (r reader) RevokeToken(context.Context, dashboard.Session, string) error { return nil }
