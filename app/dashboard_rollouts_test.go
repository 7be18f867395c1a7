package app

import (
	"errors"
	"slices"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestPagesStartSteerAndRetryRollouts(t *testing.T) {
	t.Parallel()
	h := newHands(t, oneWave)
	p, ada := rolloutPages{h.App}, fleet.Actor{Login: "ada"}
	refused := func(what string, err error, says string) {
		t.Helper()
		denied(t, what, err, says)
		if _, ok := errors.AsType[dashboard.Refused](err); !ok {
			t.Errorf("%s: %T is not for people", what, err)
		}
	}
	wrong := func(what string, err error, says string) {
		t.Helper()
		denied(t, what, err, says)
		if _, ok := errors.AsType[dashboard.BadRequest](err); !ok {
			t.Errorf("%s: %T does not lead back to the form", what, err)
		}
	}

	plan, err := p.Plan(t.Context(), dashboard.RolloutWish{Hosts: "web1 or web2"})
	if err != nil || plan.Commit != h.hub.Head(pressedRepo, "main") || len(plan.Plan.Waves) != 1 || !slices.Equal(plan.Plan.Waves[0].Hosts, []string{"web1", "web2"}) {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	_, err = p.Plan(t.Context(), dashboard.RolloutWish{Hosts: "web1 nad"})
	wrong("no selector", err, "expected and, or, or the end.")
	_, err = p.Plan(t.Context(), dashboard.RolloutWish{Repo: "octo/none"})
	wrong("no repository", err, "watched repositories")
	h.want("after plans", "")

	wish := dashboard.RolloutWish{Hosts: "web1 or web2", Commit: plan.Commit, Key: "K1", Reason: "now"}
	r, err := p.Start(t.Context(), ada, wish)
	must(t, err)
	again, err := p.Start(t.Context(), ada, wish)
	if err != nil || again.ID != r.ID {
		t.Errorf("pressed twice it starts %s and %s, %v", r.ID, again.ID, err)
	}
	wish.Hosts = "web3"
	_, err = p.Start(t.Context(), ada, wish)
	wrong("the key for another wish", err, "for another rollout before")
	h.work()

	_, err = p.Steer(t.Context(), ada, r.ID, fleet.VerbPause, fleet.RolloutPlanned, "")
	refused("what is not as it was seen", err, "was planned when you looked, and is running now")
	for range 2 {
		is, err := p.Steer(t.Context(), ada, r.ID, fleet.VerbPause, fleet.RolloutRunning, "lunch")
		if err != nil || is.State != fleet.RolloutPaused {
			t.Errorf("paused: %s, %v", is.State, err)
		}
	}
	_, err = p.Steer(t.Context(), ada, r.ID, fleet.VerbResume, fleet.RolloutPaused, "")
	must(t, err)
	h.does("web1", agentbus.StepFailed)
	h.does("web2", agentbus.StepFailed)
	d, err := p.Rollout(t.Context(), r.ID)
	must(t, err)
	if !slices.ContainsFunc(d.Happened, func(c fleet.RolloutChange) bool { return c.What == "paused" && c.Actor == "ada" && c.Reason == "lunch" }) || d.Quarantine == "" {
		t.Errorf("its page tells %+v", d)
	}
	for range 2 {
		next, err := p.Retry(t.Context(), ada, r.ID, []string{"web2"}, "", "K2")
		must(t, err)
		h.work()
		if d, err = p.Rollout(t.Context(), next.ID); err != nil || len(d.Hosts) != 1 || d.Hosts[0].Host != "web2" {
			t.Errorf("one host is tried again: %+v, %v", d.Hosts, err)
		}
	}
	must(t, p.Lift(t.Context(), ada, h.repoID, plan.Commit, "it was the disk"))
	must(t, p.Lift(t.Context(), ada, h.repoID, plan.Commit, "pressed twice"))
	if _, err := p.Rollout(t.Context(), "01NONE"); !errors.Is(err, dashboard.ErrUnknown) {
		t.Errorf("an unknown one: %v", err)
	}
}
