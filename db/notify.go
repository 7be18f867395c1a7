package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// notify tells all replicas, once q's transaction commits, that something visible
// changed.
func (d *DB) notify(ctx context.Context, q querier) error {
	_, err := q.Exec(ctx, `select pg_notify(@channel, '')`, args{"channel": d.channel})
	return err
}

// notifySoon is notify for what comes in great numbers. Postgres commits
// transactions that notify one after the other, each with its own wait for the
// disk, so these leave it to one goroutine that notifies for all of them. What a
// crash leaves unsaid is found by the loops' clock.
func (d *DB) notifySoon() {
	select {
	case d.pokes <- struct{}{}:
	default:
	}
}

// notifyEvery bounds how often notifySoon's notifications go out: people don't
// see the difference, and a burst of webhooks does.
const notifyEvery = 20 * time.Millisecond

func (d *DB) startNotifier(ctx context.Context) {
	d.pokes = make(chan struct{}, 1)
	d.running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-d.pokes:
				// Without a database there is nobody to tell: listeners call back when they reconnect.
				_ = d.notify(ctx, d.pool)
			}
			select {
			case <-ctx.Done():
			case <-time.After(notifyEvery):
			}
		}
	})
}

// Reconnecting waits between attempts.
const (
	listenAgainFirst = 100 * time.Millisecond
	listenAgainMost  = 5 * time.Second
)

// outputChannel is where it is told that output of orders was recorded: that comes
// often, and only who follows a log wants to know.
func (d *DB) outputChannel() string { return d.channel + "_output" }

// ListenOutput is [DB.Listen] for who follows the output of orders: it is also
// told of what came of that.
func (d *DB) ListenOutput(ctx context.Context, changed func()) error {
	return d.listen(ctx, changed, d.channel, d.outputChannel())
}

// Listen calls changed whenever something visible was committed, by any replica,
// and once at the start and after each reconnect, since something may have been
// missed. Calls do not overlap; what happens during one leads to one more. Listen
// reconnects by itself and returns when ctx ends, with nil.
func (d *DB) Listen(ctx context.Context, changed func()) error {
	return d.listen(ctx, changed, d.channel)
}

func (d *DB) listen(ctx context.Context, changed func(), channels ...string) error {
	pending := make(chan struct{}, 1)
	poke := func() {
		select {
		case pending <- struct{}{}:
		default:
		}
	}
	var g errgroup.Group
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-pending:
				changed()
			}
		}
	})
	g.Go(func() error {
		wait := listenAgainFirst
		for ctx.Err() == nil {
			connected, _ := d.listenOnce(ctx, poke, channels)
			if connected {
				wait = listenAgainFirst
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			wait = min(2*wait, listenAgainMost)
		}
		return nil
	})
	return g.Wait()
}

// listenOnce listens on one connection of its own until that breaks.
func (d *DB) listenOnce(ctx context.Context, poke func(), channels []string) (connected bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return false, fmt.Errorf("listen: %w", err)
	}
	defer func() {
		// A broken connection is given up at once; a good one says goodbye.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, conn.Close(closing))
	}()
	for _, channel := range channels {
		if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return false, fmt.Errorf("listen: %w", err)
		}
	}
	poke()
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, fmt.Errorf("listen: %w", err)
		}
		poke()
	}
}
