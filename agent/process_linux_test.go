package agent

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 1 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1000 10"
	for text, want := range map[string]member{
		"42 (sh)" + rest:            {pid: 42, session: 40, start: "123456"},
		"42 (a) R 9 9 (9)" + rest:   {pid: 42, session: 40, start: "123456"},
		"42 (sh) Z" + rest[2:]:      {pid: 42, session: 40, start: "123456", dead: true},
		"42 (sh" + rest:             {},
		"":                          {},
		"x (sh)" + rest:             {},
		"42 (sh) S 1 42 40 0 -1 41": {},
	} {
		got, group, ok := parseStat([]byte(text))
		if ok != (want.pid != 0) || ok && (got != want || group != 42) {
			t.Errorf("%q: %+v, group %d, %v", text, got, group, ok)
		}
	}
}

// A group is found by the record of its head, with all of it, and is ended even
// where it does not want to.
func TestGroupIsStopped(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the grace that a process gets")
	}
	cmd := exec.Command("/bin/sh", "-c", `trap "" TERM; sleep 1000 & echo; while :; do wait; done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p, err := recordProcess(cmd.Process.Pid, readBootID())
	if err != nil {
		t.Fatal(err)
	}
	other := p
	other.Start += "0"
	if err := other.stop(readBootID()); err != nil || len(groupMembers(p.PID)) != 2 {
		t.Fatalf("a process of another time was taken for it: %v, %v", err, groupMembers(p.PID))
	}
	if err := p.stop(readBootID()); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if left := groupMembers(p.PID); p.lives(readBootID(), left) {
		t.Errorf("left: %+v", left)
	}
	if _, err := recordProcess(p.PID, ""); err == nil {
		t.Error("a process that is gone was found")
	}
	if p, err := recordProcess(os.Getpid(), ""); err == nil && p.Start == "" {
		t.Error("no start time")
	}
}
