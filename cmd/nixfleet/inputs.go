package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

type updateInputsCmd struct {
	serverFlags
	Repo   string        `arg:"" optional:"" help:"owner/name; may be left out when the App watches one only."`
	Host   string        `help:"Host that makes the lock; an evaluator that is online, or else any host that is, if left out."`
	Inputs []string      `help:"Inputs to update, separated by commas; all if left out."`
	Path   string        `help:"Path of the lock file in the repository; that of the policy if left out."`
	Reason string        `help:"Why, for the commit and the history."`
	AsPR   bool          `name:"pull-request" help:"Open a pull request, also where policy has locks committed."`
	Wait   time.Duration `help:"How long to wait for the end; 0 to return at once." default:"10m"`
}

// Run orders the lock and waits for what becomes of it. A host that fails, and a lock
// that is refused or came too late, is an error.
func (c *updateInputsCmd) Run(e *env) error {
	repo, err := theRepo(e, c.serverFlags, c.Repo)
	if err != nil {
		return err
	}
	u, err := c.client().UpdateInputs(e.ctx, repo, api.UpdateInputs{
		Host: c.Host, Inputs: c.Inputs, Path: c.Path, Reason: c.Reason, AsPull: c.AsPR,
	})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(c.Wait); !u.Ended && time.Now().Before(deadline); {
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-time.After(time.Second):
		}
		if u, err = c.client().InputsUpdate(e.ctx, repo, u.ID); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := json.NewEncoder(e.out).Encode(u); err != nil {
			return err
		}
	}
	state, good := inputsOutcome(u)
	switch {
	case !good:
		return fmt.Errorf("the update of inputs on %s is %s: %s", clean(u.Host), clean(state), clean(u.Found))
	case c.JSON:
		return nil
	case u.Found == "":
		u.Found = "The host has not ended it yet."
	}
	_, err = fmt.Fprintf(e.out, "%s on %s is %s: %s\n", u.ID, clean(u.Host), clean(state), clean(u.Found))
	return err
}

// inputsOutcome is where an update of inputs is, and whether that may still be well.
func inputsOutcome(u api.InputsUpdate) (state string, good bool) {
	if u.Lock != nil {
		return u.Lock.State, u.Lock.State != "refused" && u.Lock.State != "conflicted"
	}
	return u.State, !u.Ended || u.State == "healthy" && u.Found == allCurrent
}

// allCurrent is the host's word for having nothing to send.
const allCurrent = "all inputs are current"
