package app

import (
	"context"
	"errors"
	"strings"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// people is who has signed in, as the pages see it.
type people struct{ a *App }

// SessionsOf lists the sessions of whoever has one.
func (p people) SessionsOf(ctx context.Context, s dashboard.Session) ([]fleet.SessionView, error) {
	list, err := p.a.db.Sessions(ctx, ownerOf(s.Actor), p.a.cfg.Now(), sessionIdle)
	views := make([]fleet.SessionView, len(list))
	for i, one := range list {
		views[i] = fleet.SessionView{
			ID: one.ID, This: one.ID == s.ID, Address: one.Address, Browser: one.Browser, Began: one.Began, Seen: one.Seen, Expires: one.Expires,
		}
	}
	return views, err
}

// EndSession ends one of them.
func (p people) EndSession(ctx context.Context, s dashboard.Session, id string) error {
	_, err := p.a.db.EndSessions(ctx, ownerOf(s.Actor), db.SessionEnd{
		ID: id, By: s.Actor.Login, Why: "You ended this session from another one.",
	}, p.a.cfg.Now())
	return err
}

// EndOwnSessions ends all of them.
func (p people) EndOwnSessions(ctx context.Context, s dashboard.Session) error {
	_, err := p.a.db.EndSessions(ctx, ownerOf(s.Actor), db.SessionEnd{By: s.Actor.Login, Why: "You signed out everywhere."}, p.a.cfg.Now())
	return err
}

// Everybody lists who has signed in.
func (p people) Everybody(ctx context.Context) ([]fleet.PersonView, error) {
	return p.a.db.People(ctx, p.a.cfg.Now(), sessionIdle)
}

// EndSessionsOf ends all sessions of somebody.
func (p people) EndSessionsOf(ctx context.Context, by dashboard.Session, who fleet.PersonView) error {
	n, err := p.a.db.EndSessions(ctx, db.Owner{Person: who.ID, Actor: who.Login}, db.SessionEnd{
		By: by.Actor.Login, Why: by.Actor.Login + " ended all your sessions.",
	}, p.a.cfg.Now())
	if err == nil {
		p.a.log.Info().Ctx(ctx).Str("of", who.Login).Int("sessions", n).Str("by", by.Actor.Login).Msg("sessions ended")
	}
	return err
}

// TokensFor lists the tokens that somebody may see.
func (p people) TokensFor(ctx context.Context, s dashboard.Session) ([]fleet.TokenView, error) {
	return service(p).Tokens(ctx, s.Actor, s.Role)
}

// MakeToken makes a token for a program of somebody's.
func (p people) MakeToken(ctx context.Context, s dashboard.Session, t dashboard.TokenWish) (string, error) {
	text, _, err := service(p).NewToken(ctx, s.Actor, s.Role, api.NewToken{Name: t.Name, Role: t.Role, Days: t.Days, Never: t.Days == 0})
	for _, why := range []error{api.ErrInvalid, api.ErrForbidden} {
		if errors.Is(err, why) {
			said := strings.TrimPrefix(err.Error(), why.Error()+": ")
			return "", dashboard.Refused(strings.ToUpper(said[:1]) + said[1:] + ".")
		}
	}
	return text, err
}

// RevokeToken makes a token useless.
func (p people) RevokeToken(ctx context.Context, s dashboard.Session, id string) error {
	err := service(p).RevokeToken(ctx, s.Actor, s.Role, id)
	if errors.Is(err, api.ErrUnknown) {
		return dashboard.ErrUnknown
	}
	return err
}
