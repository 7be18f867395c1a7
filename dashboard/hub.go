package dashboard

import (
	"context"
	"errors"
	"sync"
	"time"
)

// backlog is how many patches a slow page may be behind before it gets one
// snapshot instead.
const backlog = 8

// hub holds the newest rendering of every topic that somebody looks at, and hands
// what changes to every open page.
type hub struct {
	reading sync.Mutex // one reading of the read model at a time

	mu       sync.Mutex
	channels map[string]*channel // by the topic's key; only those that somebody looks at
}

// channel is one topic that is looked at.
type channel struct {
	topic   topic
	board   board // nil until it was rendered
	healthy bool  // the last rendering went well
	clients map[*client]struct{}
}

// patch is what turns a page into a version of a board.
type patch struct {
	html    []byte
	version string
}

// client is one open page.
type client struct {
	of      *channel
	patches chan patch
	gone    chan struct{} // closed when what it shows is not there any more
	behind  bool          // it needs a snapshot before any patch; guarded by hub.mu
}

// join adds a client, which needs a snapshot first. From now on it misses nothing.
func (h *hub) join(t topic) *client {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[t.key]
	if ch == nil {
		ch = &channel{topic: t, clients: map[*client]struct{}{}}
		h.channels[t.key] = ch
	}
	c := &client{of: ch, patches: make(chan patch, backlog), gone: make(chan struct{}), behind: true}
	ch.clients[c] = struct{}{}
	return c
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(c.of.clients, c)
	if len(c.of.clients) == 0 && h.channels[c.of.topic.key] == c.of {
		delete(h.channels, c.of.topic.key)
	}
}

// show makes b the newest rendering of a topic and sends the difference to every
// client of it. A rendering that failed changes nothing that is shown: pages notice
// by the silence. What is not there any more ends them.
func (h *hub) show(key string, b board, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[key]
	if ch == nil {
		return
	}
	ch.healthy = err == nil
	switch {
	case errors.Is(err, ErrUnknown):
		for c := range ch.clients {
			close(c.gone)
		}
		delete(h.channels, key)
		return
	case err != nil:
		return
	}
	html := b.since(ch.board)
	ch.board = b
	if len(html) == 0 {
		return
	}
	news := patch{html, b.version()}
	for c := range ch.clients {
		select {
		case c.patches <- news:
		default:
			c.behind = true
		}
	}
}

// next is what a client that received patch is to be sent: the patch, or a
// snapshot in place of everything that it has missed.
func (h *hub) next(c *client, p patch) patch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.behind {
		return p
	}
	return c.catchUp()
}

// first is what a client is to be sent that has just joined, and shows a version. That
// is nothing where the version is the newest.
func (h *hub) first(c *client, shows string) patch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if version := c.of.board.version(); version != shows {
		return c.catchUp()
	}
	c.catchUp()
	return patch{}
}

// catchUp is a snapshot, which makes up for all that was not sent. It is called with
// hub.mu held.
func (c *client) catchUp() patch {
	c.behind = false
	for len(c.patches) > 0 {
		<-c.patches
	}
	return patch{c.of.board.snapshot(), c.of.board.version()}
}

// healthy reports whether what c shows is known to be as it is.
func (h *hub) healthy(c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return c.of.healthy
}

// topics are those that somebody looks at.
func (h *hub) topics() []topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]topic, 0, len(h.channels))
	for _, ch := range h.channels {
		list = append(list, ch.topic)
	}
	return list
}

// refresh reads the read model once and renders every topic that is looked at. A
// topic that can't be rendered does not keep the others from it.
func (d *Dashboard) refresh(ctx context.Context) error {
	d.hub.reading.Lock()
	defer d.hub.reading.Unlock()
	topics := d.hub.topics()
	if len(topics) == 0 {
		return nil
	}
	o, err := d.cfg.Views.Overview(ctx)
	if err != nil {
		for _, t := range topics {
			d.hub.show(t.key, nil, err)
		}
		return err
	}
	s := d.scene(o)
	var failed error
	for _, t := range topics {
		if _, err := d.renew(ctx, t, s); err != nil && !errors.Is(err, ErrUnknown) {
			failed = err
		}
	}
	return failed
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
		err := d.refresh(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			d.cfg.Log.Error().Err(err).Msg("refresh the dashboard; open pages show that they are stale")
		}
		failed = err != nil
		pause.Reset(d.cfg.Batch)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
