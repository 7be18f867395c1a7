package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	switchPoll     = 100 * time.Millisecond
	supervisorIdle = 2 * time.Second // a switch without a supervisor for so long gets a new one
	maxLaunches    = 5
	keptJobs       = 20
	keptRoots      = 3
)

// errUnsupervised ends a switch whose supervisor does not stay alive.
var errUnsupervised = errors.New("no supervisor stays alive to carry out the switch; see supervisor.log in its directory")

// switchCheckout builds and switches to where the checkout is. An order that
// names another commit was made for a checkout that has moved since.
func (t *task) switchCheckout(ctx context.Context) (string, error) {
	c := t.checkout()
	at := t.notes.get().Git.Checkout
	switch {
	case at == "":
		return "", failed(agentbus.StepReceived, "no_checkout", errors.New("nothing was pulled yet: order a pull or a deploy first"))
	case t.order.Commit != "" && t.order.Commit != at:
		return "", failed(agentbus.StepReceived, "checkout_moved",
			fmt.Errorf("the order is to switch to %s, but the checkout is at %s: order a pull or a deploy", t.order.Commit, at))
	}
	t.order.Commit = at
	note, err := t.checkAhead(ctx, c)
	if err != nil {
		return "", err
	}
	more, err := t.switchTo(ctx, at)
	return join(note, more), err
}

// aim is what a switch is to bring about.
type aim struct {
	commit string // that path was built from; "" where that is not known
	path   string // store path, realised on this host
	act    action // default is to switch
	back   bool   // it goes back on purpose: a rollback
}

// switchTo builds commit and makes it the running system.
func (t *task) switchTo(ctx context.Context, commit string) (string, error) {
	if err := t.begin(agentbus.StepBuilding, ""); err != nil {
		return "", err
	}
	path, err := t.build(ctx, commit)
	if err != nil {
		return "", err
	}
	back := t.order.Kind == agentbus.KindRollback
	if (back || t.order.Kind == agentbus.KindDeploy) && !t.jobDir().has(startedFile) && t.runs(path) {
		return alreadyRunning, nil
	}
	return t.activate(ctx, aim{commit: commit, path: path, act: actionOf(t.order.Kind), back: back})
}

// activate makes what a names what the host runs or boots, and sees it to its
// end. What it names is there already; where it came from does not matter.
func (t *task) activate(ctx context.Context, a aim) (string, error) {
	d := t.jobDir()
	if d.has(startedFile) {
		// The journal was lost, the switch was not.
		t.log.printf("this order has switched before")
	} else {
		t.final.Change = t.changeTo(ctx, a.path)
		if err := t.writeJob(ctx, d, a); err != nil {
			return "", err
		}
	}
	if err := t.beginSaying(agentbus.Answer{Step: agentbus.StepSwitching, Change: t.final.Change}); err != nil {
		return "", err
	}
	return t.concludeSwitch(ctx)
}

// build evaluates and builds commit, and notes both.
func (t *task) build(ctx context.Context, commit string) (string, error) {
	if err := t.expect(ctx, commit); err != nil {
		return "", err
	}
	n := t.notes.get()
	attr := or(t.order.Attr, n.Attr)
	t.log.printf("building %s of commit %s", attr, commit)
	ref, err := flakeRef(t.checkout().dir, commit, attr)
	if err != nil {
		return "", err
	}
	root := statePath(t.cfg.StateDir, "roots", t.order.ID)
	path, err := t.builder().build(ctx, ref, root, or(t.order.Policy.BuildTimeout.Duration(), defaultBuildTimeout))
	if err == nil {
		err = t.cfg.Platform.executor().fits(path)
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		if noteErr := t.notes.update(func(n *notes) { n.failed(errBuild, err) }); noteErr != nil {
			return "", noteErr
		}
		return "", failed(agentbus.StepBuilding, "build_failed", err)
	}
	prune(filepath.Dir(root), keptRoots, t.order.ID)
	made := evaluated{Commit: commit, Attr: attr, Path: path}
	return path, t.notes.update(func(n *notes) {
		n.failed(errBuild, nil)
		n.Expected = made
		n.built(made)
	})
}

// runs reports whether path is both what runs and what would be booted.
func (t *task) runs(path string) bool {
	return readLink(t.cfg.Paths.Current) == path && readLink(t.cfg.Paths.Profile) == path
}

func (t *task) jobDir() jobDir { return jobDir(statePath(t.cfg.StateDir, "switch", t.order.ID)) }

// writeJob writes down what is to be switched, and how the host is before.
func (t *task) writeJob(ctx context.Context, d jobDir, a aim) error {
	nixEnv, err := exec.LookPath(t.cfg.Nix.program("nix-env"))
	if err != nil {
		return failed(agentbus.StepBuilding, "no_nix_env", err)
	}
	limit := or(t.order.Policy.SwitchTimeout.Duration(), defaultSwitchTimeout)
	before, err := t.baseline(ctx, limit)
	if err != nil {
		return err
	}
	if err := t.closeOthers(ctx, d); err != nil {
		return err
	}
	env := environ(t.cfg.Nix.Env...)
	if t.cfg.Paths.Current != currentSystem {
		env = append(env, "NIXFLEET_CURRENT_SYSTEM="+t.cfg.Paths.Current)
	}
	j := job{
		Order: t.order.ID, Platform: t.cfg.Platform, Commit: a.commit, Target: a.path, Action: a.act, Back: a.back,
		Previous: readLink(t.cfg.Paths.Current), PreviousProfile: readLink(t.cfg.Paths.Profile), Paths: t.cfg.Paths,
		NixEnv: nixEnv, Systemctl: t.cfg.systemctl(), Env: env,
		SwitchTimeout: limit,
		VerifyTimeout: or(t.order.Policy.VerifyTimeout.Duration(), defaultVerifyTimeout),
		Settle:        or(t.order.Policy.Settle.Duration(), defaultSettle),
		Before:        before,
	}
	err = d.create(j)
	if isFull(err) {
		return failed(agentbus.StepBuilding, "disk_full", fmt.Errorf("there is no room to record the switch, so it did not begin: %w", err))
	}
	prune(filepath.Dir(string(d)), keptJobs, t.order.ID)
	return err
}

// closeOthers ends the records of earlier switches that never came to their end:
// should their supervisor begin again, it would undo what comes now.
func (t *task) closeOthers(ctx context.Context, d jobDir) error {
	dirs, err := switchDirs(t.cfg.StateDir)
	if err != nil {
		return err
	}
	for _, other := range dirs {
		if other == d || !other.unfinished() {
			continue
		}
		lock, err := lockSoon(ctx, other.path(lockName)) // it may just write down its end
		if errors.Is(err, errLocked) {
			return failed(agentbus.StepBuilding, "switch_under_way", fmt.Errorf("the supervisor of order %s is still at work", filepath.Base(string(other))))
		}
		if err != nil {
			return err
		}
		if !other.unfinished() { // it came to its end meanwhile
			_ = lock.Close()
			continue
		}
		err = errors.Join(other.record(outcomeFile, outcome{
			Result: resultStuck, Code: "abandoned", Reason: "order " + t.order.ID + " switched before this one came to its end", At: t.cfg.Now().UnixMilli(),
		}), lock.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

// concludeSwitch sees a switch to its end, whoever began it and however far it
// has come.
func (t *task) concludeSwitch(ctx context.Context) (string, error) {
	d := t.jobDir()
	var j job
	if ok, err := d.read(jobFile, &j); err != nil || !ok {
		return t.failSwitch(failed(agentbus.StepSwitching, "job_lost",
			fmt.Errorf("the record of the switch at %s is gone, so it is not known what was switched: %w", d, errors.Join(err))))
	}
	t.final.Change = or(t.final.Change, t.changeBegun(j.Target))
	// The supervisor keeps to its own limits; this one is for when it is gone.
	ctx, cancel := context.WithTimeoutCause(ctx, 8*j.SwitchTimeout+j.patience()+2*time.Minute, errUnsupervised)
	defer cancel()
	w := &watch{task: t, dir: d}
	defer w.release()
	act, end, err := w.await(ctx, func() bool { return d.has(activatedFile) })
	switch {
	case err != nil:
		return t.failSupervision(ctx, err)
	case end != nil && end.Result != resultKept, !act.ok():
		return t.endSwitch(ctx, w, act)
	}
	if err := t.begin(agentbus.StepVerifying, ""); err != nil {
		return "", err
	}
	v, err := t.decide(ctx, d, j, act)
	if err != nil {
		return "", err
	}
	if !v.Keep {
		return t.endSwitch(ctx, w, act)
	}
	w.linger(ctx)
	note := v.Note
	switch act.ExitCode {
	case exitUnitsFailed:
		note = join(note, "some units did not start at once, but none has failed that had not before the switch")
	case exitNeedsReboot:
		note = join(note, "a reboot is needed before the new system runs")
	}
	return note, t.notes.update(func(n *notes) {
		n.failed(errSwitch, nil)
		n.RebootInto = ""
		if act.ExitCode == exitNeedsReboot {
			n.RebootInto = j.Target
		}
	})
}

// endSwitch waits until the supervisor has done what follows a bad activation or
// verdict, and says it.
func (t *task) endSwitch(ctx context.Context, w *watch, act activated) (string, error) {
	_, end, err := w.await(ctx, func() bool { return false })
	if err != nil {
		return t.failSupervision(ctx, err)
	}
	step := agentbus.StepVerifying
	if !act.ok() || end.Result == resultUnchanged || end.Code == "interrupted" {
		step = agentbus.StepSwitching
	}
	e := &stepError{step: step, code: end.Code, exit: act.ExitCode, tail: fileTail(w.dir.path(outputFile))}
	switch end.Result {
	case resultReverted:
		e.end, e.cause = agentbus.StepReverted, fmt.Errorf("%s; the previous system runs again", end.Reason)
	case resultUnchanged:
		e.end, e.cause = agentbus.StepFailed, fmt.Errorf("%s; nothing was changed", end.Reason)
	default:
		e.end, e.cause = agentbus.StepFailed, errors.New(end.Reason)
	}
	return t.failSwitch(e)
}

func (t *task) failSupervision(ctx context.Context, err error) (string, error) {
	switch {
	case errors.Is(context.Cause(ctx), errUnsupervised):
		err = errUnsupervised
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	return t.failSwitch(failed(agentbus.StepSwitching, "supervisor_failed", err))
}

func (t *task) failSwitch(e *stepError) (string, error) {
	if err := t.notes.update(func(n *notes) { n.failed(errSwitch, e) }); err != nil {
		return "", err
	}
	return "", e
}

func fileTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	t := newTail(tailBytes)
	_, _ = io.Copy(t, io.LimitReader(f, outputLimit+stdoutBytes))
	return printable(t.bytes())
}
