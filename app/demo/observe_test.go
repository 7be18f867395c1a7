package demo

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/nixfleet/nixfleet/fleet"
)

// span is one that a collector got, with the service that it is of.
type span struct {
	*otlp.Span
	service string
}

// collect is a collector of traces, as OpenTelemetry's own one takes them.
func collect(t *testing.T) (url string, spans func() []span) {
	t.Helper()
	var mu sync.Mutex
	var got []span
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil {
			t.Errorf("traces: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range request.ResourceSpans {
			service := ""
			for _, a := range of.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, s := range of.ScopeSpans {
				for _, x := range s.Spans {
					got = append(got, span{x, service})
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []span {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

// oneTrace checks that webhook, look, merge, rollout, orders and the agents' steps are
// one trace below the update.
func oneTrace(t *testing.T, all []span, u fleet.Update, hosts int) {
	t.Helper()
	byID := map[string]span{}
	var top span
	for _, s := range all {
		byID[hex.EncodeToString(s.SpanId)] = s
		if strings.HasPrefix(s.Name, "update ") {
			top = s
		}
	}
	if top.Span == nil || len(top.ParentSpanId) > 0 || top.StartTimeUnixNano > top.EndTimeUnixNano {
		t.Fatalf("no span of the update among %d", len(all))
	}
	count := map[string]int{}
	for _, s := range byID {
		if string(s.TraceId) != string(top.TraceId) {
			continue
		}
		name, _, _ := strings.Cut(s.Name, ".")
		count[s.service+" "+name]++
		if s.Span == top.Span || string(s.ParentSpanId) == string(top.SpanId) {
			continue
		}
		if _, ok := byID[hex.EncodeToString(s.ParentSpanId)]; !ok {
			t.Errorf("span %s lies below one that nobody told of", s.Name)
		}
		if s.StartTimeUnixNano > s.EndTimeUnixNano {
			t.Errorf("span %s ends before it begins", s.Name)
		}
	}
	for name, least := range map[string]int{
		"nixfleet webhook pull_request": 1, "nixfleet look": 2, "nixfleet GitHub PUT": 1, "nixfleet merge": 1, "nixfleet rollout deploy": 1,
		"nixfleet order deploy": hosts, "nixfleet-agent fetching": hosts, "nixfleet-agent building": hosts,
		"nixfleet-agent switching": hosts, "nixfleet-agent verifying": hosts,
	} {
		if count[name] < least {
			t.Errorf("the trace of #%d has %d spans %q, want at least %d; it has %v", u.Number, count[name], name, least, count)
		}
	}
}

// scraped is what a scrape of the server finds.
func (r *rig) scraped() string {
	r.t.Helper()
	resp, err := http.Get("http://" + r.cfg.Listen + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}
