package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// EndedOrder is an order that a host ended, for those who measure.
type EndedOrder struct {
	ID, Host, Kind, Commit string
	State                  fleet.HostState
	RepoID                 int64
	Rollout                string // empty for an order of its own
	Number                 int    // of the pull request that the rollout brings; 0: none
	IssuedAt, EndedAt      time.Time
	ClockOff               time.Duration     // how far our clock is ahead of the host's
	Steps                  []fleet.OrderStep `db:"-"`
}

// EndedOrders are those of the named orders that ended at a time, which is when the
// batch was recorded that ended them: one that ended before is not counted again.
// Steps are left out unless they are asked for.
func (d *DB) EndedOrders(ctx context.Context, ids []string, at time.Time, steps bool) ([]EndedOrder, error) {
	var list []EndedOrder
	var b pgx.Batch
	collect(&b, `
		select o.id, o.host, o.kind, o.commit_sha as commit, o.state, o.repo_id, coalesce(o.rollout_id, '') as rollout,
			coalesce(u.number, 0) as number, o.issued_at, o.ended_at, coalesce((h.facts->>'clock_off')::bigint, 0) as clock_off
		from orders o join hosts h on h.name = o.host
		left join rollouts r on r.id = o.rollout_id left join updates u on u.id = r.update_id
		where o.id = any(@ids) and o.ended_at = @at order by o.id`,
		args{"ids": ids, "at": at}, func(o EndedOrder) { list = append(list, o) })
	type row struct {
		OrderID string
		fleet.OrderStep
	}
	taken := map[string][]fleet.OrderStep{}
	if steps {
		collect(&b, `select order_id, step, at, recorded from answers where order_id = any(@ids) order by order_id, seq`,
			args{"ids": ids}, func(r row) { taken[r.OrderID] = append(taken[r.OrderID], r.OrderStep) })
	}
	if err := d.pool.SendBatch(ctx, &b).Close(); err != nil {
		return nil, fmt.Errorf("read ended orders: %w", err)
	}
	for i := range list {
		list[i].Steps = taken[list[i].ID]
	}
	return list, nil
}
