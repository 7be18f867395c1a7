package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/app/demo"
	"github.com/rs/zerolog"
)

type demoCmd struct {
	Hosts         int           `help:"Number of hosts." default:"9"`
	Hold          time.Duration `help:"How long a proven update is held before it merges." default:"20s"`
	Addr          string        `help:"Address of the dashboard." default:"127.0.0.1:8080"`
	GitHubAddr    string        `help:"Address of the imitated github.com." default:"127.0.0.1:8081" name:"github-addr"`
	Dir           string        `help:"Keep everything in this directory instead of a temporary one." type:"path"`
	UntilDeployed bool          `help:"Open one update, wait until it runs on all hosts, print a summary and end."`
	JSON          bool          `help:"Print the summary as JSON." name:"json"`
}

// Run shows the product until a signal, or until one update is deployed.
func (c *demoCmd) Run(e *env) error {
	if c.Hosts < 1 || c.Hosts > 200 {
		return usagef("--hosts: %d is not between 1 and 200", c.Hosts)
	}
	// The demo tells its story itself; the log speaks up only when asked to or
	// when something is wrong.
	log := e.log
	if log.GetLevel() == zerolog.InfoLevel {
		log = e.logger(zerolog.WarnLevel)
	}
	o := demo.Options{
		Hosts: c.Hosts, Hold: c.Hold, Addr: c.Addr, GitHubAddr: c.GitHubAddr, Dir: c.Dir,
		UntilDeployed: c.UntilDeployed, JSON: c.JSON,
		Soak: 5 * time.Second, BuildTime: 2 * time.Second, CITime: 3 * time.Second,
		Out: e.out, Log: log, Agent: runAgent,
	}
	return demo.Run(e.ctx, o)
}

// runAgent enrols and runs one agent of the demo, as nixfleet-agent does on a
// host. Only its paths and its Nix store are its own.
func runAgent(ctx context.Context, s demo.AgentSpec) error {
	program, err := self()
	if err != nil {
		return err
	}
	state := filepath.Join(s.Dir, "state")
	if err := os.MkdirAll(filepath.Join(s.Dir, "profiles"), 0o755); err != nil {
		return err
	}
	id, err := agent.Enroll(ctx, agent.Enrolment{Server: s.Server, Token: s.Token, Host: s.Name, StateDir: state})
	if err != nil {
		return err
	}
	return agent.Serve(ctx, id, agent.Config{
		StateDir: state,
		Paths: agent.Paths{
			Profile: filepath.Join(s.Dir, "profiles", "system"),
			Current: filepath.Join(s.Dir, "run", "current-system"),
			Booted:  filepath.Join(s.Dir, "run", "booted-system"),
			Store:   s.Dir,
		},
		Nix:        agent.Nix{Env: s.Env},
		Git:        agent.Git{Protocols: []string{"http"}},
		Supervisor: []string{program, "supervise"},
		Log:        func(line string) { s.Log.Info().Msg(line) },
	})
}

type superviseCmd struct {
	Job string `arg:"" help:"The job's file."`
}

// Run carries out one switch apart from the agent that asked for it. A signal does not
// end it: half way through a switch is the one place not to stop at.
func (c *superviseCmd) Run(e *env) error {
	return agent.Supervise(context.WithoutCancel(e.ctx), c.Job)
}
