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
	Insecure bool   `json:"insecure,omitempty"`
	Seed     []byte `json:"-"`
}

// Enroll makes the host's key, if there is none yet, has the server certify it,
// and keeps the result in the state directory. It may be repeated with the same
// token when the reply was lost: the key stays the same.
func Enroll(ctx context.Context, e Enrolment) (Identity, error) {
	if e.Now == nil {
		e.Now = time.Now
	}
	id := Identity{Server: strings.TrimRight(e.Server, "/"), Insecure: e.Insecure}
	endpoint, err := e.endpoint()
	if err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	if err := os.MkdirAll(e.StateDir, 0o700); err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	if id.Seed, err = loadOrCreateSeed(e.StateDir); err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	req, err := agentbus.SignEnroll(id.Seed, agentbus.EnrollRequest{Token: e.Token, Host: e.Host, At: e.Now().UnixMilli()})
	if err != nil {
		return id, err
	}
	if id.EnrollReply, err = post(ctx, endpoint, req); err != nil {
		return id, fmt.Errorf("enrol at %s: %w", id.Server, err)
	}
	if e.Token == "" {
		// Between an order and its arrival the server's number runs ahead of the
		// host's: only the number of the first enrolment is a floor.
		id.LastGen = 0
		if old, err := LoadIdentity(e.StateDir); err == nil {
			id.LastGen = old.LastGen
		}
	}
	if err := writeJSON(statePath(e.StateDir, identityFile), id); err != nil {
		return id, fmt.Errorf("enrol: %w", err)
	}
	return id, nil
}

// endpoint refuses to send a token over the network in the clear.
func (e Enrolment) endpoint() (string, error) {
	u, err := url.Parse(strings.TrimRight(e.Server, "/") + enrollPath)
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

func post(ctx context.Context, endpoint string, body agentbus.EnrollRequest) (reply agentbus.EnrollReply, err error) {
	ctx, cancel := context.WithTimeout(ctx, enrollTimeout)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return reply, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(data))
	if err != nil {
		return reply, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// A token goes to the server that it was typed for and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, replyLimit))
	if err != nil {
		return reply, err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		_ = json.Unmarshal(text, &problem)
		return reply, fmt.Errorf("the server answered %s: %s", resp.Status, clip(or(problem.Detail, or(problem.Title, "no reason given")), 500))
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return reply, fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	if reply.JWT == "" || len(reply.URLs) == 0 || len(reply.OrderKeys) == 0 {
		return reply, errors.New("the server's answer names no certificate, no bus or no order key; is it a NixFleet server?")
	}
	return reply, nil
}

func loadOrCreateSeed(dir string) ([]byte, error) {
	path := statePath(dir, seedFile)
	seed, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return seed, err
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	if seed, err = user.Seed(); err != nil {
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
	return id, nil
}

// Bus is how the host joins the bus.
func (id Identity) Bus() agentbus.HostConfig {
	return agentbus.HostConfig{
		URLs: id.URLs, Host: id.Host, Fleet: id.Fleet, UserJWT: id.JWT, Seed: id.Seed,
		OrderKeys: id.OrderKeys, CA: []byte(id.CA),
	}
}

// renewAt is when half of the certificate's life is over; zero means never.
func (id Identity) renewAt() time.Time {
	claims, err := jwt.DecodeUserClaims(id.JWT)
	if err != nil || claims.Expires == 0 {
		return time.Time{}
	}
	return time.Unix(claims.IssuedAt+(claims.Expires-claims.IssuedAt)/2, 0)
}
