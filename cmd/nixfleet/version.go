package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/app"
)

type versionCmd struct {
	serverFlags
	Alone bool `help:"Don't ask the server."`
}

// versions is what version prints as JSON.
type versions struct {
	Version string       `json:"version"`
	Build   string       `json:"build"`
	Server  *api.Version `json:"server"`
}

// Run prints the version of this program and, where a token says that there is one,
// of the server.
func (c *versionCmd) Run(e *env) error {
	v := versions{Version: app.Version, Build: app.Build}
	var err error
	if c.Token != "" && !c.Alone {
		var server api.Version
		if server, err = c.client().Version(e.ctx); err == nil {
			v.Server = &server
		}
	}
	if c.JSON {
		if e := json.NewEncoder(e.out).Encode(v); e != nil {
			return e
		}
		return err
	}
	_, _ = fmt.Fprintf(e.out, "nixfleet %s (%s)\n", v.Version, v.Build)
	if err != nil || c.Alone {
		return err
	}
	switch {
	case v.Server == nil && os.Getenv("NIXFLEET_SERVER") != "":
		_, err = fmt.Fprintln(e.out, "The server was not asked: set NIXFLEET_TOKEN.")
	case v.Server != nil:
		_, err = fmt.Fprintf(e.out, "server   %s (%s) at %s\n", clean(v.Server.Version), clean(v.Server.Build), c.Server)
	}
	if v.Server != nil && v.Server.Version != v.Version {
		_, err = fmt.Fprintln(e.out, "They differ: what is new in one, the other may not know.")
	}
	return err
}
