package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// watch follows a switch through its directory and keeps a supervisor alive for
// it until it has an outcome.
type watch struct {
	*task
	dir      jobDir
	child    *exec.Cmd // the supervisor, if this process started it in a session
	launches int
	checked  time.Time
	offset   int64 // of the activation's output that is streamed already
}

// await waits until the switch has an outcome or ready says that it is far
// enough. It returns how the activation ended, as far as that is known.
func (w *watch) await(ctx context.Context, ready func() bool) (act activated, end *outcome, err error) {
	poll := time.NewTicker(switchPoll)
	defer poll.Stop()
	for {
		far := ready()
		var o outcome
		over, err := w.dir.read(outcomeFile, &o)
		if err != nil {
			return act, nil, err
		}
		w.copyOutput()
		if far || over {
			if _, err := w.dir.read(activatedFile, &act); err != nil {
				return act, nil, err
			}
		}
		switch {
		case over:
			return act, &o, nil
		case far:
			return act, nil, nil
		}
		if err := w.keepSupervised(ctx); err != nil {
			return act, nil, err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return act, nil, ctx.Err()
		}
	}
}

// keepSupervised starts a supervisor where none lives: for the first time, or
// after one was killed or the machine restarted. Two may be started when the
// machine is slow; the lock lets only one of them work.
func (w *watch) keepSupervised(ctx context.Context) error {
	now := w.cfg.Now()
	if !w.checked.IsZero() && now.Sub(w.checked) < supervisorIdle {
		return nil
	}
	w.checked = now
	if w.starting() || w.dir.supervised() {
		return nil
	}
	if w.launches++; w.launches > maxLaunches {
		return w.giveUp()
	}
	child, err := w.cfg.launch(ctx, w.dir)
	if err != nil {
		w.log.printf("%v", err) // tried again, until it was tried too often
	}
	w.child = child
	return nil
}

// giveUp makes sure that a supervisor that begins after all changes nothing, or
// goes back if it was about to begin.
func (w *watch) giveUp() error {
	_, err := w.dir.decide(verdict{
		Code: "supervisor_failed", Reason: errUnsupervised.Error(), At: w.cfg.Now().UnixMilli(),
	})
	return errors.Join(errUnsupervised, err)
}

// starting reports whether the process that this one started is still there,
// which may not have come to taking the lock yet.
func (w *watch) starting() bool {
	if w.child == nil {
		return false
	}
	pid, err := syscall.Wait4(w.child.Process.Pid, nil, syscall.WNOHANG, nil)
	if err == nil && pid == 0 {
		return true
	}
	_ = w.child.Process.Release()
	w.child = nil
	return false
}

// copyOutput streams what the activation has printed since the last look.
func (w *watch) copyOutput() {
	f, err := os.Open(w.dir.path(outputFile))
	if err != nil {
		return
	}
	defer f.Close()
	n, _ := io.Copy(streamWriter(w.log.write), io.NewSectionReader(f, w.offset, outputLimit))
	w.offset += n
}

// linger lets the supervisor read a verdict that it is to keep the switch, which
// holds with or without it.
func (w *watch) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killGrace)
	defer cancel()
	for ctx.Err() == nil && !w.dir.has(outcomeFile) && w.dir.supervised() {
		pause(ctx, switchPoll)
	}
	w.copyOutput()
}

// release reaps the supervisor if it has come to its end. One that still works
// goes on without this process.
func (w *watch) release() {
	if w.child != nil && w.dir.has(outcomeFile) {
		_ = w.child.Wait()
		w.child = nil
	}
}
