package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// limits is a plain NATS server in the same process, with one account, no login, no
// signatures and the default of not syncing: what the machine can do at best.
type limits struct {
	server *server.Server
	nc     *nats.Conn
	js     jetstream.JetStream
}

func startLimits(ctx context.Context, dir string) (l *limits, err error) {
	l = &limits{}
	l.server, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: filepath.Join(dir, "plain"), NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("plain NATS: %w", err)
	}
	l.server.Start()
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if !l.server.ReadyForConnections(10 * time.Second) {
		return nil, errors.New("plain NATS is not ready")
	}
	if l.nc, err = nats.Connect(l.server.ClientURL()); err != nil {
		return nil, fmt.Errorf("plain NATS: %w", err)
	}
	if l.js, err = jetstream.New(l.nc, jetstream.WithPublishAsyncMaxPending(1<<20)); err != nil {
		return nil, fmt.Errorf("plain NATS: %w", err)
	}
	_, bucketErr := l.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "plain", Storage: jetstream.FileStorage})
	_, streamErr := l.js.CreateStream(ctx, jetstream.StreamConfig{Name: "ACKS", Subjects: []string{"ack.>"}})
	return l, errors.Join(bucketErr, streamErr)
}

func (l *limits) close() {
	if l.nc != nil {
		l.nc.Close()
	}
	l.server.Shutdown()
	l.server.WaitForShutdown()
}

// async publishes n messages over so many subjects and returns how many a second
// were acknowledged.
func (l *limits) async(subject string, n, subjects int, data []byte) (float64, error) {
	began := time.Now()
	for i := range n {
		if _, err := l.js.PublishAsync(fmt.Sprintf(subject, i%subjects), data); err != nil {
			return 0, err
		}
	}
	<-l.js.PublishAsyncComplete()
	return float64(n) / time.Since(began).Seconds(), nil
}

// core publishes n messages to one subscriber and returns its messages a second.
func (l *limits) core(n int, data []byte) (float64, error) {
	reader, err := nats.Connect(l.server.ClientURL())
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	got, done := 0, make(chan struct{})
	sub, err := reader.Subscribe("core.*", func(*nats.Msg) {
		if got++; got == n {
			close(done)
		}
	})
	if err = errors.Join(err, sub.SetPendingLimits(-1, -1), reader.Flush()); err != nil {
		return 0, err
	}
	began := time.Now()
	for i := range n {
		if err := l.nc.Publish(fmt.Sprintf("core.%d", i%1000), data); err != nil {
			return 0, err
		}
	}
	<-done
	return float64(n) / time.Since(began).Seconds(), nil
}

// trip is the time of one request and its reply, median of n.
func (l *limits) trip(n int) (time.Duration, error) {
	sub, err := l.nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	caller, err := nats.Connect(l.server.ClientURL())
	if err != nil {
		return 0, err
	}
	defer caller.Close()
	times := make([]time.Duration, n)
	for i := range times {
		began := time.Now()
		if _, err := caller.Request("echo", []byte("x"), time.Second); err != nil {
			return 0, err
		}
		times[i] = time.Since(began)
	}
	return median(times), nil
}
