package agentbus_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

func lists(t testing.TB, k *agentbus.Keyring) []agentbus.Envelope {
	t.Helper()
	l, err := k.KeyLists()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func add(t testing.TB, k *agentbus.Keyring) string {
	t.Helper()
	id, err := k.AddOrderKey()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestANewOrderKeyIsTakenFromAPinnedOneOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bus.json")
	k, err := agentbus.LoadOrCreateKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	pinned, before := k.OrderKeys(), lists(t, k)
	id := add(t, k)
	got, err := agentbus.AcceptKeys(k.FleetID(), pinned, 0, lists(t, k))
	if err != nil || len(got.Keys) != 2 || got.Keys[0] != pinned[0] || !slices.Contains(agentbus.KeyIDs(got.Keys), id) {
		t.Fatalf("accepted %+v, %v", got, err)
	}
	if again, err := agentbus.LoadOrCreateKeyring(path); err != nil || !slices.Equal(again.OrderKeys(), got.Keys) {
		t.Errorf("the keyring does not keep it: %v", err)
	}

	other := bustest.Keys(t)
	forged := lists(t, other)
	swapped := lists(t, k)
	swapped[0].Payload = forged[0].Payload
	swapped[1].Payload = forged[0].Payload
	for name, c := range map[string]struct {
		fleet  string
		serial uint64
		signed []agentbus.Envelope
	}{
		"none":                 {k.FleetID(), 0, nil},
		"signed by a stranger": {k.FleetID(), 0, forged},
		"changed on the way":   {k.FleetID(), 0, swapped},
		"of another fleet":     {"other", 0, lists(t, k)},
		"an older one":         {k.FleetID(), got.Serial, before},
	} {
		if l, err := agentbus.AcceptKeys(c.fleet, pinned, c.serial, c.signed); err == nil {
			t.Errorf("%s: accepted %+v", name, l)
		}
	}
}

func TestOrderKeysChangeWithoutAPause(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	cfg := b.Host(t, "web1")
	link := bustest.Link(t, cfg)
	send(t, b.Control, order("web1", 1))
	next(t, link, 0, 1)

	id := add(t, b.Keys)
	send(t, b.Control, order("web1", 2)) // still signed by the old one
	next(t, link, 1, 2)
	if err := b.Control.Summon("web1"); err != nil {
		t.Fatal(err)
	}
	<-link.Summons()
	old := agentbus.KeyIDs(cfg.OrderKeys)[0]
	list, err := agentbus.AcceptKeys(cfg.Fleet, cfg.OrderKeys, 0, lists(t, b.Keys))
	if err != nil {
		t.Fatal(err)
	}
	cfg.OrderKeys = list.Keys
	if err := link.Renew(cfg); err != nil {
		t.Fatal(err)
	}
	if err := b.Keys.RetireOrderKey(old); !errors.Is(err, agentbus.ErrCurrentKey) {
		t.Errorf("retired the key that signs: %v", err)
	}
	if err := b.Keys.UseOrderKey(id); err != nil {
		t.Fatal(err)
	}
	send(t, b.Control, order("web1", 3))
	next(t, link, 2, 3)

	late := bustest.Link(t, b.Host(t, "web2")) // knows both
	if err := b.Keys.RetireOrderKey(old); err != nil {
		t.Fatal(err)
	}
	send(t, b.Control, order("web1", 4), order("web2", 1))
	next(t, link, 3, 4)
	next(t, late, 0, 1)

	// One that has the old key alone refuses, and says so.
	cfg.OrderKeys = []string{list.Keys[0]}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var refused *agentbus.Refusal
	if _, err := bustest.Link(t, cfg).Next(ctx, 0); !errors.As(err, &refused) || refused.Code != agentbus.RefusedSignature {
		t.Errorf("a host that knows only the retired key: %v", err)
	}
}

// Whatever is added, used and retired, a host that renews now and then follows as
// long as one of its keys is still there, and never takes back a key that is gone.
func TestHostsFollowTheOrderKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var n int
	rapid.Check(t, func(t *rapid.T) {
		n++
		k, err := agentbus.LoadOrCreateKeyring(filepath.Join(dir, strconv.Itoa(n)))
		if err != nil {
			t.Fatal(err)
		}
		pinned, serial := k.OrderKeys(), uint64(0)
		var stale [][]agentbus.Envelope
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			ids := agentbus.KeyIDs(k.OrderKeys())
			id := rapid.SampledFrom(ids).Draw(t, "key")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				_, _ = k.AddOrderKey()
			case 1:
				_ = k.UseOrderKey(id)
			case 2:
				_ = k.RetireOrderKey(id)
			case 3:
				signed, err := k.KeyLists()
				if err != nil {
					t.Fatal(err)
				}
				knows := slices.ContainsFunc(pinned, func(key string) bool { return slices.Contains(k.OrderKeys(), key) })
				list, err := agentbus.AcceptKeys(k.FleetID(), pinned, serial, signed)
				if (err == nil) != knows {
					t.Fatalf("it shares a key with the server: %v, and yet: %v", knows, err)
				}
				if err == nil {
					pinned, serial = list.Keys, list.Serial
					if !slices.Equal(pinned, k.OrderKeys()) {
						t.Fatal("it took other keys than the server has")
					}
				}
				for _, old := range stale {
					if list, err := agentbus.AcceptKeys(k.FleetID(), pinned, serial, old); err == nil && list.Serial < serial {
						t.Fatal("it took an older list")
					}
				}
				stale = append(stale, signed)
			}
		}
	})
}
