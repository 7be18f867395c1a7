// Package bustest starts a real broker for a test and hands out hosts that are
// enrolled with it.
package bustest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/broker"
)

// Bus is a broker in a directory of the test, and the server's end of it. Both
// stop with the test.
type Bus struct {
	Keys    *agentbus.Keyring
	Broker  *broker.Broker
	Control *agentbus.Control
}

// Start starts a broker that listens on a free port of 127.0.0.1.
func Start(t testing.TB) *Bus {
	t.Helper()
	b := &Bus{Keys: Keys(t)}
	b.Broker = StartBroker(t, broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Trust: b.Keys.Trust()})
	b.Control = Connect(t, agentbus.ControlOptions{Broker: b.Broker, Keys: b.Keys})
	return b
}

// Keys makes a keyring in a directory of the test.
func Keys(t testing.TB) *agentbus.Keyring {
	t.Helper()
	keys, err := agentbus.LoadOrCreateKeyring(filepath.Join(t.TempDir(), "bus.json"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// StartBroker starts a broker that stops with the test.
func StartBroker(t testing.TB, o broker.Options) *broker.Broker {
	t.Helper()
	if o.Log == nil {
		o.Log = Log(t)
	}
	b, err := broker.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Connect joins a bus as its server; it leaves with the test.
func Connect(t testing.TB, o agentbus.ControlOptions) *agentbus.Control {
	t.Helper()
	if o.Log == nil {
		o.Log = Log(t)
	}
	control, err := agentbus.ConnectControl(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(control.Close)
	return control
}

// Log returns where warnings go: to the log of t for as long as t runs.
func Log(t testing.TB) func(string) {
	ctx := t.Context() // ends just before the cleanups
	return func(line string) {
		if ctx.Err() == nil {
			t.Log(line)
		}
	}
}

// Host enrols a host for an hour and returns what it needs to connect.
func (b *Bus) Host(t testing.TB, name string) agentbus.HostConfig {
	t.Helper()
	seed, public := HostKey(t)
	token, err := b.Control.IssueHost(name, public, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return agentbus.HostConfig{
		URLs: []string{b.Broker.URL()}, Host: name, Fleet: b.Keys.FleetID(),
		UserJWT: token, Seed: seed, OrderKeys: b.Keys.OrderKeys(), Log: Log(t),
	}
}

// HostKey makes the key of a host.
func HostKey(t testing.TB) (seed []byte, public string) {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if seed, err = user.Seed(); err != nil {
		t.Fatal(err)
	}
	if public, err = user.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return seed, public
}

// Link connects a host; it leaves with the test.
func Link(t testing.TB, cfg agentbus.HostConfig) *agentbus.HostLink {
	t.Helper()
	link, err := agentbus.ConnectHost(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return link
}

// Eventually waits until ok returns true and fails the test after a minute.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}
