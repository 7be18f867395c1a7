package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

// ReadmitHost lets the machine of a host that is known be set up anew: its key is
// revoked and a new one-time token takes its place, in one go. Name, attribute,
// tags and history stay.
func (d *DB) ReadmitHost(ctx context.Context, name string, tokenHash []byte, expires time.Time, actor string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		// Its row is locked after its rollouts, as everywhere.
		enrolled, err := value[bool](ctx, tx, `select enrolled_at is not null from hosts where name = @name`, args{"name": name})
		if err == nil && enrolled {
			err = revokeKeys(ctx, tx, name, actor, now)
		}
		if err != nil {
			return err
		}
		err = guarded(ctx, tx, `
			update hosts set token_hash = @hash, token_expires = @expires
			where name = @name and (enrolled_at is null or revoked_at is not null)`,
			args{"name": name, "hash": tokenHash, "expires": expires})
		if err != nil {
			return err
		}
		return d.hostChanged(ctx, tx, Event{At: now, Actor: actor, Kind: "host.readmitted", Subject: "host/" + name})
	})
	if err != nil {
		return fmt.Errorf("readmit host %s: %w", cleanText(name), err)
	}
	return nil
}

// revokeKeys takes the rights of a host away: its key, and the one that it was
// about to change to. A host that is not known is ErrNotFound; again changes nothing.
func revokeKeys(ctx context.Context, tx pgx.Tx, name, actor string, now time.Time) error {
	type row struct {
		PublicKey string
		NextKey   string
		Fresh     bool
	}
	_, err := tx.Exec(ctx, `
		with its as materialized (
			select id from rollouts
			where state not in `+endedRollouts+` and id in (select rollout_id from rollout_hosts where host = @name)
				or id in (select rollout_id from orders where host = @name and ended_at is null)
			order by id for no key update
		)
		update rollouts r set wake = wake + 1, due_at = least(due_at, @now)
		from its where r.id = its.id and r.state not in `+endedRollouts,
		args{"name": name, "now": now})
	if err != nil {
		return err
	}
	if err := endRevoked(ctx, tx, name, actor, now); err != nil {
		return err
	}
	r, err := one[row](ctx, tx, `
		update hosts h set revoked_at = coalesce(h.revoked_at, @now), token_hash = null, token_expires = null, next_key = ''
		from (select id, next_key, revoked_at is null as fresh from hosts where name = @name for no key update) was
		where h.id = was.id returning h.public_key, was.next_key, was.fresh`,
		args{"name": name, "now": now})
	if err != nil || !r.Fresh {
		return err
	}
	if err := refuseKeys(ctx, tx, name, now, r.PublicKey, r.NextKey); err != nil {
		return err
	}
	return remember(ctx, tx, Event{At: now, Actor: actor, Kind: "host.revoked", Subject: "host/" + name})
}

// refuseKeys notes keys that the bus is to refuse from now on.
func refuseKeys(ctx context.Context, tx pgx.Tx, host string, now time.Time, keys ...string) error {
	_, err := tx.Exec(ctx, `
		insert into revoked_keys (public_key, host, at)
		select key, @host, @now from unnest(@keys::text[]) key where key <> ''
		on conflict (public_key) do update set at = greatest(revoked_keys.at, excluded.at), host = excluded.host`,
		args{"host": host, "now": now, "keys": keys})
	return err
}

// RevokedKeys are the keys that the bus has to refuse, each with the time up to
// which its certificates do not count. Those revoked before since are forgotten:
// their certificates have ended by themselves.
func (d *DB) RevokedKeys(ctx context.Context, since time.Time) (map[string]time.Time, error) {
	type row struct {
		PublicKey string
		At        time.Time
	}
	if _, err := d.pool.Exec(ctx, `delete from revoked_keys where at < @since`, args{"since": since}); err != nil {
		return nil, fmt.Errorf("forget revoked keys: %w", err)
	}
	rows, err := all[row](ctx, d.pool, `select public_key, at from revoked_keys`, args{})
	if err != nil {
		return nil, fmt.Errorf("read revoked keys: %w", err)
	}
	keys := make(map[string]time.Time, len(rows))
	for _, r := range rows {
		keys[r.PublicKey] = r.At
	}
	return keys, nil
}

// OfferKey notes the key that a host is about to change to. Either key is the
// host's until the new one is used for the first time, see [DB.TakeKey]. Offering
// the same again changes nothing, also after that. key is the one that certificates
// are for until then: one that was merely offered may give way to another, and who
// revokes the host would not know of it. ErrNotFound is a host that does not have
// the old key, ErrConflict a new key that another host has.
func (d *DB) OfferKey(ctx context.Context, name, oldKey, newKey string) (host fleet.Host, key string, err error) {
	err = d.tx(ctx, func(tx pgx.Tx) error {
		type row struct {
			hostRow
			PublicKey string
		}
		r, err := one[row](ctx, tx, `
			select `+hostColumns+`, h.public_key from hosts h
			where h.name = @name and h.revoked_at is null and h.public_key in (@old, @new) and @old <> '' and @new <> ''
			for no key update`, args{"name": name, "old": oldKey, "new": newKey})
		if err != nil {
			return err
		}
		host, key = r.host(), r.PublicKey
		taken, err := value[bool](ctx, tx, `
			select exists (select from hosts where name <> @name and (public_key = @key or next_key = @key))
				or exists (select from revoked_keys where public_key = @key)`, args{"name": name, "key": newKey})
		if err != nil {
			return err
		}
		if taken {
			return fmt.Errorf("%w: the new key is not new", ErrConflict)
		}
		_, err = tx.Exec(ctx, `update hosts set next_key = @new where name = @name and public_key = @old and next_key <> @new`,
			args{"name": name, "old": oldKey, "new": newKey})
		return err
	})
	if err != nil {
		return fleet.Host{}, "", fmt.Errorf("offer key of %s: %w", cleanText(name), err)
	}
	return host, key, nil
}

// TakeKey makes the key that a host offered its only one, since the host has
// shown that it uses it. The bus must then refuse the old one.
func (d *DB) TakeKey(ctx context.Context, name, newKey string, now time.Time) (fleet.Host, error) {
	var host fleet.Host
	err := d.tx(ctx, func(tx pgx.Tx) error {
		old, err := value[string](ctx, tx, `
			select public_key from hosts where name = @name and next_key = @key and @key <> '' and revoked_at is null
			for no key update`, args{"name": name, "key": newKey})
		if err != nil {
			return err
		}
		r, err := one[hostRow](ctx, tx, `
			update hosts h set public_key = next_key, next_key = '' where name = @name returning `+hostColumns, args{"name": name})
		if err != nil {
			return err
		}
		host = r.host()
		if err := refuseKeys(ctx, tx, name, now, old); err != nil {
			return err
		}
		return d.hostChanged(ctx, tx, Event{
			At: now, Actor: "host:" + name, Kind: "host.key_changed", Subject: "host/" + name,
			Detail: map[string]any{"public_key": newKey},
		})
	})
	if err != nil {
		return fleet.Host{}, fmt.Errorf("take key of %s: %w", cleanText(name), err)
	}
	return host, nil
}

// KeepCurveKey notes the key to which what only the host may read is sealed.
func (d *DB) KeepCurveKey(ctx context.Context, hostID int64, key string) error {
	_, err := d.pool.Exec(ctx, `update hosts set curve_key = @key where id = @id and curve_key <> @key`, args{"id": hostID, "key": key})
	if err != nil {
		return fmt.Errorf("keep curve key: %w", err)
	}
	return nil
}

// CurveKey is what [DB.KeepCurveKey] noted; empty for a host that has none yet.
func (d *DB) CurveKey(ctx context.Context, hostID int64) (string, error) {
	key, err := value[string](ctx, d.pool, `select curve_key from hosts where id = @id`, args{"id": hostID})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("read curve key: %w", err)
	}
	return key, nil
}
