package agent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Limits of what is kept of a program's output. The tail is what an answer may
// carry (agentbus.StepError.LogTail); standard output is parsed, so it is cut
// only where no honest program gets.
const (
	tailBytes   = 8 << 10
	stdoutBytes = 4 << 20
)

// killGrace is how long a program that was asked to stop may take before it is
// killed, and how long its children may keep its pipes open after it ended.
const killGrace = 5 * time.Second

// command is one program to run to its end.
type command struct {
	argv    []string
	env     []string // the whole environment
	dir     string
	timeout time.Duration // 0: only the context bounds it
	stream  func([]byte)  // gets standard error, and standard output too if loud
	loud    bool
}

// result is what a program left behind.
type result struct {
	stdout []byte
	tail   []byte // the end of everything it wrote
}

// exitError says that a program did not end with status 0.
type exitError struct {
	program string
	code    int // -1 when it did not exit by itself
	tail    []byte
	cause   error
}

func (e *exitError) Error() string {
	msg := fmt.Sprintf("%s: %v", e.program, e.cause)
	if line := or(errorLine(e.tail), lastLine(e.tail)); line != "" {
		msg += ": " + line
	}
	return msg
}

func (e *exitError) Unwrap() error { return e.cause }

// run runs c in a process group of its own and waits for it. When ctx ends or
// the time is up, the whole group is asked to stop and then killed; run returns
// when it is gone.
func run(ctx context.Context, c command) (result, error) {
	var timedOut error
	if c.timeout > 0 {
		timedOut = fmt.Errorf("did not end within %s", c.timeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.timeout, timedOut)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env, cmd.Dir = marked(ctx, c.env), c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killGrace

	out := &capture{keep: stdoutBytes}
	tail := newTail(tailBytes)
	cmd.Stdout = fanout{out, tail, streamer(c.stream, c.loud)}
	cmd.Stderr = fanout{nil, tail, streamer(c.stream, true)}

	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// The leader is gone; what it started may not be.
		endGroup(cmd.Process.Pid)
	}
	res := result{stdout: out.buf, tail: tail.bytes()}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well; a child of it merely kept the pipe
	}
	if err == nil {
		return res, nil
	}
	code := -1
	if cmd.ProcessState != nil {
		code = cmd.ProcessState.ExitCode()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return res, &exitError{program: programName(c.argv), code: code, tail: res.tail, cause: err}
}

// programName is what messages call argv: the program and its subcommand, never
// the arguments, which may hold an address with a token in it.
func programName(argv []string) string {
	name := argv[0][strings.LastIndexByte(argv[0], '/')+1:]
	for _, arg := range argv[1:] {
		if arg != "" && arg[0] >= 'a' && arg[0] <= 'z' && !strings.ContainsAny(arg, "/:=") {
			return name + " " + arg
		}
	}
	return name
}

// exitCode is the exit status within err, or 0 where no program failed.
func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return 0
}

// logTail is the end of the failed program's output within err.
func logTail(err error) string {
	var e *exitError
	if errors.As(err, &e) {
		return printable(e.tail)
	}
	return ""
}
