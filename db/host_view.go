package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// HostOverview reads the part of an overview from which [fleet.Describe] tells the
// same of one host as among all: the host and the evaluators of its repository, the
// repository with its newest open update, and the host's places in rollouts. What the
// rollouts say of other hosts is left out, so their headlines mean nothing. A host
// that is not known, or was revoked, is ErrNotFound.
func (d *DB) HostOverview(ctx context.Context, name string, now time.Time) (fleet.Overview, error) {
	const its = `(select repo_id from hosts where name = @host)`
	v := fleet.Overview{At: now}
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var b pgx.Batch
		queueRepoViews(&b, &v, `r.id = `+its, args{"host": name})
		queueHostViews(&b, &v, `(h.name = @host or @tag = any(h.tags) and h.repo_id = `+its+`)`, args{"host": name, "tag": fleet.EvaluatorTag})
		queueUpdateViews(&b, &v, `u.state not in `+endedUpdates+` and u.repo_id = `+its, args{"host": name, "n": 1})
		queueRolloutViews(&b, &v, `h.host = @host`, args{"host": name, "n": maxShown})
		return tx.SendBatch(ctx, &b).Close()
	})
	if err == nil && !slices.ContainsFunc(v.Hosts, func(h fleet.HostView) bool { return h.Host.Name == name }) {
		err = ErrNotFound
	}
	if err != nil {
		return fleet.Overview{}, fmt.Errorf("read host %s: %w", cleanText(name), err)
	}
	return v, nil
}

// ordersShown is how many orders a host's record holds.
const ordersShown = 50

// HostRecord reads what is kept of one host beside the overview, in one round trip. A
// host that is not known is ErrNotFound; one that was revoked is read like any other.
func (d *DB) HostRecord(ctx context.Context, name string) (fleet.HostRecord, error) {
	type host struct {
		hostRow
		Generations []fleet.Generation
	}
	type changed struct {
		fleet.Order
		Change *fleet.Change
	}
	var r fleet.HostRecord
	found := false
	var b pgx.Batch
	collect(&b, `select `+hostColumns+`, h.generations from hosts h where h.name = @host`, args{"host": name}, func(h host) {
		r.Host, r.Generations, found = h.host(), h.Generations, true
	})
	collect(&b, `select `+orderColumns+` from orders o where o.host = @host order by o.issued_at desc, o.gen desc limit @n`,
		args{"host": name, "n": ordersShown}, func(o fleet.Order) { r.Orders = append(r.Orders, o) })
	// What an order changes can be large: only of the newest orders it is looked into.
	recent := `with recent as (select * from orders where host = @host order by issued_at desc, gen desc limit @n) `
	collect(&b, recent+`
		select o.change->'to'->>'path' as path, o.id as order, o.kind, o.actor, coalesce(o.rollout_id, '') as rollout, o.issued_at from recent o
		where o.change->'to'->>'path' in (
			select g->>'path' from hosts h, jsonb_array_elements(h.generations) g where h.name = @host)
		order by o.issued_at desc, o.gen desc`,
		args{"host": name, "n": 4 * ordersShown}, func(o fleet.SystemOrder) { r.Brought = append(r.Brought, o) })
	collect(&b, recent+`select `+orderColumns+`, o.change from recent o where o.change is not null order by o.issued_at desc, o.gen desc limit 1`,
		args{"host": name, "n": ordersShown}, func(c changed) { r.Changed = &fleet.OrderRecord{Order: c.Order, Change: c.Change} })
	err := d.pool.SendBatch(ctx, &b).Close()
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return fleet.HostRecord{}, fmt.Errorf("read host %s: %w", cleanText(name), err)
	}
	return r, nil
}
