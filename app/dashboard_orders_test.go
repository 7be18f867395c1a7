package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestThePagesOrderExactlyTheHostsThatTheyName(t *testing.T) {
	t.Parallel()
	r, hosts := newHandFleet(t, "web1", "web2", "web3")
	d, alice := desk{r.App}, fleet.Actor{Login: "alice"}
	r.runs(t, "web1", "old")

	request := fleet.OrderRequest{Kind: "pull", Names: []string{"web2", "web1"}, Commit: strings.Repeat("a", 40), Reason: "the fix", Key: "one form"}
	for range 2 { // a button that is pressed twice
		placed, err := d.Order(t.Context(), alice, request)
		must(t, err)
		if got := fmt.Sprintf("%v %v", placed[0], placed[1].Ordered); got != "{web1 true true Sent.} true" || placed[1].Online || len(placed) != 2 {
			t.Errorf("placed %+v", placed)
		}
	}
	open, err := d.OpenOrders(t.Context(), []string{"web1", "web2", "web3"})
	must(t, err)
	if len(open) != 2 || open[0].Host != "web1" || open[0].Actor != "alice" || open[0].Reason != "the fix" || open[1].Host != "web2" {
		t.Errorf("open orders %+v", open)
	}
	r.sendAll(t)
	if o := hosts["web1"].reads(); string(o.Kind) != "pull" || o.Commit != request.Commit {
		t.Errorf("the host reads %+v", o)
	}

	_, err = d.Order(t.Context(), alice, fleet.OrderRequest{Kind: "pull", Names: []string{"web3", "web4"}})
	if field, ok := errors.AsType[*fleet.FieldError](err); !ok || !strings.Contains(field.Text, `"web4" is none of our hosts`) {
		t.Errorf("a host that is none is answered %v", err)
	}
	_, err = d.Order(t.Context(), alice, fleet.OrderRequest{Kind: "reboot", Names: []string{"web1", "web3"}, Confirm: []string{"web1"}})
	if _, ok := errors.AsType[*fleet.UnconfirmedError](err); !ok {
		t.Errorf("a reboot of hosts that were not confirmed is answered %v", err)
	}
	if _, err = d.Order(t.Context(), alice, fleet.OrderRequest{Kind: "cancel", Order: "01ABC"}); !errors.Is(err, dashboard.ErrUnknown) {
		t.Errorf("an order that is none is answered %v", err)
	}
	if _, err = d.Generations(t.Context(), "nobody"); !errors.Is(err, dashboard.ErrUnknown) {
		t.Errorf("the generations of nobody are %v", err)
	}
	placed, err := d.Order(t.Context(), alice, fleet.OrderRequest{Kind: "cancel", Names: []string{"web2", "web3"}})
	must(t, err)
	if len(placed) != 2 || !placed[0].Ordered || placed[1].Ordered {
		t.Errorf("cancelled %+v", placed)
	}
}
