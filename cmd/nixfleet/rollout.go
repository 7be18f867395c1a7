package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/api"
)

type rolloutsCmd struct {
	serverFlags
	State string `help:"Only those in this state: planned, running, paused, halted, rolling_back, succeeded, rolled_back, failed, aborted or superseded." enum:",planned,running,paused,halted,rolling_back,succeeded,rolled_back,failed,aborted,superseded" default:"" placeholder:"STATE"`
	Limit int    `help:"How many, the newest first; 0 means all." default:"20"`
	Watch bool   `short:"w" help:"Go on showing them as they change, until interrupted."`
}

// Run prints a table, once or as it changes.
func (c *rolloutsCmd) Run(e *env) error {
	read := func() (any, string, error) {
		list, err := c.client().Rollouts(e.ctx, api.RolloutQuery{State: c.State, Limit: c.Limit})
		return map[string]any{"rollouts": list}, c.table(e, list), err
	}
	if c.Watch {
		return c.watchList(e, []string{"rollout"}, read)
	}
	return c.print(e, read)
}

func (c *rolloutsCmd) table(e *env, list []api.Rollout) string {
	if len(list) == 0 {
		return "No rollouts. The first one begins with a merge, or with: nixfleet deploy\n"
	}
	rows := make([][]string, len(list))
	for i, r := range list {
		rows[i] = []string{r.ID, short(r.Commit), words(r.State), fmt.Sprintf("%d/%d", r.Done, r.Total), moment(r.StartedAt), r.Actor, r.Headline}
	}
	return e.table("ROLLOUT COMMIT~2 STATE HOSTS STARTED~3 BY~1 SAYS…", rows)
}

func words(state string) string { return strings.ReplaceAll(state, "_", " ") }

type rolloutCmd struct {
	Show     rolloutShowCmd    `cmd:"" help:"One rollout with its hosts."`
	Watch    rolloutWatchCmd   `cmd:"" help:"Follow a rollout until it ends; exit code 0 if it succeeded, else 1."`
	Pause    rolloutPauseCmd   `cmd:"" help:"Order no further host."`
	Resume   rolloutResumeCmd  `cmd:"" help:"Go on with a paused rollout."`
	Abort    rolloutAbortCmd   `cmd:"" help:"End it; hosts that work finish what they do."`
	Rollback rolloutBackCmd    `cmd:"" help:"Bring the hosts that switched back to what they ran before."`
	Retry    rolloutRetryCmd   `cmd:"" help:"Start a rollout of the hosts that did not get there."`
	Exclude  rolloutExcludeCmd `cmd:"" help:"Take a host out of a rollout."`
}

// rolloutFlags name a rollout.
type rolloutFlags struct {
	serverFlags
	ID string `arg:"" optional:"" default:"latest" predictor:"rollout" help:"Its id, a beginning of it that no other has, or latest."`
}

type rolloutShowCmd struct{ rolloutFlags }

// Run prints the rollout.
func (c *rolloutShowCmd) Run(e *env) error {
	r, err := c.client().Rollout(e.ctx, c.ID)
	if err != nil {
		return err
	}
	return c.show(e, r)
}

// show prints a rollout with its hosts.
func (f serverFlags) show(e *env, r api.Rollout) error {
	if f.JSON {
		return json.NewEncoder(e.out).Encode(r)
	}
	var b strings.Builder
	columns := width(e.out)
	wrap(&b, "", fmt.Sprintf("Rollout %s of %s (%s): %s.", r.ID, short(r.Commit), clean(r.Repo), words(r.State)), columns)
	wrap(&b, "  ", clean(r.Headline), columns)
	if r.Reason != "" {
		wrap(&b, "  ", clean("Started by "+r.Actor+": "+r.Reason), columns)
	}
	if r.Restores != "" {
		wrap(&b, "  ", "It undoes rollout "+r.Restores+".", columns)
	}
	if r.Revert != nil {
		wrap(&b, "  ", clean(r.Revert.Found), columns)
	}
	b.WriteByte('\n')
	if _, err := fmt.Fprint(e.out, b.String()); err != nil || len(r.Hosts) == 0 {
		return err
	}
	rows := make([][]string, len(r.Hosts))
	for i, h := range r.Hosts {
		wave := fmt.Sprint(h.Wave)
		if h.Wave >= 1 && h.Wave <= len(r.Waves) {
			wave = r.Waves[h.Wave-1].Name
		}
		rows[i] = []string{h.Host, wave, h.State, moment(h.Since), hostSays(h)}
	}
	return table(e, "HOST WAVE~2 STATE SINCE~1 SAYS…", rows)
}

// hostSays is a host's failure, or what else there is to say of it.
func hostSays(h api.RolloutHost) string {
	if f := h.Failure; f != nil {
		text := f.Step + ": " + f.Message
		if f.ExitCode != 0 {
			text += fmt.Sprintf(" (exit code %d)", f.ExitCode)
		}
		return text
	}
	return h.Note
}

// steerFlags name a rollout and say why it is steered.
type steerFlags struct {
	rolloutFlags
	Reason string `help:"Why, for the record."`
}

func (f steerFlags) steer(e *env, verb string) error {
	r, err := f.client().SteerRollout(e.ctx, f.ID, verb, f.Reason)
	if err != nil {
		return err
	}
	return f.show(e, r)
}

type (
	rolloutPauseCmd  struct{ steerFlags }
	rolloutResumeCmd struct{ steerFlags }
	rolloutAbortCmd  struct{ steerFlags }
	rolloutBackCmd   struct{ steerFlags }
	rolloutRetryCmd  struct{ steerFlags }
)

// Run pauses the rollout.
func (c *rolloutPauseCmd) Run(e *env) error { return c.steer(e, "pause") }

// Run goes on with the rollout.
func (c *rolloutResumeCmd) Run(e *env) error { return c.steer(e, "resume") }

// Run aborts the rollout.
func (c *rolloutAbortCmd) Run(e *env) error { return c.steer(e, "abort") }

// Run rolls the rollout back.
func (c *rolloutBackCmd) Run(e *env) error { return c.steer(e, "rollback") }

// Run starts the retry.
func (c *rolloutRetryCmd) Run(e *env) error {
	r, err := c.client().RetryRollout(e.ctx, c.ID, c.Reason, "")
	if err != nil {
		return err
	}
	return c.show(e, r)
}

type rolloutExcludeCmd struct {
	serverFlags
	ID     string `arg:"" predictor:"rollout" help:"Its id, a beginning of it that no other has, or latest."`
	Host   string `arg:"" predictor:"host" help:"Name of the host."`
	Reason string `help:"Why, for the record."`
}

// Run takes the host out.
func (c *rolloutExcludeCmd) Run(e *env) error {
	r, err := c.client().ExcludeHost(e.ctx, c.ID, c.Host, c.Reason)
	if err != nil {
		return err
	}
	return c.show(e, r)
}

type deployCmd struct {
	serverFlags
	Hosts    string `arg:"" optional:"" predictor:"selector" help:"Which hosts: a name, tag:x, platform:nixos, all; joined with and, or, not. Default: those of the policy."`
	Commit   string `help:"A commit on the default branch, by its id or the beginning of it, a branch or a tag. Default: the branch's head."`
	Repo     string `help:"owner/name; may be left out when the App watches one only."`
	AtOnce   bool   `help:"All hosts together instead of the policy's waves."`
	Backward bool   `help:"Also to hosts that run a later commit: they go back."`
	Force    bool   `help:"Also where the commit is in quarantine."`
	Reason   string `help:"Why, for the record."`
	Watch    bool   `short:"w" help:"Follow it until it ends; exit code 0 if it succeeded, else 1."`
}

// Run starts the rollout.
func (c *deployCmd) Run(e *env) error {
	n := api.NewRollout{
		Repo: c.Repo, Commit: c.Commit, Hosts: c.Hosts, AtOnce: c.AtOnce, Backward: c.Backward, Force: c.Force, Reason: c.Reason,
	}
	r, err := c.client().StartRollout(e.ctx, n, "")
	if err != nil {
		return err
	}
	if c.Watch {
		watch := rolloutWatchCmd{rolloutFlags{c.serverFlags, r.ID}}
		return watch.Run(e)
	}
	return c.show(e, r)
}
