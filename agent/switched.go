package agent

import (
	"context"

	"github.com/nixfleet/nixfleet/agentbus"
)

// The policy's words for a reboot that a new system needs; any other means never.
const (
	rebootWhenNeeded = "when_needed"
	rebootInWindow   = "window"
)

// alreadyRunning is the note of an order with nothing to switch.
const alreadyRunning = "already running"

// actionOf is what an order of this kind does with the system that it builds.
func actionOf(k agentbus.Kind) action {
	switch k {
	case agentbus.KindTest:
		return actTest
	case agentbus.KindBoot:
		return actBoot
	}
	return actSwitch
}

// thenSwitch builds the order's commit and switches to it.
func (t *task) thenSwitch(ctx context.Context, note string) (string, error) {
	more, err := t.switchTo(ctx, t.order.Commit)
	return t.switched(ctx, join(note, more), err)
}

// job is what the order switches to; empty where nothing is recorded.
func (t *task) job() (j job) {
	_, _ = t.jobDir().read(jobFile, &j)
	return j
}

// switched is the end of a switch that ended well: it notes what waits for a
// reboot, and does what the order's policy says about it.
func (t *task) switched(ctx context.Context, note string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	var act activated
	if done, err := t.jobDir().read(activatedFile, &act); err != nil || !done {
		return note, err // it ran already
	}
	j := t.job()
	switch j.act() {
	case actTest:
		return note, nil
	case actBoot:
		return join(note, "it runs from the next boot on"), t.notes.update(func(n *notes) { n.RebootInto = j.Target })
	case actSwitch:
	}
	e := t.cfg.Platform.executor()
	pending := act.ExitCode == exitNeedsReboot && readLink(j.Paths.Current) != j.Target
	newKernel := e.boots() && kernelDiffers(readLink(j.Paths.Booted), j.Target)
	switch policy := t.order.Policy.Reboot; {
	case !pending && !newKernel:
		return note, nil
	case policy == rebootWhenNeeded && e.reboot() != nil && !t.cfg.guest():
		return t.reboot(ctx, j.Target)
	case policy == rebootInWindow, pending:
		t.final.Step = agentbus.StepDeferred
	}
	if !pending {
		note = join(note, "a reboot is needed before the new kernel runs")
	}
	return note, nil
}
