package api

import (
	"context"
	"net/http"
	"net/url"
)

// Receivers lists who is told what happens.
func (c *Client) Receivers(ctx context.Context) ([]Receiver, error) {
	var out struct {
		Receivers []Receiver `json:"receivers"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/receivers", nil, &out)
	return out.Receivers, err
}

// PutReceiver makes a receiver, or changes it.
func (c *Client) PutReceiver(ctx context.Context, name string, r NewReceiver) (Receiver, error) {
	var out Receiver
	err := c.call(ctx, http.MethodPut, "/api/v1/receivers/"+url.PathEscape(name), r, &out)
	return out, err
}

// RemoveReceiver removes a receiver with what waits for it.
func (c *Client) RemoveReceiver(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/receivers/"+url.PathEscape(name), nil, nil)
}

// TestReceiver has a test sent to a receiver.
func (c *Client) TestReceiver(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/api/v1/receivers/"+url.PathEscape(name)+"/test", nil, nil)
}

// Deliveries lists the newest notices of a receiver, newest first.
func (c *Client) Deliveries(ctx context.Context, name string) ([]Delivery, error) {
	var out struct {
		Deliveries []Delivery `json:"deliveries"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/receivers/"+url.PathEscape(name)+"/deliveries", nil, &out)
	return out.Deliveries, err
}
