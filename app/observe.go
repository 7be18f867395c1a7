package app

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// requestID is the key under which a context carries the id of its request.
type requestID struct{}

// idHook writes the ids that a context carries into every log line that is given the
// context: of the request, and of the trace.
type idHook struct{}

// Run adds the ids to e.
func (idHook) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	ctx := e.GetCtx()
	if id, ok := ctx.Value(requestID{}).(string); ok {
		e.Str("request", id)
	}
	if s := trace.SpanContextFromContext(ctx); s.HasTraceID() {
		e.Str("trace", s.TraceID().String())
	}
}

// observed gives every request an id, which the answer carries and log lines repeat,
// and measures how it is answered. The id is ours: one that a stranger sends would let
// them write into our log as somebody else's request.
func (a *App) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, began := rand.Text()[:16], time.Now()
		w.Header().Set("X-Request-Id", id)
		ctx, span := a.traces.request(context.WithValue(r.Context(), requestID{}, id), r)
		r = r.WithContext(ctx)
		answer := &answerWriter{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(answer, r)
		// The routers below have written the pattern that they chose into r.
		route := r.Pattern
		if _, path, ok := strings.Cut(route, " "); ok {
			route = path
		}
		span(route, answer.code)
		if answer.stream() {
			return
		}
		took := time.Since(began)
		a.meters.requests.WithLabelValues(route, method(r.Method), strconv.Itoa(answer.code)).Observe(took.Seconds())
		a.log.Debug().Ctx(ctx).Str("method", r.Method).Str("route", route).Int("code", answer.code).Dur("took", took).Msg("answered")
	})
}

// method keeps strangers from making as many labels as there are words.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "other"
}

// answerWriter remembers with what code a request was answered.
type answerWriter struct {
	http.ResponseWriter
	code int
}

// WriteHeader remembers the code.
func (w *answerWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets handlers reach the connection: for flushing, deadlines and hijacking.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// stream reports whether the answer lasted as long as its reader liked.
func (w *answerWriter) stream() bool {
	return w.code == http.StatusSwitchingProtocols || strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream")
}
