package dashboard

import (
	"context"
	"errors"
	"net/http"

	"github.com/a-h/templ"
)

// topic is something live that pages show. Everybody who looks at it gets the same
// rendering, so it must not depend on who looks: what only some may press is hidden
// from the others by the page, and refused by the server.
type topic struct {
	// key is the page's path and what of its query matters, in one spelling.
	key string
	// regions renders what is live, from the snapshot that all topics of one round
	// share and from what it reads by itself. What is not there, or not any more, is
	// [ErrUnknown].
	regions func(ctx context.Context, s scene) ([]liveRegion, error)
}

// missing is [ErrUnknown] with words for people: what was looked for, and where.
type missing string

func (m missing) Error() string { return string(m) }

// Is makes it an ErrUnknown.
func (missing) Is(target error) bool { return target == ErrUnknown }

// livePage is a page that is kept equal to the read model for as long as it is open.
type livePage struct {
	// topic tells from an address what is shown. What can't be an address of this
	// page is [ErrUnknown].
	topic func(*http.Request) (topic, error)
	// show is the page around the live regions: board.html(id) is the content of one.
	show func(r *http.Request, p page, b board) templ.Component
}

// live serves a page at a pattern such as /hosts/{name}, and its stream at the same
// pattern below /events.
func (d *Dashboard) live(mux *http.ServeMux, pattern string, l livePage) {
	mux.Handle("GET "+pattern, d.signedIn(func(w http.ResponseWriter, r *http.Request, who visitor) {
		t, err := l.topic(r)
		var b board
		if err == nil {
			b, err = d.look(r.Context(), t)
		}
		switch {
		case errors.Is(err, ErrUnknown):
			text := "There is nothing at this address, or not any more."
			if gone, ok := errors.AsType[missing](err); ok {
				text = string(gone)
			}
			d.notFound(w, r, text)
		case gone(r):
		case err != nil:
			d.cfg.Log.Error().Err(err).Str("path", r.URL.Path).Msg("read a page")
			d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "This page could not be read, because the database did not answer. Hosts and rollouts are not affected; try again."})
		default:
			p := d.page(w, r, who)
			p.Live, p.Shows, p.Pending = "/events"+t.key, b.version(), b.html("nav-updates")
			d.show(w, r, http.StatusOK, l.show(r, p, b))
		}
	}))
	mux.Handle("GET /events"+pattern, d.stream(l.topic))
}

// look renders a topic as it is now. Pages that are open get what differs as well.
func (d *Dashboard) look(ctx context.Context, t topic) (board, error) {
	d.hub.reading.Lock()
	defer d.hub.reading.Unlock()
	o, err := d.cfg.Views.Overview(ctx)
	if err != nil {
		return nil, err
	}
	return d.renew(ctx, t, d.scene(o))
}

// renew renders a topic of a snapshot and shows it to those who look at it.
func (d *Dashboard) renew(ctx context.Context, t topic, s scene) (board, error) {
	b, err := render(ctx, t, s)
	if err != nil && ctx.Err() != nil {
		return nil, err // the reader left; that says nothing about the read model
	}
	d.hub.show(t.key, b, err)
	return b, err
}
