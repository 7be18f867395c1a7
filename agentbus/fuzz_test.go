package agentbus

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// FuzzEnvelope lets the fuzzer write the bytes that a host receives, and the
// payload of a rightly signed envelope: the key is the fleet's, the content is not.
func FuzzEnvelope(f *testing.F) {
	k := &Keyring{fleet: "f", orders: []ed25519.PrivateKey{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}}
	keys, err := parseOrderKeys(k.OrderKeys())
	if err != nil {
		f.Fatal(err)
	}
	me := recipient{fleet: k.fleet, host: "web1", keys: keys}
	now := time.UnixMilli(1_700_000_000_000)
	o := Order{V: 1, Fleet: k.fleet, Host: "web1", Gen: 3, ID: "o1", Kind: KindNoop,
		IssuedAt: now.UnixMilli(), ExpiresAt: now.Add(time.Hour).UnixMilli()}
	good, err := k.seal(TypeOrder, o)
	if err != nil {
		f.Fatal(err)
	}
	payload, err := json.Marshal(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(payload)
	for _, seed := range []string{"", "{}", "null", `{"payload":"e30=","sig":""}`, `{"stream":"EVENTS","seq":1}`, strings.Repeat(`{"policy":`, 999)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, refusal := me.open(data); refusal == nil {
			e, err := parseEnvelope(data)
			if err != nil || !ed25519.Verify(keys[e.KeyID], encodePAE(TypeOrder, e.Payload), e.Sig) {
				t.Fatalf("believed %+v without a signature", got)
			}
		}
		e := Envelope{Type: TypeOrder, Payload: data, KeyID: keyID(k.orders[0].Public().(ed25519.PublicKey))}
		e.Sig = ed25519.Sign(k.orders[0], encodePAE(e.Type, e.Payload))
		signed, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, refusal := me.open(signed)
		if refusal != nil {
			if refusal.Code == RefusedSignature || refusal.Reason == "" {
				t.Fatalf("refused with %+v", refusal)
			}
			return
		}
		if got.V != 1 || got.Fleet != k.fleet || got.Host != "web1" || got.Gen == 0 {
			t.Fatalf("accepted %+v", got)
		}
		if refusal := got.fresh(got.Gen, now); refusal == nil || refusal.Code != RefusedStale {
			t.Fatalf("accepted the same generation again: %+v", refusal)
		}
	})
}

// FuzzReports lets the fuzzer write what the server receives from hosts.
func FuzzReports(f *testing.F) {
	for _, seed := range []string{
		`{"v":1,"order":"o","seq":1,"step":"healthy","facts":{"lock":{"sha256":"x","inputs":[]}}}`,
		`{"v":1,"at":1,"observed":{"load1":1e308}}`, `{"v":1,"order":"o","seq":1,"text":"AA=="}`, `{"note":"\u0000\\u0000"}`, "[",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := parseAnswer(data); err == nil {
			text, err := json.Marshal(a)
			if err != nil || bytes.Contains(text, []byte(`"\u0000`)) {
				t.Fatalf("%s: %v", text, err)
			}
			if strings.ContainsRune(a.Note, 0) || a.At < 0 || a.Seq == 0 || !a.Step.known() {
				t.Fatalf("accepted %+v", a)
			}
		}
		if b, err := parseHeartbeat(data); err == nil && (b.At < 0 || b.Gen > maxCount) {
			t.Fatalf("accepted %+v", b)
		}
		if l, err := parseLogChunk(data); err == nil && (l.Offset < 0 || len(l.Text) > maxLogText) {
			t.Fatalf("accepted a chunk of %d bytes at %d", len(l.Text), l.Offset)
		}
	})
}
