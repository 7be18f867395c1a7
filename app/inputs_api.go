package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// UpdateInputs orders a newer lock from one host of a repository.
func (s service) UpdateInputs(ctx context.Context, by fleet.Actor, repo string, u api.UpdateInputs) (api.InputsUpdate, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return api.InputsUpdate{}, err
	}
	o, err := s.a.UpdateInputs(ctx, by, r, u, "")
	if err != nil {
		return api.InputsUpdate{}, err
	}
	return inputsUpdate(db.InputsUpdate{Order: o, Repo: r}), nil
}

// InputsUpdate tells what became of an order for a newer lock.
func (s service) InputsUpdate(ctx context.Context, repo, id string) (api.InputsUpdate, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return api.InputsUpdate{}, err
	}
	u, err := s.a.db.InputsUpdate(ctx, id)
	if errors.Is(err, db.ErrNotFound) || err == nil && u.Repo.ID != r.ID {
		return api.InputsUpdate{}, api.ErrUnknown
	}
	if err != nil {
		return api.InputsUpdate{}, err
	}
	out := inputsUpdate(u)
	if u.Proposal == "" {
		return out, nil
	}
	p, err := s.a.db.Proposal(ctx, u.Proposal)
	if err != nil {
		return api.InputsUpdate{}, err
	}
	l := api.LockOf(p)
	out.Lock, out.Ended = &l, l.Ended
	if l.Found != "" {
		out.Found = l.Found
	}
	return out, nil
}

// inputsUpdate is what the order alone tells.
func inputsUpdate(u db.InputsUpdate) api.InputsUpdate {
	o := u.Order
	out := api.InputsUpdate{
		ID: o.ID, Repo: u.Repo.FullName(), Host: o.Host, Base: o.Commit, Path: o.Detail.LockFile, Inputs: o.Detail.Inputs,
		Actor: o.Actor, State: string(o.State), CreatedAt: o.IssuedAt, Ended: !o.EndedAt.IsZero() && !u.Waits, Found: u.Found,
	}
	var answer agentbus.Answer
	if out.Found != "" || json.Unmarshal(u.Answer, &answer) != nil {
		return out
	}
	out.Found = answer.Note
	if e := answer.Error; e != nil {
		out.Found = fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return out
}
