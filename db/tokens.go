package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// keepTokens is how long a token that is of no use any more is still listed.
const keepTokens = 90 * 24 * time.Hour

// Token lets a program in. Its text is nowhere; only a hash is kept.
type Token struct {
	ID      string
	Name    string
	Role    string
	Owner   Owner
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // the last time, to the minute; zero: never
	From    string    // where that came from
	Revoked time.Time // zero: it is not
	By      string    // who revoked it

	PersonRole string    // of its person; empty where there is none
	Checked    time.Time // when GitHub last said so
}

type tokenRow struct {
	ID, Name, Role, Actor, UsedFrom, RevokedBy, PersonRole string
	PersonID                                               int64
	CreatedAt, ExpiresAt, UsedAt, RevokedAt, CheckedAt     time.Time
}

const tokenColumns = `t.id, t.name, t.role, coalesce(p.login, t.actor) actor, t.used_from, t.revoked_by, coalesce(p.role, '') person_role,
	coalesce(t.person_id, 0) person_id, t.created_at, t.expires_at, t.used_at, t.revoked_at, p.checked_at
	from tokens t left join people p on p.id = t.person_id`

func (r tokenRow) token() Token {
	return Token{
		ID: r.ID, Name: r.Name, Role: r.Role, Owner: Owner{r.PersonID, r.Actor}, Created: r.CreatedAt, Expires: r.ExpiresAt,
		Used: r.UsedAt, From: r.UsedFrom, Revoked: r.RevokedAt, By: r.RevokedBy, PersonRole: r.PersonRole, Checked: r.CheckedAt,
	}
}

// CreateToken stores a token by its hash. ErrConflict says that the owner has another
// one of that name.
func (d *DB) CreateToken(ctx context.Context, t Token, hash []byte, by string) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			insert into tokens (id, hash, name, role, actor, person_id, created_at, expires_at)
			values (@id, @hash, @name, @role, @actor, nullif(@person::bigint, 0), @now, @expires)`,
			args{"id": t.ID, "hash": hash, "name": t.Name, "role": t.Role, "actor": t.Owner.Actor, "person": t.Owner.Person,
				"now": t.Created, "expires": t.Expires}); err != nil {
			return err
		}
		return d.rememberToken(ctx, tx, Event{At: t.Created, Actor: by, Kind: "token.created", Detail: map[string]any{"expires": stampOf(t.Expires)}}, t)
	})
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.ConstraintName == "tokens_name" {
		err = ErrConflict
	}
	if err != nil {
		return fmt.Errorf("create token %s: %w", cleanText(t.Name), err)
	}
	return nil
}

// rememberToken adds what happened to a token to the history.
func (d *DB) rememberToken(ctx context.Context, tx pgx.Tx, e Event, t Token) error {
	e.Subject = "token/" + t.ID
	e.Detail["name"], e.Detail["role"], e.Detail["of"] = t.Name, t.Role, t.Owner.Actor
	if err := remember(ctx, tx, e); err != nil {
		return err
	}
	return d.notify(ctx, tx)
}

// stampOf is a time for a detail of the history; never where it is zero.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// UseToken returns the token with a hash, and notes that it is used and from where.
// One that is unknown, revoked or expired is ErrNotFound.
func (d *DB) UseToken(ctx context.Context, hash []byte, from string, now time.Time) (Token, error) {
	r, err := one[tokenRow](ctx, d.pool, `select `+tokenColumns+`
		where t.hash = @hash and t.revoked_at is null and (t.expires_at is null or t.expires_at > @now)`, args{"hash": hash, "now": now})
	if err == nil && now.Sub(r.UsedAt) >= seenEvery {
		_, err = d.pool.Exec(ctx, `update tokens set used_at = @now, used_from = @from where hash = @hash and (used_at is null or used_at < @now)`,
			args{"hash": hash, "now": now, "from": from})
	}
	if err != nil {
		return Token{}, fmt.Errorf("read token: %w", err)
	}
	return r.token(), nil
}

// Tokens lists the tokens of an owner, or of everybody where there is none; those that
// work first, then the latest.
func (d *DB) Tokens(ctx context.Context, o *Owner, now time.Time) ([]Token, error) {
	where, a := "true", args{"now": now}
	if o != nil {
		where = `(t.person_id = @person or @person = 0::bigint and t.person_id is null and t.actor = @actor)`
		a["person"], a["actor"] = o.Person, o.Actor
	}
	rows, err := all[tokenRow](ctx, d.pool, `select `+tokenColumns+` where `+where+`
		order by t.revoked_at is null and (t.expires_at is null or t.expires_at > @now) desc, t.created_at desc, t.id`, a)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	list := make([]Token, len(rows))
	for i, r := range rows {
		list[i] = r.token()
	}
	return list, nil
}

// RevokeToken makes a token useless: one of an owner's, or of anybody's where there is
// none. One that is revoked already stays as it is; one that there is not is ErrNotFound.
func (d *DB) RevokeToken(ctx context.Context, o *Owner, id, by string, now time.Time) (t Token, err error) {
	err = d.tx(ctx, func(tx pgx.Tx) error {
		r, err := one[tokenRow](ctx, tx, `select `+tokenColumns+` where t.id = @id for update of t`, args{"id": id})
		if err != nil {
			return err
		}
		t = r.token()
		switch {
		case o != nil && (t.Owner.Person != o.Person || o.Person == 0 && t.Owner.Actor != o.Actor):
			return ErrNotFound
		case !t.Revoked.IsZero():
			return nil
		}
		if _, err := tx.Exec(ctx, `update tokens set revoked_at = @now, revoked_by = @by where id = @id`, args{"id": id, "now": now, "by": by}); err != nil {
			return err
		}
		t.Revoked, t.By = now, by
		return d.rememberToken(ctx, tx, Event{At: now, Actor: by, Kind: "token.revoked", Detail: map[string]any{}}, t)
	})
	if err != nil {
		return Token{}, fmt.Errorf("revoke token %s: %w", cleanText(id), err)
	}
	return t, nil
}
