package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// ending is an order that the server ends without waiting for its host.
type ending struct {
	order   string
	event   fleet.HostEvent
	by      string
	note    string
	failure *fleet.HostError
	taken   bool // also where the host has taken it up meanwhile
	apart   bool // its host in the rollout stays as it is
}

// endOpenOrders ends the orders that are still open, and has what waits behind them sent.
func endOpenOrders(ctx context.Context, tx pgx.Tx, endings []ending, now time.Time) error {
	ended, err := endOrdersOnly(ctx, tx, endings, now)
	if err != nil || len(ended) == 0 {
		return err
	}
	var batch pgx.Batch
	queueNext(&batch, hostsOf(ended), now)
	return tx.SendBatch(ctx, &batch).Close()
}

// endOrdersOnly ends the orders that are still open and moves their hosts in their
// rollouts, which are due then. It returns those that it ended.
func endOrdersOnly(ctx context.Context, tx pgx.Tx, endings []ending, now time.Time) ([]*answered, error) {
	if len(endings) == 0 {
		return nil, nil
	}
	ids := make([]string, len(endings))
	for i, e := range endings {
		ids[i] = e.order
	}
	known, err := readAnswered(ctx, tx, ids, now)
	if err != nil {
		return nil, err
	}
	for _, e := range endings {
		o, ok := known[e.order]
		if !ok || !o.row.Ended.IsZero() || !o.row.Received.IsZero() && !e.taken {
			delete(known, e.order)
			continue
		}
		if e.apart {
			o.row.Progress, o.progress.State = "", ""
		}
		o.by, o.note = e.by, e.note
		o.apply(e.event, e.failure, now)
		if o.progress.State.Terminal() {
			o.state = o.progress.State // an expired order of a host that was away is no failure
		}
	}
	orders, hosts := movedOf(known)
	if len(orders) == 0 {
		return nil, nil
	}
	var batch pgx.Batch
	if len(hosts) > 0 {
		queueProgress(&batch, hosts)
	}
	queueOrders(&batch, orders, now)
	return orders, tx.SendBatch(ctx, &batch).Close()
}

// endReplaced ends what the new orders make pointless, as far as the hosts have not
// taken it up. A rollout that gives its host another order goes on with that one. What
// is to be sent next its caller asks for, once the hosts are locked: to ask before
// would be the other way round than everybody goes.
func endReplaced(ctx context.Context, tx pgx.Tx, orders []fleet.Order, now time.Time) error {
	byHost := make(map[string][]fleet.Order, len(orders))
	hosts := make([]string, 0, len(orders))
	for _, o := range orders {
		if byHost[o.Host] == nil {
			hosts = append(hosts, o.Host)
		}
		byHost[o.Host] = append(byHost[o.Host], o)
	}
	waiting, err := all[fleet.Order](ctx, tx, `
		select `+orderColumns+` from orders o
		where o.host = any(@hosts) and o.ended_at is null and o.received_at is null order by o.id`, args{"hosts": hosts})
	if err != nil {
		return fmt.Errorf("read waiting orders: %w", err)
	}
	var endings []ending
	for _, old := range waiting {
		for _, o := range byHost[old.Host] {
			if o.Replaces(old) {
				endings = append(endings, ending{
					order: old.ID, event: fleet.HostSaysCancelled, by: o.Actor, note: replacedNote(o),
					apart: old.Rollout != "" && old.Rollout == o.Rollout,
				})
				break
			}
		}
	}
	if _, err := endOrdersOnly(ctx, tx, endings, now); err != nil {
		return fmt.Errorf("end replaced orders: %w", err)
	}
	return nil
}

func replacedNote(by fleet.Order) string {
	if by.Kind == fleet.OrderCancel {
		return "cancelled before the host took it up"
	}
	return fmt.Sprintf("a newer order (%s, %s) took its place before the host took it up", by.Kind, by.ID)
}

// EndOverdueOrders ends up to n orders whose time is up: those that no host took up
// until they expired, and those whose host took them up and then fell silent for
// longer than all their steps may take. It returns how many it ended.
func (d *DB) EndOverdueOrders(ctx context.Context, now time.Time, n int) (int, error) {
	type row struct {
		fleet.Order
		Plan fleet.Plan
	}
	var ended int
	err := d.tx(ctx, func(tx pgx.Tx) error {
		rows, err := all[row](ctx, tx, `
			select `+orderColumns+`, coalesce(p.plan, '{}') as plan from orders o left join rollouts p on p.id = o.rollout_id
			where o.ended_at is null and o.expires_at <= @now order by o.received_at nulls first, o.id limit @n`, args{"now": now, "n": n})
		if err != nil {
			return err
		}
		var endings []ending
		for _, r := range rows {
			if code, text := r.Overdue(r.Plan, now); code != "" {
				endings = append(endings, ending{
					order: r.ID, event: fleet.HostExpired, by: "clock", note: text, taken: !r.ReceivedAt.IsZero(),
					failure: &fleet.HostError{Step: string(r.State), Code: code, Message: text},
				})
			}
		}
		ended = len(endings)
		if ended == 0 {
			return nil
		}
		if err := endOpenOrders(ctx, tx, endings, now); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return 0, fmt.Errorf("end overdue orders: %w", err)
	}
	return ended, nil
}

// endRevoked ends the open orders of a host that gets none any more. Its rollouts
// leave it out by themselves.
func endRevoked(ctx context.Context, tx pgx.Tx, host, actor string, now time.Time) error {
	open, err := all[struct{ ID string }](ctx, tx, `select id from orders where host = @host and ended_at is null order by id`, args{"host": host})
	if err != nil {
		return err
	}
	endings := make([]ending, len(open))
	for i, o := range open {
		endings[i] = ending{order: o.ID, event: fleet.HostSaysCancelled, by: actor, note: "the host was revoked", taken: true, apart: true}
	}
	return endOpenOrders(ctx, tx, endings, now)
}
