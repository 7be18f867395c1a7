package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// groupPoll is how often is looked whether processes have ended.
const groupPoll = 50 * time.Millisecond

// endGroup kills what is left of a process group and returns once none of it
// runs. It does not give up: while something of an order still runs, the host is
// not free for the next one.
func endGroup(pgid int) {
	for pause := time.Millisecond; groupLives(pgid); pause = min(2*pause, groupPoll) {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
		time.Sleep(pause)
	}
}

// groupLives reports whether a process of the group runs. One that has ended and
// that nobody has waited for does not.
func groupLives(pgid int) bool {
	if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
		return false
	}
	return slices.ContainsFunc(groupMembers(pgid), func(m member) bool { return !m.dead })
}

// ofThisUser reports whether uid, that of the person who started a process, is the
// agent's own. Anybody can give a program any environment.
func ofThisUser(uid int) bool { return uid == os.Getuid() }

// markKey is the context's key for the mark of the programs that an agent starts
// for an order: a variable in their environment, which what they start inherits.
type markKey struct{}

func (a *Agent) mark() string { return "NIXFLEET_WORK_OF=" + a.cfg.StateDir }

// marked is env with the mark of ctx.
func marked(ctx context.Context, env []string) []string {
	mark, ok := ctx.Value(markKey{}).(string)
	if !ok {
		return env
	}
	if env == nil {
		env = os.Environ()
	}
	return append(slices.Clip(env), mark)
}

// sweep ends the programs that an earlier process of this agent started for an
// order and left when it was killed. It returns once none is left, since the next
// process takes the order up from its beginning.
func (a *Agent) sweep(ctx context.Context) {
	asked := time.Time{}
	for ctx.Err() == nil {
		left := withMark(a.mark())
		if len(left) == 0 {
			return
		}
		signal := syscall.Signal(0)
		if asked.IsZero() {
			a.cfg.Log(fmt.Sprintf("%d programs of an earlier agent process still run and are stopped", len(left)))
			asked, signal = time.Now(), syscall.SIGTERM
		} else if time.Since(asked) > killGrace {
			signal = syscall.SIGKILL
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, signal)
		}
		pause(ctx, groupPoll)
	}
}
