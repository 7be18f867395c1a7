package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// ErrOtherRequest is returned by [Doorkeeper.BeginOnce] for a key that came with
// another request before.
var ErrOtherRequest = errors.New("the key was used for another request")

// ErrUnderWay is returned by [Doorkeeper.BeginOnce] while the first request with the
// key is not answered yet.
var ErrUnderWay = errors.New("the request is under way")

// Answer is what a request was answered, kept for whoever repeats it.
type Answer struct {
	Status int
	Type   string // of the content
	Body   []byte
}

// Turn is the right to carry out a request that may be repeated.
type Turn struct {
	By    fleet.Actor
	Key   string
	Token string // tells it from a later turn of the same key
}

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"

	maxKey = 200

	// usualBody is how much of a body is read where an operation says nothing else.
	usualBody = 1 << 20

	// keepWithin is how long it may take to keep an answer. The caller may be gone by then.
	keepWithin = 10 * time.Second
)

// once carries a request with an Idempotency-Key out one time and answers its
// repetitions alike. Only what was done is kept: after a refusal nothing was, and the
// same request is judged anew.
func once(a huma.API, s Doorkeeper) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		key := ctx.Header(keyHeader)
		if ctx.Method() != http.MethodPost || key == "" {
			next(ctx)
			return
		}
		if len(key) > maxKey {
			badKey(a, ctx, fmt.Sprintf("expected at most %d characters", maxKey))
			return
		}
		held, err := hold(ctx)
		if err != nil {
			_ = huma.WriteErr(a, ctx, http.StatusRequestTimeout, "The body did not come in time.")
			return
		}
		turn, kept, err := s.BeginOnce(ctx.Context(), actorOf(ctx.Context()), key, held.sum())
		switch {
		case errors.Is(err, ErrOtherRequest):
			badKey(a, ctx, "came with another request before; use a new key for a new request")
		case errors.Is(err, ErrUnderWay):
			ctx.SetHeader("Retry-After", "1")
			_ = huma.WriteErr(a, ctx, http.StatusConflict, "The first request with this key is still under way. Repeat it in a moment for its answer.")
		case err != nil:
			_ = huma.WriteErr(a, ctx, http.StatusInternalServerError, "", err)
		case kept == nil:
			first(a, s, held, turn, next)
		case kept.Body == nil && secret(ctx.Operation()):
			_ = huma.WriteErr(a, ctx, http.StatusConflict, "This was done already. Its answer held a secret, and secrets are not kept: ask for a new one, with a new key.")
		default:
			ctx.SetHeader(replayedHeader, "true")
			answer(ctx, *kept)
		}
	}
}

func badKey(a huma.API, ctx huma.Context, why string) {
	_ = huma.WriteErr(a, ctx, http.StatusUnprocessableEntity, "Nothing was done.", &huma.ErrorDetail{Location: "header." + keyHeader, Message: why})
}

// first carries the request out and keeps the answer before it is given: once the
// caller has it, a repetition has to find it.
func first(a huma.API, s Doorkeeper, held *heldContext, turn Turn, next func(huma.Context)) {
	next(held)
	keeping, cancel := context.WithTimeout(context.WithoutCancel(held.Context()), keepWithin)
	defer cancel()
	got := Answer{Status: held.status, Type: held.contentType, Body: held.out.Bytes()}
	var err error
	if got.Status >= 200 && got.Status < 300 {
		keep := got
		if secret(held.Operation()) {
			keep.Body = nil
		}
		err = s.EndOnce(keeping, turn, keep)
	} else {
		err = s.DropOnce(keeping, turn)
	}
	if err != nil {
		s.Failed(held.Operation().OperationID, "the answer is not kept: "+err.Error())
	}
	answer(held.innerContext, got)
}

func answer(ctx huma.Context, a Answer) {
	if a.Type != "" {
		ctx.SetHeader("Content-Type", a.Type)
	}
	ctx.SetStatus(a.Status)
	_, _ = ctx.BodyWriter().Write(a.Body)
}

// innerContext is huma's, under a name that does not hide its method Context.
type innerContext huma.Context

// heldContext holds a request's body and the answer to it.
type heldContext struct {
	innerContext
	in          []byte
	body        *bytes.Reader
	out         bytes.Buffer
	status      int
	contentType string
}

// hold reads the body, up to one byte more than the operation takes: that is enough for
// it to be refused.
func hold(ctx huma.Context) (*heldContext, error) {
	op := ctx.Operation()
	most, within := op.MaxBodyBytes, op.BodyReadTimeout
	if most <= 0 {
		most = usualBody
	}
	if within <= 0 {
		within = 5 * time.Second
	}
	_ = ctx.SetReadDeadline(time.Now().Add(within))
	var in []byte
	if r := ctx.BodyReader(); r != nil {
		var err error
		if in, err = io.ReadAll(io.LimitReader(r, most+1)); err != nil {
			return nil, err
		}
	}
	return &heldContext{innerContext: ctx, in: in, body: bytes.NewReader(in), status: http.StatusOK}, nil
}

// sum stands for all that is asked for.
func (c *heldContext) sum() []byte {
	at := c.URL()
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s\n", c.Method(), at.RequestURI())
	_, _ = h.Write(c.in)
	return h.Sum(nil)
}

// BodyReader reads what was held.
func (c *heldContext) BodyReader() io.Reader { return c.body }

// BodyWriter holds the answer.
func (c *heldContext) BodyWriter() io.Writer { return &c.out }

// SetStatus holds the status.
func (c *heldContext) SetStatus(code int) { c.status = code }

// Status is the one that is held.
func (c *heldContext) Status() int { return c.status }

// SetHeader sets a header of the answer, and holds what the content is.
func (c *heldContext) SetHeader(name, value string) {
	if name == "Content-Type" {
		c.contentType = value
	}
	c.innerContext.SetHeader(name, value)
}
