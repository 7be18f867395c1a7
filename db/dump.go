package db

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Dump writes a consistent copy of the database at an address, as pg_dump makes it,
// while others go on working with it.
func Dump(ctx context.Context, address string, w io.Writer) error {
	return clientProgram(ctx, "pg_dump", address, nil, w, "--format=custom", "--no-owner", "--no-privileges")
}

// Load fills the empty database at an address with what [Dump] wrote: all of it, or
// nothing. One that is not empty is ErrConflict.
func Load(ctx context.Context, address string, r io.Reader) error {
	empty, err := isEmpty(ctx, address)
	if err != nil {
		return fmt.Errorf("look into the database: %w", err)
	}
	if !empty {
		return fmt.Errorf("%w: the database is not empty", ErrConflict)
	}
	return clientProgram(ctx, "pg_restore", address, r, io.Discard, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
}

func isEmpty(ctx context.Context, address string) (empty bool, err error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, `select not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%' and c.relkind in ('r', 'p', 'v', 'm', 'S'))`).Scan(&empty)
	return empty, err
}

// clientProgram runs a program of Postgres on the database at an address. A password
// goes by the environment: everybody sees the arguments of programs.
func clientProgram(ctx context.Context, name, address string, in io.Reader, out io.Writer, args ...string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return errors.New("the address of the database has to be written as postgres://…, for " + name)
	}
	program, err := findClient(ctx, name)
	if err != nil {
		return err
	}
	env := os.Environ()
	query := u.Query()
	password, _ := u.User.Password()
	if password == "" {
		password = query.Get("password")
	}
	if password != "" {
		env = append(env, "PGPASSWORD="+password)
		u.User = url.User(u.User.Username())
		query.Del("password")
		u.RawQuery = query.Encode()
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--no-password", "--dbname="+u.String())...)
	var said bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, in, out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(tail(said.Bytes())))
	}
	return nil
}

// findClient finds the newest of the installed programs of this name: it can speak to
// every older Postgres.
func findClient(ctx context.Context, name string) (string, error) {
	newest, at := 0, ""
	dirs := binaryDirs()
	for _, dir := range slices.Backward(dirs) {
		path := filepath.Join(dir, name)
		if !executable(path) {
			continue
		}
		major, _, _ := strings.Cut(version(ctx, path), ".")
		if n, _ := strconv.Atoi(major); n > 0 && n >= newest {
			newest, at = n, path
		}
	}
	if at == "" {
		return "", fmt.Errorf("%s is not installed: looked in %s. It comes with Postgres (Debian: apt install postgresql-client)", name, strings.Join(dirs, ", "))
	}
	return at, nil
}

// HasPrivate reports whether there is a private Postgres in a directory.
func HasPrivate(dir string) bool { return dataVersion(filepath.Join(dir, "data")) != "" }
