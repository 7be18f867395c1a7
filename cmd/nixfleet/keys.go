package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
)

// keysCmd changes the key that signs orders. It speaks to the running server, which
// alone writes its keys, and knows from heartbeats which hosts know which.
type keysCmd struct {
	Status keysStatusCmd `cmd:"" default:"withargs" help:"The keys that sign orders, and how many hosts know each."`
	Add    keysAddCmd    `cmd:"" help:"Make a new key; hosts learn of it, and it signs nothing yet."`
	Use    keysUseCmd    `cmd:"" help:"Sign with a key from now on; refused until all hosts know it."`
	Retire keysRetireCmd `cmd:"" help:"Forget a key that no longer signs."`
}

type keysStatusCmd struct{ serverFlags }

// Run prints a line for each key.
func (c *keysStatusCmd) Run(e *env) error {
	keys, err := c.client().OrderKeys(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"keys": keys})
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KEY\tSIGNS\tKNOWN BY\tNOT YET BY")
	for _, k := range keys {
		signs, missing := "no", "-"
		if k.Current {
			signs = "yes"
		}
		if n := len(k.Missing); n > 0 {
			missing = k.Missing[0]
			if n > 1 {
				missing += fmt.Sprintf(" and %d more", n-1)
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d of %d hosts\t%s\n", k.ID, signs, k.Known, k.Known+len(k.Missing), missing)
	}
	return w.Flush()
}

type keysAddCmd struct{ serverFlags }

// Run makes the key and says how it goes on.
func (c *keysAddCmd) Run(e *env) error {
	key, err := c.client().AddOrderKey(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(key)
	}
	_, err = fmt.Fprintf(e.out, "The key %s is made. Hosts learn of it with their next heartbeats. Then:\n\n  nixfleet keys status\n  nixfleet keys use %s\n  nixfleet keys retire OLD\n", key.ID, key.ID)
	return err
}

type keyFlags struct {
	serverFlags
	ID    string `arg:"" help:"Id of the key, see: nixfleet keys status."`
	Force bool   `help:"Also when hosts don't know the key that will sign; they refuse orders until they are enrolled again."`
}

type keysUseCmd struct{ keyFlags }

// Run has the key sign.
func (c *keysUseCmd) Run(e *env) error {
	return c.done(e, "used", "Orders are signed with %s now.\n", c.client().UseOrderKey(e.ctx, c.ID, c.Force))
}

type keysRetireCmd struct{ keyFlags }

// Run forgets the key.
func (c *keysRetireCmd) Run(e *env) error {
	return c.done(e, "retired", "The key %s is forgotten, by hosts with their next heartbeats.\n", c.client().RetireOrderKey(e.ctx, c.ID, c.Force))
}

func (c *keyFlags) done(e *env, word, sentence string, err error) error {
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]string{word: c.ID})
	}
	_, err = fmt.Fprintf(e.out, sentence, c.ID)
	return err
}
