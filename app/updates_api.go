package app

import (
	"context"
	"errors"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// Updates lists updates, newest first.
func (s service) Updates(ctx context.Context, q api.UpdateQuery, before int64, limit int) ([]api.Update, error) {
	page := db.UpdatePage{States: updateStates(q.State), Before: before, Limit: limit}
	if q.Repo != "" {
		r, err := s.watched(ctx, q.Repo)
		if err != nil {
			return nil, err
		}
		page.RepoID = r.ID
	}
	list, err := s.a.db.Updates(ctx, page)
	shown := make([]api.Update, len(list))
	for i, u := range list {
		shown[i] = api.UpdateOf(u)
	}
	return shown, err
}

// updateStates are the states that a word of the API means.
func updateStates(word string) []fleet.UpdateState {
	var states []fleet.UpdateState
	for _, s := range fleet.AllUpdateStates() {
		if string(s) == word || word == "open" && s.Open() || word == "ended" && !s.Open() {
			states = append(states, s)
		}
	}
	return states
}

// Update tells all that is known of an update.
func (s service) Update(ctx context.Context, repo string, number int) (api.UpdateDetail, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return api.UpdateDetail{}, err
	}
	u, err := s.a.db.UpdateDetail(ctx, r.ID, number)
	return api.UpdateDetailOf(u), unknown(err)
}

func (s service) update(ctx context.Context, repo string, number int) (fleet.Update, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return fleet.Update{}, err
	}
	u, err := s.a.db.UpdateByNumber(ctx, r.ID, number)
	return u, unknown(err)
}

// ActOnUpdate records what a person wishes of an update, as the dashboard's buttons do.
// Over the API nobody passes over a hold by accident: a merge asks for one that has none.
func (s service) ActOnUpdate(ctx context.Context, by fleet.Actor, repo string, number int, act api.UpdateAct) error {
	u, err := s.update(ctx, repo, number)
	if err != nil {
		return err
	}
	seen := dashboard.Seen{Update: u.ID, HeadSHA: act.Head}
	switch act.Verb {
	case "merge":
		err = actions(s).Merge(ctx, by, seen, act.Deploy)
	case "hold":
		err = actions(s).Hold(ctx, by, seen, act.Until)
	case "release":
		seen.HeadSHA = u.HeadSHA
		if u.Hold != nil {
			seen.HeldAt = u.Hold.At
		}
		err = actions(s).Release(ctx, by, seen)
	case "look":
		err = s.a.db.LookAgain(ctx, u.ID, by.Login, s.a.cfg.Now())
	}
	var refused dashboard.Refused
	switch {
	case errors.As(err, &refused):
		return api.Refused(refused)
	case errors.Is(err, dashboard.ErrHeadMoved):
		return api.Refused("The pull request changed since you looked: its head is another one now, or somebody held it. Look again, then decide.")
	}
	return err
}

// OpenOrderStates are those of the orders that have not ended.
func (s service) OpenOrderStates(ctx context.Context) ([]api.OrderState, error) {
	list, err := s.a.db.OpenOrderStates(ctx)
	states := make([]api.OrderState, len(list))
	for i, o := range list {
		states[i] = api.OrderState(o)
	}
	return states, err
}

// Listen tells of every visible change.
func (s service) Listen(ctx context.Context, changed func()) error {
	return s.a.db.Listen(ctx, changed)
}
