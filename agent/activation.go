package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Exit statuses of switch-to-configuration.
const (
	exitBusy        = 11  // another one is at work; nothing was done
	exitUnitsFailed = 4   // the system is switched, but some units did not start
	exitNeedsReboot = 100 // nothing is switched until the machine reboots
)

// outputRoom is the free space below which an activation's output is not kept.
const outputRoom = 128 << 10

// errBusy ends an activation that never came to its turn.
var errBusy = errors.New("another switch holds the lock of switch-to-configuration")

// activate makes the target what the job says, once.
func (s supervisor) activate(ctx context.Context) activated {
	act := s.perform(ctx, s.job.Target)
	if !act.ok() && !act.Ran && readLink(s.job.Paths.Profile) != s.job.PreviousProfile && s.job.PreviousProfile != "" {
		// Only the profile has moved, so only the profile goes back.
		_ = s.setProfile(ctx, s.job.PreviousProfile)
	}
	return act
}

// perform sets the profile to path and activates it, within the switch timeout.
// While another activation holds NixOS's lock, it waits for its turn, as long
// again at most.
func (s supervisor) perform(ctx context.Context, path string) activated {
	turn, cancel := context.WithTimeout(ctx, s.job.SwitchTimeout)
	defer cancel()
	for {
		for s.busy() && turn.Err() == nil {
			pause(turn, verdictPoll)
		}
		if turn.Err() != nil {
			return activated{ExitCode: -1, Code: "switch_busy", Error: errBusy.Error()}
		}
		if err := s.setProfile(ctx, path); err != nil {
			return activated{ExitCode: -1, Code: "activation_failed", Error: err.Error()}
		}
		code, ran, err := s.run(ctx, s.job.SwitchTimeout, s.job.activation(path))
		if s.lockWasBusy(code) {
			pause(turn, verdictPoll)
			continue
		}
		act := activated{Ran: ran, ExitCode: code, Error: s.job.describeExit(code, err)}
		if act.Error != "" {
			act.Code = "activation_failed"
		}
		return act
	}
}

// describeExit says what is wrong with an activation that ended with code; ""
// means that it is to be looked at how the host does.
func (j job) describeExit(code int, err error) string {
	_, known := j.Platform.executor().(nixos) // others mean nothing by their statuses
	switch {
	case err == nil, known && (code == exitNeedsReboot || code == exitUnitsFailed):
		return ""
	case code == -1:
		return "the activation did not end by itself: " + err.Error()
	}
	return fmt.Sprintf("the activation ended with exit code %d", code)
}

// busy reports whether another activation is at work.
func (s supervisor) busy() bool {
	if s.job.Paths.SwitchLock == "" {
		return false
	}
	f, err := os.Open(s.job.Paths.SwitchLock)
	if err != nil {
		return false
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// lockWasBusy reports whether an activation that ended with code has only found
// the lock taken. Older ones end with 1 then, which may mean anything else.
func (s supervisor) lockWasBusy(code int) bool {
	return s.job.Paths.SwitchLock != "" && (code == exitBusy || code == 1 && s.busy())
}

// misses says which of the links is not at path after an activation, and what
// that means; "" when all are as they should be.
func (j job) misses(path string) (link, what string) {
	if at := readLink(j.Paths.Profile); j.act() != actTest && at != path {
		return or(at, "no known system"), "would be booted and not " + path
	}
	if at := readLink(j.Paths.Current); j.act() != actBoot && at != path {
		return or(at, "no known system"), "runs and not " + path
	}
	return "", ""
}

// setProfile makes path what the machine boots and what a rollback starts from.
// Where the activation does that, or nothing is to change there, it does nothing.
func (s supervisor) setProfile(ctx context.Context, path string) error {
	argv := s.job.setProfile(path)
	if argv == nil || readLink(s.job.Paths.Profile) == path {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.job.Paths.Profile), 0o755); err != nil {
		return fmt.Errorf("set the profile: %w", err)
	}
	if _, _, err := s.run(ctx, gitTimeout, argv); err != nil {
		return fmt.Errorf("set the profile: %w", err)
	}
	return nil
}

// run runs argv to its end, with its output in the job's log. It is on record
// before it begins; ran is false when it never began.
func (s supervisor) run(ctx context.Context, limit time.Duration, argv []string) (code int, ran bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	log, err := s.openOutput()
	if err != nil {
		return -1, false, err
	}
	defer log.Close()
	child, err := startGated(log)
	if err != nil {
		return -1, false, err
	}
	p, err := recordProcess(child.cmd.Process.Pid, s.boot)
	if err == nil {
		err = s.dir.record(runningFile, p)
	}
	if err != nil {
		child.shut()
		return -1, false, err
	}
	if err := child.open(argv, s.job.Env); err != nil {
		child.shut()
		return -1, false, err
	}
	code, err = s.await(ctx, child.cmd, p, log)
	if err != nil {
		err = fmt.Errorf("%s: %w", programName(argv), err)
	}
	return code, true, err
}

// await waits for a child; when ctx ends, the child's whole group has to.
func (s supervisor) await(ctx context.Context, cmd *exec.Cmd, p process, log *os.File) (int, error) {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	trim := time.NewTicker(time.Second)
	defer trim.Stop()
	stop := ctx.Done()
	for {
		select {
		case err := <-ended:
			trimOutput(log)
			if cause := context.Cause(ctx); cause != nil && err != nil {
				return -1, cause
			}
			return cmd.ProcessState.ExitCode(), err
		case <-trim.C:
			trimOutput(log)
		case <-stop:
			stop = nil
			go func() { _ = p.stop(s.boot) }()
		}
	}
}

// openOutput opens the log for what is run. It is a file and not a pipe, so that
// nothing breaks when whoever reads it is gone; on a full disk it is nothing at
// all, because an activation must not fail for what it prints.
func (s supervisor) openOutput() (*os.File, error) {
	if free, total := diskSpace(string(s.dir)); total > 0 && free < outputRoom {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	return os.OpenFile(s.dir.path(outputFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

func trimOutput(log *os.File) {
	if info, err := log.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > outputLimit {
		_ = log.Truncate(outputLimit)
	}
}

// stopLeftover ends what an earlier supervisor, or this one, has started for the
// switch and that still runs.
func (s supervisor) stopLeftover() error {
	var p process
	if ok, err := s.dir.read(runningFile, &p); err != nil || !ok {
		return nil //nolint:nilerr // nothing was started that is on record, and nothing else begins
	}
	return p.stop(s.boot)
}

// readLink is what the symbolic link at path finally names, or "" when that is
// nothing.
func readLink(path string) string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return target
}
