package db

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// init makes the data directory unless there is one. It is made under another
// name, so that an interrupted attempt is never taken for a database.
func (c *cluster) init(ctx context.Context) error {
	if dataVersion(c.data) != "" {
		return nil
	}
	if _, err := os.Lstat(c.data); err == nil {
		return fmt.Errorf("%s exists and is not a Postgres data directory: move it away, or name another directory", c.data)
	}
	made := c.data + ".new"
	if err := os.RemoveAll(made); err != nil {
		return err
	}
	if err := c.account.mkdir(made); err != nil {
		return err
	}
	c.log("a new database is made in " + c.data)
	argv := []string{
		"--pgdata=" + made, "--username=" + privateName, "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums",
	}
	if c.volatile {
		argv = append(argv, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, c.bin.initdb, argv...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.env(), "/", c.account.attr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", c.bin.initdb, err, tail(out))
	}
	return os.Rename(made, c.data)
}

// env is what Postgres gets to see of our environment: none of our secrets, and
// no PG variables that would change what we ask for.
func (c *cluster) env() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "TMPDIR", "LOCALE_ARCHIVE", "LD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// settings are given on the command line: as root we write nothing into a
// directory that belongs to someone else.
func (c *cluster) settings() []string {
	s := []string{
		"listen_addresses=", "unix_socket_directories=" + c.socket, "unix_socket_permissions=0700", "port=5432",
		"max_connections=100", "shared_buffers=128MB", "timezone=UTC", "log_timezone=UTC", "jit=off",
		"wal_compression=on", "idle_in_transaction_session_timeout=5min",
	}
	if c.volatile {
		return append(s, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_wal_size=4GB")
	}
	return append(s,
		"logging_collector=on", "log_directory=log", "log_filename=postgres-%a.log",
		"log_rotation_age=1d", "log_rotation_size=0", "log_truncate_on_rotation=on")
}

// launch starts Postgres in a session of its own, so that what ends our terminal
// or our process does not end it.
func (c *cluster) launch() (*os.Process, error) {
	if err := c.account.mkdir(c.socket); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(c.dir, "start.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	argv := []string{"-D", c.data}
	for _, s := range c.settings() {
		argv = append(argv, "-c", s)
	}
	cmd := exec.Command(c.bin.postgres, argv...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.env(), "/", log, log, c.account.attr()
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.bin.postgres, err)
	}
	c.log(fmt.Sprintf("Postgres %s starts as %s (process %d)", c.bin.version, c.account.name, cmd.Process.Pid))
	return cmd.Process, nil
}

// postmaster finds the running Postgres of the data directory. A pid file that a
// crash left behind may name a process that is something else by now, so the
// process must work in the data directory, as Postgres does. The pid file of one
// that does not is left to Postgres, unless that would be misled too.
func (c *cluster) postmaster() (pid int, ok bool) {
	name := filepath.Join(c.data, "postmaster.pid")
	text, err := readSmall(name)
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(text, "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0, false
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return pid, !exited(pid) // it has ended, or there is no /proc and Postgres' own word counts
	}
	if same, err := filepath.EvalSymlinks(c.data); err == nil && cwd == same {
		return pid, true
	}
	_ = os.Remove(name)
	return 0, false
}

// shutDown ends Postgres: first by cutting its connections and writing everything
// out, and at the end of ctx at once.
func (c *cluster) shutDown(ctx context.Context) error {
	pid, ok := c.postmaster()
	if !ok {
		return nil
	}
	defer func() { _ = os.Remove(c.socket) }() // made again at the next start
	if err := unix.Kill(pid, unix.SIGINT); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	if c.awaitGone(ctx, pid) {
		return nil
	}
	c.log("Postgres takes too long to shut down; it is ended at once")
	if err := unix.Kill(pid, unix.SIGQUIT); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if !c.awaitGone(hard, pid) {
		return fmt.Errorf("process %d does not end", pid)
	}
	return nil
}

func (c *cluster) awaitGone(ctx context.Context, pid int) bool {
	for {
		if exited(pid) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// exited reports whether a process is gone, and buries it if it is our child. One
// that only waits for another parent to do so is gone too.
func exited(pid int) bool {
	var status unix.WaitStatus
	done, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
	if err == nil {
		return done == pid
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return errors.Is(unix.Kill(pid, 0), unix.ESRCH) || err == nil && bytes.Contains(stat, []byte(") Z "))
}

// lastWords is the end of what Postgres wrote while it started.
func (c *cluster) lastWords() string {
	name := filepath.Join(c.dir, "start.log")
	words, _ := readSmall(name)
	begun, err := os.Stat(name)
	if err != nil {
		return tail([]byte(words))
	}
	logs, _ := filepath.Glob(filepath.Join(c.data, "log", "*.log"))
	for _, name := range logs {
		if info, err := os.Stat(name); err == nil && !info.ModTime().Before(begun.ModTime()) {
			more, _ := readSmall(name)
			words += more
		}
	}
	return tail([]byte(words))
}

// tail keeps the last lines of an output.
func tail(out []byte) string {
	out = bytes.TrimSpace(out)
	if cut := len(out) - 2000; cut > 0 {
		out = out[cut:]
	}
	return cleanText(string(out))
}

// readSmall reads the last 64 KiB of a regular file that others may write.
func readSmall(name string) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	const most = 64 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return "", err
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	return string(b), err
}

// dataVersion is the major version of Postgres that made a data directory, empty
// if there is none.
func dataVersion(data string) string {
	text, err := readSmall(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}
