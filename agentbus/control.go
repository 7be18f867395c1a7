package agentbus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// callTimeout bounds one request to the bus when the caller's context does not.
const callTimeout = 10 * time.Second

// ControlOptions is how the server joins the bus.
type ControlOptions struct {
	Broker nats.InProcessConnProvider // the embedded broker, or
	URLs   []string                   // the addresses of one's own, whose configuration has [Keyring.ServerConfig]
	TLS    *tls.Config                // for URLs; nil means what the URL's scheme says
	Keys   *Keyring
	Now    func() time.Time // nil means the system clock
	Log    func(string)     // warnings; nil for none
}

// Control is the server's end of the bus. It is safe for concurrent use.
type Control struct {
	o      ControlOptions
	nc     *nats.Conn // orders and requests
	events *nats.Conn // answers and logs
	beats  *nats.Conn // heartbeats, in the hosts' account
	js     jetstream.JetStream

	bucket  lastValues
	revokes sync.Mutex

	mu          sync.Mutex
	reconnected chan struct{} // closed and replaced whenever events has reconnected
}

// ConnectControl joins the bus and creates the bucket and the streams where they
// are missing. Three connections keep a flood of heartbeats from delaying
// orders: the broker drops a slow reader, and it drops a whole connection.
func ConnectControl(ctx context.Context, o ControlOptions) (*Control, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	c := &Control{o: o, reconnected: make(chan struct{})}
	if err := c.open(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return c, nil
}

func (c *Control) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*callTimeout)
	defer cancel()
	if err := c.updateAccounts(ctx); err != nil {
		return err
	}
	var err error
	if c.nc, err = c.dial(ctx, c.o.Keys.controlRole()); err != nil {
		return err
	}
	if c.events, err = c.dial(ctx, c.o.Keys.controlRole(), nats.ReconnectHandler(c.onReconnect)); err != nil {
		return err
	}
	if c.beats, err = c.dial(ctx, c.o.Keys.ingestRole()); err != nil {
		return err
	}
	if c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(callTimeout)); err != nil {
		return err
	}
	return c.createStreams(ctx)
}

// dial opens one connection as r. It reconnects for ever.
func (c *Control) dial(ctx context.Context, r role, more ...nats.Option) (*nats.Conn, error) {
	login, err := r.login()
	if err != nil {
		return nil, err
	}
	opts := append([]nats.Option{
		login, nats.Name(r.name), nats.SkipHostLookup(), nats.SetCustomDialer(&dialer{first: ctx}),
		nats.Timeout(callTimeout), nats.PingInterval(20 * time.Second),
		nats.MaxReconnects(-1), nats.CustomReconnectDelay(backoff(2 * time.Second)), nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = " on " + sub.Subject
			}
			c.o.Log(fmt.Sprintf("bus: %s%s: %v", r.name, subject, err))
		}),
	}, more...)
	if c.o.TLS != nil {
		opts = append(opts, nats.Secure(c.o.TLS))
	}
	url := strings.Join(c.o.URLs, ",")
	if c.o.Broker != nil {
		opts = append(opts, nats.InProcessServer(c.o.Broker))
	} else if url == "" {
		return nil, errors.New("neither an embedded broker nor an address is given")
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil && url != "" {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return nc, err
}

// backoff waits at random up to a bound that doubles from half a second to limit,
// so that a thousand hosts do not return at the same instant.
func backoff(limit time.Duration) nats.ReconnectDelayHandler {
	return func(attempts int) time.Duration {
		bound := min(limit, 250*time.Millisecond<<min(attempts, 16))
		return rand.N(bound) + time.Millisecond
	}
}

// atOnce makes the first wait none: nothing has failed yet.
func atOnce(delay nats.ReconnectDelayHandler) nats.ReconnectDelayHandler {
	var later atomic.Bool
	return func(attempts int) time.Duration {
		if later.CompareAndSwap(false, true) {
			return 0
		}
		return delay(attempts)
	}
}

func (c *Control) createStreams(ctx context.Context) error {
	replicas, err := c.copies(ctx)
	if err != nil {
		return err
	}
	// Answers and logs need not survive a power cut, because hosts repeat what is
	// not confirmed; a sync for each would make them ten times slower.
	persist := jetstream.AsyncPersistMode
	if replicas > 1 {
		persist = jetstream.DefaultPersistMode // the broker allows async on single copies only
	}
	for _, s := range []jetstream.StreamConfig{{
		Name: bucketStream, Subjects: []string{bucketPrefix + "*"}, Replicas: replicas,
		MaxMsgsPerSubject: 1, MaxMsgSize: maxEnvelope + 1<<10, Discard: jetstream.DiscardNew,
		AllowDirect: true, AllowAtomicPublish: true, DenyDelete: true, DenyPurge: true,
		Duplicates: time.Second,
		RePublish:  &jetstream.RePublish{Source: bucketPrefix + "*", Destination: commandPrefix + "{{wildcard(1)}}"},
	}, {
		Name: answersStream, Subjects: []string{answerPrefix + "*"}, Replicas: replicas, PersistMode: persist,
		MaxAge: 30 * 24 * time.Hour, MaxBytes: 1 << 30, MaxMsgSize: maxAnswer, MaxMsgsPerSubject: keptAnswers,
		DenyDelete: true, DenyPurge: true, Duplicates: time.Second,
	}, {
		Name: logsStream, Subjects: []string{logPrefix + "*.*"}, Replicas: replicas, PersistMode: persist,
		MaxAge: 7 * 24 * time.Hour, MaxBytes: 1 << 30, MaxMsgSize: 2 * maxLogText, MaxMsgsPerSubject: maxLogChunks,
		DenyDelete: true, DenyPurge: true, Duplicates: time.Second,
	}} {
		s.Storage = jetstream.FileStorage
		if _, err := c.js.CreateOrUpdateStream(ctx, s); err != nil {
			return fmt.Errorf("create stream %s: %w", s.Name, err)
		}
	}
	return nil
}

// copies is how many copies of bucket and streams there are, or are to be: three in
// a cluster that has as many servers, else one. Those there are stay: a start while
// one server of a cluster is down must not take two of three copies away.
func (c *Control) copies(ctx context.Context) (int, error) {
	bucket, err := c.js.Stream(ctx, bucketStream)
	switch {
	case err == nil:
		return bucket.CachedInfo().Config.Replicas, nil
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, fmt.Errorf("look for the bucket of orders: %w", err)
	case len(c.nc.Servers()) >= 3:
		return 3, nil
	}
	return 1, nil
}

func (c *Control) onReconnect(*nats.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.reconnected)
	c.reconnected = make(chan struct{})
}

// nextReconnect returns a channel that closes when events reconnects.
func (c *Control) nextReconnect() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reconnected
}

// Healthy returns nil if the broker answers on every connection and holds the bucket.
func (c *Control) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, nc := range []*nats.Conn{c.nc, c.events, c.beats} {
		if err := nc.FlushWithContext(ctx); err != nil {
			return fmt.Errorf("bus does not answer: %w", err)
		}
	}
	if _, err := c.js.Stream(ctx, bucketStream); err != nil {
		return fmt.Errorf("bus has no bucket for orders: %w", err)
	}
	return nil
}

// Close leaves the bus. Stop Answers, Heartbeats and Logs by their contexts first.
func (c *Control) Close() {
	for _, nc := range []*nats.Conn{c.nc, c.events, c.beats} {
		if nc != nil {
			nc.Close()
		}
	}
}
