package main

import (
	"context"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

// HostRecord is what the story keeps of a host.
func (s shelf) HostRecord(_ context.Context, name string) (fleet.HostRecord, error) {
	r, ok := s.story.HostRecord(name)
	if !ok {
		return r, dashboard.ErrUnknown
	}
	return r, nil
}

// OrderRecord is what the story keeps of an order.
func (s shelf) OrderRecord(_ context.Context, host, id string) (fleet.OrderRecord, error) {
	r, ok := s.story.OrderRecord(host, id)
	if !ok {
		return r, dashboard.ErrUnknown
	}
	return r, nil
}

// OrderLog is the story's log, whole.
func (s shelf) OrderLog(_ context.Context, id string, from int64) (fleet.Output, error) {
	out := fleet.Output{Order: id, Next: from}
	for _, c := range s.story.Log {
		if c.From >= from {
			out.Chunks, out.Next = append(out.Chunks, c), c.To
		}
	}
	return out, nil
}

// OrderLogEnd is the last piece of the story's log.
func (s shelf) OrderLogEnd(ctx context.Context, id string, _ int64) (fleet.Output, error) {
	if len(s.story.Log) == 0 {
		return fleet.Output{}, nil
	}
	return s.OrderLog(ctx, id, s.story.Log[len(s.story.Log)-1].From)
}

// FollowLog shows the log. That of an order that has not ended never ends.
func (s shelf) FollowLog(ctx context.Context, id string, from int64, show func(fleet.Output) error) error {
	out, err := s.OrderLog(ctx, id, from)
	if err != nil {
		return err
	}
	runs := s.story.Order != nil && s.story.Order.Order.EndedAt.IsZero()
	out.Whole = !runs
	if err := show(out); err != nil || !runs {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (nothing) ChangeHost(context.Context, fleet.Actor, string, dashboard.HostSettings, dashboard.HostSettings) error {
	return nil
}

func (nothing) RevokeHost(context.Context, fleet.Actor, string) error { return nil }

// hosts reads from the story and forgets what is pressed.
type hosts struct {
	shelf
	nothing
}
