package main

import (
	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// cli is every command and flag; kong makes the help from it, and man and docs/cli.md
// are made of it as well.
type cli struct {
	LogLevel string `help:"What the log shows: debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"NIXFLEET_LOG_LEVEL"`
	LogJSON  bool   `help:"Log as JSON, one object a line." env:"NIXFLEET_LOG_JSON"`

	Demo   demoCmd   `cmd:"" group:"begin" help:"Show the whole product on this machine, no account needed."`
	Serve  serveCmd  `cmd:"" group:"begin" help:"Run the server."`
	Setup  setupCmd  `cmd:"" group:"begin" help:"Create the GitHub App of a server and install it, from a terminal."`
	Doctor doctorCmd `cmd:"" group:"begin" help:"Check everything a server rests on; exit code 1 when something is wrong."`

	Hosts       hostsCmd       `cmd:"" group:"hosts" help:"The hosts of a server; enroll and revoke them."`
	Host        hostCmd        `cmd:"" group:"hosts" help:"One host: all that is known of it, and how it is treated."`
	Generations generationsCmd `cmd:"" group:"hosts" help:"What a host can go back to."`
	Logs        logsCmd        `cmd:"" group:"hosts" help:"What an order printed on a host, and what it changes."`

	Updates updatesCmd `cmd:"" group:"updates" help:"Pull requests that change only a lock: look, merge, hold, release."`
	Policy  policyCmd  `cmd:"" group:"updates" help:"Work with .github/nixfleet.yml."`
	Lock    lockCmd    `cmd:"" group:"updates" help:"Look into flake.lock files."`

	CheckUpdates checkUpdatesCmd `cmd:"" group:"updates" help:"Look at GitHub again now, and start the workflow there that brings updates, where the App may."`
	UpdateInputs updateInputsCmd `cmd:"" group:"updates" help:"Have a host make a newer flake.lock, which the server proves and commits (updates.strategy: host)."`

	Deploy     deployCmd     `cmd:"" group:"rollouts" help:"Bring a commit to hosts, in the policy's waves; without one, the head of the default branch."`
	Rollouts   rolloutsCmd   `cmd:"" group:"rollouts" help:"The newest rollouts."`
	Rollout    rolloutCmd    `cmd:"" group:"rollouts" help:"Look into a rollout, follow it, and steer it."`
	Quarantine quarantineCmd `cmd:"" group:"rollouts" help:"The commits that nothing brings to further hosts by itself."`

	Order  orderCmd  `cmd:"" group:"orders" help:"Give hosts an order: pull, switch, deploy, test, boot, rollback, restart_agent, reboot, refresh."`
	Orders ordersCmd `cmd:"" group:"orders" help:"The newest orders, and how they ended."`
	Cancel cancelCmd `cmd:"" group:"orders" help:"Cancel an order, or all open orders of hosts."`

	Audit     auditCmd     `cmd:"" group:"server" help:"The history: who did what, when and why."`
	Receivers receiversCmd `cmd:"" group:"server" help:"Who is told what happens: chat rooms, mailboxes, phones, webhooks."`
	LoginLink loginLinkCmd `cmd:"" group:"server" help:"A one-time address that signs in past GitHub; needs the admin token."`
	Tokens    tokensCmd    `cmd:"" group:"server" help:"Tokens for programs: list, create, revoke."`
	Keys      keysCmd      `cmd:"" group:"server" help:"The keys that sign the orders of a server."`
	Backup    backupCmd    `cmd:"" group:"server" help:"Write the database and the keys of a server on this machine into one file, while it runs."`
	Restore   restoreCmd   `cmd:"" group:"server" help:"Bring a backup into an empty data directory and database."`
	Bench     benchCmd     `cmd:"" group:"server" help:"Measure what this machine bears."`

	Version    versionCmd                `cmd:"" group:"program" help:"The version of this program, and of the server."`
	Completion kongcompletion.Completion `cmd:"" group:"program" help:"How to complete commands, hosts and rollouts by Tab in bash, zsh and fish."`
	Man        manCmd                    `cmd:"" group:"program" help:"The manual page, for man -l -."`
	Reference  referenceCmd              `cmd:"" hidden:"" help:"docs/cli.md."`
	Supervise  superviseCmd              `cmd:"" hidden:"" help:"Carry out one switch for an agent of the demo."`
}

// groups are the topics of the help, in its order.
var groups = []kong.Group{
	{Key: "begin", Title: "To begin with:"},
	{Key: "hosts", Title: "Hosts:"},
	{Key: "updates", Title: "Updates and policy:"},
	{Key: "rollouts", Title: "Rollouts:"},
	{Key: "orders", Title: "Orders to single hosts:"},
	{Key: "server", Title: "The server:"},
	{Key: "program", Title: "This program:"},
}

const about = "Proves that a pull request is only a safe lock update, merges it, and brings it to your hosts in waves.\n\n" +
	"Most commands ask a server: set NIXFLEET_SERVER to its address and NIXFLEET_TOKEN to a token of it. All of them print JSON with --json. " +
	"New here? Try `nixfleet demo`."
