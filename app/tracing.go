package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// traces tell OpenTelemetry what happened to an update, from its first webhook to the
// last acknowledgement of a host. Ids are derived from what a span is about, not drawn:
// so the spans of one update find each other over replicas and restarts without
// anything being passed along, and a span that is told twice is one span.
//
// What hosts do is told by the server, from their answers: no host needs a way to the
// collector.
type traces struct {
	on            bool // there is a collector
	server, agent trace.Tracer
	fleet         string
	stop          func(context.Context) error
}

// openTraces connects to the collector at an address, or to none. Nothing waits for
// the collector: what it does not take is dropped.
func openTraces(ctx context.Context, collector, fleet string) (*traces, error) {
	if collector == "" {
		return noTraces(), nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(collector))
	if err != nil {
		return nil, fmt.Errorf("NIXFLEET_OTLP_URL: %w", err)
	}
	server, agent := provider(exporter, "nixfleet"), provider(keptOpen{exporter}, "nixfleet-agent")
	const scope = "github.com/nixfleet/nixfleet"
	t := &traces{on: true, server: server.Tracer(scope), agent: agent.Tracer(scope), fleet: fleet}
	t.stop = func(ctx context.Context) error {
		_ = agent.Shutdown(ctx) // flushes; the other one says what is wrong with the collector
		return server.Shutdown(ctx)
	}
	return t, nil
}

// noTraces tells nobody.
func noTraces() *traces {
	none := noop.NewTracerProvider().Tracer("")
	return &traces{server: none, agent: none, stop: func(context.Context) error { return nil }}
}

func provider(exporter sdk.SpanExporter, service string) *sdk.TracerProvider {
	return sdk.NewTracerProvider(
		sdk.WithBatcher(exporter), sdk.WithIDGenerator(derivedIDs{}),
		sdk.WithResource(resource.NewSchemaless(semconv.ServiceName(service), semconv.ServiceVersion(Version))),
	)
}

// keptOpen leaves the end of a shared exporter to its other user.
type keptOpen struct{ *otlptrace.Exporter }

// Shutdown does nothing.
func (keptOpen) Shutdown(context.Context) error { return nil }

// spanIDs are the ids that the next span of a context gets.
type spanIDs struct {
	trace trace.TraceID
	span  trace.SpanID
}

// derivedIDs gives spans the ids that their context names.
type derivedIDs struct{}

// NewIDs are the ids of a span without a parent.
func (derivedIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if ids, ok := ctx.Value(spanIDs{}).(spanIDs); ok {
		return ids.trace, ids.span
	}
	ids := idsOf(rand.Text(), "")
	return ids.trace, ids.span
}

// NewSpanID is the id of a span with a parent.
func (derivedIDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if ids, ok := ctx.Value(spanIDs{}).(spanIDs); ok {
		return ids.span
	}
	return idsOf(rand.Text(), "").span
}

// idsOf derives the ids of a span from what its trace and itself are about.
func idsOf(about, itself string) spanIDs {
	var ids spanIDs
	t, s := sha256.Sum256([]byte("trace "+about)), sha256.Sum256([]byte("span "+about+" "+itself))
	copy(ids.trace[:], t[:])
	copy(ids.span[:], s[:])
	return ids
}

// subjectOf names what a trace is about: the update, or what there was no update for.
func (t *traces) subjectOf(repoID int64, number int) string {
	return fmt.Sprintf("%s update %d %d", t.fleet, repoID, number)
}

// under is a context whose next span lies below the span named parent of a trace.
func under(ctx context.Context, about, parent string) context.Context {
	ids := idsOf(about, parent)
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: ids.trace, SpanID: ids.span, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

// root is the name of the span that all of a trace lies below.
const root = "root"

// request begins the span of a request, and returns how to end it.
func (t *traces) request(ctx context.Context, r *http.Request) (context.Context, func(route string, code int)) {
	ctx, span := t.server.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	return ctx, func(route string, code int) {
		span.SetName(r.Method + " " + route)
		span.SetAttributes(semconv.HTTPRequestMethodKey.String(r.Method), semconv.HTTPRoute(route), semconv.HTTPResponseStatusCode(code))
		if code >= 500 {
			span.SetStatus(codes.Error, http.StatusText(code))
		}
		span.End()
	}
}

// within runs work as a span below the root of an update's trace.
func (t *traces) within(ctx context.Context, repoID int64, number int, name string, work func(context.Context) error, about ...attribute.KeyValue) error {
	ctx, span := t.server.Start(under(ctx, t.subjectOf(repoID, number), root), name, trace.WithAttributes(about...))
	defer span.End()
	err := work(ctx)
	if err != nil {
		span.SetStatus(codes.Error, "it is tried again") // errors may carry what others sent; the log has them
	}
	return err
}
