package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nixfleet/nixfleet/db"
	"golang.org/x/sync/errgroup"
)

const (
	benchClients  = 32  // a burst: twice as many as the pool has connections
	benchRequests = 800 // of each kind in one round
)

// BenchmarkWebhooks measures webhooks that are verified, stored and answered, by
// clients that keep their connections, against single-row inserts of the same
// payload by as many workers on a pool of the same size. The rounds alternate, so that both meet the
// same machine and the same disk, which Postgres waits for. x-insert is how many
// times as many webhooks as inserts there were in the same time.
func BenchmarkWebhooks(b *testing.B) {
	address := durablePostgres(b)
	d, err := db.Open(b.Context(), db.Options{URL: address})
	must(b, err)
	b.Cleanup(d.Close)
	r := newReplica(b, d)
	pool := rawPool(b, address)
	payload := benchPayload(b)
	transport := &http.Transport{MaxIdleConnsPerHost: benchClients}
	client := &http.Client{Transport: transport}
	b.Cleanup(transport.CloseIdleConnections)

	signature := sign(payload) // GitHub's work, not ours

	var n atomic.Int64
	webhooks := func(ctx context.Context) error {
		h := webhook{event: "pull_request", guid: fmt.Sprint(n.Add(1)), body: payload, signature: signature}
		resp, text, err := h.send(ctx, client, r.url)
		if err == nil && (resp.StatusCode != http.StatusAccepted || text != "stored\n") {
			err = fmt.Errorf("answer %d %q", resp.StatusCode, text)
		}
		return err
	}
	inserts := func(ctx context.Context) error {
		_, err := pool.Exec(ctx, `insert into raw (payload) values ($1)`, payload)
		return err
	}
	round(b, webhooks) // opens connections and prepares statements
	round(b, inserts)
	var ours, raw time.Duration
	for b.Loop() {
		ours += round(b, webhooks)
		raw += round(b, inserts)
	}
	done := float64(b.N * benchRequests)
	b.ReportMetric(raw.Seconds()/ours.Seconds(), "x-insert")
	b.ReportMetric(done/ours.Seconds(), "webhooks/s")
	b.ReportMetric(done/raw.Seconds(), "inserts/s")
}

// round does one kind of request benchRequests times and returns how long all of
// them took.
func round(b *testing.B, request func(context.Context) error) time.Duration {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	var left atomic.Int64
	left.Store(benchRequests)
	began := time.Now()
	for range benchClients {
		g.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := request(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(b, g.Wait())
	return time.Since(began)
}

// durablePostgres waits for the disk, as in production.
func durablePostgres(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "nixfleet-bench-")
	must(b, err)
	b.Cleanup(func() { must(b, os.RemoveAll(dir)) })
	must(b, os.Chmod(dir, 0o755)) // Postgres drops root and must be able to pass
	p, err := db.StartPrivate(b.Context(), db.PrivateOptions{Dir: filepath.Join(dir, "pg")})
	must(b, err)
	b.Cleanup(func() { must(b, p.Stop(context.Background())) })
	return p.URL()
}

// rawPool is a pool of the same size as the server's, and a table that holds a
// payload and no more.
func rawPool(b *testing.B, address string) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(address)
	must(b, err)
	cfg.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	must(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), `
		create table raw (id bigint generated always as identity primary key, payload bytea not null);
		do $$ begin -- compressed as the inbox is
			alter table raw alter column payload set compression lz4;
		exception when feature_not_supported then
			raise notice 'this Postgres was built without lz4';
		end $$`)
	must(b, err)
	return pool
}

// benchPayload is the event that GitHub sends most about updates, of the usual
// size.
func benchPayload(b *testing.B) []byte {
	b.Helper()
	for _, h := range githubExamples(b) {
		if h.guid == "pull_request.synchronize.22.json" {
			return h.body
		}
	}
	b.Fatal("no example of a pull request that was pushed to")
	return nil
}
