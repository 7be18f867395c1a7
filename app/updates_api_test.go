package app

import (
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestAnUpdateIsPressedOverTheAPI(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	c, ctx := p.client(), t.Context()
	list, err := c.Updates(ctx, "open", pressedRepo, 0)
	if err != nil || len(list) != 1 || list[0].Number != p.number || list[0].State != "holding" || list[0].HoldUntil.IsZero() {
		t.Fatalf("open updates: %+v, %v", list, err)
	}
	u, err := c.Update(ctx, pressedRepo, p.number)
	if err != nil || len(u.Conditions) == 0 || len(u.Inputs) != 1 || u.Head == "" {
		t.Fatalf("the update: %+v, %v", u, err)
	}

	until := p.clock.now().Add(48 * time.Hour)
	held, err := c.HoldUpdate(ctx, pressedRepo, p.number, until)
	if err != nil || held.Hold == nil || held.Hold.By != "admin (local)" || !held.Hold.Until.Equal(until) {
		t.Errorf("held: %+v, %v", held.Hold, err)
	}
	_, err = c.MergeUpdate(ctx, pressedRepo, p.number, u.Head, true)
	apiRefuses(t, err, 409, "has put a hold on it")
	_, err = c.MergeUpdate(ctx, pressedRepo, p.number, strings.Repeat("0", 40), true)
	apiRefuses(t, err, 409, "changed since you looked")
	for range 2 {
		if u, err := c.ReleaseUpdate(ctx, pressedRepo, p.number); err != nil || u.Hold != nil {
			t.Errorf("released: %+v, %v", u.Hold, err)
		}
	}
	p.is(fleet.UpdateHolding, "merge hold")

	asked, err := c.MergeUpdate(ctx, pressedRepo, p.number, u.Head, false)
	if err != nil || asked.Requested == nil || asked.Requested.By != "admin (local)" || asked.Requested.Deploy {
		t.Errorf("asked for: %+v, %v", asked.Requested, err)
	}
	p.is(fleet.UpdateMerged, "")
	if u, err := c.Update(ctx, pressedRepo, p.number); err != nil || len(u.History) < 4 {
		t.Errorf("its history: %+v, %v", u.History, err)
	}
	if list, err := c.Updates(ctx, "ended", "", 0); err != nil || len(list) != 1 || list[0].MergeSHA == "" || !list[0].Ended {
		t.Errorf("ended updates: %+v, %v", list, err)
	}
	_, err = c.HoldUpdate(ctx, pressedRepo, p.number, time.Time{})
	apiRefuses(t, err, 409, "is merged already")
	_, err = c.Update(ctx, pressedRepo, 999)
	apiRefuses(t, err, 404, "no such update")
}

// What GitHub did not tell is found by a look that a person asks for.
func TestAPersonHasAnUpdateLookedAtAgain(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.hub.SetWebhook("", "")
	head := p.push()
	if _, err := p.client().LookAtUpdate(t.Context(), pressedRepo, p.number); err != nil {
		t.Fatal(err)
	}
	p.turn()
	if u := p.update(); u.HeadSHA != head {
		t.Errorf("its head is %s, want %s", u.HeadSHA, head)
	}
}

func apiRefuses(t *testing.T, err error, code int, says string) {
	t.Helper()
	if p, ok := err.(*api.Problem); !ok || p.Code != code || !strings.Contains(p.Detail, says) {
		t.Errorf("it says %v, want %d and %q", err, code, says)
	}
}
