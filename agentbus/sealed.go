package agentbus

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nkeys"
)

const typeRepoToken = "application/vnd.nixfleet.repo-token+json"

// RepoTokenRequest asks the server for a token with which the host's repository can
// be read. What a repeated request yields only the host can open.
type RepoTokenRequest struct {
	Host      string `json:"host"`
	PublicKey string `json:"public_key"` // user nkey
	At        int64  `json:"at"`         // Unix milliseconds
	Sig       []byte `json:"sig"`        // by that nkey, over all other fields
}

// Sealed is something that only the host can read: sealed by Sender to the host's
// curve key, for the server made a key for this one message.
type Sealed struct {
	Sender string `json:"sender"`
	Data   []byte `json:"data"`
}

// RepoToken lets git read one repository for a while.
type RepoToken struct {
	Repo    string `json:"repo"` // clone URL that it is for
	Token   string `json:"token"`
	Expires int64  `json:"expires"` // Unix milliseconds
}

func (r RepoTokenRequest) signed() ([]byte, error) {
	r.Sig = nil
	data, err := json.Marshal(r)
	return encodePAE(typeRepoToken, data), err
}

// SignRepoToken fills in PublicKey and Sig with the user nkey whose seed is given.
func SignRepoToken(seed []byte, r RepoTokenRequest) (RepoTokenRequest, error) {
	var err error
	if r.PublicKey, err = publicOf(seed); err != nil {
		return r, fmt.Errorf("sign request for a token: %w", err)
	}
	message, err := r.signed()
	if err == nil {
		r.Sig, err = signWith(seed, message)
	}
	if err != nil {
		return r, fmt.Errorf("sign request for a token: %w", err)
	}
	return r, nil
}

// Verify reports whether r is well formed, of now, and signed by its key.
func (r RepoTokenRequest) Verify(now time.Time) error {
	message, err := r.signed()
	if err != nil {
		return err
	}
	return checkSigned(r.Host, r.PublicKey, message, r.Sig, r.At, now)
}

// Seal closes v for the holder of a curve key.
func Seal(curveKey string, v any) (Sealed, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal: %w", err)
	}
	sender, err := nkeys.CreateCurveKeys()
	if err != nil {
		return Sealed{}, fmt.Errorf("seal: %w", err)
	}
	defer sender.Wipe()
	s := Sealed{Sender: publicKey(sender)}
	if s.Data, err = sender.Seal(data, curveKey); err != nil {
		return Sealed{}, fmt.Errorf("seal: %w", err)
	}
	return s, nil
}

// Open reads into v what was sealed to the curve key whose seed is given.
func (s Sealed) Open(curveSeed []byte, v any) error {
	key, err := nkeys.FromCurveSeed(curveSeed)
	if err != nil {
		return fmt.Errorf("open what was sealed: %w", err)
	}
	defer key.Wipe()
	data, err := key.Open(s.Data, s.Sender)
	if err != nil {
		return errors.New("open what was sealed: it is not for this host")
	}
	if err := json.Unmarshal(data, v); err != nil {
		return errors.New("open what was sealed: it cannot be read") // the reason may quote it
	}
	return nil
}

// publicOf is the public key of a user nkey.
func publicOf(seed []byte) (string, error) {
	user, err := nkeys.FromSeed(seed)
	if err != nil {
		return "", err
	}
	defer user.Wipe()
	return user.PublicKey()
}

func signWith(seed, message []byte) ([]byte, error) {
	user, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, err
	}
	defer user.Wipe()
	return user.Sign(message)
}

// checkSigned reports whether message is of now and signed by the key of a host.
func checkSigned(host, key string, message, sig []byte, at int64, now time.Time) error {
	if err := checkHost(host); err != nil {
		return err
	}
	if !nkeys.IsValidPublicUserKey(key) {
		return errors.New("the public key is not a user nkey")
	}
	user, err := nkeys.FromPublicKey(key)
	if err != nil {
		return err
	}
	if user.Verify(message, sig) != nil {
		return errors.New("the signature is not that of the public key")
	}
	if off := time.UnixMilli(at).Sub(now); off.Abs() > enrollWindow {
		return fmt.Errorf("the clocks of host and server differ by %v: set the host's clock", off.Abs().Round(time.Second))
	}
	return nil
}
