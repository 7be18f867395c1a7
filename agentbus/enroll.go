package agentbus

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nkeys"
)

const (
	typeEnroll = "application/vnd.nixfleet.enroll+json"
	// enrollWindow is how far At may be from the server's clock. What a repeated
	// request would yield, a certificate for a key, helps only the key's owner.
	enrollWindow = 10 * time.Minute
)

// EnrollRequest asks the server for a certificate: with a one-time token the
// first time, without one when a certificate is to be renewed.
type EnrollRequest struct {
	Token     string `json:"token,omitempty"`
	Host      string `json:"host"`
	PublicKey string `json:"public_key"`          // user nkey
	CurveKey  string `json:"curve_key,omitempty"` // public x25519 nkey, for what only this host may read
	OldKey    string `json:"old_key,omitempty"`   // user nkey that PublicKey is to replace
	At        int64  `json:"at"`                  // Unix milliseconds
	Sig       []byte `json:"sig"`                 // by PublicKey, over all fields but the signatures
	OldSig    []byte `json:"old_sig,omitempty"`   // by OldKey, over the same
}

// EnrollReply is everything that a host has to know of its fleet.
type EnrollReply struct {
	Fleet     string   `json:"fleet"`
	Host      string   `json:"host"`
	JWT       string   `json:"jwt"`
	URLs      []string `json:"urls"`
	OrderKeys []string `json:"order_keys"`
	// KeyLists are the same keys, signed by each: what a host that is enrolled goes by.
	KeyLists []Envelope `json:"key_lists,omitempty"`
	CA       string     `json:"ca,omitempty"` // PEM
	LastGen  uint64     `json:"last_gen"`     // older orders are not to be obeyed
	Repo     string     `json:"repo"`
	Branch   string     `json:"branch"`
	Attr     string     `json:"attr"`
	Tags     []string   `json:"tags,omitempty"`
}

// signed is what the signature covers.
func (r EnrollRequest) signed() ([]byte, error) {
	r.Sig, r.OldSig = nil, nil
	data, err := json.Marshal(r)
	return encodePAE(typeEnroll, data), err
}

// SignEnroll fills in PublicKey and Sig with the user nkey whose seed is given.
func SignEnroll(seed []byte, r EnrollRequest) (EnrollRequest, error) {
	var err error
	if r.PublicKey, err = publicOf(seed); err == nil {
		r.Sig, err = r.sign(seed)
	}
	if err != nil {
		return r, fmt.Errorf("sign enrolment: %w", err)
	}
	return r, nil
}

// SignChange asks for a certificate for the new key in place of the old one. Both
// sign, so nobody can put a key of theirs in another's place, or a key in theirs.
func SignChange(old, next []byte, r EnrollRequest) (EnrollRequest, error) {
	var err error
	if r.OldKey, err = publicOf(old); err != nil {
		return r, fmt.Errorf("sign change of key: %w", err)
	}
	if r, err = SignEnroll(next, r); err != nil {
		return r, err
	}
	if r.OldSig, err = r.sign(old); err != nil {
		return r, fmt.Errorf("sign change of key: %w", err)
	}
	return r, nil
}

func (r EnrollRequest) sign(seed []byte) ([]byte, error) {
	message, err := r.signed()
	if err != nil {
		return nil, err
	}
	return signWith(seed, message)
}

// Verify reports whether r is well formed, of now, and signed by the holders of
// its keys. Whether the token is good is not its concern.
func (r EnrollRequest) Verify(now time.Time) error {
	message, err := r.signed()
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if err := checkSigned(r.Host, r.PublicKey, message, r.Sig, r.At, now); err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if r.CurveKey != "" && !nkeys.IsValidPublicCurveKey(r.CurveKey) {
		return errors.New("enrol: the key to seal with is not a curve nkey")
	}
	if r.OldKey == "" {
		return nil
	}
	if err := checkSigned(r.Host, r.OldKey, message, r.OldSig, r.At, now); err != nil {
		return fmt.Errorf("enrol: the old key: %w", err)
	}
	return nil
}
