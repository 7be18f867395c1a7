package agentbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/agentbus/crowd"
)

// The benchmarks report ratios against the same messages on a plain NATS server
// (one account, no login, no signatures, the default of not syncing) measured in
// the same iteration, so that the speed of the machine cancels out.

const benchConnections = 16

// plain is that server and one connection to it.
type plain struct {
	url string
	nc  *nats.Conn
	js  jetstream.JetStream
}

func startPlain(b *testing.B) plain {
	b.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: b.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("plain server is not ready")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(100_000))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateKeyValue(b.Context(), jetstream.KeyValueConfig{Bucket: "plain", Storage: jetstream.FileStorage}); err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "ACKS", Subjects: []string{"ack.>"}}); err != nil {
		b.Fatal(err)
	}
	return plain{s.ClientURL(), nc, js}
}

// async publishes n messages and returns how many per second were acknowledged.
func (p plain) async(b *testing.B, subject string, n, hosts int, data []byte) float64 {
	b.Helper()
	began := time.Now()
	for i := range n {
		if _, err := p.js.PublishAsync(fmt.Sprintf(subject, i%hosts), data); err != nil {
			b.Fatal(err)
		}
	}
	<-p.js.PublishAsyncComplete()
	return float64(n) / time.Since(began).Seconds()
}

// core publishes n messages to one subscriber and returns its messages per second.
func (p plain) core(b *testing.B, n int, data []byte) float64 {
	b.Helper()
	reader, err := nats.Connect(p.url)
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	got, done := 0, make(chan struct{})
	sub, err := reader.Subscribe("core.*", func(*nats.Msg) {
		if got++; got == n {
			close(done)
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = reader.Flush()
	}
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for i := range n {
		if err := p.nc.Publish(fmt.Sprintf("core.%d", i%1000), data); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.nc.Flush(); err != nil {
		b.Fatal(err)
	}
	<-done
	return float64(n) / time.Since(began).Seconds()
}

// newCrowd is hosts that obey, on few connections.
func newCrowd(b *testing.B, bus *bustest.Bus, hosts int) *crowd.Crowd {
	b.Helper()
	names := make([]string, hosts)
	for i := range names {
		names[i] = benchHost(i)
	}
	c, err := crowd.Join(crowd.Options{Keys: bus.Keys, URL: bus.Broker.URL(), Hosts: names, Connections: benchConnections})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

func benchHost(i int) string { return fmt.Sprintf("host-%04d", i) }

func benchAnswer(o agentbus.Order, i int, step agentbus.Step) []byte {
	data, _ := json.Marshal(agentbus.Answer{V: 1, Order: o.ID, Gen: o.Gen, Seq: uint32(i + 1), Step: step, At: o.IssuedAt})
	return data
}

// BenchmarkFanOut sends one order to each of many agents and waits until their
// six answers each have been handed to the server.
func BenchmarkFanOut(b *testing.B) {
	for _, hosts := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) { benchmarkFanOut(b, hosts) })
	}
}

func benchmarkFanOut(b *testing.B, hosts int) {
	ref := startPlain(b)
	bus := bustest.Start(b)
	agents := newCrowd(b, bus, hosts)
	var answers atomic.Int64
	all, recorded := int64(6*hosts), make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		_ = bus.Control.Answers(ctx, 0, func(_ context.Context, batch []agentbus.Received) error {
			if answers.Add(int64(len(batch)))%all == 0 {
				recorded <- struct{}{}
			}
			return nil
		})
	})
	envelope, err := bus.Keys.Seal(agentbus.TypeOrder, order(benchHost(0), 1))
	if err != nil {
		b.Fatal(err)
	}
	answer := benchAnswer(order(benchHost(0), 1), 1, agentbus.StepFetching)
	orders := make([]agentbus.Order, hosts)
	var toHosts, toServer []float64
	gen := uint64(0)
	round := func() (received, answered float64) {
		gen++
		for i := range orders {
			orders[i] = order(benchHost(i), gen)
		}
		began := time.Now()
		if err := bus.Control.Send(ctx, orders); err != nil {
			b.Fatal(err)
		}
		if err := agents.Await(ctx, agents.Received, int64(gen)*int64(hosts)); err != nil {
			b.Fatal(err)
		}
		got := time.Since(began)
		<-recorded
		return float64(hosts) / got.Seconds(), float64(all) / time.Since(began).Seconds()
	}
	round() // the first learns what the bucket holds
	for b.Loop() {
		received, answered := round()
		toHosts = append(toHosts, received/ref.async(b, "$KV.plain.%d", 10_000, hosts, envelope))
		toServer = append(toServer, answered/ref.async(b, "ack.%d", int(all), hosts, answer))
	}
	b.ReportMetric(median(toHosts), "received/put")
	b.ReportMetric(median(toServer), "answers/publish")
}

// BenchmarkHeartbeats sends heartbeats of 1000 hosts until the newest of each has
// been handed to the server.
func BenchmarkHeartbeats(b *testing.B) {
	ref := startPlain(b)
	bus := bustest.Start(b)
	const each, hosts = 100, 1000
	agents := newCrowd(b, bus, hosts)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	target, newest, all := int64(0), 0, make(chan struct{}, 1)
	var mu sync.Mutex
	wg.Go(func() {
		_ = bus.Control.Heartbeats(ctx, func(batch []agentbus.HostBeat) error {
			mu.Lock()
			defer mu.Unlock()
			for _, beat := range batch {
				if beat.Heartbeat.Observed.UptimeSeconds == target {
					newest++
				}
			}
			if newest == hosts {
				newest = 0
				all <- struct{}{}
			}
			return nil
		})
	})
	if err := bus.Control.Healthy(ctx); err != nil { // flushes the subscription
		b.Fatal(err)
	}
	var ratios []float64
	for b.Loop() {
		mu.Lock()
		target += each
		mu.Unlock()
		began := time.Now()
		for i := range int64(each) {
			if err := agents.Beat(target - each + i + 1); err != nil {
				b.Fatal(err)
			}
		}
		<-all
		rate := each * hosts / time.Since(began).Seconds()
		ratios = append(ratios, rate/ref.core(b, each*hosts, make([]byte, 700)))
	}
	b.ReportMetric(median(ratios), "heartbeats/publish")
}

// BenchmarkOneHost is the whole way for one host, to its sixth answer.
func BenchmarkOneHost(b *testing.B) {
	ref := startPlain(b)
	if _, err := ref.nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		b.Fatal(err)
	}
	caller, err := nats.Connect(ref.url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(caller.Close)
	bus := bustest.Start(b)
	host := bustest.Link(b, bus.Host(b, "web1"))
	bustest.Eventually(b, "a connection", host.Connected)
	sixth := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		_ = bus.Control.Answers(ctx, 0, func(_ context.Context, batch []agentbus.Received) error {
			for _, a := range batch {
				if a.Answer.Seq == 6 {
					sixth <- struct{}{}
				}
			}
			return nil
		})
	})
	var way, trip []float64
	for gen := uint64(1); b.Loop(); gen++ {
		began := time.Now()
		if err := bus.Control.Send(ctx, []agentbus.Order{order("web1", gen)}); err != nil {
			b.Fatal(err)
		}
		o, err := host.Next(ctx, gen-1)
		if err != nil {
			b.Fatal(err)
		}
		for i, step := range steps {
			if err := host.Answer(ctx, agentbus.Answer{Order: o.ID, Gen: gen, Seq: uint32(i + 1), Step: step}); err != nil {
				b.Fatal(err)
			}
		}
		<-sixth
		way = append(way, time.Since(began).Seconds())
		began = time.Now()
		if _, err := caller.Request("echo", []byte("x"), time.Second); err != nil {
			b.Fatal(err)
		}
		trip = append(trip, time.Since(began).Seconds())
	}
	b.ReportMetric(median(way)/median(trip), "way/roundtrip")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
