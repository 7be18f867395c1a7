package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// PlaceOrders gives hosts an order.
func (s service) PlaceOrders(ctx context.Context, by fleet.Actor, r fleet.OrderRequest) ([]api.PlacedOrder, error) {
	placed, err := s.a.Order(ctx, by, r)
	if err != nil {
		return nil, unknown(err)
	}
	now := s.a.cfg.Now()
	list := make([]api.PlacedOrder, len(placed))
	for i, p := range placed {
		list[i] = api.PlacedOrder{Host: p.Host.Name, Order: p.Order.ID, Online: p.Host.Online(now), Expires: p.Order.ExpiresAt, Found: p.Found}
	}
	return list, nil
}

// Order tells how far an order is.
func (s service) Order(ctx context.Context, id string) (api.Order, error) {
	d, err := s.a.db.OrderRecord(ctx, id)
	if err != nil {
		return api.Order{}, unknown(err)
	}
	o := api.OrderOf(d.Order)
	o.Change = d.Change
	for _, step := range d.Steps {
		o.Steps = append(o.Steps, api.OrderStep(step))
	}
	return o, nil
}

// Orders lists the newest orders of a host, or of all.
func (s service) Orders(ctx context.Context, host, before string, limit int) ([]api.Order, error) {
	if host != "" {
		if _, err := s.a.db.HostGenerations(ctx, host); err != nil {
			return nil, unknown(err)
		}
	}
	list, err := s.a.db.OrdersOf(ctx, host, before, limit)
	return ordersOf(list), err
}

func ordersOf(list []fleet.Order) []api.Order {
	shown := make([]api.Order, len(list))
	for i, o := range list {
		shown[i] = api.OrderOf(o)
	}
	return shown
}

// Host tells all that is known of a host.
func (s service) Host(ctx context.Context, name string) (api.HostDetail, error) {
	h, repo, err := s.a.hostView(ctx, name)
	if err != nil {
		return api.HostDetail{}, unknown(err)
	}
	open, err := s.a.db.OpenOrders(ctx, []string{name})
	return api.HostDetail{
		Host: api.HostOf(h), Platform: h.Host.Platform(), Repo: repo, Facts: h.Host.Facts, Open: ordersOf(open),
	}, err
}

// hostView is one host, described, and the name of its repository.
func (a *App) hostView(ctx context.Context, name string) (h fleet.HostView, repo string, err error) {
	o, err := a.db.HostOverview(ctx, name, a.cfg.Now())
	if err != nil {
		return h, "", err
	}
	fleet.Describe(&o, Version)
	for _, r := range o.Repos {
		repo = r.Repo.FullName() // its own is the only one
	}
	return o.Hosts[slices.IndexFunc(o.Hosts, func(h fleet.HostView) bool { return h.Host.Name == name })], repo, nil
}

// Generations lists the systems that a host can go back to.
func (s service) Generations(ctx context.Context, name string) ([]fleet.Generation, error) {
	list, err := s.a.db.HostGenerations(ctx, name)
	return list, unknown(err)
}

// tagName is what selectors can name.
var tagName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)

// ChangeHost changes how a host is treated.
func (s service) ChangeHost(ctx context.Context, by fleet.Actor, name string, c api.HostChange) (api.HostDetail, error) {
	if c.Tags != nil {
		for _, t := range *c.Tags {
			if !tagName.MatchString(t) {
				return api.HostDetail{}, &fleet.FieldError{Field: "tags", Text: fmt.Sprintf("found %q, expected letters, digits, dots, underscores and hyphens", t)}
			}
		}
	}
	if _, err := s.a.db.ChangeHost(ctx, name, db.HostChange(c), by.Login, s.a.cfg.Now()); err != nil {
		return api.HostDetail{}, unknown(err)
	}
	s.a.log.Info().Ctx(ctx).Str("host", name).Str("by", by.Login).Msg("host changed")
	return s.Host(ctx, name)
}

// unknown says in the API's word that there is no such thing.
func unknown(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return api.ErrUnknown
	}
	return err
}
