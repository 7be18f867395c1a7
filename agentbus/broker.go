package agentbus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// brokerStart bounds the start of the embedded broker. Recovering 3 million
// stored messages took 0.8 s.
const brokerStart = 15 * time.Second

// BrokerOptions is how to run the embedded broker.
type BrokerOptions struct {
	Dir      string      // where it keeps its data; one broker at a time
	Listen   string      // host:port for hosts, port 0 for any; empty for no listener
	Keys     *Keyring    // whose fleet it serves
	TLS      *tls.Config // what the listener presents; nil for plain TCP
	MaxStore int64       // bytes on disk; 0 means 8 GiB
	Log      func(string)
}

// Broker is a NATS server within this process.
type Broker struct {
	server *server.Server
	lock   *os.File
	url    string
}

// StartBroker starts the embedded broker and waits until it serves. A port that
// is taken or a directory that another process uses is an error that names it.
func StartBroker(ctx context.Context, o BrokerOptions) (*Broker, error) {
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start bus: %w", err)
	}
	b := &Broker{lock: lock}
	if err := b.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start bus: %w", err), b.Shutdown(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context, o BrokerOptions) error {
	opts, err := o.server()
	if err != nil {
		return err
	}
	if b.server, err = server.NewServer(opts); err != nil {
		opts.AccountResolver.Close()
		return err
	}
	log := brokerLog{fatal: make(chan string, 1), log: o.Log}
	b.server.SetLoggerV2(log, false, false, false)

	// Start comes back once everything runs, and says nothing if it does not.
	started := make(chan struct{})
	go func() { defer close(started); b.server.Start() }()
	ctx, cancel := context.WithTimeout(ctx, brokerStart)
	defer cancel()
	for done := started; ; {
		select {
		case why := <-log.fatal:
			return errors.New(why)
		case <-ctx.Done():
			return fmt.Errorf("it was not ready within %v: %w", brokerStart, ctx.Err())
		case <-done:
			done = nil
		default:
			if b.server.ReadyForConnections(50 * time.Millisecond) {
				<-started
				if !opts.DontListen {
					b.url = b.server.ClientURL()
				}
				return nil
			}
		}
	}
}

// server returns what the broker is started with. The resolver within is open.
func (o BrokerOptions) server() (*server.Options, error) {
	operator, err := jwt.DecodeOperatorClaims(o.Keys.jwts.Operator)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	opts := &server.Options{
		ServerName: "nixfleet", NoSigs: true, DisableJetStreamBanner: true,
		JetStream: true, StoreDir: o.Dir, SyncAlways: true, // else a power cut takes what was acknowledged
		JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 64 << 20,
		MaxConn: 200_000, MaxPayload: maxPayload, MaxPending: 256 << 20,
		TLSConfig: o.TLS, TLSTimeout: 10, AuthTimeout: 15, // the default of 2 s is too short when all hosts return at once
		TrustedOperators: []*jwt.OperatorClaims{operator},
		SystemAccount:    publicKey(o.Keys.system),
	}
	if o.MaxStore > 0 {
		opts.JetStreamMaxStore = o.MaxStore
	}
	if err := o.listen(opts); err != nil {
		return nil, err
	}
	resolver, err := server.NewDirAccResolver(filepath.Join(o.Dir, "accounts"), 0, 2*time.Minute, server.NoDelete)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	for _, a := range o.Keys.preload() {
		// Keeps what is there if that was issued later, and with it revocations.
		if err := resolver.Store(a.key, a.jwt); err != nil {
			resolver.Close()
			return nil, fmt.Errorf("accounts: %w", err)
		}
	}
	opts.AccountResolver = resolver
	return opts, nil
}

func (o BrokerOptions) listen(opts *server.Options) error {
	if o.Listen == "" {
		opts.DontListen = true
		return nil
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q: want host:port", o.Listen)
	}
	opts.Host = host
	opts.Port, err = strconv.Atoi(port)
	if err != nil || opts.Port < 0 || opts.Port > 65535 {
		return fmt.Errorf("listen address %q: want a port from 0 to 65535", o.Listen)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return nil
}

// URL is where hosts connect, empty if there is no listener.
func (b *Broker) URL() string { return b.url }

// Shutdown stops the broker and frees its directory. When ctx ends first the
// broker still stops, unattended, and the directory stays locked until then.
func (b *Broker) Shutdown(ctx context.Context) error {
	stopped := make(chan error, 1)
	go func() {
		if b.server != nil {
			b.server.Shutdown()
			b.server.WaitForShutdown()
		}
		stopped <- b.lock.Close()
	}()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
		return fmt.Errorf("stop bus: %w", ctx.Err())
	}
}

// brokerLog passes on warnings and errors, and keeps the broker from ending the
// process: its own logger exits on a fatal error.
type brokerLog struct {
	fatal chan string
	log   func(string)
}

func (l brokerLog) say(format string, args []any) {
	if l.log != nil {
		l.log("bus: " + fmt.Sprintf(format, args...))
	}
}

func (l brokerLog) Fatalf(format string, args ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
		l.say(format, args)
	}
}
func (l brokerLog) Errorf(format string, args ...any) { l.say(format, args) }
func (l brokerLog) Warnf(format string, args ...any)  { l.say(format, args) }
func (brokerLog) Noticef(string, ...any)              {}
func (brokerLog) Debugf(string, ...any)               {}
func (brokerLog) Tracef(string, ...any)               {}
