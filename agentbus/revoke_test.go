package agentbus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// A revocation cuts the connection, whichever way the host came and whoever runs
// the broker, and nothing lets the host in again.
func TestRevokedHostIsCutOffAtOnce(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (*bustest.Bus, agentbus.ControlOptions, agentbus.HostConfig){
		"embedded, on its own port": func(t *testing.T) (*bustest.Bus, agentbus.ControlOptions, agentbus.HostConfig) {
			b := bustest.Start(t)
			return b, agentbus.ControlOptions{Broker: b.Broker, Keys: b.Keys}, b.Host(t, "kept")
		},
		"embedded, through the server": func(t *testing.T) (*bustest.Bus, agentbus.ControlOptions, agentbus.HostConfig) {
			s := startSecured(t)
			return s.Bus, agentbus.ControlOptions{Broker: s.Broker, Keys: s.Keys}, s.host(t, "kept")
		},
		"of one's own": func(t *testing.T) (*bustest.Bus, agentbus.ControlOptions, agentbus.HostConfig) {
			keys := bustest.Keys(t)
			o := agentbus.ControlOptions{URLs: []string{ownBroker(t, keys)}, Keys: keys}
			b := &bustest.Bus{Keys: keys, Control: bustest.Connect(t, o)}
			return b, o, hostOn(t, b, "kept", o.URLs)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, o, conf := start(t)
			cutOff(t, b, o, conf)
		})
	}
}

func cutOff(t *testing.T, b *bustest.Bus, o agentbus.ControlOptions, conf agentbus.HostConfig) {
	t.Helper()
	kept := bustest.Link(t, conf)
	cfg := conf
	seed, public := bustest.HostKey(t)
	token, err := b.Control.IssueHost("web1", public, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Host, cfg.Seed, cfg.UserJWT = "web1", seed, token
	host := bustest.Link(t, cfg)
	bustest.Eventually(t, "connections", func() bool { return host.Connected() && kept.Connected() })
	now := time.Now()
	for range 2 { // twice is once
		if err := b.Control.Revoke(t.Context(), map[string]time.Time{public: now}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Eventually(t, "the connection to end", func() bool { return !host.Connected() })
	refused := func(why string) {
		t.Helper()
		if err := agentbus.FreshRoundTrip(t.Context(), cfg); err == nil || !strings.Contains(strings.ToLower(err.Error()), "auth") {
			t.Errorf("%s: %v", why, err)
		}
	}
	refused("the broker let it in again")
	// Neither a second server, which checks the accounts, nor a late repetition undoes it.
	bustest.Connect(t, o)
	if err := b.Control.Revoke(t.Context(), map[string]time.Time{public: now.Add(-time.Hour)}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	refused("it was undone")
	if !kept.Connected() {
		t.Error("another host was cut off too")
	}
	if err := b.Control.Revoke(t.Context(), map[string]time.Time{"nonsense": now}, time.Time{}); err == nil {
		t.Error("revoked nonsense")
	}
}

// A large fleet may change all its keys within a month.
func TestManyKeysAreRefused(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	conf := b.Host(t, "web1")
	user, err := nkeys.FromSeed(conf.Seed)
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]time.Time{public: time.Now().Add(time.Second)}
	for range 10_000 {
		_, key := bustest.HostKey(t)
		keys[key] = time.Now()
	}
	if err := b.Control.Revoke(t.Context(), keys, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := agentbus.FreshRoundTrip(t.Context(), conf); err == nil {
		t.Error("one of many is still let in")
	}
	// The list does not grow for ever.
	_, other := bustest.HostKey(t)
	if err := b.Control.Revoke(t.Context(), map[string]time.Time{other: time.Now()}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := agentbus.FreshRoundTrip(t.Context(), conf); err != nil {
		t.Errorf("what was revoked before the oldest certificate is still on the list: %v", err)
	}
}
