// Package broker is the embedded NATS: the bus of [agentbus] within the server's
// own process. It is a room of its own so that the agent, which needs only an end
// of the bus, does not carry a broker along.
//
// In goes the fleet's [agentbus.Trust], out comes an address for hosts and a way in
// for the server. What may go wrong: the port or the directory is taken, which is
// said at the start.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/nixfleet/nixfleet/agentbus"
)

// startTime bounds the start. Recovering 3 million
// stored messages took 0.8 s.
const startTime = 15 * time.Second

// Options is how to run the embedded broker.
type Options struct {
	Dir      string         // where it keeps its data; one broker at a time
	Listen   string         // host:port for hosts, port 0 for any; empty for no listener
	Trust    agentbus.Trust // whose fleet it serves
	TLS      *tls.Config    // what the listener presents; nil for plain TCP
	Tunnel   bool           // also listen on a port of the loopback for WebSockets, which the server passes on
	MaxStore int64          // bytes on disk; 0 means 8 GiB
	Log      func(string)
}

// Broker is a NATS server within this process.
type Broker struct {
	server *server.Server
	lock   *os.File
	url    string
	tunnel string
}

// Start starts the embedded broker and waits until it serves. A port that
// is taken or a directory that another process uses is an error that names it.
func Start(ctx context.Context, o Options) (*Broker, error) {
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

func (b *Broker) start(ctx context.Context, o Options) error {
	opts, err := o.server()
	if err != nil {
		return err
	}
	if b.server, err = server.NewServer(opts); err != nil {
		opts.AccountResolver.Close()
		return err
	}
	log := logger{fatal: make(chan string, 1), log: o.Log}
	b.server.SetLoggerV2(log, false, false, false)

	// Start comes back once everything runs, and says nothing if it does not.
	started := make(chan struct{})
	go func() { defer close(started); b.server.Start() }()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for done := started; ; {
		select {
		case why := <-log.fatal:
			return errors.New(why)
		case <-ctx.Done():
			return fmt.Errorf("it was not ready within %v: %w", startTime, ctx.Err())
		case <-done:
			done = nil
		default:
			if b.server.ReadyForConnections(50 * time.Millisecond) {
				<-started
				if !opts.DontListen {
					b.url = b.server.ClientURL()
				}
				if o.Tunnel {
					b.tunnel = strings.TrimPrefix(b.server.WebsocketURL(), "ws://")
				}
				return nil
			}
		}
	}
}

// server returns what the broker is started with. The resolver within is open.
func (o Options) server() (*server.Options, error) {
	operator, err := jwt.DecodeOperatorClaims(o.Trust.Operator)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	opts := &server.Options{
		ServerName: "nixfleet", NoSigs: true, DisableJetStreamBanner: true,
		JetStream: true, StoreDir: o.Dir, SyncAlways: true, // else a power cut takes what was acknowledged
		JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 64 << 20,
		MaxConn: 200_000, MaxPayload: agentbus.BrokerPayload, MaxPending: 256 << 20,
		TLSConfig: o.TLS, TLSTimeout: 10, AuthTimeout: 15, // the default of 2 s is too short when all hosts return at once
		TrustedOperators: []*jwt.OperatorClaims{operator},
		SystemAccount:    o.Trust.SystemAccount,
	}
	if o.MaxStore > 0 {
		opts.JetStreamMaxStore = o.MaxStore
	}
	if err := o.listen(opts); err != nil {
		return nil, err
	}
	if o.Tunnel {
		// Unencrypted, since it never leaves this machine as it is: the server's own
		// address is https.
		opts.Websocket = server.WebsocketOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoTLS: true, HandshakeTimeout: 10 * time.Second}
	}
	resolver, err := server.NewDirAccResolver(filepath.Join(o.Dir, "accounts"), 0, 2*time.Minute, server.NoDelete)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	for account, claims := range o.Trust.Accounts {
		// Keeps what is there if that was issued later, and with it revocations.
		if err := resolver.Store(account, claims); err != nil {
			resolver.Close()
			return nil, fmt.Errorf("accounts: %w", err)
		}
	}
	opts.AccountResolver = resolver
	return opts, nil
}

func (o Options) listen(opts *server.Options) error {
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

// Tunnel is host:port where WebSockets arrive, empty if that was not asked for.
func (b *Broker) Tunnel() string { return b.tunnel }

// InProcessConn is the server's way in, without a port.
func (b *Broker) InProcessConn() (net.Conn, error) { return b.server.InProcessConn() }

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

// logger passes on warnings and errors, and keeps the broker from ending the
// process: its own logger exits on a fatal error.
type logger struct {
	fatal chan string
	log   func(string)
}

func (l logger) say(format string, args []any) {
	if l.log != nil {
		l.log("bus: " + fmt.Sprintf(format, args...))
	}
}

func (l logger) Fatalf(format string, args ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
		l.say(format, args)
	}
}
func (l logger) Errorf(format string, args ...any) { l.say(format, args) }
func (l logger) Warnf(format string, args ...any)  { l.say(format, args) }
func (logger) Noticef(string, ...any)              {}
func (logger) Debugf(string, ...any)               {}
func (logger) Tracef(string, ...any)               {}
