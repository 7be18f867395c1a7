package db

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Errors that callers are expected to tell apart. They come wrapped.
var (
	// ErrConflict means that the row is no longer as the caller knew it: another
	// worker or a person moved it, or the lease ran out. Nothing was changed.
	ErrConflict = errors.New("changed by someone else meanwhile")
	// ErrNotFound means that there is no such row.
	ErrNotFound = errors.New("not found")
)

// DB is Postgres as NixFleet uses it. It is safe for concurrent use.
type DB struct {
	pool    *pgxpool.Pool
	channel string // of NOTIFY

	pokes   chan struct{}   // asks the notifier for a NOTIFY
	store   chan storing    // takes deliveries to their writers
	closed  <-chan struct{} // closed with the database
	stop    func()          // ends the notifier and the writers
	running sync.WaitGroup  // the notifier and the writers
}

// Options says which Postgres to use and how.
type Options struct {
	URL      string            // postgres://… or a keyword/value string
	Schema   string            // empty: the search path of the connection; else created if absent
	MaxConns int               // 0 means 16
	Log      func(line string) // receives remarks for the operator; may be nil
}

// defaultMaxConns is enough for all loops and a busy dashboard, and leaves room
// for several replicas under Postgres' default of 100 connections.
const defaultMaxConns = 16

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Open connects, brings the schema up to date under a lock that replicas share,
// and returns when the database is ready for use. A schema that is newer than
// this program is accepted as long as its migrations say that it may be.
func Open(ctx context.Context, o Options) (*DB, error) {
	config, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	d := &DB{pool: pool, channel: "nixfleet"}
	if o.Schema != "" {
		d.channel += "_" + o.Schema
	}
	if err := d.migrate(ctx, o); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	work, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.startNotifier(work)
	d.startWriters(work)
	return d, nil
}

func poolConfig(o Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		// pgx leaves the password out of this error.
		return nil, fmt.Errorf("read database address: %w", err)
	}
	config.MaxConns = defaultMaxConns
	if o.MaxConns > 0 {
		config.MaxConns = int32(min(o.MaxConns, 1000))
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	params := config.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "nixfleet"
	}
	if o.Schema != "" {
		if !schemaName.MatchString(o.Schema) {
			return nil, fmt.Errorf("schema %q is not a lower-case identifier", o.Schema)
		}
		params["search_path"] = o.Schema
	}
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		registerTypes(c.TypeMap())
		return nil
	}
	return config, nil
}

// Close ends all connections. It waits for those that are in use.
func (d *DB) Close() {
	d.stop()
	d.running.Wait()
	d.pool.Close()
}

// txAttempts bounds how often a transaction is repeated that Postgres gave up in
// favour of another.
const txAttempts = 4

// tx runs f in one transaction. f may run more than once, and so must not change
// anything but the database.
func (d *DB) tx(ctx context.Context, f func(pgx.Tx) error) error {
	var err error
	for range txAttempts {
		err = pgx.BeginFunc(ctx, d.pool, f)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || (pgErr.Code != "40P01" && pgErr.Code != "40001") {
			return err
		}
	}
	return err
}

// querier is a pool or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// all runs a query and scans each row into a T by column names.
func all[T any](ctx context.Context, q querier, sql string, a args) ([]T, error) {
	rows, err := q.Query(ctx, sql, a)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}

// one is all for exactly one row; no row is ErrNotFound.
func one[T any](ctx context.Context, q querier, sql string, a args) (T, error) {
	rows, err := q.Query(ctx, sql, a)
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
	return v, missing(err)
}

// value is one for a single column.
func value[T any](ctx context.Context, q querier, sql string, a args) (T, error) {
	rows, err := q.Query(ctx, sql, a)
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	return v, missing(err)
}

func missing(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// guarded runs a statement that must hit a row; none is ErrConflict.
func guarded(ctx context.Context, q querier, sql string, a args) error {
	tag, err := q.Exec(ctx, sql, a)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrConflict
	}
	return err
}

func registerTypes(m *pgtype.Map) {
	m.RegisterType(&pgtype.Type{Name: "jsonb", OID: pgtype.JSONBOID, Codec: jsonbCodec})
	times := &pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: timeCodec{&pgtype.TimestamptzCodec{}}}
	m.RegisterType(times)
	m.RegisterType(&pgtype.Type{
		Name: "_timestamptz", OID: pgtype.TimestamptzArrayOID, Codec: &pgtype.ArrayCodec{ElementType: times},
	})
}
