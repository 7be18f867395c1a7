package agentbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// streamReader reads one stream of what hosts send, in order and in batches, with
// one consumer however many hosts there are.
type streamReader[T any] struct {
	control *Control
	stream  string
	what    string // for the operator, e.g. "answers"
	from    uint64 // the last place that was handed over
	most    int    // of a batch
	parse   func(m jetstream.Msg, seq uint64) (T, error)
	handle  func(context.Context, []T) error
}

// run reads until ctx ends, whose error it returns.
func (r *streamReader[T]) run(ctx context.Context) error {
	js, err := jetstream.New(r.control.events, jetstream.WithDefaultTimeout(callTimeout))
	if err != nil {
		return fmt.Errorf("read %s: %w", r.what, err)
	}
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
		before := r.from
		// Each life of the connection gets a new consumer: the broker behind it
		// may not be the one we knew.
		err := r.read(ctx, js, r.control.nextReconnect())
		if err != nil && ctx.Err() == nil {
			r.control.o.Log(fmt.Sprintf("bus: read %s: %v", r.what, err))
		}
		if r.from != before {
			pause = 50 * time.Millisecond
		}
		wait(ctx, pause)
	}
	return ctx.Err()
}

// wait returns after d or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// read reads until ctx ends, the connection is replaced or something fails.
func (r *streamReader[T]) read(ctx context.Context, js jetstream.JetStream, replaced <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cons, err := r.consumer(ctx, js)
	if err != nil {
		return err
	}
	// The callback may block: a pull consumer sends no more than it was asked for.
	messages := make(chan jetstream.Msg, r.most)
	failed := make(chan error, 1)
	consuming, err := cons.Consume(func(m jetstream.Msg) {
		select {
		case messages <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(r.most), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		select {
		case failed <- err:
		default:
		}
	}))
	if err != nil {
		return err
	}
	defer func() { cancel(); consuming.Stop(); <-consuming.Closed() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-replaced:
			return nil
		case err := <-failed:
			return err
		case m := <-messages:
			if err := r.deliver(ctx, r.collect(m, messages)); err != nil {
				return err
			}
		}
	}
}

// consumer begins after what was handed over, or at the start where the stream
// lost its end.
func (r *streamReader[T]) consumer(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	stream, err := js.Stream(ctx, r.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // the broker was replaced under us
		if err = r.control.createStreams(ctx); err == nil {
			stream, err = js.Stream(ctx, r.stream)
		}
	}
	if err != nil {
		return nil, err
	}
	if last := stream.CachedInfo().State.LastSeq; last < r.from {
		r.control.o.Log(fmt.Sprintf("bus: stream of %s went back from %d to %d: reading it from the start", r.what, r.from, last))
		r.from = 0
	}
	return stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.from + 1,
	})
}

// stretch is a part of a stream: what is in it and where it ends.
type stretch[T any] struct {
	items []T
	last  uint64
}

// collect takes first and what else has arrived. What cannot be read is passed
// over: any host may write nonsense, and it must not stop the others.
func (r *streamReader[T]) collect(first jetstream.Msg, more <-chan jetstream.Msg) stretch[T] {
	var s stretch[T]
	for m := first; ; {
		if meta, err := m.Metadata(); err == nil {
			s.last = meta.Sequence.Stream
			if item, err := r.parse(m, s.last); err != nil {
				r.control.o.Log(fmt.Sprintf("bus: passed over message %d on %s: %v", s.last, m.Subject(), err))
			} else {
				s.items = append(s.items, item)
			}
		}
		if len(s.items) == r.most {
			return s
		}
		select {
		case m = <-more:
		default:
			return s
		}
	}
}

func (r *streamReader[T]) deliver(ctx context.Context, s stretch[T]) error {
	for pause := 50 * time.Millisecond; len(s.items) > 0; pause = min(2*pause, 5*time.Second) {
		err := r.handle(ctx, s.items)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.control.o.Log(fmt.Sprintf("bus: record %s up to %d: %v", r.what, s.last, err))
		wait(ctx, pause)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.from = s.last
	return nil
}
