package agentbus_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// freeAddress returns an address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// child is a broker in a process of its own, which can be killed.
type child struct {
	dir, listen, keyring string
	cmd                  *exec.Cmd
}

func (c *child) start(t *testing.T) {
	t.Helper()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), brokerChildEnv+"="+strings.Join([]string{c.dir, c.listen, c.keyring}, "|"))
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		c.kill()
		t.Fatalf("broker says %q", line)
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// newChild starts a broker process and returns a bus that reaches it by address.
func newChild(t *testing.T) (*child, *bustest.Bus, agentbus.ControlOptions) {
	t.Helper()
	dir := t.TempDir()
	c := &child{dir: filepath.Join(dir, "bus"), listen: freeAddress(t), keyring: filepath.Join(dir, "bus.json")}
	keys, err := agentbus.LoadOrCreateKeyring(c.keyring)
	if err != nil {
		t.Fatal(err)
	}
	c.start(t)
	t.Cleanup(func() { c.kill() })
	o := agentbus.ControlOptions{URLs: []string{"nats://" + c.listen}, Keys: keys}
	return c, &bustest.Bus{Keys: keys, Control: bustest.Connect(t, o)}, o
}

func TestEverybodyReturnsAfterTheBrokerIsKilled(t *testing.T) {
	t.Parallel()
	c, b, o := newChild(t)
	hosts := map[string]*agentbus.HostLink{}
	for _, name := range []string{"web1", "web2"} {
		cfg := hostOn(t, b, name, o.URLs)
		hosts[name] = bustest.Link(t, cfg)
	}
	var r recorder
	reading(t, b.Control, 0, r.handle)
	send(t, b.Control, order("web1", 1), order("web2", 1))
	got := next(t, hosts["web1"], 0, 1)
	answerAll(t, hosts["web1"], got)
	bustest.Eventually(t, "the first answers", func() bool { return r.count() == 6 })

	c.kill()
	bustest.Eventually(t, "the host to notice", func() bool { return !hosts["web1"].Connected() })
	if err := hosts["web1"].Heartbeat(agentbus.Heartbeat{}); !errors.Is(err, agentbus.ErrAway) {
		t.Errorf("heartbeat without a bus: %v", err)
	}
	if err := hosts["web1"].Answer(t.Context(), agentbus.Answer{Order: got.ID, Seq: 7, Step: agentbus.StepHealthy}); !errors.Is(err, agentbus.ErrAway) {
		t.Errorf("answer without a bus: %v", err)
	}
	c.start(t)

	next(t, hosts["web2"], 0, 1) // acknowledged to Send, so it survived
	bustest.Eventually(t, "the server to return", func() bool {
		return b.Control.Send(t.Context(), []agentbus.Order{order("web1", 2)}) == nil
	})
	got = next(t, hosts["web1"], 1, 2)
	// The host repeats everything: the broker may have lost what it had accepted.
	answerAll(t, hosts["web1"], order("web1", 1))
	answerAll(t, hosts["web1"], got)
	bustest.Eventually(t, "all twelve answers", func() bool { return r.count() == 12 })
	if err := b.Control.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}

// hostOn enrols a host that reaches the broker by address.
func hostOn(t *testing.T, b *bustest.Bus, name string, urls []string) agentbus.HostConfig {
	t.Helper()
	seed, public := bustest.HostKey(t)
	token, err := b.Control.IssueHost(name, public, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return agentbus.HostConfig{URLs: urls, Host: name, Fleet: b.Keys.FleetID(), UserJWT: token, Seed: seed,
		OrderKeys: b.Keys.OrderKeys(), Log: bustest.Log(t)}
}

func TestAnswersGoOnAfterTheStreamHasGoneBack(t *testing.T) {
	t.Parallel()
	c, b, o := newChild(t)
	host := bustest.Link(t, hostOn(t, b, "web1", o.URLs))
	var r recorder
	reading(t, b.Control, 0, r.handle)
	answerAll(t, host, order("web1", 1))
	bustest.Eventually(t, "the first answers", func() bool { return r.count() == 6 })

	// A power cut takes the stream of answers, and the bucket too, with it.
	c.kill()
	streams, err := filepath.Glob(filepath.Join(c.dir, "jetstream", "*", "streams", "*"))
	if err != nil || len(streams) == 0 {
		t.Fatalf("no streams in the store: %v", err)
	}
	for _, dir := range streams {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	c.start(t)
	bustest.Eventually(t, "answers to be taken again", func() bool {
		return host.Answer(t.Context(), agentbus.Answer{Order: "after", Seq: 1, Step: agentbus.StepHealthy}) == nil
	})
	bustest.Eventually(t, "the new answer to be read", func() bool { return r.count() == 7 })

	desired, err := b.Control.Desired(t.Context())
	if err != nil || len(desired) != 0 {
		t.Errorf("bucket after its loss: %v, %v", desired, err)
	}
	send(t, b.Control, order("web1", 2))
	next(t, host, 1, 2)
}

// ownBroker is a nats-server of one's own, on the configuration that the keyring gives.
func ownBroker(t *testing.T, keys *agentbus.Keyring) (url string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(keys.ServerConfig(dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.NoSigs, opts.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready")
	}
	return s.ClientURL()
}

func TestBrokerOfOnesOwn(t *testing.T) {
	t.Parallel()
	keys := bustest.Keys(t)
	o := agentbus.ControlOptions{URLs: []string{ownBroker(t, keys)}, Keys: keys}
	b := &bustest.Bus{Keys: keys, Control: bustest.Connect(t, o)}
	host := bustest.Link(t, hostOn(t, b, "web1", o.URLs))
	var r recorder
	reading(t, b.Control, 0, r.handle)
	send(t, b.Control, order("web1", 1))
	answerAll(t, host, next(t, host, 0, 1))
	bustest.Eventually(t, "six answers", func() bool { return r.count() == 6 })
	m := newMallory(t, hostOn(t, b, "a", o.URLs))
	if err := m.nc.Publish("cmd.web1", nil); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the denial", func() bool { return m.denied("publish", "cmd.web1") })
}

func TestRevocationSurvivesARestart(t *testing.T) {
	t.Parallel()
	c, b, o := newChild(t)
	cfg := hostOn(t, b, "web1", o.URLs)
	if err := agentbus.FreshRoundTrip(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	seed, public := bustest.HostKey(t)
	var err error
	if cfg.UserJWT, err = b.Control.IssueHost("web1", public, time.Hour); err != nil {
		t.Fatal(err)
	}
	cfg.Seed = seed
	if err := b.Control.Revoke(t.Context(), map[string]time.Time{public: time.Now()}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	c.kill()
	c.start(t)
	bustest.Connect(t, o)
	if err := agentbus.FreshRoundTrip(t.Context(), cfg); err == nil {
		t.Error("the broker let a revoked host in")
	}
}

func TestRenewedCertificateIsUsedWhenTheOldOneEnds(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	cfg := b.Host(t, "web1")
	seed, public := bustest.HostKey(t)
	cfg.Seed = seed
	var err error
	if cfg.UserJWT, err = b.Control.IssueHost("web1", public, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	host := bustest.Link(t, cfg)
	bustest.Eventually(t, "a connection", host.Connected)
	renewed, err := b.Control.IssueHost("web1", public, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cfg.UserJWT = renewed
	if err := host.Renew(cfg); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the old certificate to end", func() bool { return !host.Connected() })
	bustest.Eventually(t, "the new one to be used", host.Connected)
	send(t, b.Control, order("web1", 1))
	next(t, host, 0, 1)
}

func TestConnectHostReturnsWithoutABroker(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	cfg := b.Host(t, "web1")
	cfg.URLs = []string{"nats://127.0.0.1:1", "nats://192.0.2.1:4222"} // refuses; never answers
	ctx, cancel := context.WithCancel(t.Context())
	host, err := agentbus.ConnectHost(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := host.Next(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("Next ended with %v", err)
		}
	})
	cancel()
	wg.Wait()
	host.Close()
	for name, edit := range map[string]func(*agentbus.HostConfig){
		"no address": func(c *agentbus.HostConfig) { c.URLs = nil },
		"host":       func(c *agentbus.HostConfig) { c.Host = "a.b" },
		"no keys":    func(c *agentbus.HostConfig) { c.OrderKeys = nil },
		"bad key":    func(c *agentbus.HostConfig) { c.OrderKeys = []string{"x"} },
		"seed":       func(c *agentbus.HostConfig) { c.Seed = []byte("x") },
		"CA":         func(c *agentbus.HostConfig) { c.CA = []byte("x") },
	} {
		cfg := cfg
		edit(&cfg)
		if h, err := agentbus.ConnectHost(t.Context(), cfg); err == nil {
			h.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeyringIsMadeOnceAndKeptSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "bus.json")
	fleets := make([]string, 8)
	var wg sync.WaitGroup
	for i := range fleets {
		wg.Go(func() {
			k, err := agentbus.LoadOrCreateKeyring(path)
			if err != nil {
				t.Error(err)
				return
			}
			fleets[i] = k.FleetID()
		})
	}
	wg.Wait()
	for _, fleet := range fleets {
		if fleet == "" || fleet != fleets[0] {
			t.Fatalf("several fleets: %q", fleets)
		}
	}
	k, err := agentbus.LoadOrCreateKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var secrets map[string]any
	if err := json.Unmarshal(data, &secrets); err != nil {
		t.Fatal(err)
	}
	config := k.ServerConfig("/srv/nats")
	for _, name := range []string{"operator", "system", "control", "agents", "hosts"} {
		if seed := fmt.Sprint(secrets[name]); len(seed) < 50 || strings.Contains(config, seed) {
			t.Errorf("%s: seed %d bytes long is missing from the file or is in the broker's configuration", name, len(seed))
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := agentbus.LoadOrCreateKeyring(path); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a keyring that others may read: %v", err)
	}
	for name, text := range map[string]string{"garbage": `{"operator":"SOSECRET`, "empty": "{}", "version": `{"version":9}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(path, 0o600)
		if _, err := agentbus.LoadOrCreateKeyring(path); err == nil || strings.Contains(err.Error(), "SOSECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
