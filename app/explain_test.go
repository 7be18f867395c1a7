package app

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// What would happen can be asked without anything happening.
func TestAnExplanationSupposesAndChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	ask := api.Client{Server: p.url, Token: adminSecret}
	before := p.update()
	for name, tt := range map[string]struct {
		suppose url.Values
		state   fleet.UpdateState
		says    string
	}{
		"as it is":       {nil, fleet.UpdateHolding, "if nothing changes"},
		"after the hold": {url.Values{"at": {p.clock.now().Add(2 * time.Hour).Format(time.RFC3339)}}, fleet.UpdateMerging, "Merging"},
		"a red check":    {url.Values{"check": {"build:failure"}}, fleet.UpdateFailing, "build of github-actions failed"},
		"a person asks":  {url.Values{"merge": {"true"}}, fleet.UpdateMerging, "as a person asks"},
		"a person holds": {url.Values{"hold": {"on"}, "at": {p.clock.now().Add(2 * time.Hour).Format(time.RFC3339)}}, fleet.UpdateReady, "a person holds it"},
	} {
		x, err := ask.Explain(t.Context(), pressedRepo, p.number, tt.suppose)
		must(t, err)
		if x.Verdict.State != tt.state || !strings.Contains(strings.ToLower(x.Verdict.Headline), strings.ToLower(tt.says)) || x.WhatIf != (tt.suppose != nil) {
			t.Errorf("%s: %s: %s (what if: %t), want %s: %s", name, x.Verdict.State, x.Verdict.Headline, x.WhatIf, tt.state, tt.says)
		}
	}
	if after := p.update(); after.State != before.State || after.Verdict.At != before.Verdict.At {
		t.Errorf("the update became %s at %s", after.State, after.Verdict.At)
	}
	if _, err := ask.Explain(t.Context(), pressedRepo, 99, nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown update: %v", err)
	}
}

// A repository without a policy file goes by settings that are made over the API,
// until it gets one.
func TestSettingsRuleUntilThereIsAFile(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	ask := api.Client{Server: p.url, Token: adminSecret}
	got, err := ask.Policy(t.Context(), pressedRepo)
	must(t, err)
	if got.Source != "file" || !strings.HasSuffix(got.File, "/octo/fleet/blob/main/"+forge.PolicyPath) {
		t.Errorf("with a file: %+v", got)
	}
	const settings = "version: 1\nupdates: {auto_merge: {enabled: true, hold: 3h}, require_checks: false}\n"
	if _, err := ask.SetPolicy(t.Context(), pressedRepo, settings); err == nil || !strings.Contains(err.Error(), "change it there") {
		t.Errorf("while a file rules: %v", err)
	}
	_, err = p.hub.CommitFiles(pressedRepo, forgetest.Commit{Remove: []string{forge.PolicyPath}, Message: "By settings\n"})
	must(t, err)
	if _, err := ask.SetPolicy(t.Context(), pressedRepo, "version: 1\nupdates:\n  hold: 3h\n"); err == nil || !strings.Contains(err.Error(), "settings:3:3") {
		t.Errorf("with a mistake: %v", err)
	}
	got, err = ask.SetPolicy(t.Context(), pressedRepo, settings)
	must(t, err)
	if got.Source != "settings" || got.Settings != settings || got.ChangedBy == "" {
		t.Errorf("without a file: %+v", got)
	}
	p.turn()
	if c := conditionOf(p.update(), "hold"); !strings.HasPrefix(c.Found, "3 h since") {
		t.Errorf("the hold of the settings: %+v", c)
	}
	got, err = ask.SetPolicy(t.Context(), pressedRepo, "")
	must(t, err)
	if got.Source != "built-in" {
		t.Errorf("taken back: %+v", got)
	}
}
