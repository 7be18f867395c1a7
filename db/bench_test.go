package db_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// durable is a private Postgres that waits for the disk, as in production.
func durable(b *testing.B) *db.DB {
	b.Helper()
	p, err := db.StartPrivate(b.Context(), db.PrivateOptions{Dir: b.TempDir()})
	must(b, err)
	b.Cleanup(func() { must(b, p.Stop(b.Context())) })
	d, err := db.Open(b.Context(), db.Options{URL: p.URL()})
	must(b, err)
	b.Cleanup(d.Close)
	return d
}

// BenchmarkStoreDelivery compares storing deliveries with single-row inserts of
// the same payload through the same pool, round by round so that both meet the
// same machine.
func BenchmarkStoreDelivery(b *testing.B) {
	d := durable(b)
	ctx := b.Context()
	_, err := d.Pool().Exec(ctx, `create table raw (id bigint generated always as identity primary key, payload bytea not null)`)
	must(b, err)
	payload := likeWebhook(b, 12<<10)
	var n atomic.Int64
	store := func() error {
		v := delivery(fmt.Sprint(n.Add(1)))
		v.Payload = payload
		_, err := d.StoreDelivery(ctx, v)
		return err
	}
	insert := func() error {
		_, err := d.Pool().Exec(ctx, `insert into raw (payload) values ($1)`, payload)
		return err
	}
	const perRound = 200
	inParallel(b, perRound, store) // opens connections, prepares statements
	inParallel(b, perRound, insert)
	var ours, raw time.Duration
	for b.Loop() {
		ours += inParallel(b, perRound, store)
		raw += inParallel(b, perRound, insert)
	}
	b.ReportMetric(float64(raw)/float64(ours), "x-of-raw")
	b.ReportMetric(float64(b.N*perRound)/ours.Seconds(), "deliveries/s")
	b.ReportMetric(float64(b.N*perRound)/raw.Seconds(), "raw-inserts/s")
}

// likeWebhook is JSON that compresses about as well as GitHub's: many addresses
// that are alike, and some hashes.
func likeWebhook(b *testing.B, size int) []byte {
	b.Helper()
	fields := map[string]string{}
	for i := 0; i*100 < size; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		fields[fmt.Sprintf("field_%d_url", i)] = fmt.Sprintf("https://api.github.com/repos/o/r/things/%x{/other}", sum[:10])
	}
	payload, err := json.Marshal(fields)
	must(b, err)
	return payload
}

// inParallel runs f n times on 16 workers and returns how long that took.
func inParallel(b *testing.B, n int, f func() error) time.Duration {
	b.Helper()
	begin := time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan error)
	for range 16 {
		go func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 16 {
		must(b, <-done)
	}
	return time.Since(begin)
}

// BenchmarkRecordAnswers records six answers of each of 1 000 hosts, in batches
// of 500, as the bus delivers them.
func BenchmarkRecordAnswers(b *testing.B) {
	w := &world{t: b, d: durable(b), now: t0}
	f := fleetRepo(7)
	w.repo = f.Added[0]
	must(b, w.d.Record(b.Context(), w.now, f))
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("host%04d", i)
	}
	w.hosts(names...)
	raw, err := json.Marshal(map[string]string{"pad": fmt.Sprintf("%0200d", 0)})
	must(b, err)
	steps := []string{"received", "fetching", "building", "switching", "verifying", "healthy"}
	var took time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		id := fmt.Sprintf("R%d", rounds)
		w.running(id, id, names...)
		var batch []db.AnswerRow
		for i, step := range steps {
			for _, n := range names {
				row := answerTo(id+"-"+n, n, uint32(i+1), step)
				row.Gen, row.Raw = uint64(rounds), raw
				if step == "healthy" {
					row.Facts = &fleet.HostFacts{At: w.now, AgentVersion: "1", RunningCommit: id}
				}
				batch = append(batch, row)
			}
		}
		begin := time.Now()
		for len(batch) > 0 {
			n := min(500, len(batch))
			_, err := w.d.RecordAnswers(b.Context(), batch[:n], w.now)
			must(b, err)
			batch = batch[n:]
		}
		took += time.Since(begin)
	}
	b.ReportMetric(float64(rounds*len(steps)*len(names))/took.Seconds(), "answers/s")
}

func BenchmarkOverview(b *testing.B) {
	w := newWorld(b)
	for i := range 1000 {
		w.hosts(fmt.Sprintf("host%04d", i))
	}
	b.ResetTimer()
	for b.Loop() {
		v, err := w.d.Overview(b.Context(), w.now)
		must(b, err)
		if len(v.Hosts) != 1000 {
			b.Fatal(len(v.Hosts))
		}
	}
}
