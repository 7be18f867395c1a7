package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	enrollPath    = "/api/v1/enroll"
	enrollTimeout = 30 * time.Second
	replyLimit    = 1 << 20
	identityFile  = "identity.json"
	seedFile      = "seed.nk"
	nextSeedFile  = "seed.next.nk" // of a key that is about to take the other's place
	curveFile     = "curve.nk"
	identityLock  = "identity.lock" // held while the files above change
)

// Enrolment is what a host needs to join a fleet.
type Enrolment struct {
	Server   string // base address, https; http only to the own machine or with Insecure
	Token    string // one-time; empty to renew the certificate of an enrolled host
	Host     string // the name that the fleet knows this host by
	StateDir string
	Insecure bool // allow http to other machines
	Now      func() time.Time
}

// Identity is what a host knows of its fleet. The seed of its key never leaves
// the host.
type Identity struct {
	Server string `json:"server"`
	agentbus.EnrollReply
	Insecure  bool   `json:"insecure,omitempty"`
	KeySerial uint64 `json:"key_serial,omitempty"` // of the newest list of order keys that was accepted
	Seed      []byte `json:"-"`
	Curve     []byte `json:"-"` // seed of the key that opens what is sealed to the host

	changing bool  // a change of key has begun and not ended
	doubt    error // why the server's order keys were not taken
}

// Enroll makes the host's key, if there is none yet, has the server certify it,
// and keeps the result in the state directory. It may be repeated with the same
// token when the reply was lost: the key stays the same.
func Enroll(ctx context.Context, e Enrolment) (Identity, error) {
	if _, err := e.endpoint(enrollPath); err != nil {
		return Identity{}, fmt.Errorf("enrol: %w", err) // before anything is made
	}
	if err := os.MkdirAll(e.StateDir, 0o700); err != nil {
		return Identity{}, fmt.Errorf("enrol: %w", err)
	}
	e.Now = orClock(e.Now)
	lock, err := lockSoon(ctx, statePath(e.StateDir, identityLock))
	if err != nil {
		return Identity{}, fmt.Errorf("enrol: another process renews or changes this host's key right now: %w", err)
	}
	defer lock.Close()
	return e.enroll(ctx)
}

// enroll is Enroll for who holds the lock.
func (e Enrolment) enroll(ctx context.Context) (id Identity, err error) {
	if id.Seed, err = loadOrCreateSeed(e.StateDir, seedFile, nkeys.CreateUser); err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	if id, err = e.certify(ctx, id.Seed, agentbus.SignEnroll); err != nil {
		return id, err
	}
	return id, e.keep(id)
}

// signer signs a request with the key whose seed is given, perhaps with others too.
type signer func(seed []byte, r agentbus.EnrollRequest) (agentbus.EnrollRequest, error)

// certify asks the server for a certificate for the key whose seed is given.
func (e Enrolment) certify(ctx context.Context, seed []byte, sign signer) (Identity, error) {
	id := Identity{Seed: seed}
	id.Server, id.Insecure = strings.TrimRight(e.Server, "/"), e.Insecure
	endpoint, err := e.endpoint(enrollPath)
	if err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	if id.Curve, err = loadOrCreateSeed(e.StateDir, curveFile, nkeys.CreateCurveKeys); err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	curve, err := curvePublic(id.Curve)
	if err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	req, err := sign(seed, agentbus.EnrollRequest{Token: e.Token, Host: e.Host, CurveKey: curve, At: e.Now().UnixMilli()})
	if err != nil {
		return id, err
	}
	if err = post(ctx, endpoint, req, &id.EnrollReply); err == nil {
		err = whole(id.EnrollReply)
	}
	if err != nil {
		return id, fmt.Errorf("enrol at %s: %w", id.Server, err)
	}
	if err := e.goOn(&id); err != nil {
		return id, fmt.Errorf("enrol at %s: %w", id.Server, err)
	}
	return id, nil
}

func (e Enrolment) keep(id Identity) error {
	if err := writeJSON(statePath(e.StateDir, identityFile), id); err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	return nil
}

// goOn keeps of an earlier enrolment what a renewal must not change just like that.
func (e Enrolment) goOn(id *Identity) error {
	lists := id.KeyLists
	id.KeyLists = nil // of no use once read
	if e.Token != "" {
		// The token came from an operator by hand: whom it leads to is believed.
		if list, err := agentbus.AcceptKeys(id.Fleet, id.OrderKeys, 0, lists); err == nil {
			id.KeySerial = list.Serial
		}
		return nil
	}
	// Between an order and its arrival the server's number runs ahead of the
	// host's: only the number of the first enrolment is a floor.
	id.LastGen = 0
	old, err := LoadIdentity(e.StateDir)
	if err != nil {
		return nil //nolint:nilerr // there is nothing to keep
	}
	if id.Fleet != old.Fleet {
		return fmt.Errorf("the server speaks for fleet %s, this host belongs to %s", id.Fleet, old.Fleet)
	}
	id.LastGen, id.OrderKeys, id.KeySerial = old.LastGen, old.OrderKeys, old.KeySerial
	if len(lists) == 0 {
		return nil // a server that knows no lists has one key for ever
	}
	list, err := agentbus.AcceptKeys(old.Fleet, old.OrderKeys, old.KeySerial, lists)
	if err != nil {
		id.doubt = err // it goes on with the keys that it knows
		return nil
	}
	id.OrderKeys, id.KeySerial = list.Keys, list.Serial
	return nil
}

func curvePublic(seed []byte) (string, error) {
	key, err := nkeys.FromCurveSeed(seed)
	if err != nil {
		return "", err
	}
	defer key.Wipe()
	return key.PublicKey()
}

func whole(reply agentbus.EnrollReply) error {
	if reply.JWT == "" || len(reply.URLs) == 0 || len(reply.OrderKeys) == 0 {
		return errors.New("the server's answer names no certificate, no bus or no order key; is it a NixFleet server?")
	}
	return nil
}

// endpoint refuses to send a token over the network in the clear.
func (e Enrolment) endpoint(path string) (string, error) {
	u, err := url.Parse(strings.TrimRight(e.Server, "/") + path)
	if err != nil || u.Host == "" {
		return "", errors.New("the server's address is not a URL")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local && !e.Insecure) {
		return "", fmt.Errorf("the server's address must begin with https://, %s:// would show the token to the network", u.Scheme)
	}
	return u.String(), nil
}

// post sends body to the server and reads its answer into reply.
func post(ctx context.Context, endpoint string, body, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, enrollTimeout)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// A token goes to the server that it was typed for and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, replyLimit))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		_ = json.Unmarshal(text, &problem)
		return fmt.Errorf("the server answered %s: %s", resp.Status, clip(or(problem.Detail, or(problem.Title, "no reason given")), 500))
	}
	if err := json.Unmarshal(text, reply); err != nil {
		return errors.New("the server's answer cannot be read; is it a NixFleet server?")
	}
	return nil
}

// loadOrCreateSeed reads a secret key of this host, and makes one where there is none.
func loadOrCreateSeed(dir, name string, create func() (nkeys.KeyPair, error)) ([]byte, error) {
	path := statePath(dir, name)
	seed, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return seed, err
	}
	key, err := create()
	if err != nil {
		return nil, err
	}
	if seed, err = key.Seed(); err != nil {
		return nil, err
	}
	return seed, writeFile(path, seed, 0o600)
}

// LoadIdentity reads what [Enroll] kept. It is fs.ErrNotExist before that.
func LoadIdentity(stateDir string) (Identity, error) {
	var id Identity
	if err := readJSON(statePath(stateDir, identityFile), &id); err != nil {
		return id, fmt.Errorf("load identity: %w", err)
	}
	seed, err := os.ReadFile(statePath(stateDir, seedFile))
	if err != nil {
		return id, fmt.Errorf("load identity: %w", err)
	}
	id.Seed = seed
	if id.Curve, err = os.ReadFile(statePath(stateDir, curveFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return id, fmt.Errorf("load identity: %w", err)
	}
	_, err = os.Stat(statePath(stateDir, nextSeedFile))
	id.changing = err == nil
	return id, nil
}

// Bus is how the host joins the bus.
func (id Identity) Bus() agentbus.HostConfig {
	return agentbus.HostConfig{
		URLs: id.URLs, Host: id.Host, Fleet: id.Fleet, UserJWT: id.JWT, Seed: id.Seed,
		OrderKeys: id.OrderKeys, CA: []byte(id.CA),
	}
}

// renewAt is when half of the certificate's life is over; zero means never. What an
// earlier version or a change of key left incomplete is made good at once.
func (id Identity) renewAt() time.Time {
	claims, err := jwt.DecodeUserClaims(id.JWT)
	if err != nil || claims.Expires == 0 {
		return time.Time{}
	}
	if user, err := nkeys.FromSeed(id.Seed); id.changing || len(id.Curve) == 0 || err == nil && claims.Subject != publicKey(user) {
		return time.Unix(claims.IssuedAt, 0)
	}
	return time.Unix(claims.IssuedAt+(claims.Expires-claims.IssuedAt)/2, 0)
}

func publicKey(user nkeys.KeyPair) string {
	key, _ := user.PublicKey() // only a wiped key has none
	return key
}

func orClock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}
