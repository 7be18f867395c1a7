package agent

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// process names a process that a supervisor started, at the head of a process
// group. Ids are used again; with the moment of its start and the boot that it
// belongs to it is unmistakable.
type process struct {
	PID     int    `json:"pid"`
	Start   string `json:"start"`
	Session int    `json:"session,omitempty"`
	Boot    string `json:"boot,omitempty"`
}

// member is one process of a group.
type member struct {
	pid, session int
	start        string
	dead         bool // it only waits for its parent to take notice
}

// recordProcess is the running process pid as it is to be found again.
func recordProcess(pid int, boot string) (process, error) {
	for _, m := range groupMembers(pid) {
		if m.pid == pid {
			return process{PID: pid, Start: m.start, Session: m.session, Boot: boot}, nil
		}
	}
	return process{}, errors.New("the process that was started can't be found")
}

// lives reports whether anything of p's group is still running, among the members
// of the group with its id. While one is left the id can't be given to another
// process, so a head of the group that began at another time heads another group.
func (p process) lives(boot string, members []member) bool {
	if p.PID == 0 || p.Boot != boot {
		return false
	}
	alive := false
	for _, m := range members {
		if m.pid == p.PID && m.start != p.Start || m.session != p.Session {
			return false
		}
		alive = alive || !m.dead
	}
	return alive
}

// stop ends all of p's group, kindly at first, and returns when none of it is
// left.
func (p process) stop(boot string) error {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if !p.lives(boot, groupMembers(p.PID)) {
			return nil
		}
		_ = syscall.Kill(-p.PID, sig)
		if p.ends(boot) {
			return nil
		}
	}
	return fmt.Errorf("process group %d can't be stopped", p.PID)
}

// ends waits for the end of p's group, for as long as a group gets.
func (p process) ends(boot string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	for p.lives(boot, groupMembers(p.PID)) {
		if ctx.Err() != nil {
			return false
		}
		pause(ctx, stopPoll)
	}
	return true
}

// stopPoll is the pause between looks at a group that was asked to end.
const stopPoll = 50 * time.Millisecond
