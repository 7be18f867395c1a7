package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func (s *service) OrderKeys(context.Context) ([]api.OrderKey, error) {
	return []api.OrderKey{{ID: "aa", Current: true, Known: 2, Missing: []string{"db1"}}}, nil
}

func (s *service) AddOrderKey(context.Context, fleet.Actor) (api.OrderKey, error) {
	return api.OrderKey{ID: "bb", Missing: []string{}}, nil
}

func (s *service) UseOrderKey(_ context.Context, _ fleet.Actor, id string, force bool) error {
	switch {
	case id != "bb":
		return api.ErrUnknown
	case !force:
		return fmt.Errorf("%w: db1 would refuse its orders", api.ErrInvalid)
	}
	return nil
}

func (s *service) RetireOrderKey(ctx context.Context, by fleet.Actor, id string, force bool) error {
	return s.UseOrderKey(ctx, by, id, force)
}

func TestOrderKeysAreForAdmins(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	admin := &api.Client{Server: url, Token: "all"}
	list, err := admin.OrderKeys(t.Context())
	if err != nil || len(list) != 1 || !list[0].Current || list[0].Missing[0] != "db1" {
		t.Errorf("listed %+v, %v", list, err)
	}
	if key, err := admin.AddOrderKey(t.Context()); err != nil || key.ID != "bb" {
		t.Errorf("added %+v, %v", key, err)
	}
	for name, act := range map[string]func(*api.Client, string, bool) error{
		"use":    func(c *api.Client, id string, force bool) error { return c.UseOrderKey(t.Context(), id, force) },
		"retire": func(c *api.Client, id string, force bool) error { return c.RetireOrderKey(t.Context(), id, force) },
	} {
		for _, c := range []struct {
			token, id string
			force     bool
			says      string
		}{
			{"all", "bb", true, ""},
			{"all", "bb", false, "db1 would refuse"},
			{"all", "../hosts", true, "nixfleet keys status"},
			{"see", "bb", true, "admin"},
		} {
			err := act(&api.Client{Server: url, Token: c.token}, c.id, c.force)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s %+v: %v", name, c, err)
			}
		}
	}
}
