package agentbus

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// clockSlack is how far the clocks of server and host may be apart.
const clockSlack = 2 * time.Minute

// Refusal says why a host does not accept what stands in its key of the bucket.
// The agent answers it; the bus never does so by itself.
type Refusal struct {
	Code   string // one of the Refused constants
	Order  Order  // what could be read; not to be believed if Code is RefusedSignature or RefusedMalformed
	Reason string // one plain sentence
}

func (r *Refusal) Error() string { return fmt.Sprintf("order %s refused: %s", r.Order.ID, r.Reason) }

// encodePAE is DSSE's pre-authentication encoding: type and payload cannot be
// confused with one another, whatever they hold.
func encodePAE(kind string, payload []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(kind), kind, len(payload)), payload...)
}

func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// seal signs v, which is an Order, a Confirm or a Summons, with the current order key.
func (k *Keyring) seal(kind string, v any) ([]byte, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(envelope(k.signer(), kind, payload))
	if err == nil && len(data) > maxEnvelope {
		err = fmt.Errorf("%d bytes are more than the %d that an order may have", len(data), maxEnvelope)
	}
	return data, err
}

// orderKeys are the public keys whose signature is accepted, by id.
type orderKeys map[string]ed25519.PublicKey

func parseOrderKeys(keys []string) (orderKeys, error) {
	out := make(orderKeys, len(keys))
	for _, text := range keys {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("order key %q is not an ed25519 public key in base64", text)
		}
		out[keyID(raw)] = raw
	}
	if len(out) == 0 {
		return nil, errors.New("no order key is pinned, so no order could be verified")
	}
	return out, nil
}

func (keys orderKeys) signed(e Envelope) bool {
	key, known := keys[e.KeyID]
	return known && len(e.Sig) == ed25519.SignatureSize && ed25519.Verify(key, encodePAE(e.Type, e.Payload), e.Sig)
}

// parseEnvelope reads an envelope without believing it.
func parseEnvelope(data []byte) (Envelope, error) {
	var e Envelope
	if len(data) > maxEnvelope {
		return e, fmt.Errorf("%d bytes are more than an envelope may have", len(data))
	}
	if !bytes.HasPrefix(data, []byte("{")) {
		return e, errors.New("it is not a JSON object")
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("it is not an envelope: %w", err)
	}
	if len(e.Payload) == 0 {
		return e, errors.New("it has no payload")
	}
	return e, nil
}

// recipient is who a host is and whom it believes.
type recipient struct {
	fleet, host string
	keys        orderKeys
}

// open checks everything about data that does not depend on time or on earlier
// orders, in the order of SPEC 9: key, signature, version, fleet, host, content.
func (r recipient) open(data []byte) (Order, *Refusal) {
	return r.openEnvelope(parseEnvelope(data))
}

func (r recipient) openEnvelope(e Envelope, err error) (Order, *Refusal) {
	if err != nil {
		return Order{}, &Refusal{Code: RefusedMalformed, Reason: "what stands in the bucket is no signed order: " + err.Error()}
	}
	var o Order
	parseErr := json.Unmarshal(e.Payload, &o)
	refuse := func(code, format string, args ...any) (Order, *Refusal) {
		return Order{}, &Refusal{Code: code, Order: o, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case e.Type != TypeOrder:
		return refuse(RefusedMalformed, "the envelope holds %q, not an order", e.Type)
	case !r.keys.signed(e):
		return refuse(RefusedSignature, "no key that this host has pinned signed it (key id %q)", e.KeyID)
	case parseErr != nil:
		return refuse(RefusedMalformed, "the signed order cannot be read: %v", parseErr)
	case o.V != ProtocolVersion:
		return refuse(RefusedVersion, "it has version %d, this agent knows version %d", o.V, ProtocolVersion)
	case o.Fleet != r.fleet:
		return refuse(RefusedOtherFleet, "it is from fleet %q, this host belongs to %q", o.Fleet, r.fleet)
	case o.Host != r.host:
		return refuse(RefusedOtherHost, "it is for host %q, this is %q", o.Host, r.host)
	}
	if err := o.check(); err != nil {
		return refuse(RefusedMalformed, "%v", err)
	}
	return o, nil
}

// fresh checks what depends on the time and on the orders before o.
func (o Order) fresh(lastGen uint64, now time.Time) *Refusal {
	issued, expires := time.UnixMilli(o.IssuedAt), time.UnixMilli(o.ExpiresAt)
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case o.Gen <= lastGen:
		return &Refusal{Code: RefusedStale, Order: o,
			Reason: fmt.Sprintf("its generation %d is not newer than %d", o.Gen, lastGen)}
	case issued.After(now.Add(clockSlack)):
		return &Refusal{Code: RefusedFuture, Order: o,
			Reason: fmt.Sprintf("it was issued at %s, and this host's clock says %s", stamp(issued), stamp(now))}
	case now.After(expires.Add(clockSlack)):
		return &Refusal{Code: RefusedExpired, Order: o,
			Reason: fmt.Sprintf("it expired at %s, and this host's clock says %s", stamp(expires), stamp(now))}
	}
	if !o.Kind.known() {
		return &Refusal{Code: RefusedKind, Order: o, Reason: fmt.Sprintf("this agent does not know the order %q", o.Kind)}
	}
	return nil
}

func (k Kind) known() bool {
	switch k {
	case KindDeploy, KindPull, KindSwitch, KindTest, KindBoot, KindRollback, KindRestartAgent, KindReboot,
		KindRefresh, KindUpdateInputs, KindCancel, KindNoop:
		return true
	}
	return false
}

// check refuses an order that no host could carry out. Both ends call it: the
// server before it signs, the host after it has verified.
func (o Order) check() error {
	switch {
	case !orderName.MatchString(o.ID):
		return fmt.Errorf("order id %q is not 1 to 64 letters, digits, '_' or '-'", o.ID)
	case o.Gen == 0 || o.Gen > maxCount:
		return fmt.Errorf("order %s: generation %d is out of range", o.ID, o.Gen)
	case o.ExpiresAt <= o.IssuedAt:
		return fmt.Errorf("order %s: it expires before it is issued", o.ID)
	case o.Commit != "" && !isCommit(o.Commit):
		return fmt.Errorf("order %s: commit %q is not 40 hex digits", o.ID, o.Commit)
	case len(o.Evaluate) > MaxEvaluated:
		return fmt.Errorf("order %s: it asks for %d evaluations, at most %d may be", o.ID, len(o.Evaluate), MaxEvaluated)
	}
	switch o.Kind {
	case KindDeploy, KindPull, KindUpdateInputs:
		if o.Commit == "" || o.Repo == "" {
			return fmt.Errorf("order %s: %s needs a repository and a commit", o.ID, o.Kind)
		}
	case KindCancel:
		if o.Cancels == "" {
			return fmt.Errorf("order %s: cancel names no order", o.ID)
		}
	case KindRollback:
		if o.Commit != "" && o.Target == "" && o.Repo == "" {
			return fmt.Errorf("order %s: a rollback to a commit needs a repository", o.ID)
		}
	case KindSwitch, KindTest, KindBoot, KindRestartAgent, KindReboot, KindRefresh, KindNoop:
	}
	return nil
}

func isCommit(s string) bool {
	if len(s) != 40 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// openConfirm returns the confirmation in e if it is signed and for this host.
func (r recipient) openConfirm(e Envelope) (Confirm, bool) {
	var c Confirm
	if e.Type != TypeConfirm || !r.keys.signed(e) || json.Unmarshal(e.Payload, &c) != nil {
		return c, false
	}
	return c, c.V == ProtocolVersion && c.Fleet == r.fleet && c.Host == r.host && orderName.MatchString(c.Order)
}

// openSummons reports whether e is a signed summons to this host.
func (r recipient) openSummons(e Envelope) bool {
	var s Summons
	if e.Type != TypeSummons || !r.keys.signed(e) || json.Unmarshal(e.Payload, &s) != nil {
		return false
	}
	return s.V == ProtocolVersion && s.Fleet == r.fleet && s.Host == r.host
}
