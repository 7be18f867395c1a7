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

// updates is what the dashboard's pages of updates show and ask for.
type updates struct{ a *App }

// Update tells all that is known of one pull request.
func (x updates) Update(ctx context.Context, repo string, number int) (fleet.UpdateDetail, error) {
	r, err := x.a.repoNamed(ctx, repo)
	if err != nil {
		return fleet.UpdateDetail{}, notThere(err)
	}
	u, err := x.a.db.UpdateDetail(ctx, r.ID, number)
	if err != nil {
		return fleet.UpdateDetail{}, notThere(err)
	}
	described := fleet.Overview{At: x.a.cfg.Now(), Rollouts: u.Rollouts}
	fleet.Describe(&described, Version)
	return u, nil
}

// UpdateByID reads one update.
func (x updates) UpdateByID(ctx context.Context, id int64) (fleet.Update, error) {
	u, err := x.a.db.Update(ctx, id)
	return u, notThere(err)
}

// EndedUpdates lists updates that have ended, newest first.
func (x updates) EndedUpdates(ctx context.Context, q fleet.UpdateQuery) ([]fleet.Update, error) {
	return x.a.db.EndedUpdates(ctx, q)
}

// LookAgain makes a pull request due at once.
func (x updates) LookAgain(ctx context.Context, by fleet.Actor, id int64) error {
	return notThere(x.a.db.LookAgain(ctx, id, by.Login, x.a.cfg.Now()))
}

// notThere says in the dashboard's word that there is no such thing.
func notThere(err error) error {
	if errors.Is(err, errNoRepo) || errors.Is(err, db.ErrNotFound) || errors.Is(err, api.ErrUnknown) {
		return dashboard.ErrUnknown
	}
	return err
}

// locksShown is how many wishes for newer locks the page lists.
const locksShown = 20

// LockWorks lists the newest wishes for newer locks.
func (x updates) LockWorks(ctx context.Context) ([]fleet.LockWork, error) {
	return x.a.db.LockWorks(ctx, x.a.cfg.Now(), locksShown)
}

// UpdateInputs has a host make a newer lock.
func (x updates) UpdateInputs(ctx context.Context, by fleet.Actor, w dashboard.InputsWish) (host string, err error) {
	r, err := x.a.repoNamed(ctx, w.Repo)
	if err != nil {
		return "", notThere(err)
	}
	o, err := x.a.UpdateInputs(ctx, by, r, api.UpdateInputs{Host: w.Host, Inputs: w.Inputs, Reason: w.Reason, AsPull: w.AsPull}, w.Key)
	if errors.Is(err, api.ErrInvalid) {
		err = dashboard.Refused("Nothing was asked for: " + strings.TrimPrefix(err.Error(), api.ErrInvalid.Error()+": ") + ".")
	}
	return o.Host, err
}
