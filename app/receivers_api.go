package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// Receivers lists who is told what happens.
func (s service) Receivers(ctx context.Context) ([]fleet.Receiver, error) {
	return s.a.db.Receivers(ctx)
}

// PutReceiver makes or changes a receiver.
func (s service) PutReceiver(ctx context.Context, by fleet.Actor, w fleet.ReceiverWish) (fleet.Receiver, error) {
	err := s.a.saveReceiver(ctx, by, w)
	if errors.Is(err, errReceiverTaken) || errors.Is(err, errReceiverChanged) {
		err = fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if err != nil {
		return fleet.Receiver{}, unknownReceiver(err)
	}
	r, err := s.a.db.Receiver(ctx, w.Name)
	return r, unknownReceiver(err)
}

// RemoveReceiver removes a receiver with what waits for it.
func (s service) RemoveReceiver(ctx context.Context, by fleet.Actor, name string) error {
	return unknownReceiver(s.a.db.RemoveReceiver(ctx, name, by.Login, s.a.cfg.Now()))
}

// TestReceiver has a test sent.
func (s service) TestReceiver(ctx context.Context, by fleet.Actor, name string) error {
	return unknownReceiver(s.a.db.TestReceiver(ctx, name, by.Login, s.a.cfg.Now()))
}

// Deliveries lists the newest notices of a receiver.
func (s service) Deliveries(ctx context.Context, name string) ([]fleet.NoticeShown, error) {
	if _, err := s.a.db.Receiver(ctx, name); err != nil {
		return nil, unknownReceiver(err)
	}
	return s.a.noticesShown(ctx, name)
}

func unknownReceiver(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return api.ErrUnknown
	}
	return err
}
