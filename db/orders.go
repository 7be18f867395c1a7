package db

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

const orderColumns = `o.id, o.host, o.gen, o.kind, coalesce(o.rollout_id, '') as rollout, o.repo_id, o.commit_sha as commit, o.detail,
	o.actor, o.reason, o.issued_at, o.expires_at, o.received_at, o.ended_at, o.state, o.failure, o.note`

// IssueOrders stores orders that a person gave, draws their generations and asks
// for their sending. A host that is not enrolled, or was revoked, is ErrConflict.
func (d *DB) IssueOrders(ctx context.Context, orders []fleet.Order, now time.Time) ([]fleet.Order, error) {
	var issued []fleet.Order
	err := d.tx(ctx, func(tx pgx.Tx) error {
		var err error
		if issued, err = insertOrders(ctx, tx, orders, now); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("issue %d orders: %w", len(orders), err)
	}
	return issued, nil
}

// insertOrders returns the orders by host, with their generations. What they make
// pointless is ended first.
func insertOrders(ctx context.Context, tx pgx.Tx, orders []fleet.Order, now time.Time) ([]fleet.Order, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	orders = slices.Clone(orders)
	slices.SortStableFunc(orders, func(a, b fleet.Order) int { return cmp.Compare(a.Host, b.Host) })
	if err := endReplaced(ctx, tx, orders, now); err != nil {
		return nil, err
	}
	if err := drawGenerations(ctx, tx, orders); err != nil {
		return nil, err
	}
	if err := storeOrders(ctx, tx, orders); err != nil {
		return nil, err
	}
	events := make([]Event, len(orders))
	effects := make([]Effect, 0, len(orders))
	for i, o := range orders {
		events[i] = Event{
			At: now, Actor: o.Actor, Kind: "order.issued", Subject: "order/" + o.ID, Reason: o.Reason,
			Detail: map[string]any{"host": o.Host, "kind": o.Kind, "gen": o.Gen, "commit": o.Commit, "rollout": o.Rollout},
		}
		if i == 0 || orders[i-1].Host != o.Host {
			effects = append(effects, sendEffect(o.Host))
		}
	}
	if err := remember(ctx, tx, events...); err != nil {
		return nil, err
	}
	return orders, putEffects(ctx, tx, now, effects...)
}

// drawGenerations counts up the hosts' generations. The rows stay locked until
// the orders are committed, so that no host sees two orders with one generation,
// nor a newer one before an older one.
func drawGenerations(ctx context.Context, tx pgx.Tx, orders []fleet.Order) error {
	names := make([]string, len(orders))
	for i, o := range orders {
		names[i] = o.Host
	}
	type row struct {
		Name string
		Gen  int64 // before the first of the new ones
	}
	rows, err := all[row](ctx, tx, `
		with locked as materialized (
			select id, name from hosts
			where name = any(@names) and enrolled_at is not null and revoked_at is null
			order by id for no key update
		), counted as (
			select name, count(*) as n from unnest(@names::text[]) name group by name
		)
		update hosts h set last_gen = h.last_gen + c.n
		from locked l join counted c using (name) where h.id = l.id
		returning h.name, h.last_gen - c.n as gen`, args{"names": names})
	if err != nil {
		return fmt.Errorf("draw generations: %w", err)
	}
	next := make(map[string]uint64, len(rows))
	for _, r := range rows {
		next[r.Name] = uint64(r.Gen)
	}
	var unknown []string
	for i := range orders {
		gen, ok := next[orders[i].Host]
		if !ok {
			unknown = append(unknown, orders[i].Host)
			continue
		}
		orders[i].Gen, next[orders[i].Host] = gen+1, gen+1
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: not enrolled: %s", ErrConflict, strings.Join(unknown, ", "))
	}
	return nil
}

func storeOrders(ctx context.Context, tx pgx.Tx, orders []fleet.Order) error {
	rows := make([][]any, len(orders))
	for i := range orders {
		o := &orders[i]
		o.State = cmp.Or(o.State, fleet.HostOrdered)
		var rollout any
		if o.Rollout != "" {
			rollout = o.Rollout
		}
		rows[i] = []any{
			o.ID, o.Host, int64(o.Gen), o.Kind, rollout, o.RepoID, o.Commit, cleanText(o.Actor), cleanText(o.Reason),
			o.IssuedAt, o.ExpiresAt, string(o.State), o.Detail,
		}
	}
	columns := []string{
		"id", "host", "gen", "kind", "rollout_id", "repo_id", "commit_sha", "actor", "reason", "issued_at", "expires_at", "state", "detail",
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"orders"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("store orders: %w", err)
	}
	return nil
}

// Order reads one order.
func (d *DB) Order(ctx context.Context, id string) (fleet.Order, error) {
	o, err := one[fleet.Order](ctx, d.pool, `select `+orderColumns+` from orders o where o.id = @id`, args{"id": id})
	if err != nil {
		return fleet.Order{}, fmt.Errorf("read order %s: %w", id, err)
	}
	return o, nil
}
