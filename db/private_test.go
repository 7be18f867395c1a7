package db_test

import (
	"bufio"
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
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/db"
)

// The test binary runs itself as the owner of a private Postgres, so that the
// owner can be killed.
const (
	ownerCommand = "NIXFLEET_TEST_OWNER" // hold or resume
	ownerDir     = "NIXFLEET_TEST_OWNER_DIR"
)

// runOwner starts a private Postgres and says which process it is and how many
// times that was done before. hold waits to be killed, resume stops it.
func runOwner() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, err := db.StartPrivate(ctx, db.PrivateOptions{Dir: os.Getenv(ownerDir), Volatile: true})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "failed:", err)
		return 1
	}
	starts, err := countStart(ctx, p.URL())
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "failed:", err)
		return 1
	}
	_, _ = fmt.Fprintln(os.Stdout, "started", starts)
	if os.Getenv(ownerCommand) == "hold" {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	if err := p.Stop(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "failed:", err)
		return 1
	}
	return 0
}

func countStart(ctx context.Context, url string) (n int, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, `create table if not exists starts (); insert into starts default values`)
	if err != nil {
		return 0, err
	}
	return n, conn.QueryRow(ctx, `select count(*) from starts`).Scan(&n)
}

// owner is a process that owns a private Postgres.
type owner struct {
	cmd *exec.Cmd
	out *bufio.Reader
	in  io.Closer
}

func startOwner(t *testing.T, command, binary, dir string, attr *syscall.SysProcAttr) *owner {
	t.Helper()
	o := &owner{cmd: exec.Command(binary)}
	o.cmd.Env = append(os.Environ(), ownerCommand+"="+command, ownerDir+"="+dir, "HOME=/")
	o.cmd.Dir, o.cmd.SysProcAttr, o.cmd.Stderr = "/", attr, os.Stderr
	in, err := o.cmd.StdinPipe()
	must(t, err)
	out, err := o.cmd.StdoutPipe()
	must(t, err)
	o.in, o.out = in, bufio.NewReader(out)
	must(t, o.cmd.Start())
	t.Cleanup(func() { _ = o.cmd.Process.Kill() })
	return o
}

func (o *owner) says(t *testing.T, want string) {
	t.Helper()
	line, err := o.out.ReadString('\n')
	if strings.TrimSpace(line) != want {
		rest, _ := io.ReadAll(o.out)
		t.Fatalf("the owner said %q (%v), want %q", line+string(rest), err, want)
	}
}

func TestPrivatePostgresSurvivesKillOfItsOwner(t *testing.T) {
	t.Parallel()
	accounts := map[string]*syscall.SysProcAttr{"as it is": {}}
	if os.Geteuid() == 0 {
		accounts = map[string]*syscall.SysProcAttr{
			"as root": {},
			"as user": {Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
		}
	}
	for name, attr := range accounts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, binary := ownersPlace(t, attr)
			held := startOwner(t, "hold", binary, dir, attr)
			held.says(t, "started 1")
			before := postmaster(t, dir)

			must(t, held.cmd.Process.Kill())
			_ = held.cmd.Wait()
			if now := postmaster(t, dir); now != before || syscall.Kill(now, 0) != nil {
				t.Fatalf("Postgres %d did not survive its owner", before)
			}

			second := startOwner(t, "hold", binary, dir, attr)
			second.says(t, "started 2")
			if now := postmaster(t, dir); now != before {
				t.Errorf("the next owner started Postgres %d, want %d to be used again", now, before)
			}
			third := startOwner(t, "resume", binary, dir, attr)
			third.says(t, "started 3")
			must(t, third.cmd.Wait())
			if syscall.Kill(before, 0) != nil {
				t.Fatal("Postgres was stopped although another process uses it")
			}
			must(t, second.in.Close())
			must(t, second.cmd.Wait())
			eventually(t, "Postgres is gone after its last owner stopped it", func() bool { return gone(before) })
		})
	}
}

// ownersPlace is a directory and a copy of the test binary that the account may use.
func ownersPlace(t *testing.T, attr *syscall.SysProcAttr) (dir, binary string) {
	t.Helper()
	place, err := os.MkdirTemp("", "nixfleet-owner-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(place) })
	if attr.Credential == nil {
		return filepath.Join(place, "pg"), os.Args[0]
	}
	binary = filepath.Join(place, "db.test")
	b, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(binary, b, 0o755))
	must(t, os.Chown(place, int(attr.Credential.Uid), int(attr.Credential.Gid)))
	return filepath.Join(place, "pg"), binary
}

// postmaster reads the process id of the Postgres of a directory; 0 is none.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	must(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	must(t, err)
	return pid
}

// gone reports whether a process has ended; a zombie has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) != nil
	}
	return strings.Contains(string(stat), ") Z ")
}

// A private Postgres is slow to make, so one goes through what can happen to it.
func TestPrivatePostgres(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("a-long-name-", 8), "pg") // too long for a socket
	o := db.PrivateOptions{Dir: dir}                                           // not volatile: what was committed must be there after a kill
	start := func() *db.Private {
		t.Helper()
		p, err := db.StartPrivate(t.Context(), o)
		must(t, err)
		t.Cleanup(func() { _ = p.Stop(context.Background()) }) // where the test fails half-way
		return p
	}
	p := start()
	d, err := db.Open(t.Context(), db.Options{URL: p.URL()})
	must(t, err)
	defer d.Close()
	must(t, d.Record(t.Context(), t0, fleetRepo(7)))

	t.Run("is reached by its socket only", func(t *testing.T) {
		var listen string
		must(t, d.Pool().QueryRow(t.Context(), `show listen_addresses`).Scan(&listen))
		if listen != "" {
			t.Errorf("listens on %q", listen)
		}
		var socket string
		must(t, d.Pool().QueryRow(t.Context(), `show unix_socket_directories`).Scan(&socket))
		info, err := os.Stat(socket)
		must(t, err)
		if info.Mode().Perm() != 0o700 {
			t.Errorf("socket directory has mode %v, want 0700", info.Mode())
		}
	})
	t.Run("is started again when it dies", func(t *testing.T) {
		before := postmaster(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		kept := make(chan error, 1)
		go func() { kept <- p.Keep(ctx) }()
		must(t, syscall.Kill(before, syscall.SIGKILL))
		eventually(t, "the pool works again", func() bool {
			repos, err := d.Repos(t.Context())
			return err == nil && len(repos) == 1 && postmaster(t, dir) != before
		})
		cancel()
		must(t, <-kept)
	})
	t.Run("stops although clients are connected", func(t *testing.T) {
		_, err := d.Hosts(t.Context())
		must(t, err)
		pid := postmaster(t, dir)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		must(t, p.Stop(ctx))
		must(t, p.Stop(ctx)) // again is no error
		if !gone(pid) {
			t.Error("still runs")
		}
	})
	t.Run("starts where a pid file names another process", func(t *testing.T) {
		pidfile := filepath.Join(dir, "data", "postmaster.pid")
		must(t, os.WriteFile(pidfile, fmt.Appendf(nil, "%d\n%s\n", os.Getppid(), filepath.Dir(pidfile)), 0o644))
		p := start()
		eventually(t, "what was stored is found", func() bool { // connections from before the stop fail once
			repos, err := d.Repos(t.Context())
			return err == nil && len(repos) == 1
		})
		must(t, p.Stop(t.Context()))
	})
	t.Run("says why it does not start", func(t *testing.T) {
		auto := filepath.Join(dir, "data", "postgresql.auto.conf")
		must(t, os.WriteFile(auto, []byte("nonsense = 1\n"), 0o644))
		_, err := db.StartPrivate(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("got %v, want Postgres' own words", err)
		}
	})
}

func TestPrivatePostgresRefusesForeignDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	_, err := db.StartPrivate(t.Context(), db.PrivateOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "is not a Postgres data directory") {
		t.Errorf("got %v", err)
	}
}

func TestPrivatePostgresOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := db.StartPrivate(t.Context(), db.PrivateOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "install Postgres 9") {
		t.Errorf("got %v", err)
	}
}

// Not parallel: it changes where temporary files go.
func TestPrivatePostgresBehindAClosedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs Postgres as someone else")
	}
	closed := t.TempDir()
	must(t, os.Chmod(closed, 0o700))
	t.Setenv("TMPDIR", "/nowhere")
	_, err := db.StartPrivate(t.Context(), db.PrivateOptions{Dir: filepath.Join(closed, "pg")})
	if err == nil || !strings.Contains(err.Error(), "chmod o+x "+closed) {
		t.Errorf("got %v, want the directory and the remedy", err)
	}
}
