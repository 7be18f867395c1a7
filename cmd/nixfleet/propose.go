package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

type lockProposeCmd struct {
	serverFlags
	Repo   string        `arg:"" help:"owner/name of the repository."`
	File   string        `arg:"" help:"The new flake.lock." type:"existingfile"`
	Base   string        `required:"" help:"Commit that it was made from, by its 40 hex digits: the head of the default branch."`
	Path   string        `help:"Path of the lock file in the repository." default:"flake.lock"`
	Inputs []string      `name:"input" help:"Input that was to change; all if left out."`
	Host   string        `help:"Host that made it."`
	Reason string        `help:"Why, for the commit and the history."`
	AsPR   bool          `name:"as-pr" help:"Open a pull request, also where policy has locks committed."`
	Wait   time.Duration `help:"How long to wait for the end; 0 to return at once." default:"1m"`
}

// Run sends the lock and waits for what becomes of it. A lock that is refused, or came
// too late, is an error.
func (c *lockProposeCmd) Run(e *env) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	l, err := c.client().ProposeLock(e.ctx, c.Repo, api.NewLock{
		Base: c.Base, Path: c.Path, Lock: string(b), Inputs: c.Inputs, Host: c.Host, Reason: c.Reason, AsPull: c.AsPR,
	})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(c.Wait); !l.Ended && time.Now().Before(deadline); {
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-time.After(time.Second):
		}
		if l, err = c.client().Lock(e.ctx, c.Repo, l.ID); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := json.NewEncoder(e.out).Encode(l); err != nil {
			return err
		}
	}
	switch {
	case l.State == "refused", l.State == "conflicted":
		return fmt.Errorf("the lock is %s: %s", l.State, clean(l.Found))
	case c.JSON:
		return nil
	case l.Found == "":
		l.Found = "It waits to be judged."
	}
	_, err = fmt.Fprintf(e.out, "%s is %s: %s\n", l.ID, l.State, clean(l.Found))
	return err
}
