package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Resume takes every switch to its end that a crash or a restart of the machine
// cut short, with or without an agent and a network. It is what the machine runs
// when it boots: an activation that was under way is undone by the recorded path,
// and a switch that waited for the agent's word waits for it anew.
//
// Like [Supervise] it is to be called before anything else is done.
func Resume(ctx context.Context, stateDir string) error {
	if atGate() {
		return passGate()
	}
	dirs, err := switchDirs(stateDir)
	if err != nil {
		return err
	}
	dirs = slices.DeleteFunc(dirs, func(d jobDir) bool { return !d.unfinished() })
	slices.SortFunc(dirs, func(a, b jobDir) int { return cmp.Compare(a.begun(), b.begun()) })
	var failed []error
	for _, d := range dirs {
		err := Supervise(ctx, d.path(jobFile))
		if errors.Is(err, errLocked) {
			continue // somebody is at it
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// begun is when the switch began, in Unix milliseconds.
func (d jobDir) begun() int64 {
	var s started
	_, _ = d.read(startedFile, &s)
	return s.At
}
