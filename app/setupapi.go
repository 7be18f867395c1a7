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

// LoginLink makes a one-time address that signs in past GitHub. That is for whoever has
// the admin token: a token of GitHub's people must not outlive what GitHub says.
func (s service) LoginLink(ctx context.Context, by fleet.Actor, name, role string) (string, time.Time, error) {
	if by.Type != "local" {
		return "", time.Time{}, fmt.Errorf("%w: a sign-in link is made with the admin token of the server, and with no other", api.ErrForbidden)
	}
	return s.a.loginLink(ctx, by, name, role)
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
