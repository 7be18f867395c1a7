package agentbus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/broker"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

const brokerChildEnv = "AGENTBUS_TEST_BROKER" // dir|listen|keyring: the test binary is a broker

func runBrokerChild() {
	part := strings.Split(os.Getenv(brokerChildEnv), "|")
	keys, err := agentbus.LoadOrCreateKeyring(part[2])
	if err == nil {
		_, err = broker.Start(context.Background(), broker.Options{Dir: part[0], Listen: part[1], Trust: keys.Trust()})
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
}

// order makes a valid order to host.
func order(host string, gen uint64) agentbus.Order {
	now := time.Now()
	return agentbus.Order{
		Host: host, Gen: gen, ID: fmt.Sprintf("order-%s-%d", host, gen), Kind: agentbus.KindDeploy,
		Repo: "https://example.org/fleet.git", Branch: "main", Commit: strings.Repeat("ab", 20),
		Attr: "nixosConfigurations." + host, IssuedAt: now.UnixMilli(), ExpiresAt: now.Add(time.Hour).UnixMilli(),
	}
}

func send(t *testing.T, c *agentbus.Control, orders ...agentbus.Order) {
	t.Helper()
	if err := c.Send(t.Context(), orders); err != nil {
		t.Fatal(err)
	}
}

// next waits for an order and checks its generation.
func next(t *testing.T, h *agentbus.HostLink, lastGen, want uint64) agentbus.Order {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o, err := h.Next(ctx, lastGen)
	if err != nil {
		t.Fatalf("wait for generation %d: %v", want, err)
	}
	if o.Gen != want {
		t.Fatalf("got generation %d, want %d", o.Gen, want)
	}
	return o
}

// recorder is a database of answers.
type recorder struct {
	mu   sync.Mutex
	last uint64
	got  map[string]int // how often each answer came
}

func (r *recorder) handle(_ context.Context, batch []agentbus.Received) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got == nil {
		r.got = make(map[string]int)
	}
	for _, a := range batch {
		r.got[fmt.Sprintf("%s/%s/%d/%s", a.Host, a.Answer.Order, a.Answer.Seq, a.Answer.Step)]++
		r.last = a.Seq
	}
	return nil
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// reading runs Answers until the returned function is called.
func reading(t *testing.T, c *agentbus.Control, from uint64, handle func(context.Context, []agentbus.Received) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Answers(ctx, from, handle) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Answers ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

var steps = []agentbus.Step{
	agentbus.StepReceived, agentbus.StepFetching, agentbus.StepBuilding,
	agentbus.StepSwitching, agentbus.StepVerifying, agentbus.StepHealthy,
}

func answerAll(t *testing.T, h *agentbus.HostLink, o agentbus.Order) {
	t.Helper()
	bustest.Eventually(t, "a connection", h.Connected)
	for i, step := range steps {
		a := agentbus.Answer{Order: o.ID, Gen: o.Gen, Seq: uint32(i + 1), Step: step, At: time.Now().UnixMilli()}
		if err := h.Answer(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOrderReachesHostAndItsAnswersReachTheServer(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	host := bustest.Link(t, b.Host(t, "web1"))
	want := order("web1", 7)
	want.Nonce = strings.Repeat("0", 32)
	send(t, b.Control, want)
	got := next(t, host, 0, 7)
	want.V, want.Fleet = 1, b.Keys.FleetID()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order changed on the way:\n%s", diff)
	}

	var r recorder
	reading(t, b.Control, 0, r.handle)
	answerAll(t, host, got)
	bustest.Eventually(t, "six answers", func() bool { return r.count() == 6 })

	if err := b.Control.Confirm(t.Context(), []agentbus.Confirm{{Host: "web1", Order: got.ID, Seq: 6}}); err != nil {
		t.Fatal(err)
	}
	if c := <-host.Confirms(); c.Order != got.ID || c.Seq != 6 {
		t.Errorf("confirmed %+v", c)
	}
	if err := b.Control.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	if !host.Connected() {
		t.Error("host is not connected")
	}
}

func TestHeartbeatsAndLogsArrive(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	host := bustest.Link(t, b.Host(t, "web1"))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	beats := make(chan agentbus.HostBeat, 100)
	wg.Go(func() {
		_ = b.Control.Heartbeats(ctx, func(batch []agentbus.HostBeat) error {
			for _, beat := range batch {
				beats <- beat
			}
			return nil
		})
	})
	lines := make(chan string, 100)
	wg.Go(func() {
		_ = b.Control.Logs(ctx, 0, func(_ context.Context, batch []agentbus.ReceivedLog) error {
			for _, l := range batch {
				lines <- l.Host + " " + string(l.Chunk.Text)
			}
			return nil
		})
	})
	var got agentbus.HostBeat
	bustest.Eventually(t, "a heartbeat", func() bool {
		_ = host.Heartbeat(agentbus.Heartbeat{Gen: 3, Observed: agentbus.Observation{AgentVersion: "2.1.0"}})
		select {
		case got = <-beats:
			return true
		default:
			return false
		}
	})
	if got.Host != "web1" || got.Heartbeat.Gen != 3 || got.Heartbeat.Observed.AgentVersion != "2.1.0" {
		t.Errorf("got %+v", got)
	}
	taken, err := host.Log(t.Context(), []agentbus.LogChunk{
		{Order: "o1", Step: agentbus.StepBuilding, Text: []byte("building")},
		{Order: "o1", Offset: 8, Step: agentbus.StepBuilding, Text: []byte("done"), Last: true},
	})
	if taken != 2 || err != nil {
		t.Fatal(taken, err)
	}
	if a, b := <-lines, <-lines; a != "web1 building" || b != "web1 done" {
		t.Errorf("log lines %q, %q", a, b)
	}
}

func TestFreshRoundTrip(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	cfg := b.Host(t, "web1")
	if err := agentbus.FreshRoundTrip(t.Context(), cfg); err != nil {
		t.Error("before any order:", err)
	}
	send(t, b.Control, order("web1", 1))
	if err := agentbus.FreshRoundTrip(t.Context(), cfg); err != nil {
		t.Error("with an order:", err)
	}
	cfg.URLs = []string{"nats://127.0.0.1:1"}
	if err := agentbus.FreshRoundTrip(t.Context(), cfg); err == nil {
		t.Error("no broker, but no error")
	}
}

// A broker with more connections than it can serve greets and says nothing more. A
// round trip over it ends when its time does.
func TestFreshRoundTripEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(`INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576,"nonce":"AAAA"}` + "\r\n"))
		_, _ = conn.Read(make([]byte, 1)) // the host's greeting
		cancel()
		_, _ = io.Copy(io.Discard, conn)
	}()
	cfg := bustest.Start(t).Host(t, "web1")
	cfg.URLs = []string{"nats://" + l.Addr().String()}
	if err := agentbus.FreshRoundTrip(ctx, cfg); err == nil || errors.Is(err, nats.ErrTimeout) || strings.Contains(err.Error(), "timeout") {
		t.Errorf("it did not end before nats.go's own timeout: %v", err)
	}
}
