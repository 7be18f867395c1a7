package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// What a supervisor runs must be on record before it does anything, or the next
// supervisor could not stop it. So a child first waits at a gate: it is this
// program once more, which reads what it is to become from a pipe. If the
// supervisor dies before it has made its record, the pipe ends and nothing runs.

const (
	gateEnv = "NIXFLEET_GATE"
	gateFD  = 3 // the first of exec.Cmd's ExtraFiles
)

// passage is what a child at the gate becomes.
type passage struct {
	Argv []string `json:"argv"`
	Env  []string `json:"env"`
}

// atGate reports whether this process is such a child.
func atGate() bool { return os.Getenv(gateEnv) != "" }

// passGate waits for the passage and becomes it; it returns only if that fails.
func passGate() error {
	syscall.CloseOnExec(gateFD)
	data, err := io.ReadAll(os.NewFile(gateFD, "gate"))
	if err != nil {
		return fmt.Errorf("wait at the gate: %w", err)
	}
	var p passage
	if err := json.Unmarshal(data, &p); err != nil || len(p.Argv) == 0 {
		return errors.New("the supervisor is gone, so nothing is run")
	}
	return fmt.Errorf("run %s: %w", p.Argv[0], syscall.Exec(p.Argv[0], p.Argv, p.Env))
}

// gated is a child that waits at the gate, in a process group of its own.
type gated struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// startGated starts a child that writes to out.
func startGated(out *os.File) (*gated, error) {
	self, err := program()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), gateEnv+"=1")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return nil, err
	}
	return &gated{cmd: cmd, pipe: write}, nil
}

// program is what this process runs, even if its file is gone by now.
func program() (string, error) {
	const running = "/proc/self/exe"
	if _, err := os.Lstat(running); err == nil {
		return running, nil
	}
	return os.Executable()
}

// open lets the child become argv.
func (g *gated) open(argv, env []string) error {
	defer g.pipe.Close()
	return json.NewEncoder(g.pipe).Encode(passage{Argv: argv, Env: env})
}

// shut sends the child away.
func (g *gated) shut() {
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}
