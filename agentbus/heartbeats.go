package agentbus

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// heartbeatBatch is how many heartbeats one call of the handler gets at most.
const heartbeatBatch = 500

// HostBeat is a heartbeat and the host that sent it.
type HostBeat struct {
	Host      string // from the subject, which the broker guards
	Heartbeat Heartbeat
}

// beatQueue keeps the newest heartbeat of each host until the handler has time.
// So it is bounded by the number of hosts, and a slow handler costs freshness,
// never a host.
type beatQueue struct {
	mu    sync.Mutex
	beats map[string]*nats.Msg
	wake  chan struct{}
}

func (q *beatQueue) put(m *nats.Msg) {
	host := strings.TrimPrefix(m.Subject, heartbeatPrefix)
	if !looksLikeHeartbeat(m.Data) {
		return
	}
	q.mu.Lock()
	first := len(q.beats) == 0
	q.beats[host] = m
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// swap takes everything that waits and leaves empty in its place.
func (q *beatQueue) swap(empty map[string]*nats.Msg) map[string]*nats.Msg {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := q.beats
	q.beats = empty
	return full
}

// Heartbeats hands heartbeats to handle in batches until ctx ends, whose error it
// returns. When handle is slower than the fleet it gets the newest heartbeat of
// each host. A batch that handle refuses is dropped: the next ones say the same.
func (c *Control) Heartbeats(ctx context.Context, handle func([]HostBeat) error) error {
	q := &beatQueue{beats: make(map[string]*nats.Msg), wake: make(chan struct{}, 1)}
	sub, err := c.beats.Subscribe(heartbeatPrefix+"*", q.put)
	if err != nil {
		return fmt.Errorf("read heartbeats: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(1<<20, 256<<20); err != nil {
		return fmt.Errorf("read heartbeats: %w", err)
	}
	spare := make(map[string]*nats.Msg)
	batch := make([]HostBeat, 0, heartbeatBatch)
	flush := func() {
		if len(batch) == 0 {
			return
		}
		if err := handle(batch); err != nil {
			c.o.Log(fmt.Sprintf("bus: take %d heartbeats: %v", len(batch), err))
		}
		batch = batch[:0]
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.wake:
		}
		full := q.swap(spare)
		for host, m := range full {
			beat, err := parseHeartbeat(m.Data)
			if err != nil {
				c.o.Log(fmt.Sprintf("bus: passed over a heartbeat of %s: %v", host, err))
				continue
			}
			if batch = append(batch, HostBeat{Host: host, Heartbeat: beat}); len(batch) == heartbeatBatch {
				flush()
			}
		}
		flush()
		clear(full)
		spare = full
	}
}
