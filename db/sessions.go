package db

import (
	"context"
	"fmt"
	"time"
)

// Sign-in knows hashes only: whoever reads the database can't sign in with it.

type signIn struct{ Actor, Role string }

// CreateLogin stores the hash of a one-time sign-in token.
func (d *DB) CreateLogin(ctx context.Context, hash []byte, actor, role string, expires time.Time) error {
	_, err := d.pool.Exec(ctx, `insert into logins (hash, actor, role, expires_at) values (@hash, @actor, @role, @expires)`,
		args{"hash": hash, "actor": actor, "role": role, "expires": expires})
	if err != nil {
		return fmt.Errorf("create login for %s: %w", cleanText(actor), err)
	}
	return nil
}

// UseLogin consumes a one-time token. One that is unknown, used or expired is
// ErrNotFound.
func (d *DB) UseLogin(ctx context.Context, hash []byte, now time.Time) (actor, role string, err error) {
	r, err := one[signIn](ctx, d.pool, `
		update logins set used_at = @now where hash = @hash and used_at is null and expires_at > @now
		returning actor, role`, args{"hash": hash, "now": now})
	if err != nil {
		return "", "", fmt.Errorf("use login: %w", err)
	}
	return r.Actor, r.Role, nil
}

// CreateSession stores the hash of a session token.
func (d *DB) CreateSession(ctx context.Context, hash []byte, actor, role string, expires time.Time) error {
	_, err := d.pool.Exec(ctx, `insert into sessions (hash, actor, role, expires_at) values (@hash, @actor, @role, @expires)`,
		args{"hash": hash, "actor": actor, "role": role, "expires": expires})
	if err != nil {
		return fmt.Errorf("create session for %s: %w", cleanText(actor), err)
	}
	return nil
}

// Session returns whom a session belongs to. One that is unknown or has expired
// is ErrNotFound.
func (d *DB) Session(ctx context.Context, hash []byte, now time.Time) (actor, role string, err error) {
	r, err := one[signIn](ctx, d.pool, `select actor, role from sessions where hash = @hash and expires_at > @now`,
		args{"hash": hash, "now": now})
	if err != nil {
		return "", "", fmt.Errorf("read session: %w", err)
	}
	return r.Actor, r.Role, nil
}

// DeleteSession ends a session; ending one that is gone is no error.
func (d *DB) DeleteSession(ctx context.Context, hash []byte) error {
	if _, err := d.pool.Exec(ctx, `delete from sessions where hash = @hash`, args{"hash": hash}); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

// PruneSignIn forgets tokens and sessions that have expired.
func (d *DB) PruneSignIn(ctx context.Context, now time.Time) error {
	_, err := d.pool.Exec(ctx, `
		with gone as (delete from logins where expires_at <= @now), away as (delete from setup_visits where expires_at <= @now)
		delete from sessions where expires_at <= @now`, args{"now": now})
	if err != nil {
		return fmt.Errorf("prune sign-in: %w", err)
	}
	return nil
}
