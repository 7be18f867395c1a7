package agentbus

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ErrAway is why something cannot be sent while the bus is out of reach.
var ErrAway = errors.New("the bus is out of reach")

// ErrUnsendable is why an answer can never be sent: to try again is of no use.
var ErrUnsendable = errors.New("no bus takes it")

// HostConfig is what a host knows of its fleet, from its enrolment.
type HostConfig struct {
	URLs      []string // addresses of the bus: tls or nats for TCP, wss or ws for the way through the server
	Host      string   // the own id
	Fleet     string   // the fleet it obeys
	UserJWT   string   // the certificate that the server issued
	Seed      []byte   // of the user nkey; made on the host, it never leaves it
	OrderKeys []string // whose signature counts, see [Keyring.OrderKeys]
	CA        []byte   // PEM; if set, TCP must be encrypted and only these roots count there
	Now       func() time.Time
	Log       func(string) // warnings; nil for none
}

// HostLink is a host's end of the bus. It is safe for concurrent use, but only
// one caller at a time may wait in Next.
type HostLink struct {
	cfg      HostConfig // of the beginning
	member   atomic.Pointer[member]
	nc       *nats.Conn
	confirms chan Confirm
	summons  chan struct{}
	inbox    orderInbox
	trouble  atomic.Pointer[string] // what kept it from connecting, as last logged
	stop     func() bool
}

// ConnectHost joins the bus in the background and keeps at it until Close, or
// until ctx ends: it returns at once, whether the bus is there or not. An error
// means that the configuration cannot work.
func ConnectHost(ctx context.Context, cfg HostConfig) (*HostLink, error) {
	h, opts, err := newHostLink(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect host: %w", err)
	}
	opts = append(opts,
		nats.SetCustomDialer(&hostDialer{routes: h.routes}), nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1), nats.CustomReconnectDelay(atOnce(backoff(time.Minute))),
		nats.ReconnectBufSize(-1), // what cannot be sent is an error: the journal decides, not a buffer
		nats.PingInterval(30*time.Second), nats.MaxPingsOutstanding(2), nats.IgnoreAuthErrorAbort(),
		nats.ConnectHandler(h.onConnect), nats.ReconnectHandler(h.onConnect), nats.ErrorHandler(h.onError),
		nats.ReconnectErrHandler(h.onFailure),
	)
	if h.nc, err = nats.Connect(anyAddress, opts...); err != nil {
		return nil, fmt.Errorf("connect host: %w", err)
	}
	// Subscribe first and get later, in Next: the other way round, an order that
	// comes in between is missed.
	sub, err := h.nc.Subscribe(commandPrefix+cfg.Host, h.onCommand)
	if err == nil {
		err = sub.SetPendingLimits(256, 4<<20)
	}
	if err != nil {
		h.nc.Close()
		return nil, fmt.Errorf("connect host: %w", err)
	}
	h.stop = context.AfterFunc(ctx, h.nc.Close)
	return h, nil
}

func newHostLink(cfg HostConfig) (*HostLink, []nats.Option, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	if err := checkHost(cfg.Host); err != nil {
		return nil, nil, err
	}
	h := &HostLink{cfg: cfg, confirms: make(chan Confirm, 64), summons: make(chan struct{}, 1), inbox: newOrderInbox()}
	if err := h.Renew(cfg); err != nil {
		return nil, nil, err
	}
	return h, []nats.Option{
		nats.Name(cfg.Host), nats.CustomInboxPrefix(inboxPrefix(cfg.Host)), nats.Timeout(callTimeout),
		// Where a renewal comes between the two, the broker refuses and the next
		// attempt succeeds.
		nats.UserJWT(
			func() (string, error) { return h.member.Load().jwt, nil },
			func(nonce []byte) ([]byte, error) { return h.member.Load().user.Sign(nonce) },
		),
		nats.SkipHostLookup(), nats.IgnoreDiscoveredServers(), // the enrolment says where the bus is
	}, nil
}

// member is what a renewal replaces.
type member struct {
	jwt    string
	user   nkeys.KeyPair
	me     recipient
	routes []route
}

// Renew replaces what the host knows of its fleet, except who it is. Orders are
// judged by it at once; certificate, key and addresses count from the next
// connection on. The broker ends the present one when its certificate expires or
// its key is revoked, and the link returns by itself.
func (h *HostLink) Renew(cfg HostConfig) error {
	keys, err := parseOrderKeys(cfg.OrderKeys)
	if err != nil {
		return err
	}
	user, err := nkeys.FromSeed(cfg.Seed)
	if err != nil {
		return fmt.Errorf("the host key cannot be read: %w", err)
	}
	routes, err := parseRoutes(cfg.URLs, cfg.CA)
	if err != nil {
		return err
	}
	h.member.Store(&member{
		jwt: cfg.UserJWT, user: user, me: recipient{fleet: h.cfg.Fleet, host: h.cfg.Host, keys: keys}, routes: routes,
	})
	return nil
}

func (h *HostLink) me() recipient   { return h.member.Load().me }
func (h *HostLink) routes() []route { return h.member.Load().routes }

func (h *HostLink) onConnect(*nats.Conn) {
	h.trouble.Store(nil)
	h.inbox.reconnected(h.cfg.Now())
}

// onFailure logs why the bus can't be reached, once for each reason.
func (h *HostLink) onFailure(_ *nats.Conn, err error) {
	text := fmt.Sprintf("bus: connect: %v", err)
	if last := h.trouble.Swap(&text); !errors.Is(err, errDeferred) && (last == nil || *last != text) {
		h.cfg.Log(text)
	}
}

func (h *HostLink) onError(_ *nats.Conn, _ *nats.Subscription, err error) {
	h.cfg.Log(fmt.Sprintf("bus: %v", err))
	if errors.Is(err, nats.ErrSlowConsumer) {
		h.inbox.ask(h.cfg.Now()) // something was dropped, perhaps an order
	}
}

// onCommand takes what arrives on the own subject. Other hosts can make things
// arrive here, replies of JetStream to them; none of it is signed for this host.
// Only what stands in the bucket is worth a refusal, so doubt means to look there.
func (h *HostLink) onCommand(m *nats.Msg) {
	e, err := parseEnvelope(m.Data)
	if err == nil && e.Type == TypeConfirm {
		if c, ok := h.me().openConfirm(e); ok {
			h.confirmed(c)
			return
		}
	}
	if err == nil && h.me().openSummons(e) {
		select {
		case h.summons <- struct{}{}:
		default:
		}
		return
	}
	order, refusal := h.me().openEnvelope(e, err)
	if refusal != nil {
		h.inbox.doubt(h.cfg.Now())
		return
	}
	h.inbox.push(candidate{order: order, sum: sha256.Sum256(m.Data)})
}

// confirmed drops the oldest confirmation when nobody reads them.
func (h *HostLink) confirmed(c Confirm) {
	for {
		select {
		case h.confirms <- c:
			return
		default:
		}
		select {
		case <-h.confirms:
		default:
		}
	}
}

// Confirms delivers what the server has recorded, verified. If it is not read,
// the newest 64 are kept. It is never closed.
func (h *HostLink) Confirms() <-chan Confirm { return h.confirms }

// Summons delivers that the server asks the host to renew its certificate now. It
// is never closed.
func (h *HostLink) Summons() <-chan struct{} { return h.summons }

// Answer sends one answer; nil means that the broker has it. That is not yet
// durable: repeat the answer until it is confirmed.
func (h *HostLink) Answer(ctx context.Context, a Answer) error {
	a.V = ProtocolVersion
	if err := a.check(); err != nil {
		return fmt.Errorf("send answer: %w: %w", ErrUnsendable, err)
	}
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("send answer: %w: %w", ErrUnsendable, err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("send answer: %w: %d bytes are more than the %d that an answer may have", ErrUnsendable, len(data), maxAnswer)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := h.nc.RequestWithContext(ctx, answerPrefix+h.cfg.Host, data)
	if err == nil {
		_, err = parseAck(reply.Data, answersStream)
	}
	if err != nil {
		return fmt.Errorf("send answer: %w", explain(err))
	}
	return nil
}

// explain says in our words what nats.go means by a buffer of size none.
func explain(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return ErrAway
	}
	return err
}

// Heartbeat sends a heartbeat, or fails at once when the bus is away.
func (h *HostLink) Heartbeat(b Heartbeat) error {
	b.V = ProtocolVersion
	return h.publish("send heartbeat", heartbeatPrefix+h.cfg.Host, b)
}

func (h *HostLink) publish(what, subject string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = h.nc.Publish(subject, data)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, explain(err))
	}
	return nil
}

// Connected reports whether the bus is there right now.
func (h *HostLink) Connected() bool { return h.nc.IsConnected() }

// Close leaves the bus, after at most a second for what is still to be sent.
func (h *HostLink) Close() {
	h.stop()
	if h.nc.IsConnected() {
		_ = h.nc.FlushTimeout(time.Second)
	}
	h.nc.Close()
}

// FreshRoundTrip proves that this host can reach the bus now: a new connection
// carries a request and its reply, and closes.
func FreshRoundTrip(ctx context.Context, cfg HostConfig) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	h, opts, err := newHostLink(cfg)
	if err != nil {
		return fmt.Errorf("reach the bus: %w", err)
	}
	dialer := &hostDialer{routes: h.routes, always: ctx}
	opts = append(opts, nats.SetCustomDialer(dialer), nats.NoReconnect())
	if h.nc, err = nats.Connect(anyAddress, opts...); err != nil {
		if why := dialer.failed.Load(); why != nil {
			err = *why
		}
		return fmt.Errorf("reach the bus: connect: %w", err)
	}
	defer h.nc.Close()
	if _, _, err := h.get(ctx); err != nil {
		return fmt.Errorf("reach the bus: %w", err)
	}
	return nil
}

// get reads the own key of the bucket; found is false if it was never written.
func (h *HostLink) get(ctx context.Context) (data []byte, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := h.nc.RequestWithContext(ctx, directGetPrefix+h.cfg.Host, nil)
	if err != nil {
		return nil, false, fmt.Errorf("read own order: %w", err)
	}
	switch status := reply.Header.Get("Status"); status {
	case "":
		return reply.Data, true, nil
	case "404":
		return nil, false, nil
	default:
		return nil, false, fmt.Errorf("read own order: %s %s", status, reply.Header.Get("Description"))
	}
}
