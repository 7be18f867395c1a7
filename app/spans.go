package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// pastSpan is a span that is over: it is told once all of it is known.
type pastSpan struct {
	by            trace.Tracer
	about         string // the trace's subject
	parent, named string // spans of the trace; no parent is the root
	name          string
	from, to      time.Time
	attributes    []attribute.KeyValue
	failed        string // why, in a word; empty where it went well
}

func (s pastSpan) tell() {
	ctx := context.Background()
	if s.parent != "" {
		ctx = under(ctx, s.about, s.parent)
	}
	ctx = context.WithValue(ctx, spanIDs{}, idsOf(s.about, s.named))
	_, span := s.by.Start(ctx, s.name, trace.WithTimestamp(s.from), trace.WithAttributes(s.attributes...))
	if s.failed != "" {
		span.SetStatus(codes.Error, s.failed)
	}
	span.End(trace.WithTimestamp(s.to))
}

// delivery tells of a webhook in the trace of every update that it is about.
func (t *traces) delivery(d db.Delivery, facts []fleet.Fact, now time.Time) {
	for _, f := range facts {
		touched, ok := f.(fleet.PullTouched)
		if !ok {
			continue
		}
		pastSpan{
			by: t.server, about: t.subjectOf(touched.Repo.ID, touched.Number), parent: root, named: "webhook " + d.GUID,
			name: "webhook " + touched.Cause, from: d.ReceivedAt, to: now,
			attributes: []attribute.KeyValue{attribute.String("nixfleet.delivery", d.GUID)},
		}.tell()
	}
}

// update tells the whole way of an update that has ended.
func (t *traces) update(u fleet.Update, ended fleet.UpdateState, now time.Time) {
	pastSpan{
		by: t.server, about: t.subjectOf(u.Repo.ID, u.Number), named: root,
		name: fmt.Sprintf("update %s#%d", u.Repo.FullName(), u.Number), from: u.FirstSeen, to: now,
		attributes: []attribute.KeyValue{
			attribute.String("nixfleet.repo", u.Repo.FullName()), attribute.Int("nixfleet.update", u.Number),
			attribute.String("nixfleet.head", u.HeadSHA), attribute.String("nixfleet.state", string(ended)),
		},
	}.tell()
}

// subjectOfRollout is the trace that a rollout belongs to, and the span above it.
func (t *traces) subjectOfRollout(id string, repoID int64, number int) (about, parent string) {
	if number != 0 {
		return t.subjectOf(repoID, number), root
	}
	return t.fleet + " rollout " + id, ""
}

// rollout tells of a rollout that has ended, of the update with a number; 0: of none.
func (t *traces) rollout(r fleet.Rollout, number int, to fleet.RolloutState, now time.Time) {
	about, parent := t.subjectOfRollout(r.ID, r.RepoID, number)
	s := pastSpan{
		by: t.server, about: about, parent: parent, named: "rollout " + r.ID, name: "rollout " + string(r.Kind),
		from: r.StartedAt, to: now,
		attributes: []attribute.KeyValue{
			attribute.String("nixfleet.rollout", r.ID), attribute.String("nixfleet.commit", r.Commit),
			attribute.String("nixfleet.state", string(to)), attribute.Int("nixfleet.hosts", len(r.Hosts)),
		},
	}
	if s.from.IsZero() {
		s.from = now
	}
	if to != fleet.RolloutSucceeded && to != fleet.RolloutSuperseded && to != fleet.RolloutRolledBack {
		s.failed = string(to)
	}
	s.tell()
}

// order tells of an order that a host ended, and of each of its steps. The host's
// clock is set right by what it said of it.
func (t *traces) order(o db.EndedOrder) {
	about, parent := t.fleet+" order "+o.ID, ""
	if o.Rollout != "" {
		about, _ = t.subjectOfRollout(o.Rollout, o.RepoID, o.Number)
		parent = "rollout " + o.Rollout
	}
	named := "order " + o.ID
	attributes := []attribute.KeyValue{
		semconv.HostName(o.Host), attribute.String("nixfleet.order", o.ID), attribute.String("nixfleet.rollout", o.Rollout),
		attribute.String("nixfleet.commit", o.Commit),
	}
	whole := pastSpan{
		by: t.server, about: about, parent: parent, named: named, name: "order " + o.Kind, from: o.IssuedAt, to: o.EndedAt,
		attributes: append(attributes, attribute.String("nixfleet.state", string(o.State))),
	}
	if o.State != fleet.HostHealthy {
		whole.failed = string(o.State)
	}
	whole.tell()
	at := func(i int) time.Time {
		if i == len(o.Steps) {
			return o.EndedAt
		}
		moment := o.Steps[i].At.Add(o.ClockOff)
		return clamp(moment, o.IssuedAt, o.EndedAt)
	}
	for i, step := range o.Steps {
		if agentbus.Step(step.Step).Final() {
			break
		}
		s := pastSpan{
			by: t.agent, about: about, parent: named, named: fmt.Sprintf("%s step %d", named, i), name: step.Step,
			from: at(i), to: at(i + 1), attributes: attributes,
		}
		if i+1 < len(o.Steps) && agentbus.Step(o.Steps[i+1].Step).Final() {
			s.failed = whole.failed
		}
		s.tell()
	}
}

func clamp(t, from, to time.Time) time.Time {
	switch {
	case t.Before(from):
		return from
	case t.After(to):
		return to
	}
	return t
}

// traced carries an effect out as a span of the trace that it belongs to.
func (a *App) traced(ctx context.Context, e db.Effect, work func(context.Context) error) error {
	if !a.traces.on {
		return work(ctx)
	}
	about, _ := subject(e) // an effect that names nothing is carried out all the same, and fails there
	if about.UpdateID == 0 && about.Rollout != "" {
		if r, err := a.db.Rollout(ctx, about.Rollout); err == nil {
			about.UpdateID = r.UpdateID
		}
	}
	u, err := a.db.Update(ctx, about.UpdateID)
	if err != nil {
		return work(ctx)
	}
	return a.traces.within(ctx, u.Repo.ID, u.Number, e.Kind, work)
}

// calls makes a span of every call to GitHub. The trace's ids don't leave: GitHub has
// no use for them.
type calls struct {
	next http.RoundTripper
	by   trace.Tracer
}

// RoundTrip makes one call.
func (c calls) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := c.by.Start(r.Context(), "GitHub "+r.Method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(r.Method), semconv.URLPath(r.URL.Path)))
	defer span.End()
	resp, err := c.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		span.SetStatus(codes.Error, "no answer")
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= 400 {
		span.SetStatus(codes.Error, http.StatusText(resp.StatusCode))
	}
	return resp, nil
}

// calls watches the calls to GitHub; nil without a collector.
func (t *traces) calls() func(http.RoundTripper) http.RoundTripper {
	if !t.on {
		return nil
	}
	return func(next http.RoundTripper) http.RoundTripper { return calls{next, t.server} }
}
