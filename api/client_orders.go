package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/nixfleet/nixfleet/fleet"
)

// PlaceOrders gives hosts an order. The same key again means the same request; an
// empty one makes each request its own.
func (c *Client) PlaceOrders(ctx context.Context, key string, n NewOrder) ([]PlacedOrder, error) {
	var out struct {
		Orders []PlacedOrder `json:"orders"`
	}
	err := c.actAs(ctx, key, "/api/v1/orders", n, &out)
	return out.Orders, err
}

// CancelOrder cancels one order.
func (c *Client) CancelOrder(ctx context.Context, id, reason string) ([]PlacedOrder, error) {
	var out struct {
		Orders []PlacedOrder `json:"orders"`
	}
	err := c.act(ctx, "/api/v1/orders/"+url.PathEscape(id)+"/cancel", map[string]string{"reason": reason}, &out)
	return out.Orders, err
}

// Order tells how far an order is.
func (c *Client) Order(ctx context.Context, id string) (Order, error) {
	var out Order
	err := c.call(ctx, http.MethodGet, "/api/v1/orders/"+url.PathEscape(id), nil, &out)
	return out, err
}

// Orders lists the newest orders of a host, or of all with an empty name.
func (c *Client) Orders(ctx context.Context, host string, limit int) ([]Order, error) {
	path := "/api/v1/orders"
	if host != "" {
		path = hostPath(host) + "/orders"
	}
	return listAll[Order](ctx, c, path, url.Values{}, "orders", limit)
}

// Host tells all that is known of a host.
func (c *Client) Host(ctx context.Context, name string) (HostDetail, error) {
	var out HostDetail
	err := c.call(ctx, http.MethodGet, hostPath(name), nil, &out)
	return out, err
}

// ChangeHost changes how a host is treated.
func (c *Client) ChangeHost(ctx context.Context, name string, h HostChange) (HostDetail, error) {
	var out HostDetail
	err := c.call(ctx, http.MethodPatch, hostPath(name), h, &out)
	return out, err
}

// Generations lists the systems that a host can go back to, newest first.
func (c *Client) Generations(ctx context.Context, name string) ([]fleet.Generation, error) {
	var out struct {
		Generations []fleet.Generation `json:"generations"`
	}
	err := c.call(ctx, http.MethodGet, hostPath(name)+"/generations", nil, &out)
	return out.Generations, err
}

func hostPath(name string) string { return "/api/v1/hosts/" + url.PathEscape(name) }
