package app

import (
	"context"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// newcomers is how people bring hosts into the fleet on the dashboard.
type newcomers struct{ a *App }

// Enrol adds a host, or lets one enrol again, and returns its one-time token.
func (n newcomers) Enrol(ctx context.Context, by fleet.Actor, h fleet.Newcomer, again bool) (string, time.Time, error) {
	token, expires, err := n.a.NewHost(ctx, by, api.NewHost{
		Name: h.Host.Name, Attr: h.Host.Attr, Repo: h.Repo, Tags: h.Host.Tags, Mode: h.Host.Mode, Again: again,
	})
	switch {
	case errors.Is(err, api.ErrExists):
		err = dashboard.ErrTaken
	case errors.Is(err, api.ErrUnknown):
		err = dashboard.ErrUnknown
	case errors.Is(err, api.ErrInvalid):
		err = dashboard.Refused(err.Error())
	}
	return token, expires, err
}

// Newcomer tells how far a host has come.
func (n newcomers) Newcomer(ctx context.Context, name string) (fleet.Newcomer, error) {
	h, err := n.a.db.Newcomer(ctx, name)
	if errors.Is(err, db.ErrNotFound) {
		err = dashboard.ErrUnknown
	}
	return h, err
}
