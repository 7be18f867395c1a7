package app

import (
	"context"
	"errors"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// ProposeLock takes a lock that a person sends.
func (s service) ProposeLock(ctx context.Context, by fleet.Actor, repo string, l api.NewLock) (api.Lock, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return api.Lock{}, err
	}
	if l.Path == "" {
		l.Path = "flake.lock"
	}
	p, err := s.a.ProposeLock(ctx, by, r, SentLock{
		Host: l.Host, Path: l.Path, BaseSHA: l.Base, Inputs: l.Inputs, Lock: []byte(l.Lock), Reason: l.Reason, AsPull: l.AsPull,
	})
	if err != nil {
		return api.Lock{}, err
	}
	return api.LockOf(p), nil
}

// Lock tells what became of a lock that was sent.
func (s service) Lock(ctx context.Context, repo, id string) (api.Lock, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return api.Lock{}, err
	}
	p, err := s.a.db.Proposal(ctx, id)
	if errors.Is(err, db.ErrNotFound) || err == nil && p.Repo.ID != r.ID {
		return api.Lock{}, api.ErrUnknown
	}
	if err != nil {
		return api.Lock{}, err
	}
	return api.LockOf(p), nil
}
