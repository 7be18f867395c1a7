package main

import (
	"encoding/json"
	"fmt"
)

type checkUpdatesCmd struct {
	serverFlags
	Repo string `arg:"" optional:"" help:"owner/name; all that are watched, if left out."`
}

// Run has the server look at GitHub again, and tells what it had started there.
func (c *checkUpdatesCmd) Run(e *env) error {
	checked, err := c.client().CheckForUpdates(e.ctx, c.Repo)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"repos": checked})
	}
	for _, r := range checked {
		if _, err := fmt.Fprintf(e.out, "%s: looked at again. %s\n", clean(r.Repo), clean(r.Found)); err != nil {
			return err
		}
	}
	return nil
}
