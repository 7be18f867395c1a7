package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// The bus holds one order for a host, and the host reads no older one after it. So
// orders are delivered one at a time: the oldest open one that the host has not taken
// up, and the next once it has. toDeliver joins each host h with that order, or with
// the newest that it has taken up, so that a bus that lost everything can be mended.
const toDeliver = `
	left join lateral (
		select t.id, t.gen from orders t where t.host = h.name and t.received_at is not null order by t.gen desc limit 1
	) taken on true
	left join lateral (
		select n.id from orders n
		where n.host = h.name and n.ended_at is null and n.received_at is null and n.expires_at > @now and n.gen > coalesce(taken.gen, 0)
		order by n.gen limit 1
	) next on true
	join orders o on o.id = coalesce(next.id, taken.id)`

// Deliverable is the order that the bus must hold for a host.
type Deliverable struct {
	Host string
	Gen  uint64
}

// Deliverables lists, of each host that is not revoked, the order that the bus must
// hold. An order that may not be begun any more is not among them.
func (d *DB) Deliverables(ctx context.Context, now time.Time) ([]Deliverable, error) {
	type row struct {
		Host string
		Gen  int64
	}
	rows, err := all[row](ctx, d.pool, `
		select o.host, o.gen from hosts h `+toDeliver+`
		where h.revoked_at is null and o.expires_at > @now order by h.name`, args{"now": now})
	if err != nil {
		return nil, fmt.Errorf("read what to deliver: %w", err)
	}
	list := make([]Deliverable, len(rows))
	for i, r := range rows {
		list[i] = Deliverable{Host: r.Host, Gen: uint64(r.Gen)}
	}
	return list, nil
}

// OrderToSend is an order with what the wire needs beside it.
type OrderToSend struct {
	Order fleet.Order
	Repo  fleet.Repo
	Attr  string     // the host's flake attribute
	Plan  fleet.Plan // of the order's rollout; zero for an order of its own
}

// OrdersToSend returns the order that the bus must hold for each of the named hosts
// that has one and is not revoked, in one query however many they are.
func (d *DB) OrdersToSend(ctx context.Context, hosts []string, now time.Time) ([]OrderToSend, error) {
	type row struct {
		fleet.Order
		InstallationID int64
		Owner          string
		RepoName       string
		DefaultBranch  string
		Attr           string
		Plan           fleet.Plan
	}
	rows, err := all[row](ctx, d.pool, `
		select `+orderColumns+`, coalesce(r.installation_id, 0) as installation_id, coalesce(r.owner, '') as owner,
			coalesce(r.name, '') as repo_name, coalesce(r.default_branch, '') as default_branch,
			h.attr, coalesce(p.plan, '{}') as plan
		from hosts h `+toDeliver+`
		left join repos r on r.id = o.repo_id
		left join rollouts p on p.id = o.rollout_id
		where h.name = any(@hosts) and h.revoked_at is null and o.expires_at > @now
		order by h.name`, args{"hosts": hosts, "now": now})
	if err != nil {
		return nil, fmt.Errorf("read orders to send: %w", err)
	}
	orders := make([]OrderToSend, len(rows))
	for i, r := range rows {
		orders[i] = OrderToSend{
			Order: r.Order, Attr: r.Attr, Plan: r.Plan,
			Repo: fleet.Repo{
				ID: r.RepoID, Installation: r.InstallationID, Owner: r.Owner, Name: r.RepoName, DefaultBranch: r.DefaultBranch,
			},
		}
	}
	return orders, nil
}

// queueNext asks for the sending of what waits for these hosts, now that an order of
// theirs was taken up or has ended. Whoever issues an order holds the host's row, so
// it comes after that row was locked: else either could miss what the other did.
func queueNext(batch *pgx.Batch, hosts []string, now time.Time) {
	keys, payloads := make([]string, len(hosts)), make([]string, len(hosts))
	for i, h := range hosts {
		e := sendEffect(h)
		keys[i], payloads[i] = e.Key, string(e.Payload)
	}
	batch.Queue(`
		insert into outbox as waiting (key, kind, payload, created_at, due_at)
		select e.key, 'send', e.payload, @now, @now
		from unnest(@hosts::text[], @keys::text[], @payloads::jsonb[]) e (host, key, payload)
		where exists (select from orders o where o.host = e.host and o.ended_at is null and o.received_at is null)
		order by e.key
		on conflict (key) do update set wake = waiting.wake + 1, due_at = least(waiting.due_at, @now)`,
		args{"hosts": hosts, "keys": keys, "payloads": payloads, "now": now})
}

func hostsOf(orders []*answered) []string {
	hosts := make([]string, len(orders))
	for i, o := range orders {
		hosts[i] = o.row.Host
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
