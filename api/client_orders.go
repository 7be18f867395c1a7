package api

import (
	"context"
	"fmt"
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
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	err := c.callWith(ctx, http.MethodPost, "/api/v1/orders", header, n, &out)
	return out.Orders, err
}

// CancelOrder cancels one order.
func (c *Client) CancelOrder(ctx context.Context, id, reason string) ([]PlacedOrder, error) {
	var out struct {
		Orders []PlacedOrder `json:"orders"`
	}
	err := c.call(ctx, http.MethodPost, "/api/v1/orders/"+url.PathEscape(id)+"/cancel", map[string]string{"reason": reason}, &out)
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
	var out struct {
		Orders []Order `json:"orders"`
	}
	path := "/api/v1/orders"
	if host != "" {
		path = hostPath(host) + "/orders"
	}
	err := c.call(ctx, http.MethodGet, fmt.Sprintf("%s?limit=%d", path, limit), nil, &out)
	return out.Orders, err
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
