package main

import (
	"encoding/json"
	"errors"
	"os"

	"github.com/nixfleet/nixfleet/app/bench"
	"github.com/rs/zerolog"
)

type benchCmd struct {
	Fleet benchFleetCmd `cmd:"" help:"A whole server under a simulated fleet, on this machine alone."`
}

type benchFleetCmd struct {
	Hosts int    `help:"Number of simulated hosts." default:"1000"`
	Dir   string `help:"Keep Postgres and the bus in this empty directory instead of a temporary one." type:"path"`
	JSON  bool   `help:"Print the report as JSON." name:"json"`
}

// Run measures and prints the report.
func (c *benchFleetCmd) Run(e *env) (err error) {
	if c.Hosts < 1 || c.Hosts > 200_000 {
		return usagef("--hosts: %d is not between 1 and 200000", c.Hosts)
	}
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "nixfleet-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if err := os.Chmod(dir, 0o755); err != nil { // the private Postgres may run as another user
			return err
		}
	}
	report, err := bench.Run(e.ctx, bench.Options{
		Hosts: c.Hosts, Dir: dir, Log: e.logger(zerolog.ErrorLevel),
		Say: func(line string) { e.log.Info().Msg(line) },
	})
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	return report.Write(e.out)
}
