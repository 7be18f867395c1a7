package api

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// EventsHello begins a stream.
type EventsHello struct {
	Resumed bool `json:"resumed" doc:"What follows is all that happened since Last-Event-ID. false: read everything again; from here on nothing is missed"`
}

type eventsInput struct {
	After string `header:"Last-Event-ID" maxLength:"100" doc:"Id of the last event that was read; browsers send it when they connect again"`
}

// beatEvery is how often a stream shows that it is alive.
const beatEvery = 15 * time.Second

func streamEvents(a huma.API, s EventService) {
	h := newHub(s, rand.Text()[:10])
	huma.Register(a, huma.Operation{
		OperationID: "stream-events", Tags: []string{TagEvents}, Method: http.MethodGet, Path: "/api/v1/events",
		Summary: "What changes, as server-sent events",
		Description: "The event `hello` comes first, then one event `host`, `update`, `rollout` or `order` for each thing that changed: its id, which of its fields, and where to look. " +
			"Events are hints; the truth is what a look finds. After a break connect again with Last-Event-ID: where `hello` says resumed, nothing was missed, else read everything again. " +
			"A comment every 15 seconds shows that the line is up. Who reads too slowly is cut off.",
		Metadata: needs("viewer"),
		Responses: map[string]*huma.Response{"200": {
			Description: "Events until one of the two ends goes away",
			Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString},
				Example: "event: hello\nid: QX7-41\ndata: {\"resumed\":false}\n\nevent: host\nid: QX7-42\ndata: {\"kind\":\"host\",\"id\":\"web1\",\"change\":\"changed\",\"changed\":[\"step\"],\"state\":\"building\",\"href\":\"/api/v1/hosts/web1\"}\n\n"}},
		}},
	}, func(_ context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) { tellEvents(ctx, a, h, in.After) }}, nil
	})
}

// tellEvents writes events until the reader is gone or given up.
func tellEvents(ctx huma.Context, a huma.API, h *hub, after string) {
	r, begin, err := h.join(ctx.Context(), after)
	switch {
	case errors.Is(err, errTooMany):
		ctx.SetHeader("Retry-After", "30")
		_ = huma.WriteErr(a, ctx, http.StatusServiceUnavailable, "Too many programs follow events here already.")
		return
	case err != nil:
		ctx.SetHeader("Retry-After", "5")
		_ = huma.WriteErr(a, ctx, http.StatusServiceUnavailable, "What there is can't be read now.")
		return
	}
	defer h.leave(r)
	_, w := humago.Unwrap(ctx)
	out := &events{w: w, control: http.NewResponseController(w)}
	if out.write("hello", begin.at, EventsHello{Resumed: begin.whole}) != nil {
		return
	}
	for _, e := range begin.missed {
		if out.write(e.Kind, h.id(e.seq), e) != nil {
			return
		}
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Context().Done():
			return
		case <-r.ended:
			return
		case e := <-r.events:
			err = out.write(e.Kind, h.id(e.seq), e)
		case <-beat.C:
			err = out.beat()
		}
		if err != nil {
			return
		}
	}
}
