package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Version is what heartbeats say this agent is; builds set it with -ldflags -X.
var Version = "0.1.0"

// Platform is the kind of configuration that a host runs.
type Platform string

// The platforms.
const (
	NixOS  Platform = "nixos"
	Darwin Platform = "darwin"
	Home   Platform = "home"
)

// Link is the agent's end of the bus; *agentbus.HostLink is one.
type Link interface {
	Next(ctx context.Context, lastGen uint64) (agentbus.Order, error)
	Confirms() <-chan agentbus.Confirm
	Answer(context.Context, agentbus.Answer) error
	Heartbeat(agentbus.Heartbeat) error
	Log(context.Context, []agentbus.LogChunk) (taken int, err error)
	Connected() bool
}

// Config is everything that an agent needs to know. StateDir, Link and
// FreshRoundTrip are required; the rest has defaults.
type Config struct {
	StateDir string   // the agent's own files; survives restarts
	Platform Platform // default NixOS
	Paths    Paths
	Nix      Nix
	Git      Git

	// Supervisor is the argv that runs [Supervise] on the job file appended to
	// it; default is the running executable with the argument "supervise".
	Supervisor []string
	// Transient starts the supervisor in a systemd unit of its own, out of the
	// agent's control group. Where it is false, a session of its own must do.
	Transient bool

	// Program is the agent's own executable; default is the running one. Where the
	// running system has another agent, this one restarts.
	Program string
	// Unit is the agent's own service, for a restart: a systemd unit or a launchd
	// label. Default is the name that this project's modules give it.
	Unit string
	// Tools is the directory of systemctl, systemd-run, launchctl and shutdown;
	// default is PATH.
	Tools string

	Link Link
	// FreshRoundTrip carries a request and a reply over a new connection to the
	// bus: the proof that the host can still be reached after a switch.
	FreshRoundTrip func(context.Context) error
	// Anchors are host:port addresses beside the bus that tell a lost network from a
	// server that is down; the policy's come on top.
	Anchors []string
	// RepoToken asks the server for a token to fetch with, where the host's own access
	// does not do; nil means there is none to be had.
	RepoToken func(context.Context) (agentbus.RepoToken, error)
	// OrderKeys are the ids of the keys whose orders the host obeys, for heartbeats;
	// nil says nothing of them.
	OrderKeys func() []string
	// LastGen is the generation that the enrolment named: orders up to it are not
	// obeyed, even by an agent whose journal is empty.
	LastGen uint64

	IdleBeat time.Duration // between heartbeats; default 15 s
	BusyBeat time.Duration // while an order is worked on; default 5 s

	// BootID names the present boot of the machine; default asks the system.
	BootID func() string

	Now func() time.Time
	Log func(string) // one line for the operator; default drops it

	tokens *repoTokens
}

// Paths are the places that NixOS fixes. Other values let many agents share a
// machine; the activation then finds Current in NIXFLEET_CURRENT_SYSTEM.
type Paths struct {
	Profile string // default /nix/var/nix/profiles/system
	Current string // default /run/current-system
	Booted  string // default /run/booted-system
	Store   string // directory whose file system holds the store; default /nix/store
	// SwitchLock is what NixOS's activations lock; default on NixOS is
	// /run/nixos/switch-to-configuration.lock, elsewhere there is none.
	SwitchLock string
}

// Nix is how to call Nix.
type Nix struct {
	Dir  string   // where nix and nix-env are; default: found on PATH
	Env  []string // added to the environment, e.g. of a private store
	Args []string // added to every nix command, e.g. --option flags
}

// Git is how to call git.
type Git struct {
	Program   string   // default: found on PATH
	Env       []string // added to the environment, e.g. GIT_SSH_COMMAND
	Protocols []string // that git may use; default https and ssh
}

// Timeouts of the steps where the order's policy names none. A build is long; an
// activation that takes a quarter of an hour hangs.
const (
	defaultFetchTimeout  = 5 * time.Minute
	defaultBuildTimeout  = 2 * time.Hour
	defaultSwitchTimeout = 15 * time.Minute
	defaultVerifyTimeout = 3 * time.Minute
	defaultSettle        = 5 * time.Second
)

func (c *Config) fill() error {
	if c.StateDir == "" || c.Link == nil || c.FreshRoundTrip == nil {
		return errors.New("configure agent: StateDir, Link and FreshRoundTrip are required")
	}
	dir, err := filepath.Abs(c.StateDir)
	if err != nil {
		return fmt.Errorf("configure agent: %w", err)
	}
	c.StateDir = dir
	c.Platform = or(c.Platform, NixOS)
	if c.Platform == Home {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("configure agent: %w", err)
		}
		c.Paths.Profile = or(c.Paths.Profile, filepath.Join(home, ".local/state/nix/profiles/home-manager"))
		c.Paths.Current = or(c.Paths.Current, c.Paths.Profile)
	}
	c.Paths.Profile = or(c.Paths.Profile, systemProfile)
	c.Paths.Current = or(c.Paths.Current, currentSystem)
	c.Paths.Booted = or(c.Paths.Booted, "/run/booted-system")
	c.Paths.Store = or(c.Paths.Store, "/nix/store")
	if c.Platform == NixOS {
		c.Paths.SwitchLock = or(c.Paths.SwitchLock, "/run/nixos/switch-to-configuration.lock")
	}
	c.Git.Program = or(c.Git.Program, "git")
	if len(c.Git.Protocols) == 0 {
		c.Git.Protocols = []string{"https", "ssh"}
	}
	if c.Program == "" {
		if c.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("configure agent: %w", err)
		}
	}
	// By its own path: a link would name the new system's once that runs, and the
	// supervisor takes the old one's to go back.
	if c.Program, err = filepath.EvalSymlinks(c.Program); err != nil {
		return fmt.Errorf("configure agent: %w", err)
	}
	if len(c.Supervisor) == 0 {
		c.Supervisor = []string{c.Program, "supervise"}
	}
	c.IdleBeat = or(c.IdleBeat, 15*time.Second)
	c.BusyBeat = or(c.BusyBeat, 5*time.Second)
	if c.BootID == nil {
		c.BootID = readBootID
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = func(string) {}
	}
	if c.RepoToken != nil {
		c.tokens = &repoTokens{ask: c.RepoToken, now: c.Now}
	}
	return nil
}

// Where NixOS and nix-darwin keep the system.
const (
	systemProfile = "/nix/var/nix/profiles/system"
	currentSystem = "/run/current-system"
)

// guest reports whether the agent's system is not the one of the machine that it
// runs on: a restart of the machine, or of the service that is called like the
// agent's, would meet others.
func (c *Config) guest() bool {
	return c.Platform != Home && c.Tools == "" && c.Paths.Current != currentSystem
}

// program is the path of one of Nix's programs.
func (n Nix) program(name string) string {
	if n.Dir == "" {
		return name
	}
	return filepath.Join(n.Dir, name)
}

// environ is the agent's own environment with extra laid over it.
func environ(extra ...string) []string { return append(os.Environ(), extra...) }

// or is v, or fallback where v is zero.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
