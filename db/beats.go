package db

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// Beat is a sign of life of one host, with what it saw of itself.
type Beat struct {
	Host  string
	Facts fleet.HostFacts // zero: keep what is known
	At    time.Time       // the server's clock
	// Generations take the place of what is known; nil leaves it.
	Generations []fleet.Generation
}

// SaveBeats keeps the newest facts of hosts, in two statements however many they
// are. Older beats than the one on record, and those of hosts that are unknown or
// revoked, change nothing. Rollouts that wait for a host that is back are due.
func (d *DB) SaveBeats(ctx context.Context, beats []Beat) error {
	newest := make(map[string]Beat, len(beats))
	for _, b := range beats {
		if was, ok := newest[b.Host]; !ok || was.At.Before(b.At) {
			newest[b.Host] = b
		}
	}
	if len(newest) == 0 {
		return nil
	}
	err := d.tx(ctx, func(tx pgx.Tx) error {
		var batch pgx.Batch
		queueReturns(&batch, newest)
		queueBeats(&batch, newest)
		return tx.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return fmt.Errorf("save %d heartbeats: %w", len(beats), err)
	}
	d.notifySoon()
	return nil
}

// queueReturns wakes the rollouts in which a host was away that is back now. It
// comes before the hosts' rows are locked, as everywhere.
func queueReturns(batch *pgx.Batch, beats map[string]Beat) {
	names := slices.Sorted(maps.Keys(beats))
	at := make([]time.Time, len(names))
	for i, n := range names {
		at[i] = beats[n].At
	}
	batch.Queue(`
		with back as (
			select h.name, c.at from unnest(@names::text[], @at::timestamptz[]) c (name, at) join hosts h using (name)
			where (h.last_seen is null or h.last_seen < c.at - make_interval(secs => @within)) and h.revoked_at is null
		), waiting as materialized (
			select r.id from rollouts r
			where r.id in (select p.rollout_id from rollout_hosts p join back on back.name = p.host where p.state in ('offline', 'deferred'))
			order by r.id for no key update
		)
		update rollouts r set wake = wake + 1, due_at = least(due_at, (select min(at) from back))
		from waiting w where r.id = w.id`,
		args{"names": names, "at": at, "within": fleet.OnlineWithin.Seconds()})
}

// seenWithin is how fine a mere sign of life is kept: answers come in bursts, and
// each would rewrite its host's row for a fraction of a second.
const seenWithin = 5 * time.Second

// queueBeats keeps facts unless newer ones are known already. Generations come with
// answers alone, one after the other, so those are never the older ones.
func queueBeats(batch *pgx.Batch, beats map[string]Beat) {
	names := slices.Sorted(maps.Keys(beats))
	at, facts, generations := make([]time.Time, len(names)), make([]*string, len(names)), make([]*string, len(names))
	for i, n := range names {
		at[i] = beats[n].At
		if beats[n].Generations != nil {
			generations[i] = encoded(beats[n].Generations)
		}
		if beats[n].Facts.At.IsZero() {
			continue
		}
		// Facts that do not encode (a load that is not a number) are not kept; the sign of life is.
		if b, err := marshalJSON(beats[n].Facts); err == nil {
			text := string(b)
			facts[i] = &text
		}
	}
	batch.Queue(`
		with locked as materialized (
			select id, name from hosts where name = any(@names) and revoked_at is null order by id for no key update
		)
		update hosts h set last_seen = greatest(h.last_seen, c.at), generations = coalesce(c.generations, h.generations),
			facts = case when h.last_seen is null or h.last_seen <= c.at then coalesce(c.facts, h.facts) else h.facts end
		from locked l join unnest(@names::text[], @at::timestamptz[], @facts::jsonb[], @generations::jsonb[])
			c (name, at, facts, generations) using (name)
		where h.id = l.id and (h.last_seen is null or h.last_seen < c.at - make_interval(secs => @fine)
			or c.facts is not null and h.last_seen <= c.at or c.generations is not null)`,
		args{"names": names, "at": at, "facts": facts, "generations": generations, "fine": seenWithin.Seconds()})
}
