package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// hostRow is a host as it is read, see hostColumns.
type hostRow struct {
	ID         int64
	RepoID     int64
	Name       string
	Attr       string
	Tags       []string
	Mode       string
	EnrolledAt time.Time
	RevokedAt  time.Time
	LastSeen   time.Time
	LastGen    int64
	Facts      fleet.HostFacts
}

const hostColumns = `h.id, coalesce(h.repo_id, 0) as repo_id, h.name, h.attr, h.tags, h.mode, h.enrolled_at, h.revoked_at,
	h.last_seen, h.last_gen, h.facts`

func (r hostRow) host() fleet.Host {
	return fleet.Host{
		ID: r.ID, RepoID: r.RepoID, Name: r.Name, Attr: r.Attr, Tags: r.Tags, Mode: r.Mode, EnrolledAt: r.EnrolledAt,
		RevokedAt: r.RevokedAt, LastSeen: r.LastSeen, LastGen: uint64(r.LastGen), Facts: r.Facts,
	}
}

// NewHost is a host that may enrol once, with a token of which only the hash is kept.
type NewHost struct {
	Host      fleet.Host
	TokenHash []byte
	Expires   time.Time
	By        string // who let it
}

// CreateHost records a host that may enrol once. A host that has not enrolled, or was
// revoked, gets the new token in place of the old; one that is enrolled is ErrConflict.
func (d *DB) CreateHost(ctx context.Context, n NewHost, now time.Time) error {
	h := n.Host
	h.Mode = cmp.Or(h.Mode, "fleet")
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if err := createHost(ctx, tx, h, n); err != nil {
			return err
		}
		detail := map[string]any{"attr": h.Attr, "tags": h.Tags, "mode": h.Mode, "expires": n.Expires.UTC().Format(time.RFC3339)}
		if h.RepoID != 0 {
			detail["repo_id"] = h.RepoID
		}
		return d.hostChanged(ctx, tx, Event{At: now, Actor: n.By, Kind: "host.added", Subject: "host/" + h.Name, Detail: detail})
	})
	if errors.Is(err, ErrConflict) {
		err = fmt.Errorf("%w: it is enrolled already; revoke it first", err)
	}
	if err != nil {
		return fmt.Errorf("create host %s: %w", cleanText(h.Name), err)
	}
	return nil
}

func createHost(ctx context.Context, tx pgx.Tx, h fleet.Host, n NewHost) error {
	return guarded(ctx, tx, `
		insert into hosts as known (repo_id, name, attr, tags, mode, token_hash, token_expires)
		values (nullif(@repo::bigint, 0), @name, @attr, @tags, @mode, @hash, @expires)
		on conflict (name) do update set repo_id = excluded.repo_id, attr = excluded.attr, tags = excluded.tags,
			mode = excluded.mode, token_hash = excluded.token_hash, token_expires = excluded.token_expires
		where known.enrolled_at is null or known.revoked_at is not null`,
		args{
			"repo": h.RepoID, "name": h.Name, "attr": h.Attr, "tags": h.Tags, "mode": h.Mode,
			"hash": n.TokenHash, "expires": n.Expires,
		})
}

// EnrollHost exchanges a one-time token for a place in the fleet. Enrolling again
// with the same token and the same key returns the same host, since the first
// reply may have been lost. A token that is unknown, used, expired or for another
// host is ErrNotFound; a key that another host has is ErrConflict.
func (d *DB) EnrollHost(ctx context.Context, tokenHash []byte, name, publicKey string, now time.Time) (fleet.Host, error) {
	var host fleet.Host
	err := d.tx(ctx, func(tx pgx.Tx) error {
		r, err := one[hostRow](ctx, tx, `
			select `+hostColumns+` from hosts h
			where h.name = @name and h.token_hash = @hash and h.token_expires > @now
				and (h.enrolled_at is null or h.revoked_at is not null or h.public_key = @key)
				and @key <> ''
			for no key update`,
			args{"name": name, "hash": tokenHash, "key": publicKey, "now": now})
		if err != nil {
			return err
		}
		host = r.host()
		if !host.EnrolledAt.IsZero() && host.RevokedAt.IsZero() {
			return nil
		}
		taken, err := value[bool](ctx, tx, `select exists (select from hosts where (public_key = @key or next_key = @key) and name <> @name)`,
			args{"key": publicKey, "name": name})
		if err != nil {
			return err
		}
		if taken {
			return fmt.Errorf("%w: another host has this key", ErrConflict)
		}
		host.EnrolledAt, host.RevokedAt = now, time.Time{}
		_, err = tx.Exec(ctx, `update hosts set public_key = @key, enrolled_at = @now, revoked_at = null where id = @id`,
			args{"id": host.ID, "key": publicKey, "now": now})
		if err != nil {
			return err
		}
		return d.hostChanged(ctx, tx, Event{
			At: now, Actor: "host:" + name, Kind: "host.enrolled", Subject: "host/" + name,
			Detail: map[string]any{"attr": host.Attr, "public_key": publicKey},
		})
	})
	if err != nil {
		return fleet.Host{}, fmt.Errorf("enroll host %s: %w", cleanText(name), err)
	}
	return host, nil
}

func (d *DB) hostChanged(ctx context.Context, tx pgx.Tx, e Event) error {
	if err := remember(ctx, tx, e); err != nil {
		return err
	}
	return d.notify(ctx, tx)
}

// HostByKey finds the host that enrolled with a public key, revoked or not.
func (d *DB) HostByKey(ctx context.Context, publicKey string) (fleet.Host, error) {
	r, err := one[hostRow](ctx, d.pool, `select `+hostColumns+` from hosts h where h.public_key = @key and @key <> ''`,
		args{"key": publicKey})
	if err != nil {
		return fleet.Host{}, fmt.Errorf("find host by key: %w", err)
	}
	return r.host(), nil
}

// Hosts lists all hosts by name, revoked ones too.
func (d *DB) Hosts(ctx context.Context) ([]fleet.Host, error) {
	return d.hostsWhere(ctx, `true`, args{})
}

// HostsNamed reads the hosts of these names, by name, as far as there are any.
func (d *DB) HostsNamed(ctx context.Context, names []string) ([]fleet.Host, error) {
	return d.hostsWhere(ctx, `h.name = any(@names)`, args{"names": names})
}

func (d *DB) hostsWhere(ctx context.Context, where string, a args) ([]fleet.Host, error) {
	rows, err := all[hostRow](ctx, d.pool, `select `+hostColumns+` from hosts h where `+where+` order by h.name`, a)
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	hosts := make([]fleet.Host, len(rows))
	for i, r := range rows {
		hosts[i] = r.host()
	}
	return hosts, nil
}

// RevokeHost ends a host's rights; the bus must then be told of [DB.RevokedKeys].
// Revoking it again changes nothing. Rollouts in which it takes part are due.
func (d *DB) RevokeHost(ctx context.Context, name, actor string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if err := revokeKeys(ctx, tx, name, actor, now); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("revoke host %s: %w", cleanText(name), err)
	}
	return nil
}

// Newcomer reads a host on its way into the fleet: enrolled, revoked, or not yet there.
func (d *DB) Newcomer(ctx context.Context, name string) (fleet.Newcomer, error) {
	type row struct {
		hostRow
		TokenExpires time.Time
		Repo         string
	}
	r, err := one[row](ctx, d.pool, `
		select `+hostColumns+`, h.token_expires, coalesce(r.owner || '/' || r.name, '') as repo
		from hosts h left join repos r on r.id = h.repo_id where h.name = @name`, args{"name": name})
	if err != nil {
		return fleet.Newcomer{}, fmt.Errorf("read host %s: %w", cleanText(name), err)
	}
	return fleet.Newcomer{Host: r.host(), Repo: r.Repo, Expires: r.TokenExpires}, nil
}
