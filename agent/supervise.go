package agent

import (
	"context"
	"fmt"
	"os"
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
// target is activated at most once, an activation that was cut short is stopped
// and undone, and going back can be repeated. It does not end at signals: half
// way through a switch is the one place not to stop at, and the job's own limits
// bound it.
//
// What it runs is started by way of this program itself, with the same arguments;
// so it is to be called before anything else is done.
func Supervise(ctx context.Context, path string) error {
	if atGate() {
		return passGate()
	}
	// Caught rather than ignored, so that what it runs still hears them.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	s := supervisor{dir: jobDir(filepath.Dir(path)), now: time.Now, boot: readBootID()}
	if _, err := s.dir.read(jobFile, &s.job); err != nil {
		return fmt.Errorf("supervise switch: %w", err)
	}
	if s.job.Order == "" {
		return fmt.Errorf("supervise switch: no job at %s", path)
	}
	lock, err := lockSoon(ctx, s.dir.path(lockName))
	if err != nil {
		return fmt.Errorf("supervise switch %s: %w", s.job.Order, err)
	}
	defer lock.Close()
	if s.dir.has(outcomeFile) {
		return nil
	}
	end, err := s.carryOut(ctx)
	if err != nil {
		return fmt.Errorf("supervise switch %s: %w", s.job.Order, err)
	}
	end.At = s.now().UnixMilli()
	if err := s.dir.record(outcomeFile, end); err != nil {
		return fmt.Errorf("supervise switch %s: %w", s.job.Order, err)
	}
	s.dir.dropSpares()
	return nil
}

type supervisor struct {
	dir  jobDir
	job  job
	now  func() time.Time
	boot string // of the machine, as it runs now
}

// carryOut takes the switch from where its files say it is to its end.
func (s supervisor) carryOut(ctx context.Context) (outcome, error) {
	if err := s.stopLeftover(); err != nil {
		return outcome{}, err // two activations at a time are worse than none
	}
	var act activated
	done, err := s.dir.read(activatedFile, &act)
	begun := s.dir.has(startedFile)
	switch {
	case !begun && s.dir.has(verdictFile):
		return outcome{Result: resultUnchanged, Code: "too_late", Reason: "the agent had given up before the switch began"}, nil
	case begun && (err != nil || !done):
		return s.goBack("interrupted", "the activation was cut short"), nil
	case err != nil:
		return outcome{}, err
	case !begun:
		if err := s.dir.record(startedFile, started{PID: os.Getpid(), Boot: s.boot, At: s.now().UnixMilli()}); err != nil {
			return outcome{Result: resultUnchanged, Code: "not_recorded", Reason: fmt.Sprintf("the begin of the switch can't be recorded: %v", err)}, nil
		}
		act = s.activate(ctx)
		act.At = s.now().UnixMilli()
		if err := s.dir.record(activatedFile, act); err != nil {
			return s.goBack("not_recorded", fmt.Sprintf("the end of the activation can't be recorded: %v", err)), nil
		}
	}
	return s.conclude(ctx, act)
}

// conclude decides after an activation.
func (s supervisor) conclude(ctx context.Context, act activated) (outcome, error) {
	switch {
	case !act.ok() && !act.Ran && s.unmoved():
		return outcome{Result: resultUnchanged, Code: act.Code, Reason: act.Error}, nil
	case !act.ok():
		return s.goBack(act.Code, act.Error), nil
	}
	v, err := s.awaitVerdict(ctx)
	switch {
	case err != nil:
		return outcome{}, err
	case v.Keep:
		return outcome{Result: resultKept}, nil
	}
	return s.goBack(v.Code, v.Reason), nil
}

// unmoved reports whether both links are as they were before the switch.
func (s supervisor) unmoved() bool {
	return readLink(s.job.Paths.Profile) == s.job.PreviousProfile && readLink(s.job.Paths.Current) == s.job.Previous
}

// awaitVerdict waits for the agent's word that all is well, from now on for as
// long as the job says; without it the supervisor decides to go back.
func (s supervisor) awaitVerdict(ctx context.Context) (verdict, error) {
	deadline := time.NewTimer(s.job.patience())
	defer deadline.Stop()
	poll := time.NewTicker(verdictPoll)
	defer poll.Stop()
	// It only helps the agent to end its looking in time.
	_ = s.dir.record(waitingFile, waiting{Boot: s.boot, At: s.now().UnixMilli()})
	for {
		var v verdict
		if ok, err := s.dir.read(verdictFile, &v); ok || err != nil {
			return v, err
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return s.decideAlone()
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// decideAlone decides to go back, unless the agent's word came at the last moment.
func (s supervisor) decideAlone() (verdict, error) {
	return s.dir.decide(verdict{
		Code: "no_word", Reason: fmt.Sprintf("the agent did not say within %s that all is well", s.job.patience()),
		At: s.now().UnixMilli(),
	})
}

// goBack activates what ran before. It does not listen to a stop of the
// supervisor: half way back is the one place not to be left at.
func (s supervisor) goBack(code, reason string) outcome {
	ctx := context.Background()
	back := s.job.wayBack()
	if back == "" {
		return outcome{Result: resultStuck, Code: code, Reason: reason + "; there is no previous system to go back to"}
	}
	if err := s.stopLeftover(); err != nil {
		return outcome{Result: resultStuck, Code: code, Reason: fmt.Sprintf("%s; it was not gone back, because %v", reason, err)}
	}
	note, problem := s.undo(ctx, back)
	if problem == "" {
		return outcome{Result: resultReverted, Code: code, Reason: reason + note}
	}
	return outcome{Result: resultStuck, Code: code, Reason: fmt.Sprintf("%s; going back to %s failed too: %s; now %s runs and %s would be booted",
		reason, back, problem, or(readLink(s.job.Paths.Current), "no known system"), or(readLink(s.job.Paths.Profile), "no known system"))}
}

// undo activates back and makes it what would be booted, too, unless that was
// another system before: a trial stays one, and what waited for a boot waits on.
func (s supervisor) undo(ctx context.Context, back string) (note, problem string) {
	boots := s.job.PreviousProfile
	if s.job.act() == actSwitch && boots != "" && boots != back && s.job.Platform.executor().knows(actTest) {
		if note, problem = s.undoAs(ctx, actTest, back); problem == "" {
			_, problem = s.undoAs(ctx, actBoot, boots)
		}
		if problem == "" {
			return note, ""
		}
		note = fmt.Sprintf("; %s would be booted as before, but: %s", boots, problem)
	}
	more, problem := s.undoAs(ctx, s.job.act(), back)
	return note + more, problem
}

func (s supervisor) undoAs(ctx context.Context, act action, path string) (note, problem string) {
	s.job.Action = act
	return s.judgeBack(ctx, path, s.perform(ctx, path))
}

// judgeBack says what is wrong after going back, or what is worth a note where
// nothing is.
func (s supervisor) judgeBack(ctx context.Context, back string, end activated) (note, problem string) {
	switch {
	case end.Error != "":
		return "", end.Error
	case end.ExitCode == exitNeedsReboot:
		return "", "it needs a reboot before it runs"
	}
	if link, what := s.job.misses(back); link != "" {
		return "", fmt.Sprintf("the activation ended well, but %s %s", link, what)
	}
	if end.ExitCode == exitUnitsFailed {
		now := failedUnits(ctx, s.job.Systemctl, s.job.Platform)
		if !now.Known {
			return "", "some units did not start, and it is not known which"
		}
		if fresh := now.since(s.job.Before.Units); len(fresh) > 0 {
			return "", "units failed that had not before: " + unitList(fresh)
		}
		return "; on the way back some units did not start, which had failed before the switch, too", ""
	}
	return "", ""
}
