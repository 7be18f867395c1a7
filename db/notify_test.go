package db_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestListenHearsEveryVisibleChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	var listening sync.WaitGroup
	listening.Go(func() {
		if err := w.d.Listen(ctx, func() { calls.Add(1) }); err != nil {
			t.Error(err)
		}
	})
	heard := func(what string, change func()) {
		t.Helper()
		before := calls.Load()
		change()
		eventually(t, what+" is heard", func() bool { return calls.Load() > before })
	}
	eventually(t, "the first call", func() bool { return calls.Load() > 0 })
	heard("a delivery", func() {
		_, err := w.d.StoreDelivery(t.Context(), delivery("a"))
		must(t, err)
	})
	heard("a fact", func() { w.touch(1) })
	heard("a verdict", func() { w.look(w.claimDue(), fleet.UpdateReady, "aaa") })
	heard("a request", func() {
		must(t, w.asksMerge(1, fleet.MergeRequest{HeadSHA: "aaa", At: w.now}))
	})
	heard("a rollout", func() { w.running("R1", "ccc", "web1") })
	heard("an answer", func() { w.answer("R1-web1", "web1", 1, "received") })
	heard("a heartbeat", func() { must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "web1", At: w.now}})) })
	heard("a revocation", func() {
		err := w.d.RevokeHost(t.Context(), "web1", "ada", w.now)
		must(t, err)
	})
	heard("a broken connection", func() {
		_, err := w.d.Pool().Exec(t.Context(), `
			select pg_terminate_backend(pid) from pg_stat_activity
			where query like 'listen "' || 'nixfleet_' || current_schema() || '"' and pid <> pg_backend_pid()`)
		must(t, err)
	})
	heard("a fact after it", func() { w.touch(2) })
	cancel()
	listening.Wait()
}

func TestListenEndsWithoutADatabase(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), db.Options{URL: dbtest.Server(t)})
	must(t, err)
	d.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, d.Listen(ctx, func() {}))
}
