package app

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

var ada = fleet.Actor{Login: "ada"}

// What the page of a host changes is what the person saw, and nothing else.
func TestAHostIsChangedAsItWasSeen(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	_, err := agent.Enroll(t.Context(), r.agentOf(t, "web1", r.token(t, "web1")))
	must(t, err)
	pages := hostPages{r.App}
	record := func() fleet.Host {
		t.Helper()
		h, err := pages.HostRecord(t.Context(), "web1")
		must(t, err)
		return h.Host
	}
	of := func(h fleet.Host) dashboard.HostSettings {
		return dashboard.HostSettings{Attr: h.Attr, Mode: h.Mode, Tags: slices.Sorted(slices.Values(h.Tags))}
	}
	seen := of(record())
	wanted := seen
	wanted.Mode, wanted.Tags = "manual", []string{"a", "b"}
	for range 2 { // pressing twice is pressing once
		must(t, pages.ChangeHost(t.Context(), ada, "web1", seen, wanted))
	}
	if got := of(record()); got.Mode != "manual" || !slices.Equal(got.Tags, wanted.Tags) || got.Attr != seen.Attr {
		t.Errorf("changed to %+v", got)
	}
	var refused dashboard.Refused
	if err := pages.ChangeHost(t.Context(), ada, "web1", seen, seen); !errors.As(err, &refused) {
		t.Errorf("what was seen is not so any more: %v", err)
	}
	must(t, pages.ChangeHost(t.Context(), ada, "web1", wanted, dashboard.HostSettings{Attr: seen.Attr, Mode: "fleet"}))
	if got := of(record()); got.Mode != "fleet" || len(got.Tags) != 0 {
		t.Errorf("changed to %+v", got)
	}
	if err := pages.ChangeHost(t.Context(), ada, "none", seen, wanted); !errors.Is(err, dashboard.ErrUnknown) {
		t.Errorf("an unknown host: %v", err)
	}
}

func TestAnOrderIsShownBelowItsHostAlone(t *testing.T) {
	t.Parallel()
	r := newFleet(t)
	_, err := agent.Enroll(t.Context(), r.agentOf(t, "web1", r.token(t, "web1")))
	must(t, err)
	now := r.clock.now()
	_, err = r.db.IssueOrders(t.Context(), []fleet.Order{{
		ID: "O1", Host: "web1", Kind: "pull", RepoID: 7, Actor: "ada", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}}, now)
	must(t, err)
	pages := hostPages{r.App}
	if o, err := pages.OrderRecord(t.Context(), "web1", "O1"); err != nil || o.Order.Kind != "pull" {
		t.Errorf("of its host: %+v, %v", o, err)
	}
	for _, at := range [][2]string{{"web2", "O1"}, {"web1", "O2"}} {
		if _, err := pages.OrderRecord(t.Context(), at[0], at[1]); !errors.Is(err, dashboard.ErrUnknown) {
			t.Errorf("order %s of %s: %v", at[1], at[0], err)
		}
	}
	if end, err := pages.OrderLogEnd(t.Context(), "O1", 100); err != nil || len(end.Chunks) > 0 {
		t.Errorf("it printed %+v, %v", end, err)
	}
}
