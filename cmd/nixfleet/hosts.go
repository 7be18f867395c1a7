package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/api"
)

// serverFlags say which server to ask.
type serverFlags struct {
	Server string `help:"Address of the server." env:"NIXFLEET_SERVER" default:"http://127.0.0.1:8080"`
	Token  string `help:"Token to ask with." env:"NIXFLEET_TOKEN"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

func (f serverFlags) client() *api.Client { return &api.Client{Server: f.Server, Token: f.Token} }

type hostsCmd struct {
	List   hostsListCmd   `cmd:"" default:"withargs" help:"All hosts and their three compartments."`
	Enroll hostsEnrollCmd `cmd:"" help:"Add a host; prints what to run on it."`
	Revoke hostsRevokeCmd `cmd:"" help:"Take a host's credential away and cut its connection."`
}

type hostsListCmd struct{ serverFlags }

// Run prints a table that fits a terminal.
func (c *hostsListCmd) Run(e *env) error {
	hosts, err := c.client().Hosts(e.ctx, api.HostFilter{})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"hosts": hosts})
	}
	if len(hosts) == 0 {
		_, err := fmt.Fprintln(e.out, "No hosts yet. Add the first one: nixfleet hosts enroll NAME --attr nixosConfigurations.NAME")
		return err
	}
	rows := make([][]string, len(hosts))
	for i, h := range hosts {
		lights := map[string]string{}
		for _, c := range h.Compartments {
			lights[c.ID] = c.Label
		}
		name := h.Name
		if !h.Online {
			name += " (offline)"
		}
		rows[i] = []string{
			name, lights["git"], lights["lock"], lights["system"], short(h.RunningCommit), h.Mode, h.Step, h.AgentVersion, strings.Join(h.Tags, " "),
		}
	}
	return table(e.out, "HOST GIT LOCK SYSTEM RUNS MODE DOING AGENT TAGS", rows)
}

type hostsEnrollCmd struct {
	serverFlags
	Name string   `arg:"" help:"Name of the host."`
	Attr string   `help:"Flake attribute that builds it. Default: nixosConfigurations.NAME."`
	Repo string   `help:"owner/name of its repository; may be left out when the App watches one only."`
	Tags []string `help:"Tags, separated by commas."`

	Again bool `help:"The machine of a known host was set up anew: revoke its key, keep its attribute, tags and history."`
}

// Run adds the host and prints the command that enrols it.
func (c *hostsEnrollCmd) Run(e *env) error {
	if c.Attr == "" && !c.Again {
		c.Attr = "nixosConfigurations." + c.Name
	}
	got, err := c.client().NewHost(e.ctx, api.NewHost{Name: c.Name, Attr: c.Attr, Repo: c.Repo, Tags: c.Tags, Again: c.Again})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(got)
	}
	_, err = fmt.Fprintf(e.out, "Run this on %s before %s:\n\n  nixfleet-agent enroll --server %s --host %s --token %s\n\nThe token works once.\n",
		got.Host, got.Expires.UTC().Format("15:04 UTC"), c.Server, got.Host, got.Token)
	return err
}

type hostsRevokeCmd struct {
	serverFlags
	Name string `arg:"" help:"Name of the host."`
}

// Run revokes the host and says what that means.
func (c *hostsRevokeCmd) Run(e *env) error {
	if err := c.client().RevokeHost(e.ctx, c.Name); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]string{"revoked": c.Name})
	}
	_, err := fmt.Fprintf(e.out, "%s is revoked: it gets no more orders. To take it back: nixfleet hosts enroll %s --again\n", c.Name, c.Name)
	return err
}
