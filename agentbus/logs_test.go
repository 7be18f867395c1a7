package agentbus_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// logRecorder is a database of output.
type logRecorder struct {
	mu   sync.Mutex
	got  []agentbus.ReceivedLog
	fail int // so many batches are refused
}

func (r *logRecorder) handle(_ context.Context, batch []agentbus.ReceivedLog) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail > 0 {
		r.fail--
		return errors.New("the database is away")
	}
	r.got = append(r.got, batch...)
	return nil
}

func (r *logRecorder) all() []agentbus.ReceivedLog {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]agentbus.ReceivedLog(nil), r.got...)
}

func readingLogs(t *testing.T, c *agentbus.Control, from uint64, r *logRecorder) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Logs(ctx, from, r.handle) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// output is n chunks of an order.
func output(order string, n, size int) []agentbus.LogChunk {
	chunks := make([]agentbus.LogChunk, n)
	for i := range chunks {
		chunks[i] = agentbus.LogChunk{
			Order: order, Offset: int64(i * size), Step: agentbus.StepBuilding,
			Text: bytes.Repeat([]byte{byte('a' + i%26)}, size), Last: i == n-1,
		}
	}
	return chunks
}

func TestLogsOfAllHostsComeInOrderAndAfterTheCursor(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	r := &logRecorder{fail: 2}
	for _, name := range []string{"web1", "web2"} {
		host := bustest.Link(t, b.Host(t, name))
		bustest.Eventually(t, "a connection", host.Connected)
		taken, err := host.Log(t.Context(), output("o-"+name, agentbus.LogWindow, 32<<10))
		if taken != agentbus.LogWindow || err != nil {
			t.Fatal(taken, err)
		}
	}
	readingLogs(t, b.Control, 3, r) // the first three are recorded
	bustest.Eventually(t, "the rest", func() bool { return len(r.all()) == 2*agentbus.LogWindow-3 })
	for i, l := range r.all() {
		at, name := i+3, "web1"
		if at >= agentbus.LogWindow {
			at, name = at-agentbus.LogWindow, "web2"
		}
		if l.Host != name || l.Seq != uint64(i+4) || l.Chunk.Offset != int64(at*32<<10) || len(l.Chunk.Text) != 32<<10 {
			t.Errorf("message %d: %s %d at %d", i, l.Host, l.Seq, l.Chunk.Offset)
		}
		if l.Chunk.Last != (at == agentbus.LogWindow-1) {
			t.Errorf("message %d says last=%v", i, l.Chunk.Last)
		}
	}
}

func TestNonsenseAmongLogsStopsNobody(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	r := &logRecorder{}
	readingLogs(t, b.Control, 0, r)
	for _, bad := range []string{
		`{`, `{"v":2,"order":"o1"}`, `{"v":1,"order":"o2","text":""}`, `{"v":1,"order":"o1","offset":-1}`,
		`{"v":1,"order":"o1","offset":9000000000000000000}`, `{"v":1,"order":"o1","step":"dancing"}`,
		`{"v":1,"order":"o1","text":"` + strings.Repeat("A", 48<<10) + `"}`,
	} {
		if err := b.Control.Publish("log.web1.o1", []byte(bad)); err != nil {
			t.Fatal(err)
		}
	}
	host := bustest.Link(t, b.Host(t, "web1"))
	bustest.Eventually(t, "a connection", host.Connected)
	if _, err := host.Log(t.Context(), output("o1", 1, 3)); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the good one", func() bool { return len(r.all()) > 0 })
	if got := r.all(); len(got) != 1 || string(got[0].Chunk.Text) != "aaa" {
		t.Errorf("got %+v", got)
	}
}

func TestLogSaysWhatTheBusDidNotTake(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	cfg := b.Host(t, "web1")
	host := bustest.Link(t, cfg)
	bustest.Eventually(t, "a connection", host.Connected)
	for name, chunks := range map[string][]agentbus.LogChunk{
		"too many":           output("o1", agentbus.LogWindow+1, 1),
		"too long":           output("o1", 1, 32<<10+1),
		"without an order":   output("", 1, 1),
		"another's subjects": output("o1.x", 1, 1),
	} {
		if taken, err := host.Log(t.Context(), chunks); taken != 0 || err == nil {
			t.Errorf("%s: took %d, %v", name, taken, err)
		}
	}
	if taken, err := host.Log(t.Context(), nil); taken != 0 || err != nil {
		t.Errorf("nothing: took %d, %v", taken, err)
	}
	cfg.URLs = []string{"nats://127.0.0.1:1"}
	away := bustest.Link(t, cfg)
	if taken, err := away.Log(t.Context(), output("o1", 2, 1)); taken != 0 || !errors.Is(err, agentbus.ErrAway) {
		t.Errorf("away: took %d, %v", taken, err)
	}
}
