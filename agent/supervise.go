package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// How often the supervisor looks for the agent's word, and the largest log that
// an activation may leave.
const (
	verdictPoll = 100 * time.Millisecond
	outputLimit = 16 << 20
)

// Supervise is the whole program of the supervisor: it carries out the switch
// that the job file describes and returns when the switch is decided. It needs
// neither the agent nor the network.
//
// It may be run again on the same job, whatever became of the first run: the
// target is activated at most once, an activation that was cut short is undone,
// and going back can be repeated. It does not end at signals: half way through a
// switch is the one place not to stop at, and the job's own limits bound it.
func Supervise(ctx context.Context, path string) error {
	// Caught rather than ignored, so that what it runs still hears them.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	s := supervisor{dir: jobDir(filepath.Dir(path)), now: time.Now}
	if _, err := s.dir.read(jobFile, &s.job); err != nil {
		return fmt.Errorf("supervise switch: %w", err)
	}
	if s.job.Order == "" {
		return fmt.Errorf("supervise switch: no job at %s", path)
	}
	lock, err := s.takeLock(ctx)
	if err != nil {
		return fmt.Errorf("supervise switch %s: %w", s.job.Order, err)
	}
	defer lock.Close()
	s.lock = lock
	if s.dir.has(outcomeFile) {
		return nil
	}
	end, err := s.carryOut(ctx)
	if err != nil {
		return fmt.Errorf("supervise switch %s: %w", s.job.Order, err)
	}
	end.At = s.now().UnixMilli()
	return writeJSON(s.dir.path(outcomeFile), end)
}

type supervisor struct {
	dir jobDir
	job job
	now func() time.Time

	// lock goes down to what the supervisor runs: should the supervisor be
	// killed, no other one begins before its activation has ended.
	lock *os.File
}

// takeLock is patient, because an agent that looks whether a supervisor lives
// holds the lock for a moment.
func (s supervisor) takeLock(ctx context.Context) (*os.File, error) {
	poll := time.NewTicker(verdictPoll)
	defer poll.Stop()
	for range 20 {
		lock, err := lockFile(s.dir.path(lockName))
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, errLocked
}

func (s supervisor) carryOut(ctx context.Context) (outcome, error) {
	var act activated
	done, err := s.dir.read(activatedFile, &act)
	switch {
	case err != nil:
		return outcome{}, err
	case !done && !s.dir.has(startedFile) && s.dir.has(verdictFile):
		return outcome{Result: resultUnchanged, Code: "too_late", Reason: "the agent had given up before the switch began"}, nil
	case !done && s.dir.has(startedFile):
		return s.goBack("interrupted", "the activation was cut short")
	case !done:
		if act, err = s.activate(ctx); err != nil {
			return outcome{}, err
		}
	}
	if act.Error != "" && !s.changed() {
		return outcome{Result: resultUnchanged, Code: "activation_failed", Reason: act.Error}, nil
	}
	if !act.ok() {
		return s.goBack("activation_failed", act.Error)
	}
	v, err := s.awaitVerdict(ctx)
	switch {
	case err != nil:
		return outcome{}, err
	case v.Keep:
		return outcome{Result: resultKept}, nil
	}
	return s.goBack(v.Code, v.Reason)
}

// activate makes the target the running system, once.
func (s supervisor) activate(ctx context.Context) (activated, error) {
	if err := writeJSON(s.dir.path(startedFile), started{PID: os.Getpid(), At: s.now().UnixMilli()}); err != nil {
		return activated{}, err
	}
	act := activated{}
	if err := s.setProfile(ctx, s.job.Target); err != nil {
		act = activated{ExitCode: -1, Error: err.Error()}
	} else if code, err := s.run(ctx, s.job.SwitchTimeout, s.job.activation(s.job.Target)); err != nil {
		act = activated{ExitCode: code, Error: describeExit(code, err)}
	}
	act.At = s.now().UnixMilli()
	return act, writeJSON(s.dir.path(activatedFile), act)
}

func describeExit(code int, err error) string {
	switch code {
	case exitNeedsReboot:
		return ""
	case exitUnitsFailed:
		return "the activation ended with exit code 4: some units did not start"
	case -1:
		return "the activation did not end by itself: " + err.Error()
	}
	return fmt.Sprintf("the activation ended with exit code %d", code)
}

// changed reports whether anything is not as it was before the switch.
func (s supervisor) changed() bool {
	return readLink(s.job.Paths.Profile) == s.job.Target || readLink(s.job.Paths.Current) != s.job.Previous
}

// awaitVerdict waits for the agent's word that all is well, from now on for the
// verify timeout; without it the supervisor decides to go back.
func (s supervisor) awaitVerdict(ctx context.Context) (verdict, error) {
	deadline := time.NewTimer(s.job.VerifyTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(verdictPoll)
	defer poll.Stop()
	for {
		var v verdict
		if ok, err := s.dir.read(verdictFile, &v); ok || err != nil {
			return v, err
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return s.dir.decide(verdict{
				Code: "no_word", Reason: fmt.Sprintf("the agent did not say within %s that all is well", s.job.VerifyTimeout),
				At: s.now().UnixMilli(),
			})
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// goBack activates the recorded previous path. It does not listen to a stop of
// the supervisor: half way back is the one place not to be left at.
func (s supervisor) goBack(code, reason string) (outcome, error) {
	ctx := context.Background()
	end := outcome{Result: resultReverted, Code: code, Reason: reason}
	if s.job.Previous == "" {
		end.Result = resultStuck
		end.Reason += "; there is no previous system to go back to"
		return end, nil
	}
	err := s.setProfile(ctx, s.job.Previous)
	if err == nil {
		_, err = s.run(ctx, s.job.SwitchTimeout, s.job.activation(s.job.Previous))
	}
	if now := readLink(s.job.Paths.Current); now != s.job.Previous {
		end.Result = resultStuck
		end.Reason += fmt.Sprintf("; going back to %s failed too (%v), now %s runs", s.job.Previous, err, or(now, "no known system"))
	}
	return end, nil
}

// setProfile makes path what the machine boots and what a rollback starts from.
// Where the activation does that, or nothing is to change there, it does nothing.
func (s supervisor) setProfile(ctx context.Context, path string) error {
	argv := s.job.setProfile(path)
	if argv == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.job.Paths.Profile), 0o755); err != nil {
		return fmt.Errorf("set the profile: %w", err)
	}
	if _, err := s.run(ctx, gitTimeout, argv); err != nil {
		return fmt.Errorf("set the profile: %w", err)
	}
	return nil
}

// run runs argv with its output in the job's log. The log is a file and not a
// pipe, so that nothing breaks when whoever reads it is gone.
func (s supervisor) run(ctx context.Context, timeout time.Duration, argv []string) (int, error) {
	log, err := os.OpenFile(s.dir.path(outputFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return -1, err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than %s", timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{s.lock}
	cmd.Dir, cmd.Env = "/", s.job.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killGrace
	err = cmd.Run()
	if size, seekErr := log.Seek(0, io.SeekEnd); seekErr == nil && size > outputLimit {
		_ = log.Truncate(outputLimit)
	}
	if err == nil {
		return 0, nil
	}
	code := -1
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return code, fmt.Errorf("%s: %w", programName(argv), err)
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
