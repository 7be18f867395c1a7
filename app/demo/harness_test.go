package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/app"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
	"github.com/rs/zerolog"
)

// patience bounds every wait for a condition. It is no deadline of the product:
// a machine under load may be slow, and a wait that succeeds ends at once.
const patience = 2 * time.Minute

// The test binary plays three parts: the tests, the server of the kill -9 tests,
// and the supervisor of a switch, each a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "supervise" {
		if err := agent.Supervise(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "supervise:", err)
			os.Exit(1)
		}
		return
	}
	if file := os.Getenv("NIXFLEET_TEST_SERVE"); file != "" {
		if err := serve(file); err != nil {
			fmt.Fprintln(os.Stderr, "serve:", err)
			os.Exit(1)
		}
		return
	}
	dbtest.Main(m)
}

// serve is `nixfleet serve` with its settings, and the offset of the test's
// clock, from a file.
func serve(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s struct {
		app.Config
		Ahead time.Duration
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s.Config.Now = func() time.Time { return time.Now().Add(s.Ahead) }
	s.Config.Log = zerolog.New(os.Stderr).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	a, err := app.Start(ctx, s.Config)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return a.Stop()
}

// clock runs with the real one and can be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time            { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration)   { c.ahead.Add(int64(d)) }
func (c *clock) offset() (d time.Duration) { return time.Duration(c.ahead.Load()) }

// rig is a world, a database, and the settings of a server in it.
type rig struct {
	t      *testing.T
	clock  *clock
	world  *world
	db     *db.DB // the server's own, for looking at it from outside
	cfg    app.Config
	agents map[string]func() // stops the agent of a host
	mu     sync.Mutex
}

const adminToken = "the tests' admin token"

// newRig makes a world of n hosts whose policy holds updates for the given time.
func newRig(t *testing.T, n int, hold time.Duration) *rig {
	t.Helper()
	if _, err := exec.LookPath("nix"); err != nil {
		t.Skip("SKIPPED: nix is not installed, so nothing can be built")
	}
	dir := workDir(t)
	r := &rig{t: t, clock: &clock{}, agents: map[string]func(){}}
	o := Options{Hosts: n, Hold: hold, Now: r.clock.Now, hub: func(o forgetest.Options) (*forgetest.Server, error) {
		return forgetest.NewForTest(t, o), nil
	}}
	var err error
	if r.world, err = newWorld(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	address := dbtest.Server(t)
	if r.db, err = db.Open(t.Context(), db.Options{URL: address}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.db.Close)
	d := &demo{o: o, world: r.world}
	if r.cfg, err = d.settings(filepath.Join(dir, "server")); err != nil {
		t.Fatal(err)
	}
	r.cfg.Listen, r.cfg.NATSListen = freeAddress(t), freeAddress(t)
	r.cfg.DatabaseURL = address
	r.cfg.AdminTokenFile = filepath.Join(dir, "server", "secrets", "admin")
	if err := os.WriteFile(r.cfg.AdminTokenFile, []byte(adminToken), 0o600); err != nil {
		t.Fatal(err)
	}
	r.cfg.Log = zerolog.New(zerolog.ConsoleWriter{Out: testOutput{t}, NoColor: true, TimeFormat: time.TimeOnly}).Level(zerolog.InfoLevel)
	r.world.hub.SetWebhook("http://"+r.cfg.Listen+"/api/github/hook", webhookSecret)
	t.Cleanup(r.stopAgents)
	return r
}

// workDir is a directory that other users may pass through: Postgres drops root.
func workDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "nixfleet-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(dir); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// freeAddress finds a port for a server that will be killed and started again on
// the same one.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// testOutput sends log lines to the test's log.
type testOutput struct{ t *testing.T }

func (o testOutput) Write(b []byte) (int, error) {
	o.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// start runs the server in this process until the test ends.
func (r *rig) start() *app.App {
	r.t.Helper()
	cfg := r.cfg
	cfg.Now = r.clock.Now
	a, err := app.Start(r.t.Context(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		r.stopAgents()
		if err := a.Stop(); err != nil {
			r.t.Errorf("stop: %v", err)
		}
	})
	r.await("the App to see its repository", func(o fleet.Overview) bool { return len(o.Repos) == 1 && o.Repos[0].HeadSHA != "" })
	return a
}

// process is the server as a program of its own, which can be killed.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *bytes.Buffer
	ended  chan error
}

func (r *rig) spawn() *process {
	r.t.Helper()
	file := filepath.Join(r.world.dir, "settings.json")
	cfg := r.cfg
	b, err := json.Marshal(struct {
		app.Config
		Ahead time.Duration
	}{cfg, r.clock.offset()})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		r.t.Fatal(err)
	}
	p := &process{t: r.t, output: &bytes.Buffer{}, ended: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), "NIXFLEET_TEST_SERVE="+file)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	r.t.Cleanup(func() {
		r.stopAgents()
		p.kill()
		if r.t.Failed() {
			r.t.Logf("output of a server:\n%s", p.output)
		}
	})
	return p
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	select {
	case err := <-p.ended:
		p.ended <- err
	case <-time.After(patience):
		p.t.Error("the server survived kill -9")
	}
}

// terminate asks the process to end and waits for it as long as a service
// manager would.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		p.ended <- err
		if err != nil {
			p.t.Errorf("SIGTERM: %v", err)
		}
	case <-time.After(10 * time.Second):
		p.t.Error("SIGTERM: the server was still there after 10 s")
	}
}

// enrol adds the hosts by the API, as an operator's script would, and starts
// their agents.
func (r *rig) enrol() {
	r.t.Helper()
	client := &api.Client{Server: "http://" + r.cfg.Listen, Token: adminToken}
	for _, m := range r.world.machines {
		got, err := client.NewHost(r.t.Context(), api.NewHost{Name: m.name, Attr: "nixosConfigurations." + m.name, Tags: m.tags})
		if err != nil {
			r.t.Fatal(err)
		}
		r.startAgent(m.name, got.Token)
	}
	r.await("all hosts to be online", func(o fleet.Overview) bool {
		for _, h := range o.Hosts {
			if h.Host.EnrolledAt.IsZero() || !h.Host.Online(r.clock.Now()) {
				return false
			}
		}
		return len(o.Hosts) == len(r.world.machines)
	})
}

// startAgent runs the agent of a host in this process; its switches run in
// supervisors of their own.
func (r *rig) startAgent(name, token string) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := runTestAgent(ctx, r, name, token)
		if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			r.t.Errorf("agent of %s: %v", name, err)
		}
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agents[name] = func() { cancel(); <-ended }
}

func (r *rig) stopAgent(name string) {
	r.mu.Lock()
	stop := r.agents[name]
	delete(r.agents, name)
	r.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (r *rig) stopAgents() {
	for _, m := range r.world.machines {
		r.stopAgent(m.name)
	}
}

func (r *rig) hostDir(name string) string { return filepath.Join(r.world.dir, "hosts", name) }

// await waits until the database says what the test waits for.
func (r *rig) await(what string, done func(fleet.Overview) bool) fleet.Overview {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond) // a look costs as much as a host's heartbeat
	defer tick.Stop()
	var last fleet.Overview
	for {
		o, err := r.db.Overview(r.t.Context(), r.clock.Now())
		if err == nil {
			if last = o; done(o) {
				return o
			}
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			r.t.Fatalf("waited in vain for %s\n%s", what, describe(last, err))
		}
	}
}

func describe(o fleet.Overview, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintln(&b, "overview:", err)
	}
	for _, u := range o.Updates {
		fmt.Fprintf(&b, "update #%d %s: %s\n", u.Number, u.State, u.Verdict.Headline)
		for _, c := range u.Verdict.Conditions {
			fmt.Fprintf(&b, "    %-10s %-8s %s\n", c.ID, c.Outcome, c.Found)
		}
	}
	for _, ro := range o.Rollouts {
		fmt.Fprintf(&b, "rollout %.7s %s: %s\n", ro.Commit, ro.State, ro.Headline)
		for _, h := range ro.Hosts {
			fmt.Fprintf(&b, "    %-8s wave %d %s %+v\n", h.Host, h.Wave, h.State, h.Failure)
		}
	}
	for _, h := range o.Hosts {
		fmt.Fprintf(&b, "host %s runs %.7s, checkout %.7s, seen %s, errors %v\n", h.Host.Name, h.Host.Facts.RunningCommit,
			h.Host.Facts.CheckoutCommit, h.Host.LastSeen.Format(time.TimeOnly), h.Host.Facts.Errors)
	}
	return b.String()
}
