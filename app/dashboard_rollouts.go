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

// rolloutPages are the dashboard's pages about rollouts.
type rolloutPages struct{ a *App }

// Rollout reads one rollout with what is around it.
func (p rolloutPages) Rollout(ctx context.Context, id string) (fleet.RolloutDetail, error) {
	r, err := p.a.db.RolloutDetail(ctx, id)
	if errors.Is(err, db.ErrNotFound) {
		err = dashboard.ErrUnknown
	}
	return r, err
}

// EndedRollouts lists rollouts that have ended, newest first.
func (p rolloutPages) EndedRollouts(ctx context.Context, q fleet.RolloutQuery) ([]fleet.RolloutSummary, error) {
	return p.a.db.EndedRollouts(ctx, q)
}

// Quarantine lists the commits that do not spread by themselves.
func (p rolloutPages) Quarantine(ctx context.Context) ([]fleet.Quarantine, error) {
	return p.a.db.Quarantines(ctx)
}

// Steer pauses, resumes, aborts or rolls back.
func (p rolloutPages) Steer(ctx context.Context, by fleet.Actor, id string, verb fleet.Verb, seen fleet.RolloutState, reason string) (fleet.Rollout, error) {
	r, err := rolloutActs(p).Steer(ctx, by, id, verb, seen, reason)
	return r, forPeople(err)
}

// Retry starts a rollout of the hosts that did not get there.
func (p rolloutPages) Retry(ctx context.Context, by fleet.Actor, id string, hosts []string, reason, key string) (fleet.Rollout, error) {
	r, err := rolloutActs(p).Retry(ctx, by, id, reason, key, hosts...)
	return r, forPeople(err)
}

// Exclude takes a host out of a rollout.
func (p rolloutPages) Exclude(ctx context.Context, by fleet.Actor, id, host, reason string) error {
	_, err := rolloutActs(p).Exclude(ctx, by, id, host, reason)
	return forPeople(err)
}

// Lift lets a commit spread again. One that may do so already is left as it is.
func (p rolloutPages) Lift(ctx context.Context, by fleet.Actor, repoID int64, commit, reason string) error {
	err := p.a.db.LiftQuarantine(ctx, repoID, commit, by.Login, reason, p.a.cfg.Now())
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err == nil {
		p.a.log.Info().Ctx(ctx).Str("commit", commit).Str("by", by.Login).Msg("quarantine lifted")
	}
	return err
}

// Plan tells what bringing a commit to hosts would come to.
func (p rolloutPages) Plan(ctx context.Context, w dashboard.RolloutWish) (fleet.PlannedRollout, error) {
	q, err := p.request(ctx, w)
	if err != nil {
		return fleet.PlannedRollout{}, forPeople(err)
	}
	s, err := rolloutActs(p).plan(ctx, q)
	if err != nil {
		return fleet.PlannedRollout{}, forPeople(err)
	}
	plan := fleet.PlannedRollout{Repo: q.Repo, Commit: s.commit, Later: s.later}
	if plan.Quarantine, err = p.a.db.Quarantined(ctx, q.Repo.ID, s.commit); err != nil {
		return plan, err
	}
	plan.Plan, _, err = fleet.MakePlan(s.deploy, s.hosts)
	return plan, err
}

// Start begins a rollout.
func (p rolloutPages) Start(ctx context.Context, by fleet.Actor, w dashboard.RolloutWish) (fleet.Rollout, error) {
	q, err := p.request(ctx, w)
	if err != nil {
		return fleet.Rollout{}, forPeople(err)
	}
	r, err := rolloutActs(p).Start(ctx, by, q)
	return r, forPeople(err)
}

func (p rolloutPages) request(ctx context.Context, w dashboard.RolloutWish) (RolloutRequest, error) {
	repo, err := p.a.repoNamed(ctx, w.Repo)
	if errors.Is(err, errNoRepo) {
		err = dashboard.BadRequest("Choose one of the watched repositories.")
	}
	return RolloutRequest{
		Repo: repo, Ref: w.Commit, Hosts: w.Hosts, AtOnce: w.AtOnce, Backward: w.Backward, Force: w.Force, Reason: w.Reason, Key: w.Key,
	}, err
}

// forPeople puts what can't be done, or can't be right, into the dashboard's errors.
func forPeople(err error) error {
	if refused, ok := errors.AsType[api.Refused](err); ok {
		return dashboard.Refused(refused)
	}
	if bad, ok := errors.AsType[*fleet.FieldError](err); ok {
		if bad.Field == keyField {
			return dashboard.BadRequest("This form was sent for another rollout before. Open it anew.")
		}
		return dashboard.BadRequest(sentence(bad.Error()))
	}
	switch {
	case errors.Is(err, api.ErrUnknown):
		return dashboard.ErrUnknown
	case errors.Is(err, api.ErrInvalid):
		return dashboard.BadRequest(sentence(strings.TrimPrefix(err.Error(), api.ErrInvalid.Error()+": ")))
	}
	return err
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}
