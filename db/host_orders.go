package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// OrderRecord reads one order with the answers to it.
func (d *DB) OrderRecord(ctx context.Context, id string) (fleet.OrderRecord, error) {
	type row struct {
		fleet.Order
		Change *fleet.Change
	}
	r, err := one[row](ctx, d.pool, `select `+orderColumns+`, o.change from orders o where o.id = @id`, args{"id": id})
	if err != nil {
		return fleet.OrderRecord{}, fmt.Errorf("read order %s: %w", cleanText(id), err)
	}
	steps, err := all[fleet.OrderStep](ctx, d.pool, `
		select step, at, recorded from answers where order_id = @id order by seq`, args{"id": id})
	if err != nil {
		return fleet.OrderRecord{}, fmt.Errorf("read answers to order %s: %w", cleanText(id), err)
	}
	return fleet.OrderRecord{Order: r.Order, Change: r.Change, Steps: steps}, nil
}

// OrdersOf lists orders of a host, or of all hosts with an empty name, newest first: at
// most so many, of those before the order of an id, if there is one.
func (d *DB) OrdersOf(ctx context.Context, host, before string, limit int) ([]fleet.Order, error) {
	where, a := `where (@before = '' or o.id < @before) order by o.id desc`, args{"n": limit, "before": before} // an id begins with its time
	if host != "" {
		where = `where o.host = @host and (@before = '' or (o.issued_at, o.gen) < (select b.issued_at, b.gen from orders b where b.id = @before))
			order by o.issued_at desc, o.gen desc`
		a["host"] = host
	}
	orders, err := all[fleet.Order](ctx, d.pool, `select `+orderColumns+` from orders o `+where+` limit @n`, a)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return orders, nil
}

// OpenOrders lists the orders of hosts that have not ended, oldest first for each.
func (d *DB) OpenOrders(ctx context.Context, hosts []string) ([]fleet.Order, error) {
	orders, err := all[fleet.Order](ctx, d.pool, `
		select `+orderColumns+` from orders o where o.host = any(@hosts) and o.ended_at is null order by o.host, o.gen`,
		args{"hosts": hosts})
	if err != nil {
		return nil, fmt.Errorf("list open orders: %w", err)
	}
	return orders, nil
}

// HostGenerations reads the systems that a host can go back to, newest first, as it
// told them last. A host that is not known is ErrNotFound.
func (d *DB) HostGenerations(ctx context.Context, name string) ([]fleet.Generation, error) {
	list, err := value[[]fleet.Generation](ctx, d.pool, `select generations from hosts where name = @name`, args{"name": name})
	if err != nil {
		return nil, fmt.Errorf("read generations of %s: %w", cleanText(name), err)
	}
	return list, nil
}

// HostChange is what a person changes of a host; nil leaves a part as it is.
type HostChange struct {
	Tags *[]string
	Mode *string
	Attr *string
}

// ChangeHost changes how a host is treated. An order that it has stays as it is;
// rollouts and the hosts that follow are decided anew. A host that is not known is
// ErrNotFound.
func (d *DB) ChangeHost(ctx context.Context, name string, c HostChange, actor string, now time.Time) (fleet.Host, error) {
	var host fleet.Host
	err := d.tx(ctx, func(tx pgx.Tx) error {
		r, err := one[hostRow](ctx, tx, `
			update hosts h set tags = coalesce(@tags::text[], tags), mode = coalesce(@mode, mode), attr = coalesce(@attr, attr)
			where name = @name returning `+hostColumns, args{"name": name, "tags": maybe(c.Tags), "mode": maybe(c.Mode), "attr": maybe(c.Attr)})
		if err != nil {
			return err
		}
		host = r.host()
		return d.hostChanged(ctx, tx, Event{
			At: now, Actor: actor, Kind: "host.changed", Subject: "host/" + name,
			Detail: map[string]any{"tags": host.Tags, "mode": host.Mode, "attr": host.Attr},
		})
	})
	if err != nil {
		return fleet.Host{}, fmt.Errorf("change host %s: %w", cleanText(name), err)
	}
	return host, nil
}

// maybe is the value behind a pointer as an argument, null where there is none.
func maybe[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// OrderKey makes a request for orders, or for a rollout, one: the same key of the same
// person is the same request.
type OrderKey struct {
	Key string // empty: a request of its own
	Sum string // of what is asked for
}

// ErrOtherRequest means that a key was used before, for something else.
var ErrOtherRequest = errors.New("the key was used for another request")

// OrdersOfKey reads the orders of an earlier request; ErrNotFound means that there
// was none, ErrOtherRequest that it asked for something else.
func (d *DB) OrdersOfKey(ctx context.Context, actor string, k OrderKey) ([]fleet.Order, error) {
	return ordersOfKey(ctx, d.pool, actor, k)
}

// requestOfKey reads the ids of what an earlier request came to.
func requestOfKey(ctx context.Context, q querier, actor string, k OrderKey) ([]string, error) {
	type row struct {
		Sum    string
		Orders []string
	}
	r, err := one[row](ctx, q, `select sum, orders from order_requests where actor = @actor and key = @key`,
		args{"actor": actor, "key": k.Key})
	if err == nil && r.Sum != k.Sum {
		err = ErrOtherRequest
	}
	return r.Orders, err
}

func ordersOfKey(ctx context.Context, q querier, actor string, k OrderKey) ([]fleet.Order, error) {
	ids, err := requestOfKey(ctx, q, actor, k)
	if err != nil {
		return nil, err
	}
	return all[fleet.Order](ctx, q, `select `+orderColumns+` from orders o where o.id = any(@ids) order by o.host, o.gen`,
		args{"ids": ids})
}

// IssueOrdersOnce is IssueOrders for a request that may be repeated: the second time
// it returns what the first one issued, as it is now.
func (d *DB) IssueOrdersOnce(ctx context.Context, actor string, k OrderKey, orders []fleet.Order, now time.Time) ([]fleet.Order, error) {
	if k.Key == "" {
		return d.IssueOrders(ctx, orders, now)
	}
	ids := make([]string, len(orders))
	for i, o := range orders {
		ids[i] = o.ID
	}
	var issued []fleet.Order
	err := d.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			insert into order_requests (actor, key, sum, orders, at) values (@actor, @key, @sum, @orders, @now) on conflict do nothing`,
			args{"actor": actor, "key": k.Key, "sum": k.Sum, "orders": ids, "now": now})
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			issued, err = ordersOfKey(ctx, tx, actor, k)
			return err
		}
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

// PruneOrderKeys forgets the keys of requests from before the given time.
func (d *DB) PruneOrderKeys(ctx context.Context, before time.Time) error {
	if _, err := d.pool.Exec(ctx, `delete from order_requests where at < @before`, args{"before": before}); err != nil {
		return fmt.Errorf("prune order keys: %w", err)
	}
	return nil
}
