package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// refused checks that a wish was not granted, in words for people.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	if r, ok := errors.AsType[dashboard.Refused](err); !ok || !strings.Contains(r.Error(), says) {
		t.Errorf("it says %v, want %q", err, says)
	}
}

func TestDashboardHoldsReleasesAndMergesWithoutADeploy(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	press, ctx := actions{p.App}, t.Context()
	alice, bob := fleet.Actor{Login: "alice", Type: "local"}, fleet.Actor{Login: "bob", Type: "local"}
	look := func() dashboard.Seen {
		u := p.update()
		seen := dashboard.Seen{Update: u.ID, HeadSHA: u.HeadSHA}
		if u.Hold != nil {
			seen.HeldAt = u.Hold.At
		}
		return seen
	}
	before := look()

	until := p.clock.now().Add(48 * time.Hour)
	must(t, press.Hold(ctx, alice, before, until))
	p.clock.forward(time.Second)
	must(t, press.Hold(ctx, alice, before, until.Add(time.Second))) // the same press once more
	u := p.is(fleet.UpdateReady, "merge unhold")
	if u.Hold == nil || !u.Hold.Until.Equal(until) {
		t.Fatalf("held: %+v, want until %s", u.Hold, until)
	}
	p.says("alice holds it since", true)
	p.remembers("alice hold allowed")

	// What somebody has not seen is not set aside by what they press.
	refused(t, press.Merge(ctx, bob, before, true), "alice has put a hold on it")
	refused(t, press.Release(ctx, bob, before), "alice has put a hold on it")
	moved := look()
	moved.HeadSHA = strings.Repeat("0", 40)
	for name, err := range map[string]error{"merge": press.Merge(ctx, bob, moved, true), "release": press.Release(ctx, bob, moved)} {
		if !errors.Is(err, dashboard.ErrHeadMoved) {
			t.Errorf("%s of another head: %v", name, err)
		}
	}
	refused(t, press.Merge(ctx, bob, dashboard.Seen{Update: 999, HeadSHA: "aaa"}, true), "no such update")

	held := look()
	must(t, press.Release(ctx, bob, held))
	must(t, press.Release(ctx, bob, held))
	p.is(fleet.UpdateHolding, "merge hold")

	must(t, press.Merge(ctx, bob, look(), false))
	must(t, press.Merge(ctx, bob, look(), false))
	u = p.is(fleet.UpdateMerged, "")
	if r, err := p.rolloutFor(ctx, u); err != nil || r != nil {
		t.Errorf("a merge without a deploy: rollout %v, %v", r, err)
	}
	refused(t, press.Hold(ctx, alice, look(), time.Time{}), "is merged already")
	p.remembers("alice hold allowed", "bob unhold allowed", "bob merge allowed")
}

func TestDashboardExplainsAnUpdateAndStoresNothing(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	before := p.update()
	look := insight{p.App}
	e, err := look.Explain(t.Context(), pressedRepo, p.number, fleet.WhatIf{Checks: map[string]string{"build": "failure"}})
	must(t, err)
	if e.Now.State != fleet.UpdateHolding || e.Then.State != fleet.UpdateFailing || !e.Supposed || strings.Join(e.Required, " ") != "build" {
		t.Errorf("now %s, then %s, required %v", e.Now.State, e.Then.State, e.Required)
	}
	for _, c := range e.Now.Conditions {
		if c.Source == "" || c.At.IsZero() || c.Found == "" {
			t.Errorf("condition %s does not say what was found, where and when: %+v", c.ID, c)
		}
	}
	if after := p.update(); after.ChangedAt != before.ChangedAt || after.State != before.State {
		t.Errorf("it was changed by being explained: %+v", after)
	}
	for repo, number := range map[string]int{pressedRepo: 999, "octo/other": p.number} {
		if _, err := look.Explain(t.Context(), repo, number, fleet.WhatIf{}); !errors.Is(err, dashboard.ErrUnknown) {
			t.Errorf("%s #%d: %v, want ErrUnknown", repo, number, err)
		}
	}
}

func TestDashboardChangesSettingsThatWereSeen(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	look, ctx := insight{p.App}, t.Context()
	alice, bob := fleet.Actor{Login: "alice", Type: "local"}, fleet.Actor{Login: "bob", Type: "local"}
	policy := func() fleet.PolicyView {
		t.Helper()
		v, err := look.Policy(ctx, pressedRepo)
		must(t, err)
		return v
	}
	if v := policy(); v.Source != "file" || v.Policy == nil || v.Problem != "" || !strings.HasSuffix(v.File, "/octo/fleet/blob/main/.github/nixfleet.yml") {
		t.Errorf("with a file: %+v", v)
	}
	refused(t, look.SavePolicy(ctx, alice, pressedRepo, "version: 1\n", time.Time{}), "policy file rules")

	_, err := p.hub.CommitFiles(pressedRepo, forgetest.Commit{Branch: "main", Remove: []string{".github/nixfleet.yml"}, Author: robot, Message: "Change\n"})
	must(t, err)
	p.turn()
	if v := policy(); v.Source != "built-in" || !v.ChangedAt.IsZero() {
		t.Errorf("without a file: %+v", v)
	}
	wrong, ok := errors.AsType[dashboard.Faults](look.SavePolicy(ctx, alice, pressedRepo, "version: 1\nupdates:\n  auto_merge: {hold: 1 hour}\n", time.Time{}))
	if !ok || len(wrong) != 1 || wrong[0].Line != 3 || wrong[0].Field != "updates.auto_merge.hold" {
		t.Errorf("faults: %+v", wrong)
	}
	must(t, look.SavePolicy(ctx, alice, pressedRepo, "version: 1\nupdates: {auto_merge: {hold: 2h}}\n", time.Time{}))
	v := policy()
	if v.Source != "settings" || v.ChangedBy != "alice" || v.Policy.Updates.AutoMerge.Hold != 2*time.Hour {
		t.Errorf("settings: %+v", v)
	}
	if err := look.SavePolicy(ctx, bob, pressedRepo, "version: 1\n", time.Time{}); !errors.Is(err, dashboard.ErrChanged) {
		t.Errorf("a save over what was not seen: %v", err)
	}
	p.clock.forward(time.Minute)
	must(t, look.SavePolicy(ctx, bob, pressedRepo, "", v.ChangedAt))
	if v := policy(); v.Source != "built-in" || v.ChangedBy != "bob" {
		t.Errorf("emptied: %+v", v)
	}
}
