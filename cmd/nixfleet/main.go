// Command nixfleet is the server and the operator's command line.
//
// It reads flags, environment and configuration file, turns signals into an
// orderly end, and hands over to app (the server), app/demo (the product on one
// machine) or the API client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
	_ "time/tzdata" // freeze windows name time zones, also where the machine has none

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/app"
)

// cli is every command and flag; kong makes the help from it.
type cli struct {
	LogLevel string `help:"What the log shows: debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"NIXFLEET_LOG_LEVEL"`
	LogJSON  bool   `help:"Log as JSON, one object a line." env:"NIXFLEET_LOG_JSON"`

	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Setup   setupCmd   `cmd:"" help:"Create the GitHub App of a server and install it, from a terminal."`
	Doctor  doctorCmd  `cmd:"" help:"Check everything a server rests on; exit code 1 when something is wrong."`
	Demo    demoCmd    `cmd:"" help:"Show the whole product on this machine, no account needed."`
	Lock    lockCmd    `cmd:"" help:"Look into flake.lock files."`
	Policy  policyCmd  `cmd:"" help:"Work with .github/nixfleet.yml."`
	Hosts   hostsCmd   `cmd:"" help:"The hosts of a server (needs NIXFLEET_SERVER and NIXFLEET_TOKEN)."`
	Logs    logsCmd    `cmd:"" help:"What an order printed on a host, and what it changes."`
	Keys    keysCmd    `cmd:"" help:"The keys that sign the orders of a server (needs NIXFLEET_SERVER and NIXFLEET_TOKEN)."`
	Bench   benchCmd   `cmd:"" help:"Measure what this machine bears."`
	Host    hostCmd    `cmd:"" help:"One host: all that is known of it, and how it is treated."`
	Order   orderCmd   `cmd:"" help:"Give hosts an order: pull, switch, deploy, test, boot, rollback, restart_agent, reboot, refresh."`
	Orders  ordersCmd  `cmd:"" help:"The newest orders, and how they ended."`
	Cancel  cancelCmd  `cmd:"" help:"Cancel an order, or all open orders of hosts."`
	Deploy  deployCmd  `cmd:"" help:"Bring a commit to hosts, in the policy's waves; without one, the head of the default branch."`
	Version versionCmd `cmd:"" help:"Print the version."`

	Rollouts   rolloutsCmd   `cmd:"" help:"The newest rollouts."`
	Rollout    rolloutCmd    `cmd:"" help:"Look into a rollout, and steer it."`
	Audit      auditCmd      `cmd:"" help:"The history: who did what, when and why."`
	Quarantine quarantineCmd `cmd:"" help:"The commits that nothing brings to further hosts by itself."`

	Receivers receiversCmd `cmd:"" help:"Who is told what happens: chat rooms, mailboxes, phones, webhooks."`

	UpdateInputs updateInputsCmd `cmd:"" help:"Have a host make a newer flake.lock, which the server proves and commits (updates.strategy: host)."`
	Generations  generationsCmd  `cmd:"" help:"What a host can go back to."`

	Supervise superviseCmd `cmd:"" hidden:"" help:"Carry out one switch for an agent of the demo."`
}

// env is what commands get of their surroundings.
type env struct {
	ctx    context.Context
	in     io.Reader
	out    io.Writer
	log    zerolog.Logger
	logger func(level zerolog.Level) zerolog.Logger
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("nixfleet"), kong.Writers(out, errOut),
		kong.Description("Proves that a pull request is only a safe lock update, merges it, and brings it to your hosts in waves."),
		kong.Configuration(loadYAML, "/etc/nixfleet/config.yml"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}))
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "nixfleet:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		_, _ = fmt.Fprintf(errOut, "nixfleet: %v\nRun \"nixfleet --help\" for the commands there are.\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e := &env{ctx: ctx, in: in, out: out}
	e.logger = func(level zerolog.Level) zerolog.Logger { return newLog(errOut, level, c.LogJSON) }
	level, _ := zerolog.ParseLevel(c.LogLevel)
	e.log = e.logger(level)
	if err := parsed.Run(e); err != nil {
		_, _ = fmt.Fprintln(errOut, "nixfleet:", err)
		return 1
	}
	return 0
}

func newLog(w io.Writer, level zerolog.Level, asJSON bool) zerolog.Logger {
	if !asJSON {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != "" || !terminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// terminal reports whether w is one, so that escape sequences stay out of files.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type serveCmd struct {
	app.Config
}

// Run serves until a signal or a fault.
func (c *serveCmd) Run(e *env) error {
	c.Log = e.log
	a, err := app.Start(e.ctx, c.Config)
	if err != nil {
		return err
	}
	e.log.Info().Str("url", a.URL()).Str("version", app.Version).Msg("NixFleet is up")
	select {
	case <-e.ctx.Done():
		e.log.Info().Msg("stopping")
	case err = <-a.Failed():
	}
	return errors.Join(err, a.Stop())
}

type versionCmd struct{}

// Run prints the version and the build.
func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintf(e.out, "nixfleet %s (%s)\n", app.Version, app.Build)
	return err
}

// self is the path of this program, for starting it again as a supervisor.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
