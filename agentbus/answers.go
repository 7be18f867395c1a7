package agentbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// answerBatch is how many answers one call of the handler gets at most; it
// stores them in one transaction.
const answerBatch = 500

// Received is one answer as the stream holds it.
type Received struct {
	Seq    uint64 // its place in the stream, to be stored with it
	Host   string // from the subject, which the broker guards
	Answer Answer
}

// Answers hands every answer after from to handle, in order and in batches, until
// ctx ends, whose error it returns. The caller stores the last Seq of a batch in
// the transaction that stores the batch, and passes it as from next time. A
// batch that handle refuses is handed over again, after a pause that grows to 5 s.
//
// After a power cut the stream may have lost its end and count from an earlier
// number again; then it is read from the start. So answers may repeat, and what
// counts is their identity: host, order, number.
func (c *Control) Answers(ctx context.Context, from uint64, handle func(context.Context, []Received) error) error {
	r := answerReader{control: c, from: from, handle: handle}
	js, err := jetstream.New(c.events, jetstream.WithDefaultTimeout(callTimeout))
	if err != nil {
		return fmt.Errorf("read answers: %w", err)
	}
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
		before := r.from
		// Each life of the connection gets a new consumer: the broker behind it
		// may not be the one we knew.
		err := r.read(ctx, js, c.nextReconnect())
		if err != nil && ctx.Err() == nil {
			c.o.Log(fmt.Sprintf("bus: read answers: %v", err))
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

type answerReader struct {
	control *Control
	from    uint64
	handle  func(context.Context, []Received) error
}

// read reads until ctx ends, the connection is replaced or something fails.
func (r *answerReader) read(ctx context.Context, js jetstream.JetStream, replaced <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := js.Stream(ctx, answersStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // the broker was replaced under us
		if err = r.control.createStreams(ctx); err == nil {
			stream, err = js.Stream(ctx, answersStream)
		}
	}
	if err != nil {
		return err
	}
	if last := stream.CachedInfo().State.LastSeq; last < r.from {
		r.control.o.Log(fmt.Sprintf("bus: stream of answers went back from %d to %d: reading it from the start", r.from, last))
		r.from = 0
	}
	cons, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.from + 1,
	})
	if err != nil {
		return err
	}
	// The callback may block: a pull consumer sends no more than it was asked for.
	messages := make(chan jetstream.Msg, answerBatch)
	failed := make(chan error, 1)
	consuming, err := cons.Consume(func(m jetstream.Msg) {
		select {
		case messages <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(answerBatch), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
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

// batch is a run of the stream: the answers in it and where it ends.
type batch struct {
	answers []Received
	last    uint64
}

// collect takes first and what else has arrived. What is no answer is passed
// over: any host may write nonsense, and it must not stop the others.
func (r *answerReader) collect(first jetstream.Msg, more <-chan jetstream.Msg) batch {
	var b batch
	for m := first; ; {
		if meta, err := m.Metadata(); err == nil {
			b.last = meta.Sequence.Stream
			host := hostOf(m.Subject(), answerPrefix)
			if a, err := parseAnswer(m.Data()); err != nil {
				r.control.o.Log(fmt.Sprintf("bus: passed over message %d from %s: %v", b.last, host, err))
			} else {
				b.answers = append(b.answers, Received{Seq: b.last, Host: host, Answer: a})
			}
		}
		if len(b.answers) == answerBatch {
			return b
		}
		select {
		case m = <-more:
		default:
			return b
		}
	}
}

func (r *answerReader) deliver(ctx context.Context, b batch) error {
	for pause := 50 * time.Millisecond; len(b.answers) > 0; pause = min(2*pause, 5*time.Second) {
		err := r.handle(ctx, b.answers)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.control.o.Log(fmt.Sprintf("bus: record answers up to %d: %v", b.last, err))
		wait(ctx, pause)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.from = b.last
	return nil
}
