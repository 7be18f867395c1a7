package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
)

// insight is what the dashboard's pages about one repository or update show and
// change.
type insight struct{ a *App }

// Explain looks at an update now, and judges it as it is and as supposed.
func (i insight) Explain(ctx context.Context, repo string, number int, w fleet.WhatIf) (fleet.Explanation, error) {
	snap, err := i.a.lookNow(ctx, repo, number)
	if errors.Is(err, errNoRepo) || errors.Is(err, db.ErrNotFound) {
		return fleet.Explanation{}, dashboard.ErrUnknown
	}
	if err != nil {
		return fleet.Explanation{}, err
	}
	return fleet.Explain(snap, w, i.a.cfg.Now()), nil
}

// Repos are the repositories that have settings.
func (i insight) Repos(ctx context.Context) ([]fleet.Repo, error) { return i.a.db.Repos(ctx) }

// Policy tells what rules a repository, read now.
func (i insight) Policy(ctx context.Context, repo string) (fleet.PolicyView, error) {
	r, err := i.a.repoNamed(ctx, repo)
	if errors.Is(err, errNoRepo) {
		return fleet.PolicyView{}, dashboard.ErrUnknown
	}
	if err != nil {
		return fleet.PolicyView{}, err
	}
	return i.a.policyOf(ctx, r)
}

// SavePolicy changes the settings that were seen.
func (i insight) SavePolicy(ctx context.Context, by fleet.Actor, repo, settings string, seen time.Time) error {
	v, err := i.Policy(ctx, repo)
	switch {
	case err != nil:
		return err
	case v.Source == "file":
		return dashboard.Refused("The repository’s policy file rules. Change it there; nothing was saved here.")
	}
	if _, err := i.ReadSettings(settings); err != nil {
		return err
	}
	err = i.a.db.ReplacePolicySettings(ctx, v.Repo.ID, seen, settings, by.Login, i.a.cfg.Now())
	if errors.Is(err, db.ErrConflict) {
		return dashboard.ErrChanged
	}
	if err != nil {
		return err
	}
	i.a.log.Info().Ctx(ctx).Str("repo", repo).Str("by", by.Login).Msg("policy settings changed")
	return nil
}

// ReadSettings reads settings as YAML; empty ones are the built-in policy.
func (insight) ReadSettings(settings string) (fleet.Policy, error) {
	p, err := policyOfText(settings)
	if wrong, ok := errors.AsType[*policyfile.Error](err); ok {
		return p, faults(wrong)
	}
	if err != nil {
		return p, dashboard.Refused(err.Error())
	}
	return p, nil
}

// WriteSettings writes a policy as settings.
func (insight) WriteSettings(p fleet.Policy) (string, error) {
	text, err := policyfile.Write(p)
	return string(text), err
}

// faults is what is wrong in settings, each with its place.
func faults(wrong *policyfile.Error) dashboard.Faults {
	var list dashboard.Faults
	for _, p := range wrong.Problems {
		f := dashboard.Fault{Line: p.Line, Column: p.Column, Field: p.Field, Text: p.Found}
		if p.Allowed != "" {
			f.Text = fmt.Sprintf("%s, expected %s", p.Found, p.Allowed)
		}
		list = append(list, f)
	}
	return list
}
