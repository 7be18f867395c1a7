package db

import (
	"context"
	"fmt"
	"time"
)

// What follows forgets what no open work needs any more, up to n rows at a time, and
// returns how many that were. The history is kept: see [DB.PruneHistory].

// PruneAnswers forgets what hosts said to orders that ended before the given time.
// How each ended stands in the order.
func (d *DB) PruneAnswers(ctx context.Context, before time.Time, n int) (int, error) {
	return d.prune(ctx, "answers", `
		delete from answers a using (
			select a.order_id, a.seq from answers a left join orders o on o.id = a.order_id
			where a.recorded < @before and (o.id is null or o.ended_at < @before)
			order by a.recorded limit @n
		) old
		where a.order_id = old.order_id and a.seq = old.seq`, before, n)
}

// PruneOrders forgets orders that ended before the given time. What a host goes by is
// kept: its newest order, the newest that it took up, and those of the commit that its
// repository is at or that it runs; so are those of rollouts and locks under way.
func (d *DB) PruneOrders(ctx context.Context, before time.Time, n int) (int, error) {
	return d.prune(ctx, "orders", `
		delete from orders o using (
			select o.id from orders o join hosts h on h.name = o.host
			where o.ended_at < @before and o.gen < h.last_gen
				and o.gen < coalesce((select max(t.gen) from orders t where t.host = o.host and t.received_at is not null), 0)
				and o.commit_sha not in (coalesce(h.facts->>'running_commit', ''), coalesce(h.facts->>'checkout_commit', ''))
				and not exists (select from repos r where r.id = o.repo_id and r.head_sha = o.commit_sha)
				and not exists (select from rollouts r where r.id = o.rollout_id and r.ended_at is null)
				and not exists (select from rollout_hosts p join rollouts r on r.id = p.rollout_id where p.order_id = o.id and r.ended_at is null)
				and not exists (select from lock_proposals l where l.source = o.id and l.ended_at is null)
				and not exists (select from answers a where a.order_id = o.id)
				and not exists (select from outbox e where e.key = 'propose:' || o.id)
				and not exists (select from evaluating e where e.order_id = o.id)
			order by o.ended_at limit @n
		) old
		where o.id = old.id`, before, n)
}

// PruneRequests forgets what people pressed or wrote that was handled before the given
// time. What came of it stands in the history.
func (d *DB) PruneRequests(ctx context.Context, before time.Time, n int) (int, error) {
	return d.prune(ctx, "requests", `
		delete from requests where id in (
			select id from requests where handled_at < @before and due_at is null order by handled_at limit @n)`, before, n)
}

// PruneSightings forgets when revisions of inputs, and heads of updates that ended, were
// first seen, where that is before the given time and before anything that is open.
func (d *DB) PruneSightings(ctx context.Context, before time.Time, n int) (int, error) {
	const open = `u.state not in ('merged', 'closed', 'superseded')`
	inputs, err := d.prune(ctx, "sightings of inputs", `
		delete from input_sightings s using (
			select input, rev from input_sightings
			where seen_at < least(@before, (select min(u.first_seen) from updates u where not u.ignored and `+open+`))
			limit @n
		) old
		where s.input = old.input and s.rev = old.rev`, before, n)
	if err != nil {
		return 0, err
	}
	heads, err := d.prune(ctx, "sightings of heads", `
		delete from head_sightings s using (
			select s.update_id, s.sha from head_sightings s join updates u on u.id = s.update_id
			where s.seen_at < @before and u.changed_at < @before and not (`+open+`)
			limit @n
		) old
		where s.update_id = old.update_id and s.sha = old.sha`, before, n)
	return max(inputs, heads), err
}

// PruneEffects forgets effects that were asked for before the given time, have failed
// ever since, and are of nothing that is open: of a repository that the App was taken
// from, of an update, a rollout, a host or a lock that has ended.
func (d *DB) PruneEffects(ctx context.Context, before time.Time, n int) (int, error) {
	return d.prune(ctx, "effects", `
		delete from outbox e using (
			select e.key from outbox e
			where e.created_at < @before and e.error <> '' and e.attempt > 0 and (e.lease_until is null or e.lease_until < @before)
				and not exists (select from updates u join repos r on r.id = u.repo_id
					where u.id = (e.payload->>'update_id')::bigint and not r.removed and u.state not in ('merged', 'closed', 'superseded'))
				and not exists (select from rollouts r where r.id = e.payload->>'rollout' and r.ended_at is null)
				and not exists (select from hosts h where h.name = e.payload->>'host' and h.revoked_at is null)
				and not exists (select from lock_proposals l where l.id = e.payload->>'proposal' and l.ended_at is null)
				and not exists (select from orders o where o.id = e.payload->>'order' and o.ended_at is null)
			limit @n for update skip locked
		) old
		where e.key = old.key`, before, n)
}

func (d *DB) prune(ctx context.Context, what, sql string, before time.Time, n int) (int, error) {
	tag, err := d.pool.Exec(ctx, sql, args{"before": before, "n": n})
	if err != nil {
		return 0, fmt.Errorf("prune %s: %w", what, err)
	}
	return int(tag.RowsAffected()), nil
}
