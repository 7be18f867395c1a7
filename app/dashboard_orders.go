package app

import (
	"context"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

// desk is where the dashboard's pages give orders to hosts.
type desk struct{ a *App }

// Order gives hosts the order that a person asked for on a page.
func (d desk) Order(ctx context.Context, by fleet.Actor, r fleet.OrderRequest) ([]dashboard.Placed, error) {
	placed, err := d.a.Order(ctx, by, r)
	if err != nil {
		return nil, notThere(err)
	}
	now := d.a.cfg.Now()
	list := make([]dashboard.Placed, len(placed))
	for i, p := range placed {
		list[i] = dashboard.Placed{Host: p.Host.Name, Ordered: p.Order.ID != "", Online: p.Host.Online(now), Found: p.Found}
	}
	return list, nil
}

// OpenOrders are the orders of hosts that have not ended.
func (d desk) OpenOrders(ctx context.Context, hosts []string) ([]fleet.Order, error) {
	return d.a.db.OpenOrders(ctx, hosts)
}

// Generations are the systems that a host can go back to, newest first.
func (d desk) Generations(ctx context.Context, host string) ([]fleet.Generation, error) {
	list, err := d.a.db.HostGenerations(ctx, host)
	return list, notThere(err)
}
