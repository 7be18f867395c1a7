package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Webhooks come in bursts, and a commit of its own for each is most of what
// storing one costs. Those that arrive while others are being written are written
// next, together, with one round trip and one wait for the disk. Nobody waits for
// a batch to fill up: one that comes alone is written at once.
const (
	storeWriters = 4        // some prepare their batches while others wait for the disk
	storeAtOnce  = 32       // deliveries in one transaction
	storeAlone   = 64 << 10 // a larger payload does not hold up small ones
	storeWithin  = 5 * time.Second
)

// storing is a delivery whose receiver waits until it is durable.
type storing struct {
	Delivery
	gone    <-chan struct{} // closed when the receiver has given up
	outcome chan stored     // has room, so that nobody waits for a receiver
}

type stored struct {
	fresh bool
	err   error
}

// errClosed is what is left to say after [DB.Close].
var errClosed = errors.New("the database is closed")

// StoreDelivery stores v and returns once that is durable. fresh is false when
// the same delivery was stored before, in which case nothing changes. After an
// error v may be stored all the same, as with any commit whose answer is lost.
func (d *DB) StoreDelivery(ctx context.Context, v Delivery) (fresh bool, err error) {
	s := storing{Delivery: v, gone: ctx.Done(), outcome: make(chan stored, 1)}
	switch {
	case ctx.Err() != nil:
	case len(v.Payload) > storeAlone:
		d.storeTogether(ctx, []storing{s})
	default:
		select {
		case d.store <- s: // whoever takes it answers
		case <-ctx.Done():
		case <-d.closed:
			s.outcome <- stored{err: errClosed}
		}
	}
	select {
	case o := <-s.outcome:
		fresh, err = o.fresh, o.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("store delivery %s: %w", cleanText(v.GUID), err)
	}
	d.notifySoon()
	return fresh, nil
}

// startWriters starts what writes deliveries for all their receivers.
func (d *DB) startWriters(ctx context.Context) {
	d.store, d.closed = make(chan storing), ctx.Done()
	for range storeWriters {
		d.running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case first := <-d.store:
					// What was begun is ended, also while the database is being closed.
					within, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
					d.storeTogether(within, d.joined(first))
					cancel()
				}
			}
		})
	}
}

// joined adds those that wait right now.
func (d *DB) joined(first storing) []storing {
	batch := []storing{first}
	for len(batch) < storeAtOnce {
		select {
		case s := <-d.store:
			select {
			case <-s.gone: // its sender was told that it is not stored
			default:
				batch = append(batch, s)
			}
		default:
			return batch
		}
	}
	return batch
}

// storeTogether stores a batch and answers everyone in it. Where Postgres refuses
// the batch, each is tried alone, so that one does not keep out the others.
func (d *DB) storeTogether(ctx context.Context, batch []storing) {
	// In one order everywhere, two transactions with the same deliveries don't
	// wait for each other.
	slices.SortStableFunc(batch, func(a, b storing) int {
		return cmp.Or(cmp.Compare(a.HookID, b.HookID), cmp.Compare(a.GUID, b.GUID))
	})
	fresh, err := d.insertDeliveries(ctx, batch)
	var refused *pgconn.PgError
	if len(batch) > 1 && errors.As(err, &refused) {
		for i := range batch {
			d.storeTogether(ctx, batch[i:i+1])
		}
		return
	}
	for i, s := range batch {
		s.outcome <- stored{fresh: err == nil && fresh[i], err: err}
	}
}

// insertDeliveries stores a batch in one transaction: what is sent between two
// synchronisations of the protocol is one.
func (d *DB) insertDeliveries(ctx context.Context, batch []storing) (fresh []bool, err error) {
	var b pgx.Batch
	fresh = make([]bool, len(batch))
	for i, s := range batch {
		headers := s.Headers
		if headers == nil {
			headers = map[string]string{}
		}
		b.Queue(`
			insert into inbox (hook_id, guid, event, action, headers, payload, received_at, due_at)
			values (@hook, @guid, @event, @action, @headers, @payload, @at, @at)
			on conflict (hook_id, guid) do nothing`,
			args{
				"hook": s.HookID, "guid": s.GUID, "event": s.Event, "action": s.Action, "headers": headers,
				"payload": nonNil(s.Payload), "at": s.ReceivedAt,
			}).Exec(func(tag pgconn.CommandTag) error {
			fresh[i] = tag.RowsAffected() == 1
			return nil
		})
	}
	return fresh, d.pool.SendBatch(ctx, &b).Close()
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
