package agentbus

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// When a host reads its key although nothing told it to.
const (
	rereadAfterConnect = 10 * time.Second // a cluster may not yet have known of the subscription
	rereadInterval     = 10 * time.Minute
	rereadOnDoubt      = time.Second // least pause, so that nobody can make a host read in a loop
	rereadOnFailure    = 2 * time.Second
)

// candidate is an order whose signature and addressee are right.
type candidate struct {
	order Order
	sum   [sha256.Size]byte // of the envelope
}

// orderInbox is what the callbacks of the connection leave for Next.
type orderInbox struct {
	mu      sync.Mutex
	pushed  *candidate
	reread  time.Time // when to read the key; zero means now
	doubted time.Time // when a doubt last led to a reading
	settle  bool      // after the next reading, read again soon
	wake    chan struct{}
	refused map[[sha256.Size]byte]struct{}
}

func newOrderInbox() orderInbox {
	return orderInbox{wake: make(chan struct{}, 1), refused: make(map[[sha256.Size]byte]struct{}), settle: true}
}

func (in *orderInbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// push keeps the newer of two orders.
func (in *orderInbox) push(c candidate) {
	in.mu.Lock()
	if in.pushed == nil || c.order.Gen > in.pushed.order.Gen {
		in.pushed = &c
	}
	in.mu.Unlock()
	in.signal()
}

// ask wants the key read now.
func (in *orderInbox) ask(now time.Time) {
	in.mu.Lock()
	in.reread = now
	in.mu.Unlock()
	in.signal()
}

func (in *orderInbox) reconnected(now time.Time) {
	in.mu.Lock()
	in.settle = true
	in.mu.Unlock()
	in.ask(now)
}

// doubt wants the key read, but not more often than each rereadOnDoubt.
func (in *orderInbox) doubt(now time.Time) {
	in.mu.Lock()
	if at := in.doubted.Add(rereadOnDoubt); at.Before(now) {
		in.reread, in.doubted = now, now
	} else if at.Before(in.reread) {
		in.reread = at
	}
	in.mu.Unlock()
	in.signal()
}

// take returns the order that was pushed, if any.
func (in *orderInbox) take() *candidate {
	in.mu.Lock()
	defer in.mu.Unlock()
	c := in.pushed
	in.pushed = nil
	return c
}

// due returns how long to wait before the key is to be read. When that is not
// at all, it also puts off the next reading.
func (in *orderInbox) due(now time.Time) time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	left := in.reread.Sub(now)
	if left > rereadInterval*2 { // the clock was set back
		left = 0
	}
	if left <= 0 {
		pause := rereadInterval
		if in.settle {
			in.settle, pause = false, rereadAfterConnect
		}
		in.reread = now.Add(pause*3/4 + rand.N(pause/2))
	}
	return left
}

func (in *orderInbox) putOff(to time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.reread.After(to) {
		in.reread = to
	}
}

// refuse reports whether an envelope is refused for the first time.
func (in *orderInbox) refuse(sum [sha256.Size]byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, again := in.refused[sum]; again {
		return false
	}
	if len(in.refused) >= 1024 {
		clear(in.refused)
	}
	in.refused[sum] = struct{}{}
	return true
}

func (in *orderInbox) wasRefused(sum [sha256.Size]byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, yes := in.refused[sum]
	return yes
}

// Next waits for an order that is newer than lastGen and returns it, verified. It
// comes from the own subject or, after each connect and every ten minutes, from
// the bucket. What stands in the bucket and is not acceptable is returned as a
// *Refusal, once for each distinct envelope; never later as an order. A
// generation equal to lastGen is what the host already has and no refusal. Any
// other error is that of ctx.
func (h *HostLink) Next(ctx context.Context, lastGen uint64) (Order, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return Order{}, err
		}
		if c := h.inbox.take(); c != nil && c.order.Gen < lastGen {
			h.inbox.doubt(h.cfg.Now()) // late, or all that the bucket still has?
		} else if c != nil {
			if order, refusal := h.consider(*c, lastGen); refusal != nil {
				return Order{}, refusal
			} else if order != nil {
				return *order, nil
			}
		}
		left := h.inbox.due(h.cfg.Now())
		if left <= 0 {
			if order, refusal := h.read(ctx, lastGen); refusal != nil {
				return Order{}, refusal
			} else if order != nil {
				return *order, nil
			}
			continue
		}
		timer.Reset(left)
		select {
		case <-ctx.Done():
		case <-h.inbox.wake:
		case <-timer.C:
		}
	}
}

// consider decides on an order that is signed for this host.
func (h *HostLink) consider(c candidate, lastGen uint64) (*Order, *Refusal) {
	if c.order.Gen == lastGen || h.inbox.wasRefused(c.sum) {
		return nil, nil
	}
	refusal := c.order.fresh(lastGen, h.cfg.Now())
	if refusal == nil {
		return &c.order, nil
	}
	if h.inbox.refuse(c.sum) {
		return nil, refusal
	}
	return nil, nil
}

// read looks at the own key of the bucket.
func (h *HostLink) read(ctx context.Context, lastGen uint64) (*Order, *Refusal) {
	data, found, err := h.get(ctx)
	if err != nil {
		if h.nc.IsConnected() && ctx.Err() == nil {
			h.cfg.Log(fmt.Sprintf("bus: %v", err))
		}
		h.inbox.putOff(h.cfg.Now().Add(rereadOnFailure))
		return nil, nil
	}
	if !found {
		return nil, nil
	}
	sum := sha256.Sum256(data)
	order, refusal := h.me().open(data)
	if refusal == nil {
		return h.consider(candidate{order: order, sum: sum}, lastGen)
	}
	if h.inbox.refuse(sum) {
		return nil, refusal
	}
	return nil, nil
}
