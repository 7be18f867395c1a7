package main

import (
	"context"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

func (s shelf) Update(_ context.Context, repo string, number int) (fleet.UpdateDetail, error) {
	if u := s.story.Detail; u != nil && u.Repo.FullName() == repo && u.Number == number {
		return *u, nil
	}
	for _, u := range s.story.Overview.Updates {
		if u.Repo.FullName() == repo && u.Number == number {
			return fleet.UpdateDetail{Update: u}, nil
		}
	}
	return fleet.UpdateDetail{}, dashboard.ErrUnknown
}

func (s shelf) UpdateByID(_ context.Context, id int64) (fleet.Update, error) {
	if u := s.story.Detail; u != nil && u.ID == id {
		return u.Update, nil
	}
	for _, u := range s.story.Overview.Updates {
		if u.ID == id {
			return u, nil
		}
	}
	return fleet.Update{}, dashboard.ErrUnknown
}

func (s shelf) EndedUpdates(context.Context, fleet.UpdateQuery) ([]fleet.Update, error) {
	return s.story.Past, nil
}

func (s shelf) LookAgain(context.Context, fleet.Actor, int64) error { return nil }

func (s shelf) CheckForUpdates(context.Context, fleet.Actor, string) ([]fleet.Checked, error) {
	return []fleet.Checked{{Repo: "aurora/nixcfg", Found: "Started .github/workflows/update-flake-lock.yml on main."}}, nil
}

func (s shelf) UpdateInputs(context.Context, fleet.Actor, dashboard.InputsWish) (string, error) {
	return "hsb1", nil
}

func (s shelf) LockWorks(context.Context) ([]fleet.LockWork, error) { return s.story.Locks, nil }
