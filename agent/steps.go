package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/nixfleet/nixfleet/agentbus"
)

// stepError is how an order ends that does not end well.
type stepError struct {
	end   agentbus.Step // failed, reverted or refused
	step  agentbus.Step // the step that was under way
	code  string
	cause error
	exit  int
	tail  string
}

func (e *stepError) Error() string { return e.cause.Error() }
func (e *stepError) Unwrap() error { return e.cause }

// failed ends an order at step with a fixed code and what the program said.
func failed(step agentbus.Step, code string, err error) *stepError {
	return &stepError{end: agentbus.StepFailed, step: step, code: code, cause: err, exit: exitCode(err), tail: logTail(err)}
}

func (e *stepError) wire() *agentbus.StepError {
	return &agentbus.StepError{
		Step: e.step, Code: e.code, Message: clip(e.cause.Error(), 1000), ExitCode: e.exit, LogTail: e.tail,
	}
}

// task is the work on one order.
type task struct {
	*Agent
	order  agentbus.Order
	begun  bool    // an earlier process had begun the switch
	errand *errand // that an earlier process has left for, or nil
	log    *orderLog
	final  agentbus.Answer // what the final answer is to carry, gathered on the way
}

// workOn carries out w to its end and records it. The error is one that the agent
// cannot work with; an order that fails is not.
func (a *Agent) workOn(ctx context.Context, w work) error {
	log, err := a.logs.open(w.Order.ID)
	if err != nil {
		return err
	}
	defer log.close()
	if w.Seq > 1 {
		log.printf("a new agent process takes up this order at the step %s", w.Step)
	}
	t := &task{Agent: a, order: w.Order, begun: w.begun(), errand: w.Errand, log: log}
	note, err := t.carryOut(ctx)

	var end *stepError
	switch {
	case err == nil:
		log.printf("done: %s", or(note, "all is well"))
		a.see(ctx, 0)
		t.final.Step, t.final.Note = or(t.final.Step, agentbus.StepHealthy), note
		t.final.Generations = a.generations(ctx)
		return a.ledger.finish(w.Order.ID, t.final)
	case ctx.Err() != nil:
		log.printf("stopped: %v", context.Cause(ctx))
		return nil // stopped or put off, which is recorded, or to be taken up by the next process
	case errors.Is(err, errSuperseded), errors.Is(err, errCancelled):
		return nil
	case errors.As(err, &end):
		log.printf("%s at %s: %v", end.end, end.step, end)
		a.cfg.Log(fmt.Sprintf("order %s %s at %s: %v", w.Order.ID, end.end, end.step, end))
		a.see(ctx, 0)
		t.final.Step, t.final.Error = end.end, end.wire()
		t.final.Generations = a.generations(ctx)
		return a.ledger.finish(w.Order.ID, t.final)
	}
	return fmt.Errorf("work on order %s: %w", w.Order.ID, err)
}

// carryOut does what the order says, from wherever an earlier process came to.
func (t *task) carryOut(ctx context.Context) (note string, err error) {
	switch {
	case t.order.Kind == agentbus.KindRestartAgent:
		return t.restartAgent(ctx)
	case t.order.Kind == agentbus.KindReboot:
		return t.reboot(ctx, t.order.Target)
	case t.errand != nil: // the reboot that a switch asked for
		into := t.job().Target
		t.final.Change = t.changeBegun(into)
		return t.reboot(ctx, into)
	case t.begun:
		note, err = t.concludeSwitch(ctx)
		return t.switched(ctx, note, err)
	}
	switch t.order.Kind {
	case agentbus.KindDeploy:
		if note, err = t.pull(ctx, true); err != nil {
			return "", err
		}
		return t.thenSwitch(ctx, note)
	case agentbus.KindPull:
		if note, err = t.pull(ctx, true); err != nil {
			return "", err
		}
		more, err := t.expectNote(ctx, t.order.Commit)
		t.final.Change = t.changeExpected(ctx)
		return join(note, more), err
	case agentbus.KindSwitch, agentbus.KindTest, agentbus.KindBoot:
		note, err = t.switchCheckout(ctx)
		return t.switched(ctx, note, err)
	case agentbus.KindRollback:
		return t.rollback(ctx)
	case agentbus.KindRefresh:
		return t.refresh(ctx)
	case agentbus.KindUpdateInputs:
		return t.updateInputs(ctx)
	default: // the others are ended when they are accepted, or by what they stop
		return "", nil
	}
}

// begin records the next step, before anything of it is done.
func (t *task) begin(step agentbus.Step, note string) error {
	return t.beginSaying(agentbus.Answer{Step: step, Note: note})
}

// beginSaying is begin with an answer that carries more than a note.
func (t *task) beginSaying(said agentbus.Answer) error {
	t.log.at(said.Step)
	return t.ledger.begin(t.order.ID, said)
}

func (t *task) checkout() checkout {
	return checkout{dir: statePath(t.cfg.StateDir, "checkout"), git: t.cfg.Git, stream: t.log.write, tokens: t.cfg.tokens}
}

func (t *task) builder() builder { return builder{nix: t.cfg.Nix, stream: t.log.write} }

// pull brings the checkout to the order's commit; with ahead only if that goes
// forward from what runs.
func (t *task) pull(ctx context.Context, ahead bool) (note string, err error) {
	if err := t.begin(agentbus.StepFetching, ""); err != nil {
		return "", err
	}
	c, o := t.checkout(), t.order
	t.log.printf("fetching branch %s for commit %s", o.Branch, o.Commit)
	err = t.fetch(ctx, c)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if noteErr := t.notes.update(func(n *notes) {
		n.Repo, n.Branch, n.Attr = o.Repo, o.Branch, or(o.Attr, n.Attr)
		n.failed(errFetch, err)
	}); noteErr != nil {
		return "", noteErr
	}
	if err != nil {
		return "", err
	}
	if ahead {
		if note, err = t.checkAhead(ctx, c); err != nil {
			return "", err
		}
	}
	if err := c.at(ctx, o.Commit); err != nil {
		return "", failed(agentbus.StepFetching, "checkout_failed", err)
	}
	return note, t.noteCheckout(ctx, c)
}

func (t *task) fetch(ctx context.Context, c checkout) error {
	o := t.order
	if err := c.fetch(ctx, o); err != nil {
		return failed(agentbus.StepFetching, "fetch_failed", err)
	}
	return t.onBranch(ctx, c)
}

// onBranch says why the order's commit is not on its branch as last fetched, or nil.
func (t *task) onBranch(ctx context.Context, c checkout) error {
	o := t.order
	if !c.has(ctx, o.Commit) {
		return failed(agentbus.StepFetching, "commit_not_found",
			fmt.Errorf("branch %s was fetched, but commit %s is not on it; was it force-pushed away?", o.Branch, o.Commit))
	}
	on, err := c.isAncestor(ctx, o.Commit, remoteRef(o.Branch))
	if err == nil && !on {
		err = fmt.Errorf("commit %s exists, but is not on branch %s; was it force-pushed away?", o.Commit, o.Branch)
	}
	if err != nil {
		return failed(agentbus.StepFetching, "commit_not_on_branch", err)
	}
	return nil
}

// checkAhead refuses a commit that is not the running one or a descendant of it.
func (t *task) checkAhead(ctx context.Context, c checkout) (note string, err error) {
	running := t.observe(ctx, unitsPause).RunningCommit
	if running == "" {
		return "it is not known which commit runs, so this one is taken as the first", nil
	}
	ahead, err := c.isAncestor(ctx, running, t.order.Commit)
	if ahead {
		return "", nil
	}
	reason := "commit %s is not a descendant of the running commit %s; only a rollback order goes back"
	if err != nil {
		reason = "commit %s cannot be compared with the running commit %s, which is not in the repository"
	}
	return "", &stepError{
		end: agentbus.StepRefused, step: agentbus.StepFetching, code: agentbus.RefusedNotAhead,
		cause: fmt.Errorf(reason, t.order.Commit, running),
	}
}

// noteCheckout notes where the checkout is now, and its lock.
func (t *task) noteCheckout(ctx context.Context, c checkout) error {
	at := c.observe(ctx, t.notes.get().Branch)
	var lock *agentbus.LockSummary
	if at.Checkout != "" {
		data, err := c.lock(ctx, at.Checkout)
		if err == nil && data != nil {
			lock, err = summarizeLock(data)
		}
		if err != nil {
			t.log.printf("no lock summary: %v", err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.notes.update(func(n *notes) { n.Git, n.Lock = at, lock })
}

// expect evaluates what commit comes to for this host, once per commit. What
// speaks against the commit is a *stepError; it is noted as a fact, too.
func (t *task) expect(ctx context.Context, commit string) error {
	n := t.notes.get()
	attr := or(t.order.Attr, n.Attr)
	if n.Expected.Commit == commit && n.Expected.Attr == attr {
		return nil
	}
	if told, err := t.noteTold(commit, attr); told || err != nil {
		return err
	}
	ref, err := flakeRef(t.checkout().dir, commit, attr)
	var path string
	if err == nil {
		path, err = t.builder().evaluate(ctx, ref, or(t.order.Policy.BuildTimeout.Duration(), defaultBuildTimeout))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	noteErr := t.notes.update(func(n *notes) {
		n.failed(errEvaluate, err)
		n.Expected = evaluated{Commit: commit, Attr: attr, Path: path}
		if err != nil {
			n.Expected = evaluated{} // try again next time
		}
	})
	if noteErr != nil || err == nil {
		return noteErr
	}
	return failed(agentbus.StepBuilding, "evaluate_failed", err)
}

// expectNote is expect for orders that only look: that a commit cannot be
// evaluated does not undo its pull, it is worth a note.
func (t *task) expectNote(ctx context.Context, commit string) (note string, err error) {
	if commit == "" || or(t.order.Attr, t.notes.get().Attr) == "" {
		return "", nil
	}
	err = t.expect(ctx, commit)
	var bad *stepError
	if errors.As(err, &bad) {
		return "it does not evaluate: " + bad.Error(), nil
	}
	if err == nil && t.notes.get().Expected.Commit != commit {
		return waitsForEvaluator, nil
	}
	return "", err
}

// refresh looks at everything again, the remote branch included.
func (t *task) refresh(ctx context.Context) (note string, err error) {
	if err := t.begin(agentbus.StepFetching, ""); err != nil {
		return "", err
	}
	c, o := t.checkout(), t.order
	n := t.notes.get()
	o.Repo, o.Branch = or(o.Repo, n.Repo), or(o.Branch, n.Branch)
	if o.Repo != "" && o.Branch != "" {
		err := c.fetch(ctx, o)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			note = err.Error()
		}
		if err := t.notes.update(func(n *notes) {
			n.Repo, n.Branch, n.Attr = o.Repo, o.Branch, or(o.Attr, n.Attr)
			n.failed(errFetch, err)
		}); err != nil {
			return "", err
		}
	}
	if err := c.prepare(ctx); err != nil {
		return "", failed(agentbus.StepFetching, "checkout_failed", err)
	}
	if err := t.noteCheckout(ctx, c); err != nil {
		return "", err
	}
	more, err := t.evaluateOthers(ctx, c)
	if err != nil {
		return "", err
	}
	note = join(note, more)
	more, err = t.expectNote(ctx, t.notes.get().Git.Checkout)
	t.final.Change = t.changeExpected(ctx)
	return join(note, more), err
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
