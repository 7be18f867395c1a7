package dashboard

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// message is one server-sent event.
type message struct{ event, data, id string }

// tap is an open stream: what the server has written so far. While it is shut,
// writing blocks, as to a browser that does not read.
type tap struct {
	header http.Header
	code   int
	mu     sync.Mutex
	got    bytes.Buffer
	shut   chan struct{} // nil: open
}

func (w *tap) Header() http.Header  { return w.header }
func (w *tap) WriteHeader(code int) { w.code = code }
func (w *tap) Flush()               {}

func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	shut := w.shut
	w.mu.Unlock()
	if shut != nil {
		<-shut
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Write(p)
}

// read takes what has arrived.
func (w *tap) read() []message {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []message
	for block := range strings.SplitSeq(w.got.String(), "\n\n") {
		var m message
		for line := range strings.SplitSeq(block, "\n") {
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				m.event = v
			} else if v, ok := strings.CutPrefix(line, "id: "); ok {
				m.id = v
			} else if v, ok := strings.CutPrefix(line, "data: "); ok {
				m.data += v + "\n"
			}
		}
		if m.event != "" {
			out = append(out, m)
		}
	}
	w.got.Reset()
	return out
}

func events(list []message) string {
	var out []string
	for _, m := range list {
		out = append(out, m.event)
	}
	return strings.Join(out, " ")
}

// bench is a running dashboard in a bubble of imitated time.
type bench struct {
	*world
	*Dashboard
	stop func()
	wg   sync.WaitGroup
}

// running tests with a dashboard whose Run is running, and ends it afterwards.
// Every goroutine must have ended by then, or the bubble fails.
func running(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	o := story(t, "deploying").Overview
	synctest.Test(t, func(t *testing.T) {
		b := &bench{world: newWorld(o)}
		b.Dashboard = newDashboard(t, b.world, Config{Now: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		b.stop = stop
		b.wg.Go(func() {
			if err := b.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		synctest.Wait()
		test(t, b)
		stop()
		b.wg.Wait()
	})
}

// open opens a stream, as a browser does. It ends with close or with the dashboard.
func (b *bench) open(cookie string) (w *tap, leave func()) { return b.openAt("/events/", cookie) }

func (b *bench) openAt(address, cookie string) (w *tap, leave func()) {
	w = &tap{header: http.Header{}}
	ctx, cancel := context.WithCancel(context.Background())
	r := request(http.MethodGet, address, cookie, nil).WithContext(ctx)
	b.wg.Go(func() { b.ServeHTTP(w, r); cancel() })
	return w, cancel
}

// turn changes what one host does.
func (b *bench) turn(host string, s fleet.HostState) {
	b.change(func() {
		b.overview.Hosts = slices.Clone(b.overview.Hosts)
		for i := range b.overview.Hosts {
			if b.overview.Hosts[i].Host.Name == host {
				b.overview.Hosts[i].Progress = &fleet.HostProgress{Host: host, State: s, Since: noon}
			}
		}
	})
}

func TestAStreamBeginsWithTheBuildAndASnapshot(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		w, _ := b.open("op")
		got := w.read()
		if events(got) != "hello patch beat" || strings.TrimSpace(got[0].data) != b.build {
			t.Fatalf("it begins with %s %.60s", events(got), got[0].data)
		}
		for _, id := range []string{"summary", "problems", "rollouts", "updates", "hosts", "ended"} {
			if !strings.Contains(got[1].data, `hx-target="#`+id+`" hx-swap="innerMorph"`) {
				t.Errorf("the snapshot lacks %s", id)
			}
		}
		if kind := w.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") || w.header.Get("Cache-Control") != "no-store" {
			t.Errorf("its headers are %v", w.header)
		}
	})
}

func TestAPageThatShowsTheNewestGetsNoSnapshot(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		page := do(b.Dashboard, request(http.MethodGet, "/?q=sb&sort=name", "op", nil)).Body.String()
		_, shows, _ := strings.Cut(page, `data-shows="`)
		shows, _, _ = strings.Cut(shows, `"`)
		w, leave := b.openAt("/events/?q=sb&sort=name&shows="+shows, "op")
		if got := events(w.read()); got != "hello beat" {
			t.Errorf("a page that was just loaded is sent %q", got)
		}
		if topics := b.hub.topics(); len(topics) != 1 || topics[0].key != "/?q=sb&sort=name" {
			t.Errorf("what it shows is %+v", topics)
		}
		b.turn("hsb0", fleet.HostVerifying)
		first := w.read()
		if events(first) != "patch" || first[0].id == "" || first[0].id == shows {
			t.Fatalf("a change arrives as %+v", first)
		}
		leave()
		again, _ := b.openAt("/events/?q=sb&shows="+first[0].id+"&sort=name", "op")
		if got := events(again.read()); got != "hello beat" {
			t.Errorf("a page that was away and missed nothing is sent %q", got)
		}
		missed, _ := b.openAt("/events/?q=sb&sort=name&shows="+shows, "op")
		other, _ := b.openAt("/events/?q=sb&shows="+first[0].id, "view")
		for _, w := range []*tap{missed, other} {
			if got := events(w.read()); got != "hello patch beat" {
				t.Errorf("a page that shows something else is sent %q", got)
			}
		}
	})
}

func TestAChangeReachesEveryPageAtOnceAndBurstsAreBatched(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		one, _ := b.open("op")
		two, _ := b.open("view")
		one.read()
		two.read()
		b.turn("hsb0", fleet.HostVerifying)
		first, other := one.read(), two.read()
		if events(first) != "patch" || !strings.Contains(first[0].data, `hx-target="#h-hsb0"`) || strings.Contains(first[0].data, "csb1") {
			t.Fatalf("the change arrives as %v", first)
		}
		if len(other) != 1 || other[0] != first[0] {
			t.Error("two pages get different patches")
		}
		reads := b.reads
		for i := range 50 { // a burst within one batch
			b.turn("hsb1", []fleet.HostState{fleet.HostBuilding, fleet.HostSwitching}[i%2])
			time.Sleep(4 * time.Millisecond)
		}
		time.Sleep(b.cfg.Batch)
		if got := one.read(); events(got) != "patch" || !strings.Contains(got[0].data, "Switching") {
			t.Errorf("a burst of 50 changes arrives as %q", events(got))
		}
		if b.reads > reads+2 {
			t.Errorf("a burst of 50 changes read the database %d times", b.reads-reads)
		}
	})
}

func TestWhatLooksTheSameIsNotSent(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		w, _ := b.open("op")
		w.read()
		b.change(func() {})
		time.Sleep(time.Second)
		if got := w.read(); len(got) > 0 {
			t.Errorf("nothing changed, but %s arrived", events(got))
		}
	})
}

func TestAPageThatDoesNotKeepUpGetsASnapshot(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		w, _ := b.open("op")
		w.read()
		w.mu.Lock()
		w.shut = make(chan struct{})
		w.mu.Unlock()
		states := []fleet.HostState{fleet.HostFetching, fleet.HostBuilding, fleet.HostSwitching, fleet.HostVerifying}
		for i := range 3 * backlog {
			b.turn("hsb0", states[i%len(states)])
			time.Sleep(b.cfg.Batch + time.Millisecond)
		}
		b.turn("hsb0", fleet.HostHealthy)
		time.Sleep(b.cfg.Batch + time.Millisecond)
		close(w.shut)
		w.mu.Lock()
		w.shut = nil
		w.mu.Unlock()
		time.Sleep(time.Millisecond)
		var last string
		for _, m := range w.read() {
			if m.event == "patch" {
				last = m.data
			}
		}
		if !strings.Contains(last, `hx-target="#hosts" hx-swap="innerMorph"`) {
			t.Errorf("what it missed is not replaced by a snapshot: %.200s", last)
		}
		b.turn("hsb0", fleet.HostFailed)
		if got := w.read(); events(got) != "patch" {
			t.Errorf("after the snapshot a change arrives as %q", events(got))
		}
	})
}

func TestBeats(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		w, _ := b.open("op")
		w.read()
		time.Sleep(3*b.cfg.Beat + time.Second)
		if got := events(w.read()); got != "beat beat beat" {
			t.Errorf("in three beats' time arrive %q", got)
		}
		b.change(func() { b.readErr = errors.New("database is away") })
		synctest.Wait()
		time.Sleep(2 * b.cfg.Beat)
		if got := events(w.read()); got != "" {
			t.Errorf("a page that can't be kept up to date is told %q", got)
		}
		b.change(func() { b.readErr = nil })
		time.Sleep(2 * b.cfg.Beat)
		if got := events(w.read()); !strings.Contains(got, "beat") {
			t.Error("the beats don't come back with the database")
		}
	})
}

func TestAnOpenStreamEndsWithItsSession(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		w, _ := b.open("op")
		other, _ := b.open("view")
		w.read()
		b.change(func() { delete(b.sessions, "op") })
		time.Sleep(b.cfg.Beat + time.Second)
		if got := events(w.read()); got != "gone" {
			t.Errorf("a revoked session is told %q", got)
		}
		b.change(func() { b.sessErr = errors.New("database is away") })
		time.Sleep(b.cfg.Beat + time.Second)
		if got := events(other.read()); strings.Contains(got, "gone") {
			t.Error("a session that can't be read is taken for a revoked one")
		}
	})
}

func TestStreamsEndWithTheServer(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		b.open("op")
		b.open("view")
		synctest.Wait()
		b.stop()
		b.wg.Wait() // a stream that stays open deadlocks the bubble
		if len(b.hub.topics()) > 0 {
			t.Error("a stream is still registered")
		}
	})
}

func TestNobodyLookingCostsNothing(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		w, leave := b.open("op")
		w.read()
		leave()
		synctest.Wait()
		before := b.reads
		b.change(func() {})
		time.Sleep(time.Minute)
		if b.reads != before {
			t.Errorf("with no page open the read model was read %d times in a minute", b.reads-before)
		}
	})
}

func TestAnotherSiteCantListen(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, newWorld(story(t, "idle").Overview), Config{})
	r := request(http.MethodGet, "/events/", "op", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if rec := do(d, r); rec.Code != http.StatusForbidden {
		t.Errorf("a stream for another site answers %d", rec.Code)
	}
}

func TestTextCantBreakOutOfItsEvent(t *testing.T) {
	t.Parallel()
	w := &tap{header: http.Header{}}
	newSender(w).send("patch", []byte("one\n\nevent: gone\r\ndata: x\rid: 7\n"))
	for line := range strings.SplitSeq(strings.TrimSpace(w.got.String()), "\n") {
		if line != "event: patch" && !strings.HasPrefix(line, "data: ") || strings.Contains(line, "\r") {
			t.Errorf("the stream holds the line %q", line)
		}
	}
}
