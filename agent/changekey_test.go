package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// The command changes the key beside a running agent, which goes on with the new
// one when the old one is cut off.
func TestARunningAgentTakesUpItsNewKey(t *testing.T) {
	t.Parallel()
	bus := bustest.Start(t)
	srv := enrolServer(t, bus, time.Hour)
	cfg := hostConfig(t.TempDir())
	cfg.Log = bustest.Log(t)
	first, err := Enroll(t.Context(), Enrolment{Server: srv.URL, Token: "good", Host: "web1", StateDir: cfg.StateDir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	var beats atomic.Int64
	wg.Go(func() {
		_ = bus.Control.Heartbeats(ctx, func(b []agentbus.HostBeat) error { beats.Add(int64(len(b))); return nil })
	})
	wg.Go(func() {
		if err := Serve(ctx, first, cfg); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "a heartbeat", func() bool { return beats.Load() > 0 })
	now, err := ChangeKey(t.Context(), Enrolment{StateDir: cfg.StateDir})
	if err != nil {
		t.Fatal(err)
	}
	if string(now.Seed) == string(first.Seed) {
		t.Fatal("the key is the old one")
	}
	old, err := nkeys.FromSeed(first.Seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Control.Revoke(t.Context(), map[string]time.Time{publicKey(old): time.Now().Add(time.Minute)}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := agentbus.FreshRoundTrip(t.Context(), first.Bus()); err == nil {
		t.Fatal("the old key is still good")
	}
	seen := beats.Load()
	eventually(t, "heartbeats with the new key", func() bool { return beats.Load() > seen+1 })
}
