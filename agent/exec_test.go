package agent

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "size")
		tail, all := newTail(n), []byte{}
		for _, p := range rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "writes") {
			_, _ = tail.Write(p)
			all = append(all, p...)
		}
		if want := all[max(0, len(all)-n):]; !bytes.Equal(tail.bytes(), want) {
			t.Fatalf("tail %q, want %q", tail.bytes(), want)
		}
	})
}

func TestRunBoundsOutputWithoutLines(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	streamed := 0
	res, err := run(t.Context(), command{
		argv: []string{"/bin/sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x; echo end >&2; exit 9"}, env: os.Environ(),
		stream: func(p []byte) { mu.Lock(); streamed += len(p); mu.Unlock() }, loud: true,
	})
	if exitCode(err) != 9 || !strings.HasSuffix(err.Error(), "end") && !strings.Contains(err.Error(), "x") {
		t.Errorf("error %.100v", err)
	}
	if len(res.stdout) != stdoutBytes || len(res.tail) != tailBytes || streamed != 20000004 {
		t.Errorf("kept %d and %d, streamed %d", len(res.stdout), len(res.tail), streamed)
	}
}

func TestRunEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("not wanted any more")
	done := make(chan error)
	go func() {
		_, err := run(ctx, command{
			argv: []string{"/bin/sh", "-c", "sleep 1000 & echo $! > " + pidFile + ".tmp; mv " + pidFile + ".tmp " + pidFile + "; wait"},
			env:  os.Environ(),
		})
		done <- err
	}()
	var pid int
	eventually(t, "the grandchild runs", func() bool {
		data, err := os.ReadFile(pidFile)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && pid > 0
	})
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	eventually(t, "the grandchild is gone", func() bool {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(state), ") Z ")
	})
}

func TestRunTimesOut(t *testing.T) {
	t.Parallel()
	_, err := run(t.Context(), command{argv: []string{"/bin/sleep", "1000"}, timeout: 10 * time.Millisecond})
	if err == nil || exitCode(err) != -1 || !strings.Contains(err.Error(), "did not end within 10ms") {
		t.Errorf("error %v", err)
	}
}

func TestMessagesNameNoArguments(t *testing.T) {
	t.Parallel()
	for want, argv := range map[string][]string{
		"git fetch": {"/usr/bin/git", "-c", "core.hooksPath=/dev/null", "fetch", "--", "https://user:token@example.com/x"},
		"true":      {"/bin/true"},
		"nice":      {"nice", "-n", "10", "/nix/nix"},
	} {
		if got := programName(argv); got != want {
			t.Errorf("programName(%q) = %q, want %q", argv, got, want)
		}
	}
}
