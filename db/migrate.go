package db

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// schemaTable is where goose notes what it has applied.
const schemaTable = "schema_versions"

// migrate brings the schema up to date, forward only. Programs that start
// together wait for one another on an advisory lock.
func (d *DB) migrate(ctx context.Context, o Options) (err error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	sql := stdlib.OpenDBFromPool(d.pool)
	provider, err := goose.NewProvider(goose.DialectPostgres, sql, files,
		goose.WithSessionLocker(locker), goose.WithTableName(schemaTable),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	return d.bringUp(ctx, provider, o)
}

func (d *DB) bringUp(ctx context.Context, p *goose.Provider, o Options) error {
	sources := p.ListSources()
	known := sources[len(sources)-1].Version
	at, err := d.schemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if at >= known {
		return d.accept(ctx, at, known, o.Log)
	}
	if o.Schema != "" {
		if _, err := d.pool.Exec(ctx, "create schema if not exists "+o.Schema); err != nil {
			return fmt.Errorf("create schema %s: %w", o.Schema, err)
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema from version %d to %d: %w", at, known, err)
	}
	return nil
}

// schemaVersion is 0 for an empty database.
func (d *DB) schemaVersion(ctx context.Context) (int64, error) {
	exists, err := value[bool](ctx, d.pool, "select to_regclass(@table) is not null", args{"table": schemaTable})
	if err != nil || !exists {
		return 0, err
	}
	return value[int64](ctx, d.pool, "select coalesce(max(version_id), 0) from "+schemaTable, args{})
}

// accept decides whether this program can work with a schema of at least its own
// version. During an upgrade older replicas meet a newer schema: migrations only
// add, so that is well, unless one of them says otherwise in table compatibility.
func (d *DB) accept(ctx context.Context, at, known int64, log func(string)) error {
	if at == known {
		return nil
	}
	oldest, err := value[int64](ctx, d.pool, "select oldest_reader from compatibility", args{})
	if err != nil {
		return fmt.Errorf("read schema compatibility: %w", err)
	}
	if known < oldest {
		return fmt.Errorf("the database has schema version %d and needs a program that knows version %d; this one knows version %d: upgrade nixfleet on this machine", at, oldest, known)
	}
	if log != nil {
		log(fmt.Sprintf("the database has schema version %d, this program knows version %d; the newer one only adds, so it goes on", at, known))
	}
	return nil
}
