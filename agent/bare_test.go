package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bare is a host without Nix and without an agent: its systems are directories
// with a script, and a test tells the supervisor what to do with them.
type bare struct {
	t    *testing.T
	dir  string
	room string // of the switch's record, if it is elsewhere
	job  job
}

// newBare is a host that runs the system OLD and is to switch to NEW. Each of
// their activations leaves a line in runs.
func newBare(t *testing.T) *bare {
	t.Helper()
	p := &bare{t: t, dir: t.TempDir()}
	p.system("OLD", "")
	p.system("NEW", "")
	p.script(p.at("nix-env"), `ln -sfn "$4" "$2"`)
	p.script(p.at("systemctl"), `[ ! -e `+p.at("mute")+` ] && { cat `+p.at("failed")+` 2>/dev/null; true; }`)
	p.link("OLD", "current")
	p.link("OLD", "profile")
	p.job = job{
		Order: "order-1", Platform: NixOS, Target: p.at("NEW"), Previous: p.at("OLD"), PreviousProfile: p.at("OLD"),
		Paths:  Paths{Current: p.at("current"), Profile: p.at("profile"), SwitchLock: p.at("switch.lock")},
		NixEnv: p.at("nix-env"), Systemctl: p.at("systemctl"), Env: os.Environ(),
		SwitchTimeout: time.Minute, VerifyTimeout: time.Minute,
		Before: baseline{Units: units{Failed: []string{"old.service"}, Known: true}},
	}
	return p
}

func (p *bare) at(elem ...string) string { return filepath.Join(append([]string{p.dir}, elem...)...) }

func (p *bare) state() string { return or(p.room, p.at("state")) }

func (p *bare) record() jobDir { return jobDir(filepath.Join(p.state(), "switch", p.job.Order)) }

func (p *bare) script(path, body string) {
	p.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700)); err != nil {
		p.t.Fatal(err)
	}
}

// system makes a system whose activation runs body, and by itself only moves the
// link. It waits while the file NAME.hold is there.
func (p *bare) system(name, body string) {
	p.t.Helper()
	head := fmt.Sprintf("cd %s\necho %s >> runs\necho $$ > %s.pid\nwhile [ -e %s.hold ]; do sleep 0.05; done\n", p.dir, name, name, name)
	move := fmt.Sprintf("ln -sfn %s current", p.at(name))
	p.script(p.at(name, "bin", "switch-to-configuration"), head+strings.ReplaceAll(or(body, "MOVE"), "MOVE", move))
	p.script(p.at(name, "activate"), head+strings.ReplaceAll(or(body, "MOVE"), "MOVE", move))
}

func (p *bare) link(name, at string) {
	p.t.Helper()
	_ = os.Remove(p.at(at))
	if err := os.Symlink(p.at(name), p.at(at)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *bare) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.at(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *bare) remove(name string) {
	p.t.Helper()
	if err := os.Remove(p.at(name)); err != nil {
		p.t.Fatal(err)
	}
}

// begin writes the job down, as the agent does.
func (p *bare) begin() jobDir {
	p.t.Helper()
	if err := p.record().create(p.job); err != nil {
		p.t.Fatal(err)
	}
	return p.record()
}

// start starts a program of this binary: a supervisor, or what runs at boot.
func (p *bare) start(args ...string) (cmd *exec.Cmd, kill func()) {
	p.t.Helper()
	cmd = exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	p.t.Cleanup(kill)
	return cmd, kill
}

func (p *bare) supervise() (cmd *exec.Cmd, kill func()) {
	return p.start("supervise", p.record().path(jobFile))
}

// run supervises the switch to its end and returns that.
func (p *bare) run() outcome {
	p.t.Helper()
	cmd, _ := p.supervise()
	if err := cmd.Wait(); err != nil {
		p.t.Fatalf("supervisor: %v", err)
	}
	return p.outcome()
}

func (p *bare) outcome() outcome {
	p.t.Helper()
	var o outcome
	if ok, err := p.record().read(outcomeFile, &o); !ok || err != nil {
		p.t.Fatalf("outcome: %v, %v", ok, err)
	}
	return o
}

// sayWell is an agent that finds everything well.
func (p *bare) sayWell() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); keepSwitch(ctx, p.record()) }()
	p.t.Cleanup(func() { cancel(); <-done })
}

func (p *bare) await(what string, ok func() bool) { p.t.Helper(); eventually(p.t, what, ok) }

// runs are the activations so far, in order.
func (p *bare) runs() string {
	data, _ := os.ReadFile(p.at("runs"))
	return strings.Join(strings.Fields(string(data)), " ")
}

// check compares what happened with what should have.
func (p *bare) check(o outcome, result, code, runs, at string) {
	p.t.Helper()
	if o.Result != result || o.Code != code {
		p.t.Errorf("outcome %+v, want %s %s", o, result, code)
	}
	if got := p.runs(); got != runs {
		p.t.Errorf("activations %q, want %q", got, runs)
	}
	if now, boots := readLink(p.at("current")), readLink(p.at("profile")); now != p.at(at) || boots != p.at(at) {
		p.t.Errorf("%s runs and %s would be booted, want %s", now, boots, at)
	}
}

// pid is the process id that a script wrote down.
func (p *bare) pid(name string) int {
	p.t.Helper()
	data, err := os.ReadFile(p.at(name))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(data)))
	if err := errors.Join(err, convErr); err != nil {
		p.t.Fatal(err)
	}
	return pid
}

// openFiles are what a process has open, as far as the system tells.
func openFiles(pid int) []string {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	var files []string
	for _, link := range links {
		if file, err := os.Readlink(link); err == nil {
			files = append(files, file)
		}
	}
	return files
}
