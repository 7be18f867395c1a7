package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// serverFlags say which server to ask.
type serverFlags struct {
	Server string `help:"Address of the server." env:"NIXFLEET_SERVER" default:"http://127.0.0.1:8080"`
	Token  string `help:"Token to ask with; better set NIXFLEET_TOKEN, for others see the arguments of programs." env:"NIXFLEET_TOKEN"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// defaultServer is where a server of this machine listens.
const defaultServer = "http://127.0.0.1:8080"

func (f serverFlags) client() *api.Client { return &api.Client{Server: f.Server, Token: f.Token} }

type hostsCmd struct {
	List   hostsListCmd   `cmd:"" default:"withargs" help:"All hosts and their three compartments."`
	Enroll hostsEnrollCmd `cmd:"" help:"Add a host; prints what to run on it."`
	Revoke hostsRevokeCmd `cmd:"" help:"Take a host's credential away and cut its connection."`
}

type hostsListCmd struct {
	serverFlags
	Query string   `short:"q" help:"Only hosts with these words in the name, the attribute, the system, the mode, a version, a commit or a tag." placeholder:"TEXT"`
	State string   `help:"Only hosts in this state: attention, ok, working, online or offline." enum:",attention,ok,working,online,offline" default:""`
	OS    string   `help:"Only what runs nixos, darwin or home (home-manager)." enum:",nixos,darwin,home" default:"" name:"os"`
	Tag   []string `help:"Only hosts with this tag; may be repeated."`
	Watch bool     `short:"w" help:"Go on showing them as they change, until interrupted."`
}

// Run prints a table, once or as it changes.
func (c *hostsListCmd) Run(e *env) error {
	filter := fleet.HostFilter{Query: c.Query, State: c.State, OS: c.OS, Tags: c.Tag}
	read := func() (any, string, error) {
		hosts, err := c.client().Hosts(e.ctx, filter)
		return map[string]any{"hosts": hosts}, c.table(e, hosts), err
	}
	if c.Watch {
		return c.watchList(e, []string{"host"}, read)
	}
	return c.print(e, read)
}

// lightIcons say with one sign what a compartment's light says with a colour.
var lightIcons = map[fleet.Light]string{
	fleet.LightOK: "✓ ", fleet.LightStale: "▲ ", fleet.LightError: "✗ ", fleet.LightUnknown: "? ", fleet.LightWorking: "◌ ",
}

func (c *hostsListCmd) table(e *env, hosts []api.Host) string {
	switch all := c.Query == "" && c.State == "" && c.OS == "" && len(c.Tag) == 0; {
	case len(hosts) == 0 && all:
		return e.say("No hosts yet. Add the first one: nixfleet hosts enroll NAME --attr nixosConfigurations.NAME")
	case len(hosts) == 0:
		return "No host is like that.\n"
	}
	rows := make([][]string, len(hosts))
	for i, h := range hosts {
		lights := map[string]string{}
		for _, c := range h.Compartments {
			if lights[c.ID] = c.Label; terminal(e.out) {
				lights[c.ID] = lightIcons[c.Light] + c.Label
			}
		}
		name := h.Name
		if !h.Online {
			name += " (offline)"
		}
		rows[i] = []string{
			name, lights["git"], lights["lock"], lights["system"], short(h.RunningCommit), h.Mode, h.Step, h.AgentVersion, strings.Join(h.Tags, " "),
		}
	}
	return e.table("HOST GIT LOCK SYSTEM RUNS~3 MODE~4 DOING~5 AGENT~2 TAGS~1…", rows)
}

type hostsEnrollCmd struct {
	serverFlags
	Name string   `arg:"" predictor:"host" help:"Name of the host."`
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
	Name string `arg:"" predictor:"host" help:"Name of the host."`
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
