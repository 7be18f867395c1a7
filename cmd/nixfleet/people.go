package main

import (
	"encoding/json"
	"fmt"

	"github.com/nixfleet/nixfleet/api"
)

// loginLinkCmd lets somebody in past GitHub: for the demo, for the set-up, and for when
// GitHub is away.
type loginLinkCmd struct {
	serverFlags
	Role string `help:"What whoever opens it may do." enum:"viewer,operator,admin" default:"admin"`
	As   string `help:"Under which name the history tells what they do." default:"admin"`
}

// Run prints the address.
func (c *loginLinkCmd) Run(e *env) error {
	address, expires, err := c.client().LoginLink(e.ctx, c.As, c.Role)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"address": address, "expires": expires})
	}
	_, err = fmt.Fprintf(e.out, "Open this address in a browser (once, until %s):\n\n  %s\n\nIt signs in %s as %s; the history says so.\n",
		expires.UTC().Format("15:04 UTC"), address, c.As, c.Role)
	return err
}

type tokensCmd struct {
	List   tokensListCmd   `cmd:"" default:"withargs" help:"Your tokens; with the admin role those of everybody."`
	Create tokensCreateCmd `cmd:"" help:"Make a token, and print it once; needs the admin token. People make theirs on the dashboard."`
	Revoke tokensRevokeCmd `cmd:"" help:"Make a token useless."`
}

type tokensListCmd struct{ serverFlags }

// Run prints a table that fits a terminal.
func (c *tokensListCmd) Run(e *env) error {
	list, err := c.client().Tokens(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"tokens": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(e.out, "No tokens. Make one on the dashboard, or with the admin token: nixfleet tokens create NAME")
		return err
	}
	rows := make([][]string, len(list))
	for i, t := range list {
		expires, used, state := "never", "never", "ok"
		if t.Expires != nil {
			expires = moment(*t.Expires)
		}
		if t.Used != nil {
			used = moment(*t.Used)
		}
		switch {
		case t.Revoked != nil:
			state = "revoked by " + t.By
		case !t.Works && t.May == "none":
			state = "its owner has no access"
		case !t.Works:
			state = "expired"
		case t.May != t.Role:
			state = t.May + " only, as its owner"
		}
		rows[i] = []string{t.Name, t.Role, t.Owner, expires, used, state, t.ID}
	}
	return table(e, "TOKEN ROLE OF~3 EXPIRES~2 USED~1 STATE… ID", rows)
}

type tokensCreateCmd struct {
	serverFlags
	Name  string `arg:"" help:"What it is for, such as ci."`
	Role  string `help:"What it may do." enum:"viewer,operator,admin" default:"viewer"`
	Days  int    `help:"For how many days it works, at most 365." default:"90" xor:"days"`
	Never bool   `help:"It works until it is revoked." xor:"days"`
}

// Run prints the token, so that a script can take it.
func (c *tokensCreateCmd) Run(e *env) error {
	made, err := c.client().NewToken(e.ctx, api.NewToken{Name: c.Name, Role: c.Role, Days: c.Days, Never: c.Never})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(made)
	}
	_, err = fmt.Fprintln(e.out, made.Text)
	return err
}

type tokensRevokeCmd struct {
	serverFlags
	ID string `arg:"" help:"Id of the token, see: nixfleet tokens list."`
}

// Run revokes the token.
func (c *tokensRevokeCmd) Run(e *env) error {
	if err := c.client().RevokeToken(e.ctx, c.ID); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]string{"revoked": c.ID})
	}
	_, err := fmt.Fprintf(e.out, "The token %s is revoked. Whatever uses it is refused from now on.\n", c.ID)
	return err
}
