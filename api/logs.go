package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/nixfleet/nixfleet/fleet"
)

// LogService is what the API needs to show what orders print.
type LogService interface {
	// OrderLog reads a part of what an order printed. An order that there is not is
	// ErrUnknown.
	OrderLog(ctx context.Context, order string, from int64) (fleet.Output, error)
	// HostLog reads the start of what the newest order of a host printed, of those that
	// are under way or printed something. A host without one is ErrUnknown.
	HostLog(ctx context.Context, host string) (fleet.Output, error)
	// FollowLog shows what an order printed from a byte on, and goes on as it prints,
	// until there is no more to come. Parts without text say that the line is up.
	FollowLog(ctx context.Context, order string, from int64, show func(fleet.Output) error) error
}

// Log is a part of what an order printed.
type Log struct {
	Order  string              `json:"order"`
	Host   string              `json:"host"`
	Chunks []fleet.OutputChunk `json:"chunks" doc:"In order, without gaps; text is plain: no control characters but newline and tab"`
	Next   int64               `json:"next" doc:"Where to go on: the from of the next call"`
	Whole  bool                `json:"whole" doc:"There is nothing after next, and nothing will come"`
	Ended  time.Time           `json:"ended,omitzero" doc:"When the order ended"`
	Change *fleet.Change       `json:"change,omitempty" doc:"What the order does to the host's system, once that is known"`
}

func logOf(o fleet.Output) Log {
	chunks := o.Chunks
	if chunks == nil {
		chunks = []fleet.OutputChunk{}
	}
	return Log{Order: o.Order, Host: o.Host, Chunks: chunks, Next: o.Next, Whole: o.Whole, Ended: o.EndedAt, Change: o.Change}
}

// LogEnd is the last event of a stream of output.
type LogEnd struct {
	Whole bool `json:"whole" doc:"false: the host has not sent the rest"`
}

type logInput struct {
	ID   string `path:"id" maxLength:"64" doc:"Of the order"`
	From int64  `query:"from" minimum:"0" doc:"Byte to begin at: 0, or the next of an earlier answer"`
}

type followInput struct {
	ID    string `path:"id" maxLength:"64" doc:"Of the order"`
	From  int64  `query:"from" minimum:"0" doc:"Byte to begin at"`
	After string `header:"Last-Event-ID" doc:"Goes before from; browsers send it when they connect again"`
}

type logOutput struct{ Body Log }

// slowReader is how long one event may take to be written.
const slowReader = 30 * time.Second

func logs(a huma.API, s LogService) {
	op := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Tags: []string{TagOrders}, Method: http.MethodGet, Path: "/api/v1" + path,
			Summary: summary, Description: description, Metadata: needs("viewer")}
	}
	huma.Register(a, op("get-log", "/orders/{id}/log", "What an order printed", "A part of it, without gaps; next is where to go on."),
		func(ctx context.Context, in *logInput) (*logOutput, error) {
			o, err := s.OrderLog(ctx, in.ID, in.From)
			if errors.Is(err, ErrUnknown) {
				return nil, huma.Error404NotFound(noOrder(in.ID))
			}
			return &logOutput{logOf(o)}, err
		})
	huma.Register(a, op("get-host-log", "/hosts/{name}/log", "What the newest order of a host printed, from its start",
		"Of those that are under way or printed something."),
		func(ctx context.Context, in *hostInput) (*logOutput, error) {
			o, err := s.HostLog(ctx, in.Name)
			if errors.Is(err, ErrUnknown) {
				return nil, huma.Error404NotFound("No order of a host named " + in.Name + " has printed anything.")
			}
			return &logOutput{logOf(o)}, err
		})
	stream := op("follow-log", "/orders/{id}/log/stream", "What an order prints, as server-sent events",
		"Each event `chunk` is a piece of output; its id is where to go on. The event `end` says that no more comes.")
	stream.Responses = map[string]*huma.Response{"200": {
		Description: "Events until the order's output is whole",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString},
			Example: "event: chunk\nid: 42\ndata: {\"from\":0,\"to\":42,\"step\":\"building\",\"text\":\"building '/nix/store/…-system.drv'\\n\"}\n\nevent: end\ndata: {\"whole\":true}\n\n"}},
	}}
	huma.Register(a, stream, func(_ context.Context, in *followInput) (*huma.StreamResponse, error) {
		if n, err := strconv.ParseInt(in.After, 10, 64); err == nil && n > 0 {
			in.From = n
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) { follow(ctx, a, s, in.ID, in.From) }}, nil
	})
}

func noOrder(id string) string { return "There is no order " + id + "." }

// follow writes events until there are no more or the reader is gone. What goes
// wrong before the first one is a usual answer.
func follow(ctx huma.Context, a huma.API, s LogService, id string, from int64) {
	_, w := humago.Unwrap(ctx)
	e := &events{w: w, control: http.NewResponseController(w)}
	whole := false
	err := s.FollowLog(ctx.Context(), id, from, func(o fleet.Output) error {
		whole = o.Whole
		return e.part(o)
	})
	switch {
	case err == nil:
		_ = e.write("end", "", LogEnd{Whole: whole})
	case e.begun: // the reader connects again and goes on
	case errors.Is(err, ErrUnknown):
		_ = huma.WriteErr(a, ctx, http.StatusNotFound, noOrder(id))
	default:
		_ = huma.WriteErr(a, ctx, http.StatusInternalServerError, "The output can't be read now.")
	}
}

// events is a stream of server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (e *events) part(o fleet.Output) error {
	if len(o.Chunks) == 0 {
		return e.beat()
	}
	for _, c := range o.Chunks {
		if err := e.write("chunk", strconv.FormatInt(c.To, 10), c); err != nil {
			return err
		}
	}
	return nil
}

// beat shows that the line is up.
func (e *events) beat() error {
	return e.send(func() error { _, err := io.WriteString(e.w, ": the line is up\n\n"); return err })
}

func (e *events) write(name, id string, v any) error {
	data, err := json.Marshal(v) // one line, whatever the text holds
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return e.send(func() error {
		_, err := fmt.Fprintf(e.w, "event: %s\n%sdata: %s\n\n", name, id, data)
		return err
	})
}

func (e *events) send(write func() error) error {
	if !e.begun {
		e.begun = true
		e.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		e.w.Header().Set("Cache-Control", "no-store")
		e.w.Header().Set("X-Accel-Buffering", "no") // nginx must not collect it
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(slowReader))
	if err := write(); err != nil {
		return err
	}
	return e.control.Flush()
}
