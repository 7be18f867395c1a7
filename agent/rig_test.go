package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// rig is one host with a real bus, a real repository and a real Nix store, and
// the server's end of it all.
type rig struct {
	t      *testing.T
	bus    *bustest.Bus
	host   agentbus.HostConfig
	dir    string // of the host: state, profile, current system
	repo   string
	gen    uint64
	policy agentbus.OrderPolicy

	supervisor []string      // nil for this binary
	enter      []string      // command that runs what follows where the host is; nil for here
	deaf       bool          // the bus takes no output from agents started now
	configure  func(*Config) // of the agents that are started from now on; may be nil

	mu       sync.Mutex
	answers  []agentbus.Answer // in the order of arrival, repetitions included
	confirm  bool
	beats    []agentbus.Heartbeat
	logs     map[string][]byte
	fresh    func(context.Context) error
	onAnswer func(agentbus.Answer) // called by the agent's link, before sending
}

// newRig skips the test where Nix is missing.
func newRig(t *testing.T) *rig {
	t.Helper()
	if nixEnv == nil {
		t.Skip("nix and git are not installed")
	}
	return newRigOn(t, bustest.Start(t))
}

func newRigOn(t *testing.T, bus *bustest.Bus) *rig {
	r := &rig{t: t, bus: bus, dir: t.TempDir(), repo: t.TempDir(), host: bus.Host(t, "web1"), confirm: true, logs: map[string][]byte{}}
	r.fresh = func(ctx context.Context) error { return agentbus.FreshRoundTrip(ctx, r.host) }
	r.policy = agentbus.OrderPolicy{SwitchTimeout: 300, VerifyTimeout: 300, Settle: 1}
	r.git("init", "--quiet", "--initial-branch=main")
	r.git("config", "user.email", "nobody@example.com")
	r.git("config", "user.name", "nobody")

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = bus.Control.Answers(ctx, 0, r.record) })
	wg.Go(func() { _ = bus.Control.Heartbeats(ctx, r.recordBeats) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

// record is the server: it keeps each answer and confirms it.
func (r *rig) record(ctx context.Context, received []agentbus.Received) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var confirms []agentbus.Confirm
	for _, rec := range received {
		r.answers = append(r.answers, rec.Answer)
		confirms = append(confirms, agentbus.Confirm{Host: rec.Host, Order: rec.Answer.Order, Seq: rec.Answer.Seq})
	}
	if !r.confirm {
		return nil
	}
	return r.bus.Control.Confirm(ctx, confirms)
}

func (r *rig) recordBeats(beats []agentbus.HostBeat) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range beats {
		r.beats = append(r.beats, b.Heartbeat)
	}
	return nil
}

func (r *rig) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.repo}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// system is what the flake at a commit is like.
type system struct {
	version string
	exit    int    // of the activation
	also    string // command that the activation runs first
	hold    string // file; the build waits while it is there
	fails   bool   // the build fails
	broken  bool   // the flake does not evaluate
	kernel  string // what makes its kernel differ from others
	agent   string // what makes its agent differ from others
}

// The activation leaves a trace for every run, and waits while a file is there.
const flakeText = `{
  inputs.nixpkgs.url = "github:a/b";
  outputs = { self, ... }: { nixosConfigurations.web1.config.system.build.toplevel = derivation {
    name = "nixos-system-web1"; system = builtins.currentSystem or "x86_64-linux"; builder = "/bin/sh";
    args = [ "-c" ''
      PATH=/usr/bin:/bin
      echo building %[1]s >&2
      while [ -e "%[2]s" ]; do echo $$ > "%[2]s.pid"; sleep 0.1; done
      %[3]s
      mkdir -p $out/bin $out/sw/bin
      echo %[1]s > $out/nixos-version
      ln -s ${builtins.toFile "kernel" "%[5]s"} $out/kernel
      ln -s ${builtins.toFile "agent" "%[6]s"} $out/sw/bin/nixfleet-agent
      cat > $out/bin/switch-to-configuration <<EOF
      #!/bin/sh
      echo activating %[1]s
      echo $out >> "\$NIXFLEET_CURRENT_SYSTEM.runs"
      %[7]s
      while [ -e "\$NIXFLEET_CURRENT_SYSTEM.hold" ]; do sleep 0.1; done
      [ %[4]d != 100 ] && [ "\$1" != boot ] && ln -sfn $out "\$NIXFLEET_CURRENT_SYSTEM"
      exit %[4]d
      EOF
      sed -i 's/^ *//' $out/bin/switch-to-configuration
      chmod +x $out/bin/switch-to-configuration
    '' ];
  }; };
}
`

// commit puts s on the main branch.
func (r *rig) commit(s system) string {
	r.t.Helper()
	text := fmt.Sprintf(flakeText, s.version, s.hold, map[bool]string{true: "echo no such luck >&2; exit 3"}[s.fails], s.exit, s.kernel, s.agent, s.also)
	text = strings.Replace(text, `builtins.currentSystem or "x86_64-linux"`, `"`+nixSystem()+`"`, 1)
	if s.broken {
		text = "{ inputs.nixpkgs.url = \"github:a/b\"; outputs = { ... }: { }; }\n"
	}
	if err := os.WriteFile(filepath.Join(r.repo, "flake.nix"), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	const lock = `{"nodes":{"nixpkgs":{"locked":{"lastModified":1700000000,"narHash":"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","owner":"a","repo":"b","rev":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","type":"github"},"original":{"owner":"a","repo":"b","type":"github"}},"root":{"inputs":{"nixpkgs":"nixpkgs"}}},"root":"root","version":7}`
	if err := os.WriteFile(filepath.Join(r.repo, "flake.lock"), []byte(lock), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.git("add", ".")
	r.git("commit", "--quiet", "--allow-empty", "-m", "version "+s.version)
	return r.git("rev-parse", "HEAD")
}

func (r *rig) path(elem ...string) string { return filepath.Join(append([]string{r.dir}, elem...)...) }

// hostConfig is that of a host whose every place is below dir.
func hostConfig(dir string) Config {
	at := func(elem ...string) string { return filepath.Join(append([]string{dir}, elem...)...) }
	tools := at("tools")
	if _, err := os.Stat(tools); err != nil {
		tools = ""
	}
	return Config{
		StateDir: at("state"), Tools: tools,
		Paths: Paths{Profile: at("profiles", "system"), Current: at("current"), Booted: at("booted"), Store: dir},
		Nix:   Nix{Env: nixEnv}, Git: Git{Protocols: []string{"file"}},
		IdleBeat: 200 * time.Millisecond, BusyBeat: 50 * time.Millisecond,
	}
}

func (r *rig) config(link Link) Config {
	c := hostConfig(r.dir)
	c.Link, c.Log, c.Supervisor = link, bustest.Log(r.t), r.supervisor
	c.FreshRoundTrip = func(ctx context.Context) error { return r.freshNow()(ctx) }
	if r.configure != nil {
		r.configure(&c)
	}
	return c
}

func (r *rig) freshNow() func(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh
}

// tappedLink lets a test see an answer before it leaves the host.
type tappedLink struct {
	Link
	tap func(agentbus.Answer)
}

func (l tappedLink) Answer(ctx context.Context, a agentbus.Answer) error {
	l.tap(a)
	return l.Link.Answer(ctx, a)
}

// start runs an agent; stop ends it and waits. Stop may be called twice.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	link, err := agentbus.ConnectHost(ctx, r.host)
	if err != nil {
		r.t.Fatal(err)
	}
	var l Link = link
	if r.deaf {
		l = deafLink{link}
	}
	a, err := New(r.config(tappedLink{l, func(a agentbus.Answer) {
		r.mu.Lock()
		f := r.onAnswer
		r.mu.Unlock()
		if f != nil {
			f(a)
		}
	}}))
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done; link.Close() }
	r.t.Cleanup(stop)
	return stop
}

// spawn runs an agent in a process of its own; kill ends it as a crash would.
func (r *rig) spawn() (kill func()) {
	r.t.Helper()
	id := Identity{EnrollReply: agentbus.EnrollReply{
		Fleet: r.host.Fleet, Host: r.host.Host, JWT: r.host.UserJWT, URLs: r.host.URLs, OrderKeys: r.host.OrderKeys,
	}}
	if err := os.MkdirAll(r.path("state"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(writeJSON(r.path("state", identityFile), id), writeFile(r.path("state", seedFile), r.host.Seed, 0o600)); err != nil {
		r.t.Fatal(err)
	}
	argv := append(slices.Clone(r.enter), os.Args[0], "agent", r.dir)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = environ(nixEnv...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r.t.Cleanup(kill)
	return kill
}

// send gives the host an order and returns it as it was sent.
func (r *rig) send(kind agentbus.Kind, commit string, edit ...func(*agentbus.Order)) agentbus.Order {
	r.t.Helper()
	r.gen++
	now := time.Now()
	o := agentbus.Order{
		V: agentbus.ProtocolVersion, Fleet: r.host.Fleet, Host: r.host.Host, Gen: r.gen, ID: fmt.Sprintf("order-%03d", r.gen),
		Kind: kind, Repo: "file://" + r.repo, Branch: "main", Commit: commit, Attr: "nixosConfigurations.web1",
		IssuedAt: now.UnixMilli(), ExpiresAt: now.Add(time.Hour).UnixMilli(), Nonce: strings.Repeat("0", 32), Policy: r.policy,
	}
	for _, f := range edit {
		f(&o)
	}
	if err := r.bus.Control.Send(r.t.Context(), []agentbus.Order{o}); err != nil {
		r.t.Fatal(err)
	}
	return o
}

// got are the answers to an order as the server has them: once each, in order.
func (r *rig) got(o agentbus.Order) []agentbus.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []agentbus.Answer
	for _, a := range r.answers {
		if a.Order == o.ID && int(a.Seq) == len(out)+1 {
			out = append(out, a)
		}
	}
	return out
}

// await waits until the order has reached step.
func (r *rig) await(o agentbus.Order, step agentbus.Step) agentbus.Answer {
	r.t.Helper()
	var found agentbus.Answer
	eventually(r.t, fmt.Sprintf("%s of %s", step, o.ID), func() bool {
		for _, a := range r.got(o) {
			if a.Step == step {
				found = a
				return true
			}
			if a.Step.Final() {
				r.t.Fatalf("order %s ended as %s, want %s: %+v note %q", o.ID, a.Step, step, a.Error, a.Note)
			}
		}
		return false
	})
	return found
}

// steps are the steps that the server knows of, space separated.
func (r *rig) steps(o agentbus.Order) string {
	var s []string
	for _, a := range r.got(o) {
		s = append(s, string(a.Step))
	}
	return strings.Join(s, " ")
}

// runs are the activations on this host, in order.
func (r *rig) runs() []string {
	data, _ := os.ReadFile(r.path("current.runs"))
	return strings.Fields(string(data))
}

// version is what the running system says it is.
func (r *rig) version() string {
	data, _ := os.ReadFile(r.path("current", "nixos-version"))
	return strings.TrimSpace(string(data))
}

func (r *rig) touch(path string) {
	r.t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remove(path string) {
	r.t.Helper()
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
}

// eventually waits until ok returns true. The bound is for a loaded machine: a
// deploy is some thirty processes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}
