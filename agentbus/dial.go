package agentbus

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
)

var errDeferred = errors.New("first attempt is left to the background")

// dialer connects the server. nats.go dials the first time within Connect and for
// ever after in the background, without a context; here the first dial is special.
type dialer struct {
	first   context.Context // bounds the first dial
	dialled atomic.Bool
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx := context.Background()
	if d.dialled.CompareAndSwap(false, true) {
		ctx = d.first
	}
	net := net.Dialer{Timeout: callTimeout}
	return net.DialContext(ctx, network, address)
}

// hostDialer connects a host over the first route that works, the direct ones
// before the others, and so returns to those with the next connection. nats.go
// keeps to either TCP or WebSockets as long as a connection lives; it is given
// one address that stands for all.
type hostDialer struct {
	routes func() []route
	always context.Context // bounds every dial; nil defers the first, so that Connect does not wait

	dialled atomic.Bool
	others  atomic.Pointer[[]route] // servers of the cluster that the last one told of
	failed  atomic.Pointer[error]   // why the last dial came to nothing; nats.go keeps some of it to itself
}

// anyAddress is what nats.go believes to connect to.
const anyAddress = "nats://bus"

// Dial connects to the bus, not to the address.
func (d *hostDialer) Dial(_, _ string) (net.Conn, error) {
	ctx := d.always
	if ctx == nil {
		if d.dialled.CompareAndSwap(false, true) {
			return nil, errDeferred
		}
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := race(ctx, d.ways())
	if err != nil {
		d.failed.Store(&err)
		return nil, err
	}
	if d.always != nil { // nats.go greets the broker without a context
		context.AfterFunc(d.always, func() { _ = conn.Close() })
	}
	if len(conn.others) > 0 {
		d.others.Store(&conn.others)
	}
	return conn, nil
}

// ways are all routes: the direct ones, those that a cluster told of, the rest.
func (d *hostDialer) ways() []route {
	routes := d.routes()
	others := d.others.Load()
	if others == nil {
		return routes
	}
	tunnels := slices.IndexFunc(routes, route.tunnels)
	if tunnels < 0 {
		tunnels = len(routes)
	}
	return slices.Concat(routes[:tunnels], *others, routes[tunnels:])
}

// SkipTLSHandshake tells nats.go that TLS is in place: which roots count differs
// from route to route.
func (d *hostDialer) SkipTLSHandshake() bool { return true }
