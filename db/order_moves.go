package db

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// answeredRow is an order and the host's place in its rollout.
type answeredRow struct {
	ID        string
	Host      string
	Gen       int64
	RolloutID string
	Kind      string
	State     fleet.HostState
	Received  time.Time
	Ended     time.Time
	Progress  fleet.HostState // empty where the rollout's host works on another order
	Since     time.Time
	StartedAt time.Time
	EndedAt   time.Time
	Before    fleet.System
	Target    fleet.System
	Switched  bool
	HostNote  string
}

// readAnswered locks, in the order that everybody keeps, the rollouts (which also
// makes them due), their hosts, and the orders.
func readAnswered(ctx context.Context, tx pgx.Tx, ids []string, now time.Time) (map[string]*answered, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var b pgx.Batch
	b.Queue(`
		with locked as materialized (
			select id from rollouts where id in (select rollout_id from orders where id = any(@ids)) order by id for no key update
		)
		update rollouts r set wake = wake + 1, due_at = least(due_at, @now) from locked where r.id = locked.id`,
		args{"ids": ids, "now": now})
	var known map[string]*answered
	b.Queue(`
		select o.id, o.host, o.gen, coalesce(o.rollout_id, '') as rollout_id, o.kind, o.state,
			o.received_at as received, o.ended_at as ended, coalesce(p.state, '') as progress, p.since, p.started_at, p.ended_at,
			coalesce(p.before, '{}') as before, coalesce(p.target, '{}') as target, coalesce(p.switched, false) as switched,
			coalesce(p.note, '') as host_note
		from orders o
		left join rollout_hosts p on p.rollout_id = o.rollout_id and p.host = o.host and p.order_id = o.id
		where o.id = any(@ids)
		order by o.id for no key update of o`, args{"ids": ids}).Query(func(found pgx.Rows) error {
		orders, err := pgx.CollectRows(found, pgx.RowToStructByName[answeredRow])
		known = make(map[string]*answered, len(orders))
		for _, o := range orders {
			known[o.ID] = newAnswered(o)
		}
		return err
	})
	return known, tx.SendBatch(ctx, &b).Close()
}

// answered is an order while what happens to it is applied: answers one after the
// other, or an end that the server makes.
type answered struct {
	row      answeredRow
	by       string             // who ends it, where that is not the host
	received bool               // the host knows of it
	note     string             // the last one, empty for none
	state    fleet.HostState    // of the order
	progress fleet.HostProgress // in the rollout
	failure  *fleet.HostError
	facts    *fleet.HostFacts
	change   *fleet.Change
}

func newAnswered(r answeredRow) *answered {
	return &answered{row: r, state: r.State, progress: fleet.HostProgress{
		Host: r.Host, State: r.Progress, Since: r.Since, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
		Before: r.Before, Target: r.Target, Switched: r.Switched, Note: r.HostNote,
	}}
}

// apply moves an order, and its host in the rollout where there is one.
func (o *answered) apply(event fleet.HostEvent, failure *fleet.HostError, now time.Time) {
	to := fleet.NextHostState(o.state, event)
	if to != o.state && to.Terminal() && failure != nil {
		o.failure = failure
	}
	o.state = to
	if o.progress.State != "" {
		was := o.progress.State
		o.progress = o.progress.After(event, now)
		if was != o.progress.State && o.progress.State.Terminal() {
			o.progress.Failure = failure
		}
	}
}

// changed reports whether there is anything to write of the order itself.
func (o *answered) changed() bool {
	return o.state != o.row.State || o.note != "" || o.change != nil || o.received && o.row.Received.IsZero()
}

// movedOf are the orders that there is something to write of, and those whose hosts
// moved in their rollouts, both by id.
func movedOf(known map[string]*answered) (orders, hosts []*answered) {
	for _, o := range known {
		if o.changed() {
			orders = append(orders, o)
		}
		if o.moved() {
			hosts = append(hosts, o)
		}
	}
	byID := func(x, y *answered) int { return cmp.Compare(x.row.ID, y.row.ID) }
	slices.SortFunc(orders, byID)
	slices.SortFunc(hosts, byID)
	return orders, hosts
}

func queueProgress(batch *pgx.Batch, hosts []*answered) {
	list := make([]fleet.HostProgress, len(hosts))
	rollouts := make([]string, len(hosts))
	for i, o := range hosts {
		list[i], rollouts[i] = o.progress, o.row.RolloutID
	}
	a := progressArgs("", list)
	batch.Queue(`
		update rollout_hosts h set state = c.state, since = c.since, started_at = c.started_at, ended_at = c.ended_at,
			failure = coalesce(c.failure, h.failure), before = c.before, target = c.target, switched = c.switched, note = c.note
		from unnest(@rollouts::text[], @host::text[], @state::text[], @since::timestamptz[], @started::timestamptz[],
			@ended::timestamptz[], @failure::jsonb[], @before::jsonb[], @target::jsonb[], @switched::bool[], @note::text[])
			c (rollout_id, host, state, since, started_at, ended_at, failure, before, target, switched, note)
		where h.rollout_id = c.rollout_id and h.host = c.host`,
		args{
			"rollouts": rollouts, "host": a["host"], "state": a["state"], "since": a["since"],
			"started": a["started"], "ended": a["ended"], "failure": a["failure"],
			"before": a["before"], "target": a["target"], "switched": a["switched"], "note": a["note"],
		})
}

func queueOrders(batch *pgx.Batch, orders []*answered, now time.Time) {
	n := len(orders)
	ids, states, notes, failure := make([]string, n), make([]string, n), make([]string, n), make([]*fleet.HostError, n)
	received, ended, changes := make([]time.Time, n), make([]time.Time, n), make([]*string, n)
	var events []Event
	for i, o := range orders {
		ids[i], states[i], notes[i], failure[i] = o.row.ID, string(o.state), clip(o.note), o.failure
		if o.received {
			received[i] = now
		}
		if o.change != nil {
			changes[i] = encoded(o.change)
		}
		if !fleet.OrderEnded(o.state) {
			continue
		}
		ended[i] = now
		if o.state != o.row.State {
			events = append(events, o.event(now))
		}
	}
	batch.Queue(`
		update orders o set state = c.state, failure = coalesce(c.failure, o.failure), note = coalesce(nullif(c.note, ''), o.note),
			received_at = coalesce(o.received_at, c.received_at), ended_at = coalesce(o.ended_at, c.ended_at),
			change = coalesce(c.change, o.change)
		from unnest(@ids::text[], @states::text[], @notes::text[], @failure::jsonb[], @received::timestamptz[], @ended::timestamptz[],
			@changes::jsonb[]) c (id, state, note, failure, received_at, ended_at, change)
		where o.id = c.id`,
		args{
			"ids": ids, "states": states, "notes": notes, "failure": failures(failure), "received": received, "ended": ended,
			"changes": changes,
		})
	if len(events) > 0 {
		sql, a := rememberAll("", events)
		batch.Queue(sql, a)
	}
}

// event says how an order ended.
func (o *answered) event(now time.Time) Event {
	e := Event{At: now, Actor: cmp.Or(o.by, "host:"+o.row.Host), Kind: "order." + string(o.state), Subject: "order/" + o.row.ID,
		Reason: o.note, Detail: map[string]any{"host": o.row.Host, "rollout": o.row.RolloutID}}
	if o.failure != nil {
		e.Reason = o.failure.Message
	}
	return e
}
