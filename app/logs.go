package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// logsCursor names the row that says how far the output on the bus has been recorded.
const logsCursor = "logs"

const (
	// followEvery bounds how often who follows an output looks, and followSign how
	// long they hear nothing: then they are told that the line is up.
	followEvery = 200 * time.Millisecond
	followSign  = 20 * time.Second

	// outputGrace is how long after the end of an order its host may still send what
	// it printed before nobody waits for it any more.
	outputGrace = 30 * time.Second
)

// readLogs records the output of all hosts from where the last transaction left
// off, and tells hosts what it lacks of theirs.
func (a *App) readLogs(ctx context.Context) error {
	from, err := a.db.Cursor(ctx, logsCursor)
	if err != nil {
		return err
	}
	return a.bus.Logs(ctx, from, func(ctx context.Context, batch []agentbus.ReceivedLog) error {
		told, err := a.db.RecordLogs(ctx, logRows(batch), a.cfg.Now())
		if err != nil {
			return err
		}
		confirms := make([]agentbus.Confirm, 0, len(told))
		for _, t := range told {
			confirms = append(confirms, agentbus.Confirm{
				Host: t.Host, Order: t.Order, Log: &agentbus.LogConfirm{Bytes: t.Bytes, Whole: t.Whole},
			})
		}
		if err := a.bus.Confirm(ctx, confirms); err != nil {
			a.log.Warn().Ctx(ctx).Err(err).Msg("hosts not told how far their output is recorded; they ask again")
		}
		return nil
	})
}

func logRows(batch []agentbus.ReceivedLog) []db.LogRow {
	rows := make([]db.LogRow, 0, len(batch))
	for _, r := range batch {
		rows = append(rows, db.LogRow{
			StreamSeq: r.Seq, Host: r.Host, Order: r.Chunk.Order, Offset: r.Chunk.Offset,
			Step: string(r.Chunk.Step), Text: r.Chunk.Text, Last: r.Chunk.Last,
		})
	}
	return rows
}

// bell wakes everybody who waits for it. Its zero value is ready.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// next is closed at the next ring.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// OrderLog reads a part of what an order printed.
func (s service) OrderLog(ctx context.Context, order string, from int64) (fleet.Output, error) {
	out, err := s.a.db.OrderLog(ctx, order, from)
	if errors.Is(err, db.ErrNotFound) {
		err = api.ErrUnknown
	}
	return out, err
}

// HostLog reads the start of what the newest order of a host printed.
func (s service) HostLog(ctx context.Context, host string) (fleet.Output, error) {
	order, err := s.a.db.OrderWithOutput(ctx, host)
	if errors.Is(err, db.ErrNotFound) {
		err = api.ErrUnknown
	}
	if err != nil {
		return fleet.Output{}, err
	}
	return s.OrderLog(ctx, order, 0)
}

// FollowLog shows what an order printed and goes on as it prints, until there is no
// more to come. It shows an empty part at the start and now and then, to say that
// the line is up.
func (s service) FollowLog(ctx context.Context, order string, from int64, show func(fleet.Output) error) error {
	var grew time.Time // when it was last seen to
	for quiet := true; ; {
		rung := s.a.printed.next() // before the look: what comes during it is not missed
		out, err := s.OrderLog(ctx, order, from)
		if err != nil {
			return err
		}
		for _, c := range out.Chunks {
			grew = c.At
		}
		from = out.Next
		more, left := len(out.Chunks) > 0, s.a.comesWithin(out, grew)
		over := out.Whole || !more && left <= 0
		if more || quiet || over {
			if err := show(out); err != nil || over {
				return err
			}
		}
		if quiet = false; more {
			continue
		}
		if quiet, err = silence(ctx, rung, min(left, followSign)); err != nil {
			return err
		}
	}
}

// comesWithin is how long more output may come: for ever while the order is under
// way.
func (a *App) comesWithin(out fleet.Output, grew time.Time) time.Duration {
	if out.EndedAt.IsZero() {
		return followSign
	}
	if out.EndedAt.After(grew) {
		grew = out.EndedAt
	}
	return grew.Add(outputGrace).Sub(a.cfg.Now())
}

// silence waits for the bell, and reports whether it did not ring for a time.
func silence(ctx context.Context, rung <-chan struct{}, most time.Duration) (bool, error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-timer.C:
		return true, nil
	case <-rung:
	}
	select { // it rings for every order
	case <-ctx.Done():
		return false, ctx.Err()
	case <-time.After(followEvery):
		return false, nil
	}
}
