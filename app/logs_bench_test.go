package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

const (
	logHosts  = 16
	logChunks = 64 // of each host in one round
	logSize   = 28 << 10
)

// BenchmarkLogs takes the output of many hosts from the bus into Postgres, which
// waits for the disk: read, made plain, compressed, recorded and confirmed. x-publish
// is how many times as many bytes a second that is as a plain NATS server takes of
// the same messages by asynchronous publishing.
func BenchmarkLogs(b *testing.B) {
	d, err := db.Open(b.Context(), db.Options{URL: durablePostgres(b)})
	must(b, err)
	b.Cleanup(d.Close)
	bus := bustest.Start(b)
	a := &App{cfg: Config{Now: time.Now}, log: zerolog.Nop(), meters: newMeters(), traces: noTraces(), db: d, bus: bus.Control, keys: bus.Keys}
	repo := fleet.Repo{ID: 7, Installation: 3, Owner: "o", Name: "r", DefaultBranch: "main"}
	must(b, d.Record(b.Context(), time.Now(), fleet.InstallationChanged{ID: 3, Account: "o", Added: []fleet.Repo{repo}}))
	links := make([]*agentbus.HostLink, logHosts)
	for i := range links {
		name := fmt.Sprintf("host%d", i)
		must(b, d.CreateHost(b.Context(), db.NewHost{Host: fleet.Host{RepoID: 7, Name: name, Attr: "nixosConfigurations.x"}, TokenHash: []byte(name), Expires: time.Now().Add(time.Hour)}, time.Now()))
		_, err := d.EnrollHost(b.Context(), []byte(name), name, "U"+name, time.Now())
		must(b, err)
		links[i] = bustest.Link(b, bus.Host(b, name))
		bustest.Eventually(b, "a connection", links[i].Connected)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	b.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { _ = a.readLogs(ctx) })

	text := buildOutput(logSize)
	limit := asyncPublisher(b)
	var ours, plain time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		ours += a.recordRound(b, links, rounds, text)
		plain += limit(text)
	}
	done := float64(rounds*logHosts*logChunks*len(text)) / (1 << 20)
	b.ReportMetric(plain.Seconds()/ours.Seconds(), "x-publish")
	b.ReportMetric(done/ours.Seconds(), "MiB/s")
	b.ReportMetric(done/plain.Seconds(), "published-MiB/s")
}

// recordRound has every host send the whole output of an order, and returns when the
// last is confirmed.
func (a *App) recordRound(b *testing.B, links []*agentbus.HostLink, round int, text []byte) time.Duration {
	b.Helper()
	orders := make([]fleet.Order, len(links))
	for i := range orders {
		orders[i] = fleet.Order{
			ID: fmt.Sprintf("o-%d-%d", round, i), Host: fmt.Sprintf("host%d", i), Kind: "refresh", RepoID: 7,
			IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		}
	}
	_, err := a.db.IssueOrders(b.Context(), orders, time.Now())
	must(b, err)
	began := time.Now()
	g, ctx := errgroup.WithContext(b.Context())
	for i, link := range links {
		g.Go(func() error {
			for at := 0; at < logChunks; at += agentbus.LogWindow {
				var chunks []agentbus.LogChunk
				for j := at; j < at+agentbus.LogWindow; j++ {
					chunks = append(chunks, agentbus.LogChunk{
						Order: orders[i].ID, Offset: int64(j * len(text)), Step: agentbus.StepBuilding, Text: text, Last: j == logChunks-1,
					})
				}
				if _, err := link.Log(ctx, chunks); err != nil {
					return err
				}
			}
			if c := <-link.Confirms(); c.Log == nil || !c.Log.Whole {
				return fmt.Errorf("told %+v", c)
			}
			return nil
		})
	}
	must(b, g.Wait())
	return time.Since(began)
}

// buildOutput is like what nix build prints.
func buildOutput(size int) []byte {
	var out strings.Builder
	for i := 0; out.Len() < size; i++ {
		fmt.Fprintf(&out, "\x1b[32mnginx>\x1b[0m cc -O2 -c src/module_%d.c -o build/%x.o -I/nix/store/%032d-zlib-1.3.1-dev/include\n", i, i*7919, i)
	}
	return []byte(out.String()[:size])
}

// asyncPublisher is a plain NATS server with one stream; what it returns publishes a
// round of messages and waits until all are acknowledged.
func asyncPublisher(b *testing.B) func(text []byte) time.Duration {
	b.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: b.TempDir(), NoSigs: true, NoLog: true,
	})
	must(b, err)
	s.Start()
	b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("plain server is not ready")
	}
	nc, err := nats.Connect(s.ClientURL())
	must(b, err)
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(logHosts*agentbus.LogWindow))
	must(b, err)
	_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"log.>"}, MaxBytes: 1 << 30})
	must(b, err)
	return func(text []byte) time.Duration {
		data, err := json.Marshal(agentbus.LogChunk{V: 1, Order: "o", Step: agentbus.StepBuilding, Text: text})
		must(b, err)
		began := time.Now()
		for i := range logHosts * logChunks {
			_, err := js.PublishAsync(fmt.Sprintf("log.host%d.o", i%logHosts), data)
			must(b, err)
		}
		<-js.PublishAsyncComplete()
		return time.Since(began)
	}
}
