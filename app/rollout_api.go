package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// Rollouts lists rollouts, newest first.
func (s service) Rollouts(ctx context.Context, state, before string, limit int) ([]api.Rollout, error) {
	list, err := s.a.db.Rollouts(ctx, db.RolloutPage{State: fleet.RolloutState(state), Before: before, Limit: limit})
	if err != nil {
		return nil, err
	}
	names, err := s.repoNames(ctx)
	out := make([]api.Rollout, len(list))
	for i, r := range list {
		out[i] = api.RolloutOf(r, names[r.RepoID], false)
	}
	return out, err
}

// repoNames are the repositories' names by their ids.
func (s service) repoNames(ctx context.Context) (map[int64]string, error) {
	repos, err := s.a.db.Repos(ctx)
	names := make(map[int64]string, len(repos))
	for _, r := range repos {
		names[r.ID] = r.FullName()
	}
	return names, err
}

func (s service) shownRollout(ctx context.Context, r fleet.Rollout, err error) (api.Rollout, error) {
	if err != nil {
		return api.Rollout{}, err
	}
	names, err := s.repoNames(ctx)
	return api.RolloutOf(r, names[r.RepoID], true), err
}

// Rollout is one rollout with its hosts.
func (s service) Rollout(ctx context.Context, id string) (api.Rollout, error) {
	r, err := rolloutActs(s).find(ctx, id)
	return s.shownRollout(ctx, r, err)
}

// StartRollout brings a commit to hosts.
func (s service) StartRollout(ctx context.Context, by fleet.Actor, w api.NewRollout, key string) (api.Rollout, error) {
	repo, err := s.a.repoNamed(ctx, w.Repo)
	if errors.Is(err, errNoRepo) && w.Repo == "" {
		return api.Rollout{}, fmt.Errorf("%w: name the repository; the App does not watch exactly one", api.ErrInvalid)
	}
	if errors.Is(err, errNoRepo) {
		return api.Rollout{}, api.ErrUnknown
	}
	if err != nil {
		return api.Rollout{}, err
	}
	r, err := rolloutActs(s).Start(ctx, by, RolloutRequest{
		Repo: repo, Ref: w.Commit, Hosts: w.Hosts, AtOnce: w.AtOnce, Backward: w.Backward, Force: w.Force, Reason: w.Reason, Key: key,
	})
	return s.shownRollout(ctx, r, err)
}

// SteerRollout pauses, resumes, aborts or rolls back.
func (s service) SteerRollout(ctx context.Context, by fleet.Actor, id, verb, reason string) (api.Rollout, error) {
	r, err := rolloutActs(s).Steer(ctx, by, id, fleet.Verb(verb), "", reason)
	return s.shownRollout(ctx, r, err)
}

// RetryRollout starts a rollout of the hosts that did not get there.
func (s service) RetryRollout(ctx context.Context, by fleet.Actor, id, reason, key string) (api.Rollout, error) {
	r, err := rolloutActs(s).Retry(ctx, by, id, reason, key)
	return s.shownRollout(ctx, r, err)
}

// ExcludeHost takes a host out of a rollout.
func (s service) ExcludeHost(ctx context.Context, by fleet.Actor, id, host, reason string) (api.Rollout, error) {
	r, err := rolloutActs(s).Exclude(ctx, by, id, host, reason)
	return s.shownRollout(ctx, r, err)
}

// Quarantine lists the commits that nothing brings to further hosts by itself.
func (s service) Quarantine(ctx context.Context) ([]api.Quarantined, error) {
	list, err := s.a.db.Quarantines(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.repoNames(ctx)
	out := make([]api.Quarantined, len(list))
	for i, q := range list {
		out[i] = api.Quarantined{Repo: names[q.RepoID], Commit: q.Commit, Rollout: q.Rollout, Reason: q.Reason, At: q.At}
	}
	return out, err
}

// LiftQuarantine lets a commit spread again.
func (s service) LiftQuarantine(ctx context.Context, by fleet.Actor, commit, reason string) (api.Quarantined, error) {
	list, err := s.a.db.Quarantines(ctx)
	if err != nil {
		return api.Quarantined{}, err
	}
	var found []fleet.Quarantine
	for _, q := range list {
		if strings.HasPrefix(q.Commit, commit) {
			found = append(found, q)
		}
	}
	switch len(found) {
	case 0:
		return api.Quarantined{}, api.ErrUnknown
	case 1:
	default:
		return api.Quarantined{}, inTheWay("More than one commit in quarantine begins with %s. Give more of it.", commit)
	}
	q := found[0]
	err = s.a.db.LiftQuarantine(ctx, q.RepoID, q.Commit, by.Login, reason, s.a.cfg.Now())
	if errors.Is(err, db.ErrNotFound) {
		return api.Quarantined{}, api.ErrUnknown // somebody was faster
	}
	if err != nil {
		return api.Quarantined{}, err
	}
	s.a.log.Info().Ctx(ctx).Str("commit", q.Commit).Str("by", by.Login).Str("reason", reason).Msg("quarantine lifted")
	names, err := s.repoNames(ctx)
	return api.Quarantined{Repo: names[q.RepoID], Commit: q.Commit, Rollout: q.Rollout, Reason: q.Reason, At: q.At}, err
}
