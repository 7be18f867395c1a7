package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func (*service) OpenOrderStates(context.Context) ([]api.OrderState, error) { return nil, nil }

func (*service) Listen(ctx context.Context, changed func()) error {
	changed()
	<-ctx.Done()
	return nil
}

// moving is a product that changes.
type moving struct {
	*service
	mu      sync.Mutex
	view    fleet.Overview
	orders  []api.OrderState
	broken  error
	changed []func()
}

func (m *moving) Overview(context.Context) (fleet.Overview, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.view
	v.Hosts, v.Updates, v.Rollouts = slices.Clone(v.Hosts), slices.Clone(v.Updates), slices.Clone(v.Rollouts)
	return v, m.broken
}

func (m *moving) OpenOrderStates(context.Context) ([]api.OrderState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.orders), nil
}

func (m *moving) Listen(ctx context.Context, changed func()) error {
	m.mu.Lock()
	m.changed = append(m.changed, changed)
	m.mu.Unlock()
	changed()
	<-ctx.Done()
	return nil
}

// change changes it, and tells who listens.
func (m *moving) change(f func()) {
	m.mu.Lock()
	f()
	told := slices.Clone(m.changed)
	m.mu.Unlock()
	for _, changed := range told {
		changed()
	}
}

// stream reads events as a program would.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	leave func()
	last  string // id of the last event
}

func openStream(t *testing.T, url, after string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer see")
	req.Header.Set("Last-Event-ID", after)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("answered %s %s", resp.Status, kind)
	}
	return &stream{t: t, lines: bufio.NewScanner(resp.Body), leave: cancel}
}

// next is the name and the text of the next event; at the end of the stream it is empty.
func (s *stream) next() (name, data string) {
	s.t.Helper()
	for s.lines.Scan() {
		field, text, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "event":
			name = text
		case "id":
			s.last = text
		case "data":
			return name, text
		}
	}
	return "", ""
}

func serveMoving(t *testing.T) (*moving, string) {
	t.Helper()
	m, mux := &moving{service: &service{}}, http.NewServeMux()
	m.view.Hosts = []fleet.HostView{{Host: fleet.Host{Name: "web1"}}, {Host: fleet.Host{Name: "web2"}}}
	api.Mount(mux, "1.2.3", "build", m)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return m, server.URL
}

func TestAChangeIsTold(t *testing.T) {
	t.Parallel()
	m, url := serveMoving(t)
	s := openStream(t, url, "")
	if name, data := s.next(); name != "hello" || data != `{"resumed":false}` {
		t.Fatalf("begins with %s %s", name, data)
	}
	m.change(func() {
		m.view.Hosts = m.view.Hosts[:1]
		m.view.Hosts[0].Online = true
		m.view.Rollouts = []fleet.Rollout{{ID: "01R", State: fleet.RolloutRunning}}
		m.view.Updates = []fleet.Update{{Number: 7, Repo: fleet.Repo{Owner: "octo", Name: "fleet"}, State: fleet.UpdateHolding}}
		m.orders = []api.OrderState{{ID: "01O", State: "building"}}
	})
	for _, want := range []string{
		`host {"kind":"host","id":"web1","change":"changed","changed":["online"],"state":"online","href":"/api/v1/hosts/web1"}`,
		`order {"kind":"order","id":"01O","change":"appeared","state":"building","href":"/api/v1/orders/01O"}`,
		`rollout {"kind":"rollout","id":"01R","change":"appeared","state":"running","href":"/api/v1/rollouts/01R"}`,
		`update {"kind":"update","id":"octo/fleet#7","change":"appeared","state":"holding","href":"/api/v1/repos/octo/fleet/updates/7"}`,
		`host {"kind":"host","id":"web2","change":"gone","href":"/api/v1/hosts/web2"}`,
	} {
		if name, data := s.next(); name+" "+data != want {
			t.Errorf("told %s %s\nwant %s", name, data, want)
		}
	}
	m.change(func() { m.orders, m.view.Updates = nil, nil })
	if name, data := s.next(); name != "order" || !strings.Contains(data, `"change":"ended"`) {
		t.Errorf("told %s %s, want the order's end, and nothing of an update that only got old", name, data)
	}
}

// Whoever connects again is told what it missed, or that it has to read everything.
func TestAStreamIsTakenUpWhereItBroke(t *testing.T) {
	t.Parallel()
	m, url := serveMoving(t)
	online := func(i int) func() { return func() { m.view.Hosts[i].Online = true } }
	stays, breaks := openStream(t, url, ""), openStream(t, url, "")
	stays.next()
	breaks.next()
	m.change(online(0))
	if _, data := breaks.next(); !strings.Contains(data, "web1") {
		t.Fatalf("told %s", data)
	}
	breaks.leave()
	stays.next()
	m.change(online(1))
	stays.next() // so it has happened
	again := openStream(t, url, breaks.last)
	if _, data := again.next(); data != `{"resumed":true}` {
		t.Errorf("begins with %s", data)
	}
	if _, data := again.next(); !strings.Contains(data, "web2") || again.last != stays.last {
		t.Errorf("told %s with id %s, want web2 with %s", data, again.last, stays.last)
	}
	for _, after := range []string{"other-1", breaks.last + "0", "x", "-1"} {
		s := openStream(t, url, after)
		var hello api.EventsHello
		if _, data := s.next(); json.Unmarshal([]byte(data), &hello) != nil || hello.Resumed || s.last != stays.last {
			t.Errorf("after %q it begins with %s at %s", after, data, s.last)
		}
	}
}

// A stream that tells nothing because nothing can be read must not look like one on
// which nothing happens.
func TestAStreamEndsWhenNothingCanBeRead(t *testing.T) {
	t.Parallel()
	m, url := serveMoving(t)
	s := openStream(t, url, "")
	s.next()
	m.change(func() { m.broken = errors.New("the database is away") })
	if name, data := s.next(); name != "" {
		t.Errorf("told %s %s", name, data)
	}
	if resp, text := send(t, "GET", url+"/api/v1/events", "see", "", ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s %s", resp.Status, text)
	}
	m.change(func() { m.broken = nil })
	if name, _ := openStream(t, url, s.last).next(); name != "hello" {
		t.Errorf("then begins with %q", name)
	}
}
