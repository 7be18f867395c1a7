// Package dbtest gives tests a real Postgres: one per test process, private and
// without fsync, and in it a schema per test from a pool that is emptied and used
// again.
//
// [Main] belongs into TestMain of every package that uses it. What may go wrong:
// no Postgres is installed (the test fails and says what to install), or the test
// process dies (a watchdog ends Postgres and removes its directory).
package dbtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/db"
)

// Main runs the tests of a package and leaves no Postgres behind. It does not
// return.
func Main(m *testing.M) {
	code := m.Run()
	if err := shared.stop(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "dbtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// New returns an empty database for one test. The connections stay open for the
// next test: where goroutines are counted, count after New, or open [Server].
func New(tb testing.TB) *db.DB {
	tb.Helper()
	s, err := shared.take()
	if err != nil {
		tb.Fatalf("dbtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := shared.giveBack(s); err != nil {
			tb.Errorf("dbtest: %v", err)
		}
	})
	return s.db
}

// Server returns the address of an empty database without a schema, for programs
// that open it themselves. It is dropped when the test ends.
func Server(tb testing.TB) string {
	tb.Helper()
	url, drop, err := shared.createDatabase()
	if err != nil {
		tb.Fatalf("dbtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := drop(); err != nil {
			tb.Errorf("dbtest: %v", err)
		}
	})
	return url
}

// budget bounds each thing that is done for a test.
const budget = time.Minute

var shared server

// server is the Postgres of this test process.
type server struct {
	mu       sync.Mutex
	err      error // why it did not start; tried once
	private  *db.Private
	dir      string
	watchdog *exec.Cmd
	alive    io.Closer // the watchdog acts when this closes
	idle     []*schema
	count    int // of schemas and databases made so far
}

// schema is one that a test has to itself.
type schema struct {
	name string
	db   *db.DB
}

func (s *server) start(ctx context.Context) error {
	if s.private != nil || s.err != nil {
		return s.err
	}
	s.dir, s.err = os.MkdirTemp("", "nixfleet-dbtest-")
	if s.err != nil {
		return s.err
	}
	if s.err = s.watch(); s.err != nil {
		return s.err
	}
	s.private, s.err = db.StartPrivate(ctx, db.PrivateOptions{Dir: filepath.Join(s.dir, "pg"), Volatile: true})
	return s.err
}

// watchdogScript waits until its input ends, which it does with our process
// however that dies, then ends Postgres and removes its directory.
const watchdogScript = `
cat >/dev/null
pidfile="$1/pg/data/postmaster.pid"
[ -e "$pidfile" ] && kill -QUIT "$(head -n 1 "$pidfile")"
n=0
while [ -e "$pidfile" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
rm -rf "$1"`

func (s *server) watch() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	s.watchdog = exec.Command("sh", "-c", watchdogScript, "sh", s.dir)
	s.watchdog.Stdin, s.alive = r, w
	s.watchdog.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return s.watchdog.Start()
}

func (s *server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchdog == nil {
		return nil
	}
	for _, i := range s.idle {
		i.db.Close()
	}
	var err error
	if s.private != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = s.private.Stop(ctx)
	}
	_ = s.alive.Close()
	if waited := s.watchdog.Wait(); err == nil {
		err = waited
	}
	return err
}

// take hands out an idle schema, or makes one.
func (s *server) take() (*schema, error) {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	if n := len(s.idle); n > 0 {
		taken := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return taken, nil
	}
	s.count++
	made := &schema{name: fmt.Sprintf("test_%d", s.count)}
	var err error
	made.db, err = db.Open(ctx, db.Options{URL: s.private.URL(), Schema: made.name, MaxConns: 12})
	return made, err
}

// emptySchema removes what a test wrote. Tests write few rows into few tables, and
// to truncate one costs more than to delete a thousand rows: it makes new files for
// the table and each of its indexes. The locks find a test that is still at work.
const emptySchema = `
	do $$
	declare
		owner constant text := '%s';
		tables text;
		each record;
		filled boolean;
	begin
		set local lock_timeout = '10s';
		set local session_replication_role = replica; -- foreign keys: everything goes
		select string_agg(format('%%I.%%I', schemaname, tablename), ', ') into tables from pg_tables where schemaname = owner;
		execute 'lock table ' || tables || ' in access exclusive mode';
		for each in
			select format('%%I.%%I', schemaname, tablename) as name from pg_tables
				where schemaname = owner and tablename not in ('schema_versions', 'compatibility')
		loop
			execute 'select exists (select from ' || each.name || ')' into filled;
			if pg_total_relation_size(each.name::regclass) > 1000000 then
				execute 'truncate ' || each.name || ' cascade';
			elsif filled then
				execute 'delete from ' || each.name;
			end if;
		end loop;
		for each in
			select format('%%I.%%I', schemaname, sequencename) as name from pg_sequences
				where schemaname = owner and last_value is not null
		loop
			execute 'alter sequence ' || each.name || ' restart';
		end loop;
	end $$`

// giveBack empties a schema. One that can't be emptied, because the test left
// something running in it, is not used again.
func (s *server) giveBack(used *schema) error {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	err := s.exec(ctx, fmt.Sprintf(emptySchema, used.name))
	if err != nil {
		used.db.Close()
		return fmt.Errorf("empty schema %s (does the test still use it?): %w", used.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, used)
	return nil
}

func (s *server) createDatabase() (url string, drop func() error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(ctx); err != nil {
		return "", nil, err
	}
	s.count++
	name := fmt.Sprintf("test_%d", s.count)
	if err := s.exec(ctx, "create database "+name); err != nil {
		return "", nil, err
	}
	return s.private.URLOf(name), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), budget)
		defer cancel()
		return s.exec(ctx, "drop database "+name+" with (force)")
	}, nil
}

// exec runs one statement on a connection of its own.
func (s *server) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.private.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}
