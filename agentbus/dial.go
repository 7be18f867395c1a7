package agentbus

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

var errDeferred = errors.New("first attempt is left to the background")

// dialer connects. nats.go dials the first time within Connect and for ever
// after in the background, without a context; here the first dial is special.
type dialer struct {
	first   context.Context // bounds the first dial; nil fails it at once, so that Connect does not wait
	always  context.Context // bounds every dial; nil means only the time-out does
	dialled atomic.Bool
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx := d.always
	if d.dialled.CompareAndSwap(false, true) && ctx == nil {
		if ctx = d.first; ctx == nil {
			return nil, errDeferred
		}
	}
	if ctx == nil {
		ctx = context.Background()
	}
	net := net.Dialer{Timeout: callTimeout}
	return net.DialContext(ctx, network, address)
}
