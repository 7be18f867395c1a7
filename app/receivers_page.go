package app

import (
	"context"
	"errors"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

// receivers is what the page about notifications shows and changes.
type receivers struct{ a *App }

// Receivers lists who is told what happens.
func (r receivers) Receivers(ctx context.Context) ([]fleet.Receiver, error) {
	return r.a.db.Receivers(ctx)
}

// Notices are the newest notices to all of them.
func (r receivers) Notices(ctx context.Context) ([]fleet.NoticeShown, error) {
	return r.a.noticesShown(ctx, "")
}

// SaveReceiver makes or changes one.
func (r receivers) SaveReceiver(ctx context.Context, by fleet.Actor, w fleet.ReceiverWish) error {
	err := r.a.saveReceiver(ctx, by, w)
	switch {
	case errors.Is(err, errReceiverTaken):
		return fleet.ReceiverFaults{{Field: "name", Text: err.Error()}}
	case errors.Is(err, errReceiverChanged):
		return dashboard.ErrChanged
	}
	return notThere(err)
}

// RemoveReceiver removes one with what waits for it.
func (r receivers) RemoveReceiver(ctx context.Context, by fleet.Actor, name string) error {
	return notThere(r.a.db.RemoveReceiver(ctx, name, by.Login, r.a.cfg.Now()))
}

// TestReceiver has a test sent to one.
func (r receivers) TestReceiver(ctx context.Context, by fleet.Actor, name string) error {
	return notThere(r.a.db.TestReceiver(ctx, name, by.Login, r.a.cfg.Now()))
}
