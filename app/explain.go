package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
	"github.com/nixfleet/nixfleet/forge"
)

// Policy tells what holds for a repository, and where it comes from.
func (s service) Policy(ctx context.Context, repo string) (api.Policy, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return api.Policy{}, err
	}
	v, err := s.a.policyOf(ctx, r)
	p := api.Policy{Repo: repo, Source: v.Source, File: v.File, Settings: v.Settings, Problem: v.Problem}
	if v.Settings != "" {
		p.ChangedBy, p.ChangedAt = v.ChangedBy, v.ChangedAt
	}
	return p, err
}

// policyOf reads what rules a repository: its policy file, else the settings made
// here, else the built-in policy.
func (a *App) policyOf(ctx context.Context, r fleet.Repo) (fleet.PolicyView, error) {
	v := fleet.PolicyView{Repo: r, Source: "built-in", File: fmt.Sprintf("%s/%s/blob/%s/%s",
		strings.TrimSuffix(a.cfg.GitHubWebURL, "/"), r.FullName(), r.DefaultBranch, forge.PolicyPath)}
	settings, err := a.db.PolicySettings(ctx, r.ID)
	if err != nil {
		return v, err
	}
	if settings != nil {
		v.Settings, v.ChangedBy, v.ChangedAt = settings.Policy, settings.ChangedBy, settings.ChangedAt
	}
	if v.Settings != "" {
		v.Source = "settings"
	}
	state, err := a.branch(ctx, r)
	if err != nil {
		return v, err
	}
	if state.PolicyFile {
		v.Source = "file"
	}
	if v.Problem = state.Policy.Err; state.Policy.Known() {
		v.Policy = &state.Policy.Value
	}
	return v, nil
}

// SetPolicy changes the settings of a repository that has no policy file.
func (s service) SetPolicy(ctx context.Context, by fleet.Actor, repo, settings string) (api.Policy, error) {
	r, err := s.watched(ctx, repo)
	if err != nil {
		return api.Policy{}, err
	}
	p, err := s.Policy(ctx, repo)
	switch {
	case err != nil:
		return p, err
	case p.Source == "file":
		return p, api.ErrFileRules
	}
	if settings != "" {
		if _, err := policyfile.Parse([]byte(settings), "settings"); err != nil {
			return p, fmt.Errorf("%w: %w", api.ErrInvalid, err)
		}
	}
	if err := s.a.db.SavePolicySettings(ctx, r.ID, settings, by.Login, s.a.cfg.Now()); err != nil {
		return p, err
	}
	s.a.log.Info().Ctx(ctx).Str("repo", repo).Str("by", by.Login).Msg("policy settings changed")
	return s.Policy(ctx, repo)
}

// Explain looks at an update now, as the decision does, and says what would follow
// from the suppositions. It stores nothing.
func (s service) Explain(ctx context.Context, repo string, number int, w fleet.WhatIf) (api.Explanation, error) {
	snap, err := s.a.lookNow(ctx, repo, number)
	if errors.Is(err, errNoRepo) || errors.Is(err, db.ErrNotFound) {
		return api.Explanation{}, fmt.Errorf("%w: %w", api.ErrUnknown, err)
	}
	if err != nil {
		return api.Explanation{}, err
	}
	e := fleet.Explain(snap, w, s.a.cfg.Now())
	return api.Explanation{Repo: repo, Number: number, Title: e.Title, URL: e.URL, Verdict: e.Then, WhatIf: e.Supposed}, nil
}

// lookNow reads everything that a decision about an update would know now. A
// repository that is not watched is errNoRepo, an unknown update db.ErrNotFound.
func (a *App) lookNow(ctx context.Context, repo string, number int) (fleet.Snapshot, error) {
	r, err := a.repoNamed(ctx, repo)
	if err != nil {
		return fleet.Snapshot{}, err
	}
	kept, err := a.kept(ctx, r.ID)
	if err != nil {
		return fleet.Snapshot{}, err
	}
	u, err := a.db.UpdateByNumber(ctx, r.ID, number)
	if err != nil {
		return fleet.Snapshot{}, err
	}
	snap, err := a.forge.Snapshot(ctx, r, number, kept)
	if err != nil {
		return snap, err
	}
	if snap.Recorded, err = a.db.RecordedOf(ctx, u.ID, snap.Pull.Value.HeadSHA); err != nil {
		return snap, err
	}
	if snap.Recorded.Proposed, err = a.proposedHead(ctx, snap); err != nil {
		return snap, err
	}
	snap.Recorded.InputsSeen, err = a.db.InputsSeen(ctx, fleet.InputsToSee(snap))
	return snap, err
}

func (s service) watched(ctx context.Context, repo string) (fleet.Repo, error) {
	r, err := s.a.repoNamed(ctx, repo)
	if errors.Is(err, errNoRepo) {
		return r, api.ErrUnknown
	}
	return r, err
}
