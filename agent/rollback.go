package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/nixfleet/nixfleet/agentbus"
)

// rollback goes back to what the order names: a system, a commit, or neither,
// which means the system before the running one. It is the only way backwards.
func (t *task) rollback(ctx context.Context) (note string, err error) {
	if t.order.Commit != "" && t.order.Target == "" {
		if note, err = t.pull(ctx, false); err != nil {
			return "", err
		}
		return t.thenSwitch(ctx, note)
	}
	path, err := t.goal()
	if err != nil {
		return "", &stepError{
			end: agentbus.StepRefused, step: agentbus.StepReceived, code: agentbus.RefusedNoGeneration, cause: err,
		}
	}
	if !t.jobDir().has(startedFile) && t.runs(path) {
		return alreadyRunning, nil
	}
	t.log.printf("going back to %s", path)
	n := t.notes.get()
	more, err := t.activate(ctx, aim{commit: n.commitOf(path), path: path, back: true})
	return t.switched(ctx, more, err)
}

// goal is the system that a rollback without a commit is to bring back. Once the
// switch has begun it is what was recorded: the system before the running one is
// then another.
func (t *task) goal() (string, error) {
	if j := t.job(); t.jobDir().has(startedFile) {
		return j.Target, nil
	}
	all := generationsOf(t.cfg.Paths.Profile)
	path := t.order.Target
	if path == "" {
		path = before(all, readLink(t.cfg.Paths.Current))
	}
	if path == "" {
		return "", errors.New("the profile knows of no system before the running one: name a commit to go back to")
	}
	n := t.notes.get()
	ours := slices.ContainsFunc(all, func(g agentbus.Generation) bool { return g.Path == path }) ||
		slices.ContainsFunc(n.Built, func(e evaluated) bool { return e.Path == path })
	if !ours {
		return "", fmt.Errorf("%s is neither a generation of this host nor built by it: choose one of its generations, or name a commit", clip(path, 200))
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s was collected as garbage since: name the commit that it was built from", path)
	}
	return path, t.cfg.Platform.executor().fits(path)
}
