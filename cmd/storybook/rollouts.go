package main

import (
	"context"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// rolloutShelf are the rollouts of a story. What is asked of them is forgotten.
type rolloutShelf struct{ story stories.Story }

func (s rolloutShelf) Rollout(_ context.Context, id string) (fleet.RolloutDetail, error) {
	if r := s.story.Rollout; r != nil && r.ID == id {
		return *r, nil
	}
	return fleet.RolloutDetail{}, dashboard.ErrUnknown
}

func (s rolloutShelf) EndedRollouts(context.Context, fleet.RolloutQuery) ([]fleet.RolloutSummary, error) {
	return s.story.Ended, nil
}

func (s rolloutShelf) Quarantine(context.Context) ([]fleet.Quarantine, error) {
	return s.story.Quarantine, nil
}

func (s rolloutShelf) Steer(_ context.Context, _ fleet.Actor, id string, _ fleet.Verb, _ fleet.RolloutState, _ string) (fleet.Rollout, error) {
	return fleet.Rollout{ID: id}, nil
}

func (s rolloutShelf) Retry(_ context.Context, _ fleet.Actor, id string, _ []string, _, _ string) (fleet.Rollout, error) {
	return fleet.Rollout{ID: id}, nil
}

func (rolloutShelf) Exclude(context.Context, fleet.Actor, string, string, string) error { return nil }

func (rolloutShelf) Lift(context.Context, fleet.Actor, int64, string, string) error { return nil }

func (s rolloutShelf) Plan(context.Context, dashboard.RolloutWish) (fleet.PlannedRollout, error) {
	if s.story.Planned == nil {
		return fleet.PlannedRollout{}, dashboard.BadRequest(`Hosts: at byte 12: found "nad", expected and, or, or the end.`)
	}
	return *s.story.Planned, nil
}

func (rolloutShelf) Start(context.Context, fleet.Actor, dashboard.RolloutWish) (fleet.Rollout, error) {
	return fleet.Rollout{ID: "01KAJ3T7Q8M2V5X9Z4C6B1N0RW"}, nil
}
