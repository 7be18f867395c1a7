package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestWhatARequestMayHold(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("a", 40)
	for _, r := range []fleet.OrderRequest{
		{Kind: "pull", Hosts: "all"}, {Kind: "deploy", Hosts: "web1", Commit: commit}, {Kind: "switch", Hosts: "tag:web"},
		{Kind: "rollback", Hosts: "web1"}, {Kind: "rollback", Hosts: "web1", Generation: 7}, {Kind: "rollback", Hosts: "all", Commit: commit},
		{Kind: "reboot", Hosts: "web1", Confirm: []string{"web1"}}, {Kind: "cancel", Order: "01J"}, {Kind: "cancel", Hosts: "all"},
		{Kind: "pull", Names: []string{"web1", "web2"}},
	} {
		if err := r.Check(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for field, requests := range map[string][]fleet.OrderRequest{
		"kind":            {{}, {Kind: "noop", Hosts: "all"}, {Kind: "run", Hosts: "all"}, {Kind: "update_inputs", Hosts: "all"}},
		"hosts":           {{Kind: "pull"}, {Kind: "pull", Hosts: " "}, {Kind: "pull", Hosts: "all", Names: []string{"web1"}}},
		"order":           {{Kind: "pull", Order: "01J"}, {Kind: "cancel", Order: "01J", Hosts: "all"}, {Kind: "cancel", Order: "01J", Names: []string{"a"}}},
		"commit":          {{Kind: "switch", Hosts: "all", Commit: commit}, {Kind: "pull", Hosts: "all", Commit: "main"}, {Kind: "deploy", Hosts: "all", Commit: commit[1:]}},
		"generation":      {{Kind: "pull", Hosts: "a", Generation: 1}, {Kind: "rollback", Hosts: "a", Generation: -1}, {Kind: "rollback", Hosts: "a", Generation: 1, Commit: commit}},
		"reason":          {{Kind: "pull", Hosts: "a", Reason: strings.Repeat("x", 1001)}},
		"Idempotency-Key": {{Kind: "pull", Hosts: "a", Key: strings.Repeat("x", 201)}},
	} {
		for _, r := range requests {
			bad, ok := errors.AsType[*fleet.FieldError](r.Check())
			if !ok || bad.Field != field || bad.Text == "" {
				t.Errorf("%+v: %v, want the field %s", r, bad, field)
			}
		}
	}
}

// pickable are hosts of every kind that a selector may meet.
func pickable() []fleet.Host {
	at := time.Unix(1, 0)
	return []fleet.Host{
		{Name: "web2", EnrolledAt: at, Tags: []string{"web"}, Mode: "manual"},
		{Name: "web1", EnrolledAt: at, Tags: []string{"web"}},
		{Name: "soon"},
		{Name: "gone", EnrolledAt: at, RevokedAt: at},
	}
}

func TestARequestPicksHostsThatTakeOrders(t *testing.T) {
	t.Parallel()
	picked, err := fleet.OrderRequest{Kind: "pull", Hosts: "all"}.Pick(pickable())
	var names []string
	for _, h := range picked {
		names = append(names, h.Name)
	}
	if err != nil || !slices.Equal(names, []string{"web1", "web2"}) {
		t.Errorf("picked %v, %v", names, err)
	}
	for selector, says := range map[string]string{
		"soon":         "soon has not enrolled yet",
		"gone":         "gone is revoked",
		"soon or gone": "soon has not enrolled yet, gone is revoked",
		"tag:none":     "picks none of the 4 hosts",
		"web1 and":     "found the end",
	} {
		_, err := fleet.OrderRequest{Kind: "pull", Hosts: selector}.Pick(pickable())
		bad, ok := errors.AsType[*fleet.FieldError](err)
		if !ok || bad.Field != "hosts" || !strings.Contains(bad.Text, says) {
			t.Errorf("%s: %v, want it to say %q", selector, err, says)
		}
	}
}

func TestARequestThatNamesItsHostsIsForAllOfThem(t *testing.T) {
	t.Parallel()
	picked, err := fleet.OrderRequest{Kind: "pull", Names: []string{"web2", "web1", "web2"}}.Pick(pickable())
	if err != nil || len(picked) != 2 || picked[0].Name != "web1" || picked[1].Name != "web2" {
		t.Errorf("picked %v, %v", picked, err)
	}
	for says, names := range map[string][]string{
		"soon has not enrolled yet":                {"web1", "soon"},
		"gone is revoked":                          {"gone", "web1"},
		`"no such" is none of our hosts`:           {"web1", "no such"},
		`"" is none of our hosts, gone is revoked`: {"gone", ""},
		`"all" is none of our hosts`:               {"all"},
	} {
		picked, err := fleet.OrderRequest{Kind: "pull", Names: names}.Pick(pickable())
		bad, ok := errors.AsType[*fleet.FieldError](err)
		if !ok || bad.Field != "hosts" || bad.Text != says || picked != nil {
			t.Errorf("%v: picked %v, %v, want it to say %q", names, picked, err, says)
		}
	}
}

func TestARebootNamesItsHosts(t *testing.T) {
	t.Parallel()
	picked := pickable()[:2]
	slices.Reverse(picked)
	for _, tt := range []struct {
		confirm []string
		good    bool
	}{
		{[]string{"web1", "web2"}, true}, {[]string{"web2", "web1", "web1"}, true},
		{nil, false}, {[]string{"web1"}, false}, {[]string{"web1", "web2", "web3"}, false}, {[]string{"2"}, false},
	} {
		err := fleet.OrderRequest{Kind: "reboot", Hosts: "all", Confirm: tt.confirm}.Confirmed(picked)
		open, ok := errors.AsType[*fleet.UnconfirmedError](err)
		if (err == nil) != tt.good || err != nil && (!ok || !slices.Equal(open.Hosts, []string{"web1", "web2"}) || !strings.Contains(open.Found, "web1, web2")) {
			t.Errorf("confirmed by %v: %v", tt.confirm, err)
		}
	}
	if err := (fleet.OrderRequest{Kind: "pull", Hosts: "all"}).Confirmed(picked); err != nil {
		t.Errorf("a pull needs no confirmation: %v", err)
	}
}

func TestARollbackAimsAtAGenerationOfTheHost(t *testing.T) {
	t.Parallel()
	one := pickable()[1:2]
	list := []fleet.Generation{{Number: 9, System: fleet.System{Path: "/nix/store/b"}}, {Number: 7, System: fleet.System{Path: "/nix/store/a"}}}
	for name, tt := range map[string]struct {
		request fleet.OrderRequest
		picked  []fleet.Host
		known   []fleet.Generation
		aim     string
		says    string
	}{
		"by number":      {fleet.OrderRequest{Generation: 7}, one, list, "/nix/store/a", ""},
		"by path":        {fleet.OrderRequest{Target: "/nix/store/b"}, one, list, "/nix/store/b", ""},
		"to the one ago": {fleet.OrderRequest{}, pickable()[:2], nil, "", ""},
		"unknown number": {fleet.OrderRequest{Generation: 8}, one, list, "", "web1 has no generation 8; it has 9, 7"},
		"unknown path":   {fleet.OrderRequest{Target: "/nix/store/c"}, one, list, "", `no generation "/nix/store/c"`},
		"nothing known":  {fleet.OrderRequest{Generation: 7}, one, nil, "", "order a refresh"},
		"several hosts":  {fleet.OrderRequest{Generation: 7, Hosts: "all"}, pickable()[:2], list, "", "name one host"},
	} {
		aim, err := tt.request.Aim(tt.picked, tt.known)
		if aim != tt.aim || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v", name, aim, err)
		}
	}
}

func TestWhenAnOrderIsGivenUp(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	long := &fleet.DeployPolicy{Timeouts: fleet.Timeouts{Build: 24 * time.Hour}}
	for name, tt := range map[string]struct {
		order fleet.Order
		after time.Duration
		code  string
	}{
		"it may be begun":         {fleet.Order{}, 59 * time.Minute, ""},
		"nobody took it up":       {fleet.Order{}, time.Hour, "expired"},
		"the host works on it":    {fleet.Order{ReceivedAt: begun}, time.Hour, ""},
		"nothing was heard":       {fleet.Order{ReceivedAt: begun}, 12 * time.Hour, "no_answer"},
		"its build may take long": {fleet.Order{ReceivedAt: begun, Detail: fleet.OrderDetail{Deploy: long}}, 12 * time.Hour, ""},
	} {
		tt.order.ExpiresAt = begun.Add(time.Hour)
		if code, text := tt.order.Overdue(fleet.Plan{}, begun.Add(tt.after)); code != tt.code || (text == "") != (code == "") {
			t.Errorf("%s: %q, %q", name, code, text)
		}
	}
}
