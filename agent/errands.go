package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Acts of an errand.
const (
	errandRestart = "restart"
	errandReboot  = "reboot"
)

// How long an errand may take, by the host's clock, and how long the server is
// given to record that it begins.
const (
	restartTimeout = 2 * time.Minute
	rebootTimeout  = 10 * time.Minute
	returnTimeout  = 10 * time.Minute // after a boot, until the bus answers
	announceTime   = 5 * time.Second
	commandTimeout = 30 * time.Second
)

// Codes of errands that fail.
const (
	codeNotRestarted = "did_not_restart"
	codeNotRebooted  = "did_not_reboot"
	codeOtherSystem  = "other_system"
	codeNotBack      = "unreachable_after_reboot"
)

// restartAgent has the service manager start the agent anew. That the order is
// done is for the new process to say.
func (t *task) restartAgent(ctx context.Context) (string, error) {
	e, err := t.ledger.leave(t.order.ID, "the agent restarts", errand{Act: errandRestart, Process: t.process})
	if err != nil {
		return "", err
	}
	t.log.at(agentbus.StepVerifying)
	if e.Process != t.process {
		return "a new agent process is at work, version " + Version, nil
	}
	if err := t.runErrand(ctx, e, t.cfg.Platform.executor().restart(t.cfg.Unit), restartTimeout); err != nil {
		return "", failed(agentbus.StepVerifying, codeNotRestarted, err)
	}
	return "", ctx.Err()
}

// reboot restarts the machine and, after the boot, checks that the host is back
// and came up in the system into, where that is named.
func (t *task) reboot(ctx context.Context, into string) (string, error) {
	if t.errand == nil {
		if err := t.mayLeave(into); err != nil {
			return "", err
		}
	}
	e, err := t.ledger.leave(t.order.ID, "the machine reboots", errand{Act: errandReboot, Process: t.process})
	if err != nil {
		return "", err
	}
	t.log.at(agentbus.StepVerifying)
	if e.Boot != t.bootID {
		t.log.printf("the machine has rebooted")
		return t.back(ctx, into)
	}
	if err := t.runErrand(ctx, e, t.cfg.Platform.executor().reboot(), rebootTimeout); err != nil {
		return "", failed(agentbus.StepVerifying, codeNotRebooted, err)
	}
	return "", ctx.Err()
}

// mayLeave says why a reboot would be in vain: it could not be told from none, or
// would end in another system.
func (t *task) mayLeave(into string) error {
	if t.bootID == "" {
		return failed(agentbus.StepReceived, codeNotRebooted, errors.New("this system gives a boot no name, so it could not be seen that it rebooted: reboot it by hand"))
	}
	if next := readLink(t.cfg.Paths.Profile); into != "" && next != into {
		return failed(agentbus.StepReceived, codeOtherSystem,
			fmt.Errorf("the host is to come up in %s, but would boot %s: switch to it first", into, or(next, "no known system")))
	}
	return nil
}

// runErrand runs the command that is to end this process and waits for the end,
// which is that of ctx. An error says that the end does not come.
func (t *task) runErrand(ctx context.Context, e errand, argv []string, limit time.Duration) error {
	t.announce(ctx)
	over := time.UnixMilli(e.At).Add(limit)
	if t.cfg.Now().Before(over) {
		if err := t.command(ctx, argv); err != nil {
			return err
		}
	}
	if !t.until(ctx, over, switchPoll, func() bool { return ctx.Err() != nil }) {
		return fmt.Errorf("the %s was ordered, and nothing came of it within %s", e.Act, limit)
	}
	return nil
}

// command runs one of the platform's own commands, which return at once.
func (t *task) command(ctx context.Context, argv []string) error {
	argv = t.cfg.tool(argv)
	t.log.printf("running %s", programName(argv))
	_, err := run(ctx, command{argv: argv, env: environ(), dir: "/", timeout: commandTimeout, stream: t.log.write, loud: true})
	if ctx.Err() != nil {
		return nil // the end came before the command's own
	}
	return err
}

// announce gives the server time to record what is about to happen. It is no
// condition: the next process repeats what the server has not confirmed.
func (t *task) announce(ctx context.Context) {
	t.until(ctx, t.cfg.Now().Add(announceTime), switchPoll, func() bool {
		rec := t.ledger.snapshot()
		for _, a := range rec.Unconfirmed {
			if a.Order == t.order.ID {
				return false
			}
		}
		return true
	})
}

// back waits until all is well after a boot and checks which system came up.
func (t *task) back(ctx context.Context, into string) (string, error) {
	var bad error
	well := t.until(ctx, t.cfg.Now().Add(returnTimeout), checkPause, func() bool {
		bad = t.unwell(ctx)
		return bad == nil
	})
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if !well {
		return "", failed(agentbus.StepVerifying, codeNotBack, fmt.Errorf("the machine has rebooted, but not all is well: %w", bad))
	}
	if err := t.checkBooted(into); err != nil {
		return "", failed(agentbus.StepVerifying, codeOtherSystem, err)
	}
	return "the machine has rebooted", t.notes.update(func(n *notes) { n.RebootInto = "" })
}

func (t *task) unwell(ctx context.Context) error {
	if _, err := t.cfg.probe(ctx, nil); err != nil {
		return fmt.Errorf("no new connection to the bus came about: %w", err)
	}
	for _, check := range t.order.Policy.Health {
		if err := t.checkHealth(ctx, check); err != nil {
			return err
		}
	}
	return nil
}

// checkBooted says why the host has not come up in the system into.
func (t *task) checkBooted(into string) error {
	booted, running := readLink(t.cfg.Paths.Booted), readLink(t.cfg.Paths.Current)
	switch {
	case into == "":
		return nil
	case t.cfg.Platform.executor().boots() && booted != into:
		return fmt.Errorf("the host was to boot %s and has booted %s", into, or(booted, "no known system"))
	case running != into:
		return fmt.Errorf("the host was to run %s after the boot and runs %s", into, or(running, "no known system"))
	}
	return nil
}

// until looks again and again whether ok; false when that is not before the host's
// clock passes limit or ctx ends.
func (t *task) until(ctx context.Context, limit time.Time, rest time.Duration, ok func() bool) bool {
	for !ok() {
		if ctx.Err() != nil || t.cfg.Now().After(limit) {
			return false
		}
		pause(ctx, rest)
	}
	return true
}
