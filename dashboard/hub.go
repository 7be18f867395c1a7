package dashboard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// backlog is how many patches a slow page may be behind before it gets one
// snapshot instead.
const backlog = 8

// hub holds the newest rendering and hands what changes to every open page.
type hub struct {
	reading sync.Mutex // one reading of the read model at a time
	healthy atomic.Bool

	mu      sync.Mutex
	board   board
	clients map[*client]struct{}
}

// client is one open page. Its channel is only closed by the garbage collector.
type client struct {
	patches chan []byte
	behind  bool // its backlog overflowed; guarded by hub.mu
}

// show makes b the newest rendering and sends the difference to every client.
func (h *hub) show(b board) {
	h.mu.Lock()
	defer h.mu.Unlock()
	patch := b.since(h.board)
	h.board = b
	if len(patch) == 0 {
		return
	}
	for c := range h.clients {
		select {
		case c.patches <- patch:
		default:
			c.behind = true
		}
	}
}

// join adds a client and returns the snapshot that its patches build on. Both
// happen in one step, so that nothing is missed between them.
func (h *hub) join() (*client, []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &client{patches: make(chan []byte, backlog)}
	h.clients[c] = struct{}{}
	return c, h.board.snapshot()
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
}

// next is what a client that received patch is to be sent: the patch, or a
// snapshot in place of everything that it has missed.
func (h *hub) next(c *client, patch []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.behind {
		return patch
	}
	c.behind = false
	for len(c.patches) > 0 {
		<-c.patches
	}
	return h.board.snapshot()
}

// watched reports whether any page is open.
func (h *hub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients) > 0
}

func (h *hub) newest() board {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.board
}

// refresh reads the read model, renders it, and sends what has changed.
func (d *Dashboard) refresh(ctx context.Context) error {
	d.hub.reading.Lock()
	defer d.hub.reading.Unlock()
	o, err := d.cfg.Views.Overview(ctx)
	if err == nil {
		var b board
		if b, err = d.render(ctx, o); err == nil {
			d.hub.show(b)
		}
	}
	if err != nil && ctx.Err() != nil {
		return err // the reader left; that says nothing about the read model
	}
	d.hub.healthy.Store(err == nil)
	return err
}

// publish refreshes when something has changed, at most once per Batch, and once
// per Beat for what changes by the passing of time, such as a host going offline.
// A failure silences the beats, so that open pages mark themselves stale.
func (d *Dashboard) publish(ctx context.Context) {
	beat := time.NewTicker(d.cfg.Beat)
	defer beat.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.dirty:
		case <-beat.C:
		}
		if d.hub.watched() {
			err := d.refresh(ctx)
			if err != nil && ctx.Err() == nil && !failed {
				d.cfg.Log.Error().Err(err).Msg("refresh the dashboard; open pages show that they are stale")
			}
			failed = err != nil
		}
		pause.Reset(d.cfg.Batch)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
