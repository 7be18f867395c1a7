package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func (s *service) PlaceOrders(_ context.Context, by fleet.Actor, r fleet.OrderRequest) ([]api.PlacedOrder, error) {
	s.ordered = append(s.ordered, r)
	switch {
	case r.Kind == "reboot" && len(r.Confirm) == 0:
		return nil, &fleet.UnconfirmedError{Hosts: []string{"web1", "web2"}, Found: "This restarts 2 hosts."}
	case r.Hosts == "nobody":
		return nil, &fleet.FieldError{Field: "hosts", Text: "picks none"}
	case r.Key == "used":
		return nil, &fleet.FieldError{Field: "Idempotency-Key", Text: "was used"}
	case r.Order == "none":
		return nil, api.ErrUnknown
	}
	return []api.PlacedOrder{{Host: "web1", Order: "O1", Found: "Sent by " + by.Login + "."}}, nil
}

func (*service) Order(_ context.Context, id string) (api.Order, error) {
	if id != "O1" {
		return api.Order{}, api.ErrUnknown
	}
	o := api.OrderOf(fleet.Order{
		ID: id, Host: "web1", Kind: "deploy", State: fleet.HostFailed, EndedAt: time.Unix(1e9, 0).UTC(),
		Failure: &fleet.HostError{Step: "building", Code: "build_failed", Message: "no", ExitCode: 1, LogTail: "error: …"},
	})
	o.Steps = []api.OrderStep{{Step: "building"}}
	return o, nil
}

func (*service) Orders(_ context.Context, host, _ string, limit int) ([]api.Order, error) {
	if host == "nobody" {
		return nil, api.ErrUnknown
	}
	return make([]api.Order, limit-1), nil
}

func (*service) Host(_ context.Context, name string) (api.HostDetail, error) {
	if name == "broken" {
		return api.HostDetail{}, errors.New("open /srv/data: no such file")
	}
	if name != "web1" {
		return api.HostDetail{}, api.ErrUnknown
	}
	return api.HostDetail{
		Host: api.Host{Name: name, Mode: "fleet", Tags: []string{}}, Platform: "nixos", Facts: fleet.HostFacts{Load1: 0.5},
		Open: []api.Order{{ID: "O1", Host: name}},
	}, nil
}

func (*service) Generations(_ context.Context, name string) ([]fleet.Generation, error) {
	if name != "web1" {
		return nil, api.ErrUnknown
	}
	return []fleet.Generation{{Number: 7, System: fleet.System{Path: "/nix/store/x"}, Running: true}}, nil
}

func (s *service) ChangeHost(ctx context.Context, _ fleet.Actor, name string, c api.HostChange) (api.HostDetail, error) {
	if c.Tags != nil && (*c.Tags)[0] == "bad tag" {
		return api.HostDetail{}, &fleet.FieldError{Field: "tags", Text: "found a space"}
	}
	d, err := s.Host(ctx, name)
	if c.Mode != nil {
		d.Mode = *c.Mode
	}
	return d, err
}

func TestOrdersArePlaced(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	c := &api.Client{Server: url, Token: "do"}
	got, err := c.PlaceOrders(t.Context(), "k1", api.NewOrder{Kind: "rollback", Hosts: "web1", Generation: 7, Reason: "broken"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]api.PlacedOrder{{Host: "web1", Order: "O1", Found: "Sent by do."}}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := c.CancelOrder(t.Context(), "O1", "wrong one"); err != nil {
		t.Error(err)
	}
	want := []fleet.OrderRequest{
		{Kind: "rollback", Hosts: "web1", Generation: 7, Reason: "broken", Key: "k1"},
		{Kind: "cancel", Order: "O1", Reason: "wrong one"},
	}
	if diff := cmp.Diff(want, s.ordered); diff != "" {
		t.Error(diff)
	}
}

// A cancel without a body is a cancel without a reason.
func TestACancelNeedsNoBody(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/orders/O1/cancel", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer do")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("answered %s", resp.Status)
	}
}

func TestOrdersAreRefusedByTheField(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	c := &api.Client{Server: url, Token: "do"}
	place := func(key string, n api.NewOrder) error { _, err := c.PlaceOrders(t.Context(), key, n); return err }
	_, unknownOrder := c.Order(t.Context(), "none")
	_, unknownCancel := c.CancelOrder(t.Context(), "none", "")
	_, unknownHost := c.Host(t.Context(), "nobody")
	_, noOrders := c.Orders(t.Context(), "nobody", 5)
	_, noGenerations := c.Generations(t.Context(), "nobody")
	admin := &api.Client{Server: url, Token: "all"}
	_, badTag := admin.ChangeHost(t.Context(), "web1", api.HostChange{Tags: &[]string{"bad tag"}})
	mode := "loud"
	_, badMode := admin.ChangeHost(t.Context(), "web1", api.HostChange{Mode: &mode})
	_, notAdmin := c.ChangeHost(t.Context(), "web1", api.HostChange{})
	_, viewer := (&api.Client{Server: url, Token: "see"}).PlaceOrders(t.Context(), "", api.NewOrder{Kind: "pull", Hosts: "all"})
	for name, tt := range map[string]struct {
		err      error
		code     int
		location string
		says     string
	}{
		"hosts":          {place("", api.NewOrder{Kind: "pull", Hosts: "nobody"}), 422, "body.hosts", "picks none"},
		"key":            {place("used", api.NewOrder{Kind: "pull", Hosts: "all"}), 422, "header.Idempotency-Key", "was used"},
		"reboot":         {place("", api.NewOrder{Kind: "reboot", Hosts: "all"}), 409, "body.confirm", "restarts 2 hosts"},
		"unknown order":  {unknownOrder, 404, "", "no order none"},
		"unknown cancel": {unknownCancel, 404, "", "no order none"},
		"unknown host":   {unknownHost, 404, "", "nobody"},
		"no orders":      {noOrders, 404, "", "nobody"},
		"no generations": {noGenerations, 404, "", "nobody"},
		"a bad tag":      {badTag, 422, "body.tags", "found a space"},
		"a bad mode":     {badMode, 422, "body.mode", "fleet, manual, automatic"},
		"an operator":    {notAdmin, 403, "", "admin"},
		"a viewer":       {viewer, 403, "", "operator"},
	} {
		p, ok := errors.AsType[*api.Problem](tt.err)
		if !ok || p.Code != tt.code || !strings.Contains(p.Error(), tt.says) || tt.location != "" && (len(p.Errors) == 0 || p.Errors[0].Location != tt.location) {
			t.Errorf("%s: %+v, want %d at %q that says %q", name, tt.err, tt.code, tt.location, tt.says)
		}
	}
	var p *api.Problem
	if errors.As(place("", api.NewOrder{Kind: "reboot", Hosts: "all"}), &p); p == nil || len(p.Errors) != 2 || p.Errors[1].Value != "web2" {
		t.Errorf("an unconfirmed reboot lists %+v, want each host", p)
	}
}

func TestOrdersAndHostsAreTold(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	c := &api.Client{Server: url, Token: "see"}
	o, err := c.Order(t.Context(), "O1")
	if err != nil || !o.Ended || o.Failure == nil || o.Failure.ExitCode != 1 || o.Failure.LogTail != "error: …" || len(o.Steps) != 1 {
		t.Errorf("order %+v, %v", o, err)
	}
	for _, host := range []string{"", "web1"} {
		if list, err := c.Orders(t.Context(), host, 3); err != nil || len(list) != 3 {
			t.Errorf("%d orders of %q, %v", len(list), host, err)
		}
	}
	h, err := c.Host(t.Context(), "web1")
	if err != nil || h.Name != "web1" || h.Facts.Load1 != 0.5 || len(h.Open) != 1 {
		t.Errorf("host %+v, %v", h, err)
	}
	g, err := c.Generations(t.Context(), "web1")
	if err != nil || len(g) != 1 || g[0].Number != 7 || g[0].Path != "/nix/store/x" {
		t.Errorf("generations %+v, %v", g, err)
	}
	mode := "manual"
	h, err = (&api.Client{Server: url, Token: "all"}).ChangeHost(t.Context(), "web1", api.HostChange{Mode: &mode})
	if err != nil || h.Mode != "manual" {
		t.Errorf("changed to %+v, %v", h, err)
	}
}
