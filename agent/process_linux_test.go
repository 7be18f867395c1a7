package agent

import (
	"os"
	"os/exec"
	"slices"
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

// Anybody can start a program with the agent's mark; the agent must neither wait for
// it nor end it.
func TestMarkOfAnotherUserIsNoMark(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start a program as somebody else")
	}
	mark := "NIXFLEET_WORK_OF=" + t.TempDir()
	var pids []int
	for _, uid := range []uint32{0, 65534} {
		cmd := exec.Command("/bin/sh", "-c", "echo; read x")
		cmd.Dir, cmd.Env = "/", []string{mark}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		in, _ := cmd.StdinPipe()
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Skip(err)
		}
		defer func() { _ = in.Close(); _ = cmd.Wait() }()
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	if got := withMark(mark); !slices.Equal(got, pids[:1]) {
		t.Errorf("found %v, want %v alone", got, pids[:1])
	}
}
