package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// Setup says how far the set-up has come.
func (s service) Setup(ctx context.Context) (api.Setup, error) {
	state, err := wizard(s).Setup(ctx)
	if err != nil {
		return api.Setup{}, err
	}
	out := api.Setup{Address: state.PublicURL, Problem: state.Problem, Repos: []api.SetupRepo{}}
	if state.App != nil {
		out.App = &api.SetupApp{Slug: state.App.Slug, Page: state.App.Page}
		if state.App.Page != "" {
			out.InstallURL = state.App.Page + "/installations/new"
		}
	}
	if state.Local && state.App == nil && out.Problem == "" {
		out.Problem = "GitHub can't reach " + state.PublicURL + "; set NIXFLEET_URL to the address that the server has on the internet, and restart it."
	}
	for _, r := range state.Repos {
		out.Repos = append(out.Repos, api.SetupRepo{Name: r.Name, Policy: r.Policy, URL: r.URL})
	}
	return out, nil
}

// SetupLink makes a one-time address of the set-up page.
func (s service) SetupLink(ctx context.Context, by fleet.Actor) (string, time.Time, error) {
	expires := s.a.cfg.Now().Add(loginLinkTTL)
	address, err := s.a.LoginLink(ctx, by.Login, "admin")
	return address, expires, err
}

// ProposePolicy opens the pull request with the policy file, or finds it.
func (s service) ProposePolicy(ctx context.Context, by fleet.Actor, name string) (api.SetupRepo, error) {
	if s.a.settingUp() {
		return api.SetupRepo{}, fmt.Errorf("%w: there is no GitHub App yet", api.ErrInvalid)
	}
	r, err := s.watched(ctx, name)
	if err != nil {
		return api.SetupRepo{}, err
	}
	err = wizard(s).ProposePolicy(ctx, by, r.ID)
	if refused, ok := errors.AsType[dashboard.Refused](err); ok {
		return api.SetupRepo{}, fmt.Errorf("%w: %w", api.ErrInvalid, refused)
	}
	if err != nil {
		return api.SetupRepo{}, err
	}
	got := wizard(s).repo(ctx, r)
	return api.SetupRepo{Name: got.Name, Policy: got.Policy, URL: got.URL}, nil
}

// policyFile is the page of a repository's policy file.
func (s service) policyFile(r fleet.Repo) string {
	return fmt.Sprintf("%s/%s/blob/%s/%s", strings.TrimSuffix(s.a.cfg.GitHubWebURL, "/"), r.FullName(), r.DefaultBranch, forge.PolicyPath)
}
