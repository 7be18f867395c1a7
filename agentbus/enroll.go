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
	PublicKey string `json:"public_key"` // user nkey
	At        int64  `json:"at"`         // Unix milliseconds
	Sig       []byte `json:"sig"`        // by that nkey, over all other fields
}

// EnrollReply is everything that a host has to know of its fleet.
type EnrollReply struct {
	Fleet     string   `json:"fleet"`
	Host      string   `json:"host"`
	JWT       string   `json:"jwt"`
	URLs      []string `json:"urls"`
	OrderKeys []string `json:"order_keys"`
	CA        string   `json:"ca,omitempty"` // PEM
	LastGen   uint64   `json:"last_gen"`     // older orders are not to be obeyed
	Repo      string   `json:"repo"`
	Branch    string   `json:"branch"`
	Attr      string   `json:"attr"`
	Tags      []string `json:"tags,omitempty"`
}

// signed is what the signature covers.
func (r EnrollRequest) signed() ([]byte, error) {
	r.Sig = nil
	data, err := json.Marshal(r)
	return encodePAE(typeEnroll, data), err
}

// SignEnroll fills in PublicKey and Sig with the user nkey whose seed is given.
func SignEnroll(seed []byte, r EnrollRequest) (EnrollRequest, error) {
	user, err := nkeys.FromSeed(seed)
	if err != nil {
		return r, fmt.Errorf("sign enrolment: %w", err)
	}
	defer user.Wipe()
	r.PublicKey = publicKey(user)
	message, err := r.signed()
	if err != nil {
		return r, fmt.Errorf("sign enrolment: %w", err)
	}
	if r.Sig, err = user.Sign(message); err != nil {
		return r, fmt.Errorf("sign enrolment: %w", err)
	}
	return r, nil
}

// Verify reports whether r is well formed, of now, and signed by the holder of
// its key. Whether the token is good is not its concern.
func (r EnrollRequest) Verify(now time.Time) error {
	if err := checkHost(r.Host); err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if !nkeys.IsValidPublicUserKey(r.PublicKey) {
		return errors.New("enrol: the public key is not a user nkey")
	}
	user, err := nkeys.FromPublicKey(r.PublicKey)
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	message, err := r.signed()
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if user.Verify(message, r.Sig) != nil {
		return errors.New("enrol: the signature is not that of the public key")
	}
	if off := time.UnixMilli(r.At).Sub(now); off.Abs() > enrollWindow {
		return fmt.Errorf("enrol: the clocks of host and server differ by %v: set the host's clock", off.Abs().Round(time.Second))
	}
	return nil
}
