package db

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// privateName is the superuser and the database of a private Postgres.
const privateName = "nixfleet"

// startBudget bounds the wait for a Postgres that has to recover first, where the
// caller's context does not.
const startBudget = 2 * time.Minute

// PrivateOptions says where a private Postgres lives.
type PrivateOptions struct {
	Dir      string            // its own directory, created if absent
	Log      func(line string) // receives what it does; may be nil
	Volatile bool              // fast, and loses data in a crash of the machine: for tests
}

// Private is a Postgres of our own: data in a directory, reachable through a
// socket in a directory that only its user may enter, never by TCP. It outlives
// the process that started it, so that a crash of ours is not one of Postgres;
// the next start finds it running. Processes that use the same directory share
// it, and the last one to stop stops it.
type Private struct {
	cluster *cluster
	inUse   *os.File // locked shared as long as we use it
}

// StartPrivate starts the Postgres of a directory, or finds it running, and
// returns when it answers. As root it runs as user postgres or nobody, since
// Postgres refuses to run as root.
func StartPrivate(ctx context.Context, o PrivateOptions) (*Private, error) {
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	c, err := newCluster(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("private Postgres: %w", err)
	}
	p := &Private{cluster: c}
	err = c.exclusively(ctx, func() error {
		if err := c.ensure(ctx); err != nil {
			return err
		}
		p.inUse, err = lockFile(ctx, filepath.Join(c.dir, "in-use.lock"), shared)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("private Postgres in %s: %w", c.dir, err)
	}
	return p, nil
}

// URL is the address for [Open].
func (p *Private) URL() string { return p.cluster.url(privateName) }

// URLOf is the address of another database of the same Postgres.
func (p *Private) URLOf(database string) string { return p.cluster.url(database) }

// Keep starts Postgres again whenever it has died, until ctx ends. It returns
// nil; what goes wrong is logged and tried again.
func (p *Private) Keep(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, ok := p.cluster.postmaster(); ok {
			continue
		}
		p.cluster.log("Postgres has ended by itself; it is started again")
		err := p.cluster.exclusively(ctx, func() error { return p.cluster.ensure(ctx) })
		if err != nil && ctx.Err() == nil {
			p.cluster.log("Postgres did not start: " + err.Error())
		}
	}
}

// Stop shuts Postgres down unless another process uses it, and waits until that
// has happened. When ctx ends first, it is shut down the hard way, which costs
// the next start a recovery and no data.
func (p *Private) Stop(ctx context.Context) error {
	if p.inUse == nil {
		return nil
	}
	err := p.cluster.exclusively(ctx, func() error {
		last := tryLock(p.inUse)
		if err := p.inUse.Close(); err != nil {
			return err
		}
		p.inUse = nil
		if !last {
			p.cluster.log("another process uses Postgres; it stays up")
			return nil
		}
		return p.cluster.shutDown(ctx)
	})
	if err != nil {
		return fmt.Errorf("stop private Postgres in %s: %w", p.cluster.dir, err)
	}
	return nil
}

// cluster is one data directory and what runs on it.
type cluster struct {
	dir      string // ours: locks, start-up log
	data     string // Postgres'
	socket   string // directory of the socket, Postgres'
	bin      binaries
	account  account
	volatile bool
	log      func(string)
}

func newCluster(ctx context.Context, o PrivateOptions) (*cluster, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, data: filepath.Join(dir, "data"), volatile: o.Volatile, log: o.Log}
	if c.log == nil {
		c.log = func(string) {}
	}
	if c.account, err = chooseAccount(); err != nil {
		return nil, err
	}
	if c.bin, err = findBinaries(ctx, dataVersion(c.data)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := c.account.reach(dir, c.log); err != nil {
		return nil, err
	}
	c.socket, err = socketDir(dir, c.account)
	return c, err
}

func (c *cluster) url(database string) string {
	q := url.Values{"host": {c.socket}, "port": {"5432"}, "user": {privateName}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// exclusively runs f while no other process starts or stops this Postgres.
func (c *cluster) exclusively(ctx context.Context, f func() error) (err error) {
	lock, err := lockFile(ctx, filepath.Join(c.dir, "start.lock"), exclusive)
	if err != nil {
		return fmt.Errorf("wait for another start or stop: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return f()
}

// ensure leaves Postgres running and its database existing.
func (c *cluster) ensure(ctx context.Context) error {
	if err := c.init(ctx); err != nil {
		return err
	}
	if pid, ok := c.postmaster(); ok {
		c.log(fmt.Sprintf("Postgres is running already (process %d)", pid))
		return c.awaitReady(ctx, nil)
	}
	process, err := c.launch()
	if err != nil {
		return err
	}
	return c.awaitReady(ctx, process)
}

// connectBudget bounds one attempt to connect while Postgres starts.
const connectBudget = 5 * time.Second

// awaitReady waits until Postgres answers, and creates our database. process is
// what we launched, nil for one that was found running.
func (c *cluster) awaitReady(ctx context.Context, process *os.Process) error {
	for {
		err := c.createDatabase(ctx)
		if err == nil {
			return nil
		}
		if process != nil && exited(process.Pid) {
			_ = os.Remove(c.socket)
			return fmt.Errorf("postgres ended while starting:\n%s", c.lastWords())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w (last attempt: %w)", context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *cluster) createDatabase(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, connectBudget)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	exists, err := value[bool](ctx, conn, `select exists (select from pg_database where datname = @name)`, args{"name": privateName})
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+privateName)
	return err
}
