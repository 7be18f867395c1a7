package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// service is a product with one host.
type service struct {
	made     []api.NewHost
	revoked  []string
	settings string
	asked    fleet.WhatIf
	breaks   int
	followed []int64
	ordered  []fleet.OrderRequest
	did      []string // to rollouts
	acted    []api.UpdateAct
	hostList []fleet.HostView
	faults   []string

	onceMu sync.Mutex
	once   map[string]*onceRow
	wished fleet.ReceiverWish
}

func (*service) Authenticate(_ context.Context, token string) (fleet.Actor, string, error) {
	role, ok := map[string]string{"see": "viewer", "do": "operator", "all": "admin"}[token]
	if !ok {
		return fleet.Actor{}, "", api.ErrToken
	}
	return fleet.Actor{Login: token}, role, nil
}

func (s *service) Overview(context.Context) (fleet.Overview, error) {
	if s.hostList != nil {
		return fleet.Overview{Hosts: s.hostList}, nil
	}
	return fleet.Overview{Repos: []fleet.RepoView{{Repo: fleet.Repo{Owner: "octo", Name: "fleet"}, HeadSHA: "aaa"}}, Hosts: []fleet.HostView{{
		Host:         fleet.Host{Name: "web1", Attr: "nixosConfigurations.web1"},
		Online:       true,
		Compartments: []fleet.Compartment{{ID: "git", Light: fleet.LightOK}},
	}}}, nil
}

func (s *service) NewHost(_ context.Context, by fleet.Actor, h api.NewHost) (string, time.Time, error) {
	if h.Name == "web1" {
		return "", time.Time{}, api.ErrExists
	}
	if by.Login == "" {
		return "", time.Time{}, errors.New("no actor")
	}
	s.made = append(s.made, h)
	return "secret", time.Unix(1e9, 0).UTC(), nil
}

func (s *service) Policy(_ context.Context, repo string) (api.Policy, error) {
	if repo != "octo/fleet" {
		return api.Policy{}, api.ErrUnknown
	}
	p := api.Policy{Repo: repo, Source: "built-in", File: "https://github.example/file", Settings: s.settings}
	if p.Settings != "" {
		p.Source = "settings"
	}
	return p, nil
}

func (s *service) SetPolicy(ctx context.Context, by fleet.Actor, repo, settings string) (api.Policy, error) {
	p, err := s.Policy(ctx, repo)
	switch {
	case err != nil:
		return p, err
	case settings == "ruled":
		return p, api.ErrFileRules
	case settings == "broken":
		return p, fmt.Errorf("%w: settings:1:1: broken", api.ErrInvalid)
	}
	s.settings = settings + " by " + by.Login
	return s.Policy(ctx, repo)
}

func (s *service) Explain(_ context.Context, repo string, number int, w fleet.WhatIf) (api.Explanation, error) {
	if repo != "octo/fleet" || number != 7 {
		return api.Explanation{}, api.ErrUnknown
	}
	s.asked = w
	return api.Explanation{Repo: repo, Number: number, Verdict: fleet.Verdict{Headline: "Waits."}}, nil
}

func (s *service) ProposeLock(_ context.Context, by fleet.Actor, repo string, l api.NewLock) (api.Lock, error) {
	switch {
	case repo != "octo/fleet":
		return api.Lock{}, api.ErrUnknown
	case l.Host == "nobody":
		return api.Lock{}, fmt.Errorf("%w: no such host", api.ErrInvalid)
	}
	return api.LockOf(fleet.Proposal{ID: "01J", State: fleet.ProposalReceived, Actor: by.Login, Path: l.Path, BaseSHA: l.Base, Host: l.Host}), nil
}

func (s *service) Lock(_ context.Context, repo, id string) (api.Lock, error) {
	if id != "01J" {
		return api.Lock{}, api.ErrUnknown
	}
	return api.LockOf(fleet.Proposal{ID: id, State: fleet.ProposalConflicted, Host: "web1", CommitSHA: "abc"}), nil
}

func (s *service) UpdateInputs(_ context.Context, by fleet.Actor, repo string, u api.UpdateInputs) (api.InputsUpdate, error) {
	switch {
	case repo != "octo/fleet":
		return api.InputsUpdate{}, api.ErrUnknown
	case u.Host == "away":
		return api.InputsUpdate{}, fmt.Errorf("%w: host away is offline", api.ErrInvalid)
	}
	return api.InputsUpdate{ID: "01K", Repo: repo, Host: "web1", Inputs: u.Inputs, Actor: by.Login, State: "ordered"}, nil
}

func (s *service) InputsUpdate(_ context.Context, repo, id string) (api.InputsUpdate, error) {
	if id != "01K" {
		return api.InputsUpdate{}, api.ErrUnknown
	}
	return api.InputsUpdate{ID: id, Repo: repo, State: "healthy", Ended: true, Found: "all inputs are current"}, nil
}

func (s *service) CheckForUpdates(_ context.Context, by fleet.Actor, repo string) ([]fleet.Checked, error) {
	if repo != "" && repo != "octo/fleet" {
		return nil, api.ErrUnknown
	}
	return []fleet.Checked{{Repo: "octo/fleet", Started: []string{".github/workflows/lock.yml"}, Found: "Started by " + by.Login + "."}}, nil
}

func (s *service) RevokeHost(_ context.Context, by fleet.Actor, name string) error {
	if name != "web1" {
		return api.ErrUnknown
	}
	s.revoked = append(s.revoked, name+" by "+by.Login)
	return nil
}

func serve(t *testing.T) (*service, string) {
	t.Helper()
	s, mux := &service{}, http.NewServeMux()
	api.Mount(mux, "1.2.3", "build", s)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, server.URL
}

func TestHostsAreListedWithTheirCompartments(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	got, err := (&api.Client{Server: url, Token: "see"}).Hosts(t.Context(), fleet.HostFilter{})
	if err != nil {
		t.Fatal(err)
	}
	want := []api.Host{{
		Name: "web1", Attr: "nixosConfigurations.web1", Tags: []string{}, Online: true,
		Compartments: []fleet.Compartment{{ID: "git", Light: fleet.LightOK}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	db1 := api.NewHost{Name: "db1", Attr: "nixosConfigurations.db1"}
	for name, tt := range map[string]struct {
		token string
		host  api.NewHost
		want  string
	}{
		"unknown token":     {"nobody", db1, "401"},
		"no token":          {"", db1, "set NIXFLEET_TOKEN"},
		"viewer":            {"see", db1, "needs the role admin; the token has viewer"},
		"operator":          {"do", db1, "needs the role admin; the token has operator"},
		"taken name":        {"all", api.NewHost{Name: "web1", Attr: "nixosConfigurations.web1"}, "Revoke it first"},
		"hostile name":      {"all", api.NewHost{Name: "../x", Attr: "nixosConfigurations.x"}, "name: expected string to match pattern"},
		"foreign attribute": {"all", api.NewHost{Name: "x", Attr: "packages.x"}, "attr: expected string to match pattern"},
		"long attribute":    {"all", api.NewHost{Name: "x", Attr: "nixosConfigurations." + strings.Repeat("x", 4000)}, "attr: expected length <= 300"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := serve(t)
			_, err := (&api.Client{Server: url, Token: tt.token}).NewHost(t.Context(), tt.host)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if len(s.made) != 0 {
				t.Errorf("a refused request made %v", s.made)
			}
		})
	}
}

func TestAnAdminGetsTheTokenOnce(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	want := api.NewHost{Name: "db1", Attr: "nixosConfigurations.db1", Tags: []string{"canary"}, Mode: "fleet"}
	got, err := (&api.Client{Server: url, Token: "all"}).NewHost(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(api.Enrolment{Host: "db1", Token: "secret", Expires: time.Unix(1e9, 0).UTC()}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]api.NewHost{want}, s.made); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyAnAdminRevokesAHost(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	for _, tt := range []struct{ token, host, want string }{
		{"do", "web1", "needs the role admin"},
		{"all", "nobody", "No host is named nobody"},
	} {
		err := (&api.Client{Server: url, Token: tt.token}).RevokeHost(t.Context(), tt.host)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s revokes %s: %v, want %q", tt.token, tt.host, err, tt.want)
		}
	}
	if err := (&api.Client{Server: url, Token: "all"}).RevokeHost(t.Context(), "web1"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"web1 by all"}, s.revoked); diff != "" {
		t.Error(diff)
	}
}
