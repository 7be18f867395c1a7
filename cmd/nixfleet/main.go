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
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/app"
)

// env is what commands get of their surroundings.
type env struct {
	ctx    context.Context
	in     io.Reader
	out    io.Writer
	log    zerolog.Logger
	logger func(level zerolog.Level) zerolog.Logger
	kong   *kong.Kong

	columns int // how wide tables are; 0: as wide as the terminal
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	var c cli
	ended := -1 // by the help, which ends the program
	parser, err := newParser(&c, out, errOut, func(code int) { ended = code })
	if err != nil {
		complain(errOut, err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("COMP_LINE") != "" { // the shell asks what may come next
		kongcompletion.Register(parser, predictors(ctx)...)
		return 0
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if ended >= 0 {
		return ended
	}
	if err != nil {
		complain(errOut, fmt.Errorf("%w. Run \"nixfleet --help\" for the commands there are", err))
		return exitUsage
	}
	e := &env{ctx: ctx, in: in, out: out, kong: parser}
	e.logger = func(level zerolog.Level) zerolog.Logger { return newLog(errOut, level, c.LogJSON) }
	level, _ := zerolog.ParseLevel(c.LogLevel)
	e.log = e.logger(level)
	err = parsed.Run(e, parsed)
	code := exitCode(ctx, err)
	if err != nil && code != exitInterrupted {
		complain(errOut, err)
	}
	return code
}

func newParser(c *cli, out, errOut io.Writer, exit func(code int)) (*kong.Kong, error) {
	return kong.New(c, kong.Name("nixfleet"), kong.Writers(out, errOut), kong.Description(about),
		kong.Configuration(loadYAML, "/etc/nixfleet/config.yml"), kong.ExplicitGroups(groups), kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: proseWidth}))
}

func newLog(w io.Writer, level zerolog.Level, asJSON bool) zerolog.Logger {
	if !asJSON {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !colourful(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
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

// self is the path of this program, for starting it again as a supervisor.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
