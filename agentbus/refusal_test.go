package agentbus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

func TestHostRefusesInWords(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	stranger := bustest.Keys(t)
	seal := func(k *agentbus.Keyring, host, kind string, edit func(*agentbus.Order)) []byte {
		o := order(host, 5)
		o.V, o.Fleet = 1, b.Keys.FleetID()
		edit(&o)
		data, err := k.Seal(kind, o)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	type forge func(host string) []byte
	good := func(edit func(*agentbus.Order)) forge {
		return func(host string) []byte { return seal(b.Keys, host, agentbus.TypeOrder, edit) }
	}
	plain := func(text string) forge { return func(string) []byte { return []byte(text) } }
	tests := []struct {
		name string
		data forge
		code string
	}{
		{"not JSON", plain("hello"), agentbus.RefusedMalformed},
		{"empty", plain(""), agentbus.RefusedMalformed},
		{"deeply nested", plain(strings.Repeat(`{"a":`, 10_000)), agentbus.RefusedMalformed},
		{"unknown key", func(host string) []byte {
			return seal(stranger, host, agentbus.TypeOrder, func(*agentbus.Order) {})
		}, agentbus.RefusedSignature},
		{"tampered", func(host string) []byte {
			return tamper(seal(b.Keys, host, agentbus.TypeOrder, func(*agentbus.Order) {}))
		}, agentbus.RefusedSignature},
		{"a confirmation's type", func(host string) []byte {
			return seal(b.Keys, host, agentbus.TypeConfirm, func(*agentbus.Order) {})
		}, agentbus.RefusedMalformed},
		{"version", good(func(o *agentbus.Order) { o.V = 2 }), agentbus.RefusedVersion},
		{"fleet", good(func(o *agentbus.Order) { o.Fleet = "other" }), agentbus.RefusedOtherFleet},
		{"host", good(func(o *agentbus.Order) { o.Host = "web2" }), agentbus.RefusedOtherHost},
		{"no generation", good(func(o *agentbus.Order) { o.Gen = 0 }), agentbus.RefusedMalformed},
		{"commit", good(func(o *agentbus.Order) { o.Commit = "--upload-pack=x" }), agentbus.RefusedMalformed},
		{"older", good(func(o *agentbus.Order) { o.Gen = 2 }), agentbus.RefusedStale},
		{"from the future", good(func(o *agentbus.Order) { o.IssuedAt += (time.Hour / 2).Milliseconds() }), agentbus.RefusedFuture},
		{"expired", good(func(o *agentbus.Order) {
			o.IssuedAt -= 2 * time.Hour.Milliseconds()
			o.ExpiresAt -= 2 * time.Hour.Milliseconds()
		}), agentbus.RefusedExpired},
		{"unknown kind", good(func(o *agentbus.Order) { o.Kind = "run" }), agentbus.RefusedKind},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("host-%d", i)
			host := bustest.Link(t, b.Host(t, name))
			raw(t, b, name, test.data(name))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var refusal *agentbus.Refusal
			if _, err := host.Next(ctx, 3); !errors.As(err, &refusal) || refusal.Code != test.code {
				t.Fatalf("got %v, want a refusal %q", err, test.code)
			}
			if refusal.Reason == "" {
				t.Error("without a reason")
			}
			// Once: now only a good order ends the wait.
			send(t, b.Control, order(name, 6))
			next(t, host, 3, 6)
		})
	}
}

// tamper changes one letter of the payload of an envelope.
func tamper(envelope []byte) []byte {
	text := string(envelope)
	at := strings.Index(text, `"payload":"`) + 60
	swap := byte('A')
	if text[at] == swap {
		swap = 'B'
	}
	return []byte(text[:at] + string(swap) + text[at+1:])
}

func TestSmallClockDifferencesAreForgiven(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	for name, skew := range map[string]time.Duration{"ahead": 119 * time.Second, "behind": -119 * time.Second} {
		cfg := b.Host(t, name)
		cfg.Now = func() time.Time { return time.Now().Add(skew) }
		o := order(name, 1)
		o.ExpiresAt = o.IssuedAt + 60_000
		send(t, b.Control, o)
		next(t, bustest.Link(t, cfg), 0, 1)
	}
}

func TestConfirmationsMustBeSigned(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	host := bustest.Link(t, b.Host(t, "web1"))
	bustest.Eventually(t, "a connection", host.Connected)
	confirm := agentbus.Confirm{V: 1, Fleet: b.Keys.FleetID(), Host: "web1", Order: "forged", Seq: 6}
	forged, err := bustest.Keys(t).Seal(agentbus.TypeConfirm, confirm)
	if err != nil {
		t.Fatal(err)
	}
	confirm.Host = "web2"
	others, err := b.Keys.Seal(agentbus.TypeConfirm, confirm)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{forged, others} {
		if err := b.Control.Publish("cmd.web1", data); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody reads, so the oldest are dropped and the newest stay.
	for seq := range uint32(200) {
		if err := b.Control.Confirm(t.Context(), []agentbus.Confirm{{Host: "web1", Order: "real", Seq: seq}}); err != nil {
			t.Fatal(err)
		}
	}
	for c := range host.Confirms() {
		if c.Order != "real" {
			t.Fatalf("believed %+v", c)
		}
		if c.Seq == 199 {
			break
		}
	}
}
