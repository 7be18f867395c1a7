// Command nixfleet-agent runs on each host: it enrols the host with a fleet and
// carries out the fleet's orders. Here are flags and signals; package agent is
// the rest.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/agent"
)

type cli struct {
	StateDir string `help:"Directory of the agent's own files." default:"/var/lib/nixfleet-agent" env:"NIXFLEET_AGENT_STATE_DIR" type:"path"`

	Enroll    enrollCmd    `cmd:"" help:"Join a fleet with a one-time token."`
	RotateKey rotateCmd    `cmd:"" help:"Give this host a new key; a running agent takes it up by itself."`
	Run       runCmd       `cmd:"" help:"Carry out the fleet's orders until stopped."`
	Resume    resumeCmd    `cmd:"" help:"End a switch that a crash or a restart of the machine cut short. Run this when the machine boots."`
	Status    statusCmd    `cmd:"" help:"Show what the agent of this host is at, as JSON."`
	Version   versionCmd   `cmd:"" help:"Show the version."`
	Supervise superviseCmd `cmd:"" hidden:"" help:"Carry out one switch; the agent starts this."`
}

type enrollCmd struct {
	Server   string `required:"" help:"Address of the server, e.g. https://fleet.example.com." env:"NIXFLEET_SERVER"`
	Token    string `xor:"token" required:"" help:"The one-time token. Others on this machine can see it in the process list while this runs." env:"NIXFLEET_TOKEN"`
	File     []byte `xor:"token" required:"" name:"token-file" type:"filecontent" help:"File with the one-time token; - reads it from standard input." env:"NIXFLEET_TOKEN_FILE"`
	Name     string `name:"host" help:"Name of this host in the fleet; default is the host name." env:"NIXFLEET_HOST"`
	Insecure bool   `help:"Allow http:// to another machine. The token and what the server answers can then be read and changed on the way."`
}

func (c *enrollCmd) Run(ctx context.Context, top *cli, k *kong.Kong) error {
	name := c.Name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find the host name: %w", err)
		}
		name, _, _ = strings.Cut(strings.ToLower(host), ".")
	}
	id, err := agent.Enroll(ctx, agent.Enrolment{
		Server: c.Server, Token: strings.TrimSpace(c.Token + string(c.File)), Host: name, StateDir: top.StateDir, Insecure: c.Insecure,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(k.Stdout, "%s belongs to fleet %s now. Next: nixfleet-agent run\n", id.Host, id.Fleet)
	return err
}

type rotateCmd struct{}

func (c *rotateCmd) Run(ctx context.Context, top *cli, k *kong.Kong) error {
	id, err := agent.ChangeKey(ctx, agent.Enrolment{StateDir: top.StateDir})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(k.Stdout, "%s has a new key; the old one is revoked.\n", id.Host)
	return err
}

type runCmd struct {
	Platform  string   `help:"nixos, darwin or home; default by the operating system." enum:"nixos,darwin,home," default:"" env:"NIXFLEET_PLATFORM"`
	Profile   string   `help:"Profile to switch." type:"path" env:"NIXFLEET_PROFILE"`
	Current   string   `help:"Link to the running system." type:"path" env:"NIXFLEET_CURRENT_SYSTEM"`
	Booted    string   `help:"Link to the booted system." type:"path" env:"NIXFLEET_BOOTED_SYSTEM"`
	NixDir    string   `help:"Directory of nix and nix-env; default is PATH." type:"path" env:"NIXFLEET_NIX_DIR"`
	Protocols []string `help:"Protocols that git may use." default:"https,ssh" env:"NIXFLEET_GIT_PROTOCOLS"`
	Session   bool     `help:"Run switches in a session of their own even where systemd could hold them." env:"NIXFLEET_SWITCH_IN_SESSION"`
}

func (c *runCmd) Run(ctx context.Context, top *cli, log zerolog.Logger) error {
	id, err := agent.LoadIdentity(top.StateDir)
	if err != nil {
		return fmt.Errorf("%w; has this host joined a fleet? See: nixfleet-agent enroll --help", err)
	}
	platform := agent.Platform(c.Platform)
	if platform == "" && runtime.GOOS == "darwin" {
		platform = agent.Darwin
	}
	transient := !c.Session && os.Geteuid() == 0 && agent.RunsSystemd()
	log.Info().Str("version", agent.Version).Str("host", id.Host).Str("fleet", id.Fleet).Bool("transient_units", transient).Msg("agent starts")
	return agent.Serve(ctx, id, agent.Config{
		StateDir: top.StateDir, Platform: platform,
		Paths:     agent.Paths{Profile: c.Profile, Current: c.Current, Booted: c.Booted},
		Nix:       agent.Nix{Dir: c.NixDir},
		Git:       agent.Git{Protocols: c.Protocols},
		Transient: transient,
		Log:       func(line string) { log.Info().Msg(line) },
	})
}

type statusCmd struct {
	Current string `help:"Link to the running system." type:"path" env:"NIXFLEET_CURRENT_SYSTEM"`
}

func (c *statusCmd) Run(top *cli, k *kong.Kong) error {
	status, err := agent.ReadStatus(top.StateDir, c.Current)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(k.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(status)
}

type versionCmd struct{}

func (versionCmd) Run(k *kong.Kong) error {
	_, err := fmt.Fprintln(k.Stdout, agent.Version)
	return err
}

type resumeCmd struct{}

func (resumeCmd) Run(top *cli) error { return agent.Resume(context.Background(), top.StateDir) }

type superviseCmd struct {
	Job string `arg:"" type:"path" help:"The job file."`
}

func (c *superviseCmd) Run() error {
	return agent.Supervise(context.Background(), c.Job)
}

func main() {
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	var top cli
	parsed := kong.Parse(&top, kong.Name("nixfleet-agent"),
		kong.Description("Keeps this host at the commit that its fleet orders."),
		kong.UsageOnError(), kong.Bind(log))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	parsed.BindTo(ctx, (*context.Context)(nil))
	err := parsed.Run(&top)
	stop()
	if err != nil {
		log.Error().Err(err).Msg(parsed.Command())
		os.Exit(1)
	}
}
