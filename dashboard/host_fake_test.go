package dashboard

import (
	"context"
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// hostWorld is what a world keeps of hosts and orders.
type hostWorld struct {
	story   stories.Story // what it keeps
	printed chan struct{} // nil: what is printed is whole; else the log goes on at each value, and is whole when it is closed
	recErr  error
	deeds   []string // "login what host"
}

func (w *world) HostRecord(_ context.Context, name string) (fleet.HostRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.story.HostRecord(name)
	if !ok {
		return r, ErrUnknown
	}
	return r, w.recErr
}

func (w *world) OrderRecord(_ context.Context, host, id string) (fleet.OrderRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.story.OrderRecord(host, id)
	if !ok {
		return r, ErrUnknown
	}
	return r, w.recErr
}

// OrderLog brings two pieces at a time.
func (w *world) OrderLog(_ context.Context, id string, from int64) (fleet.Output, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := fleet.Output{Order: id, Next: from}
	for _, c := range w.story.Log {
		if c.From >= from && len(out.Chunks) < 2 {
			out.Chunks, out.Next = append(out.Chunks, c), c.To
		}
	}
	return out, w.recErr
}

func (w *world) OrderLogEnd(ctx context.Context, id string, _ int64) (fleet.Output, error) {
	w.mu.Lock()
	log := w.story.Log
	w.mu.Unlock()
	if len(log) == 0 {
		return fleet.Output{}, nil
	}
	return w.OrderLog(ctx, id, log[len(log)-1].From)
}

func (w *world) FollowLog(ctx context.Context, id string, from int64, show func(fleet.Output) error) error {
	for {
		out, err := w.OrderLog(ctx, id, from)
		if err != nil {
			return err
		}
		out.Whole = w.printed == nil && len(out.Chunks) == 0
		if err := show(out); err != nil || out.Whole {
			return err
		}
		if from = out.Next; len(out.Chunks) > 0 || w.printed == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.printed:
		}
	}
}

func (w *world) ChangeHost(_ context.Context, by fleet.Actor, name string, seen, wanted HostSettings) error {
	return w.note(by, fmt.Sprintf("change %s %v to %v", name, seen, wanted))
}

func (w *world) RevokeHost(_ context.Context, by fleet.Actor, name string) error {
	return w.note(by, "revoke "+name)
}

func (w *world) note(by fleet.Actor, what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.askErr == nil {
		w.deeds = append(w.deeds, strings.TrimSpace(by.Login+" "+what))
	}
	return w.askErr
}
