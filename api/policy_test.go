package api_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestSettingsAreReadAndChanged(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	viewer, admin := &api.Client{Server: url, Token: "see"}, &api.Client{Server: url, Token: "all"}
	repos, err := viewer.Repos(t.Context())
	if err != nil || len(repos) != 1 || repos[0].Repo != "octo/fleet" {
		t.Fatalf("repositories: %v, %v", repos, err)
	}
	if p, err := viewer.Policy(t.Context(), "octo/fleet"); err != nil || p.Source != "built-in" {
		t.Fatalf("at first: %+v, %v", p, err)
	}
	p, err := admin.SetPolicy(t.Context(), "octo/fleet", "version: 1")
	if err != nil || p.Source != "settings" || p.Settings != "version: 1 by all" {
		t.Fatalf("changed: %+v, %v", p, err)
	}
	for name, tt := range map[string]struct {
		client               *api.Client
		repo, settings, want string
	}{
		"viewer":             {viewer, "octo/fleet", "version: 1", "needs the role admin"},
		"unknown repository": {admin, "octo/other", "version: 1", "octo/other is not watched"},
		"where a file rules": {admin, "octo/fleet", "ruled", "change it there: https://github.example/file"},
		"broken":             {admin, "octo/fleet", "broken", "settings:1:1: broken"},
	} {
		if _, err := tt.client.SetPolicy(t.Context(), tt.repo, tt.settings); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestSuppositionsReachTheExplanation(t *testing.T) {
	t.Parallel()
	s, address := serve(t)
	viewer := &api.Client{Server: address, Token: "see"}
	at := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
	_, err := viewer.Explain(t.Context(), "octo/fleet", 7, url.Values{
		"check": {"build (x86, a:b):success", "lint:missing"}, "at": {at.Format(time.RFC3339)}, "merge": {"true"}, "hold": {"off"}, "label": {"nixfleet/hold"},
	})
	if err != nil {
		t.Fatal(err)
	}
	off := false
	want := fleet.WhatIf{
		Checks: map[string]string{"build (x86, a:b)": "success", "lint": "missing"}, At: at, Merge: true, Hold: &off, Labels: []string{"nixfleet/hold"},
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Error(diff)
	}
	for name, tt := range map[string]struct {
		number  int
		suppose url.Values
		want    string
	}{
		"unknown update":     {8, nil, "no such update"},
		"no supposition":     {7, url.Values{"check": {"build"}}, "write NAME:RESULT"},
		"an invented result": {7, url.Values{"check": {"build:great"}}, "success, neutral, skipped"},
		"not a time":         {7, url.Values{"at": {"tomorrow"}}, "query.at"},
	} {
		if _, err := viewer.Explain(t.Context(), "octo/fleet", tt.number, tt.suppose); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}
