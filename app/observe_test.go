package app

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
)

func TestARequestsLinesCarryItsId(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	a := &App{meters: newMeters(), traces: noTraces(), log: zerolog.New(&lines).Hook(idHook{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hosts/{name}", func(w http.ResponseWriter, r *http.Request) {
		a.log.Warn().Ctx(r.Context()).Str("host", r.PathValue("name")).Msg("something")
		w.WriteHeader(http.StatusTeapot)
	})
	r := httptest.NewRequest(http.MethodGet, "/hosts/web1", nil)
	r.Header.Set("X-Request-Id", "somebody else's\n")
	rec := httptest.NewRecorder()
	a.observed(mux).ServeHTTP(rec, r)
	id := rec.Header().Get("X-Request-Id")
	if len(id) < 16 || strings.Contains(id, "somebody") {
		t.Fatalf("the answer carries the id %q", id)
	}
	for line := range bytes.Lines(lines.Bytes()) {
		var said struct{ Request, Message, Route, Host string }
		if err := json.Unmarshal(line, &said); err != nil || said.Request != id {
			t.Errorf("%s does not carry the id %s (%v)", line, id, err)
		}
		if said.Message == "answered" && said.Route != "/hosts/{name}" {
			t.Errorf("the route is said to be %q", said.Route)
		}
	}
	if n := bytes.Count(lines.Bytes(), []byte("\n")); n != 2 {
		t.Errorf("%d lines, want two: %s", n, &lines)
	}
}

// What strangers make up must not become labels, of which there may be few.
func TestRequestsAreMeasuredByRoute(t *testing.T) {
	t.Parallel()
	a := &App{meters: newMeters(), traces: noTraces(), log: zerolog.Nop()}
	mux := http.NewServeMux()
	mux.HandleFunc("/", http.NotFound)
	mux.HandleFunc("GET /events/{$}", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "text/event-stream") })
	h := a.observed(mux)
	for _, path := range []string{"/a", "/b?c", "/%2e%2e", "/events/"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	for _, m := range []string{"BREW", "POST", "WHEN"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(m, "/", nil))
	}
	own := prometheus.NewRegistry()
	own.MustRegister(a.meters)
	if n, err := testutil.GatherAndCount(own, "nixfleet_http_request_seconds"); err != nil || n != 3 {
		t.Errorf("%d series, want one for each of GET, POST and other (%v)", n, err)
	}
}
