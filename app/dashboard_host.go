package app

import (
	"context"
	"slices"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// hostPages are what the dashboard's pages of one host and of one order show and change.
type hostPages struct{ a *App }

// HostRecord reads what is kept of a host.
func (h hostPages) HostRecord(ctx context.Context, name string) (fleet.HostRecord, error) {
	r, err := h.a.db.HostRecord(ctx, name)
	return r, notThere(err)
}

// OrderRecord reads an order of a host.
func (h hostPages) OrderRecord(ctx context.Context, host, id string) (fleet.OrderRecord, error) {
	r, err := h.a.db.OrderRecord(ctx, id)
	if err == nil && r.Order.Host != host {
		return fleet.OrderRecord{}, dashboard.ErrUnknown
	}
	return r, notThere(err)
}

// OrderLog reads a part of what an order printed.
func (h hostPages) OrderLog(ctx context.Context, id string, from int64) (fleet.Output, error) {
	out, err := h.a.db.OrderLog(ctx, id, from)
	return out, notThere(err)
}

// OrderLogEnd reads the end of what an order printed.
func (h hostPages) OrderLogEnd(ctx context.Context, id string, bytes int64) (fleet.Output, error) {
	out, err := h.a.db.OrderLogEnd(ctx, id, bytes)
	return out, notThere(err)
}

// FollowLog shows what an order prints, as the API does.
func (h hostPages) FollowLog(ctx context.Context, id string, from int64, show func(fleet.Output) error) error {
	return notThere(service(h).FollowLog(ctx, id, from, show))
}

// ChangeHost changes of a host what differs between seen and wanted. What was changed
// meanwhile to what is wanted now is no conflict, so that pressing twice is pressing once.
func (h hostPages) ChangeHost(ctx context.Context, by fleet.Actor, name string, seen, wanted dashboard.HostSettings) error {
	r, err := h.HostRecord(ctx, name)
	if err != nil {
		return err
	}
	slices.Sort(r.Host.Tags)
	var c db.HostChange
	if r.Host.Attr != wanted.Attr {
		c.Attr = &wanted.Attr
	}
	if r.Host.Mode != wanted.Mode {
		c.Mode = &wanted.Mode
	}
	if !slices.Equal(r.Host.Tags, wanted.Tags) {
		c.Tags = &wanted.Tags
		if wanted.Tags == nil {
			c.Tags = &[]string{}
		}
	}
	switch {
	case c == db.HostChange{}:
		return nil
	case r.Host.Attr != seen.Attr || r.Host.Mode != seen.Mode || !slices.Equal(r.Host.Tags, seen.Tags):
		return dashboard.Refused(name + " was changed since you looked, so nothing was done. Close this and look again.")
	}
	if _, err := h.a.db.ChangeHost(ctx, name, c, by.Login, h.a.cfg.Now()); err != nil {
		return notThere(err)
	}
	h.a.log.Info().Ctx(ctx).Str("host", name).Str("by", by.Login).Msg("host changed")
	return nil
}

// RevokeHost takes a host's credential away and cuts its connection.
func (h hostPages) RevokeHost(ctx context.Context, by fleet.Actor, name string) error {
	return notThere(service(h).RevokeHost(ctx, by, name))
}
