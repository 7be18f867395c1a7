package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/broker"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const (
	simRepo     = "octo/fleet"
	simParallel = 2
	simPolicy   = `version: 1
updates: {require_checks: false}
deploy:
  waves: [{name: first, hosts: "1"}, {name: rest, hosts: "all"}]
  max_parallel: 2
  max_failures: 1
  on_failure: %s
  settle: 1s
  timeouts: {fetch: 60s, build: 60s, switch: 60s, verify: 60s}
`
)

// simClock is the real one, from which tests may jump forward.
type simClock struct{ ahead atomic.Int64 }

func (c *simClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *simClock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// simFleet is one or two whole servers and hosts with the real agent, real git over HTTP and
// a real bus. Only Nix is a stand-in that takes no time (testdata/sim), and what lies
// between a host and the bus does what the history says (flaky).
type simFleet struct {
	t     *testing.T
	rt    *rapid.T
	ctx   context.Context
	clock *simClock
	hub   *forgetest.Server
	app   *App
	dir   string
	hosts []*simHost
	log   *remarks

	mu        sync.Mutex
	systems   map[string]string // commit by the hash in its store path, for every host
	broken    []string          // invariants that did not hold
	observers sync.WaitGroup
	stop      context.CancelFunc
	undo      []func()
}

func newSimFleet(t *testing.T, rt *rapid.T, hosts, servers int, onFailure string) *simFleet {
	s := &simFleet{t: t, rt: rt, clock: &simClock{}, log: &remarks{}, systems: map[string]string{}}
	s.ctx, s.stop = context.WithTimeout(context.Background(), 5*time.Minute)
	var err error
	s.dir, err = os.MkdirTemp("", "nixfleet-sim-")
	must(t, err)
	s.later(func() { _ = os.RemoveAll(s.dir) })
	for _, program := range []string{"nix", "nix-env"} {
		text, err := os.ReadFile(filepath.Join("testdata", "sim", program))
		must(t, err)
		s.write("bin/"+program, string(text))
	}
	s.hub, err = forgetest.New(forgetest.Options{Dir: filepath.Join(s.dir, "github"), Now: s.clock.now})
	must(t, err)
	s.later(func() { _ = s.hub.Close() })
	_, err = s.hub.AddRepo(forgetest.Repo{Name: simRepo})
	must(t, err)
	s.startServers(servers)
	s.push(map[string]string{".github/nixfleet.yml": fmt.Sprintf(simPolicy, onFailure)})
	s.await("the server to see its repository", func(o fleet.Overview) bool {
		return len(o.Repos) == 1 && o.Repos[0].HeadSHA == s.hub.Head(simRepo, "main") && o.Repos[0].Policy != nil
	})
	for i := range hosts {
		s.hosts = append(s.hosts, newSimHost(s, fmt.Sprintf("host%d", i+1)))
	}
	s.observers.Go(s.observe)
	return s
}

func (s *simFleet) later(f func()) { s.undo = append(s.undo, f) }

// end takes everything down, and says what did not hold.
func (s *simFleet) end() {
	for _, h := range s.hosts {
		h.stop()
	}
	s.stop()
	s.observers.Wait()
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.broken {
		s.rt.Errorf("%s", b)
	}
}

func (s *simFleet) write(name, text string) {
	path := filepath.Join(s.dir, name)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(s.t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "@SIM@", s.dir)), 0o755))
}

// startServers starts replicas on one database and one bus. The first is the one that
// GitHub and hosts know.
func (s *simFleet) startServers(n int) {
	secrets := filepath.Join(s.dir, "secrets")
	must(s.t, os.MkdirAll(secrets, 0o700))
	key, hook := filepath.Join(secrets, "app.pem"), filepath.Join(secrets, "webhook")
	must(s.t, os.WriteFile(key, s.hub.PrivateKeyPEM, 0o600))
	must(s.t, os.WriteFile(hook, []byte(webhookSecret), 0o600))
	cfg := Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(s.dir, "server"), DatabaseURL: dbtest.Server(s.t), NATSURL: s.startBus(),
		GitHubAPIURL: s.hub.APIURL(), GitHubWebURL: s.hub.URL(), GitHubAppID: s.hub.AppID,
		GitHubPrivateKeyFile: key, GitHubSecretFile: hook, Now: s.clock.now, Log: zerolog.New(s.log).Level(zerolog.WarnLevel),
	}
	for range n {
		a, err := Start(s.ctx, cfg)
		must(s.t, err)
		s.later(func() { _ = a.Stop() })
		if s.app == nil {
			s.app = a
		}
	}
	s.hub.SetWebhook(s.app.URL()+"/api/github/hook", webhookSecret)
}

// startBus starts a NATS apart from the servers, for the keys that they will find.
func (s *simFleet) startBus() string {
	must(s.t, os.MkdirAll(filepath.Join(s.dir, "server"), 0o755))
	keys, err := agentbus.LoadOrCreateKeyring(filepath.Join(s.dir, "server", "keys.json"))
	must(s.t, err)
	b, err := broker.Start(s.ctx, broker.Options{Dir: filepath.Join(s.dir, "bus"), Listen: "127.0.0.1:0", Trust: keys.Trust()})
	must(s.t, err)
	s.later(func() { _ = b.Shutdown(context.Background()) })
	return b.URL()
}

// push commits to the default branch, with a lock that is always new.
func (s *simFleet) push(files map[string]string) string {
	if files == nil {
		files = map[string]string{}
	}
	s.clock.forward(time.Second)
	files["flake.nix"] = "{ outputs = _: { }; }\n"
	files["flake.lock"] = fmt.Sprintf(`{"nodes":{"root":{}},"root":"root","version":7,"n":%d}`, s.clock.now().UnixNano())
	sha, err := s.hub.CommitFiles(simRepo, forgetest.Commit{Files: files, Message: "Change\n"})
	must(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range 9 {
		s.systems[simHash(sha, fmt.Sprintf("host%d", i+1))] = sha
	}
	return sha
}

// simHash is how the stand-in for Nix names the system of a host at a commit.
func simHash(commit, host string) string {
	sum := sha256.Sum256([]byte(commit + host))
	return hex.EncodeToString(sum[:])[:32]
}

// behave says what the system of a host at a commit does when it is built or activated:
// nobuild, refuse (the activation fails before it changes anything) or half (it fails
// after it has).
func (s *simFleet) behave(commit, host, how string) {
	s.write("behaviour/"+commit+"-"+host, how)
}

// await waits until the read model satisfies done.
func (s *simFleet) await(what string, done func(fleet.Overview) bool) {
	s.t.Helper()
	if err := s.app.Await(s.ctx, what, done); err != nil {
		s.rt.Fatalf("%v\nlog:\n%s", err, s.log)
	}
}

// impatient waits like await. Whenever the rollouts have not moved for a while, time
// jumps, so that what waits for a time-out gets it.
func (s *simFleet) impatient(what string, done func(fleet.Overview) bool) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var moved atomic.Int64
	moved.Store(time.Now().UnixNano())
	var pusher sync.WaitGroup
	defer pusher.Wait()
	defer cancel()
	pusher.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				if time.Since(time.Unix(0, moved.Load())) > time.Second {
					s.clock.forward(20 * time.Second)
				}
			}
		}
	})
	last := ""
	s.await(what, func(o fleet.Overview) bool {
		if now := progressText(o); now != last {
			last = now
			moved.Store(time.Now().UnixNano())
		}
		return done(o)
	})
}

func progressText(o fleet.Overview) string {
	var b strings.Builder
	for _, r := range o.Rollouts {
		fmt.Fprintf(&b, "%s %s", r.ID, r.State)
		for _, p := range r.Hosts {
			fmt.Fprintf(&b, " %s:%s", p.Host, p.State)
		}
	}
	return b.String()
}

// observe holds every moment against what must never be.
func (s *simFleet) observe() {
	_ = s.app.db.Listen(s.ctx, func() {
		o, err := s.app.db.Overview(s.ctx, s.clock.now())
		if err != nil {
			return
		}
		for _, r := range o.Rollouts {
			busy := 0
			for _, p := range r.Hosts {
				if p.State.UnderWay() {
					busy++
				}
			}
			if busy > simParallel {
				s.breaks("rollout %s has %d hosts under way, max_parallel is %d: %s", r.ID, busy, simParallel, progressText(o))
			}
		}
	})
}

func (s *simFleet) breaks(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.broken) < 10 {
		s.broken = append(s.broken, fmt.Sprintf(format, args...))
	}
}

// simOperator is who enrols and deploys.
var simOperator = fleet.Actor{Login: "ada", Type: "local"}

// token makes a host's one-time token.
func (s *simFleet) token(name string) string {
	token, _, err := s.app.NewHost(s.ctx, simOperator, api.NewHost{Name: name, Attr: "nixosConfigurations." + name, Repo: simRepo})
	must(s.t, err)
	return token
}

// ordered is every order that a host was ever given.
func (s *simFleet) ordered(host string) []fleet.Order {
	orders, err := s.app.db.OrdersOf(s.ctx, host, "", 1000)
	must(s.t, err)
	return orders
}
