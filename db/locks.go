package db

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// lockAround locks a rollout and all else that what is done to it may touch, each kind
// at once and in the order that everybody keeps: rollouts, orders, hosts. The rollouts
// are those of its repository that look anew when it moves, the one that it restores,
// and those whose orders give way where hosts get new ones. hosts are those that may
// get an order, or whose order may end.
func lockAround(ctx context.Context, tx pgx.Tx, id string, hosts []string) error {
	var b pgx.Batch
	b.Queue(`
		select from rollouts r join rollouts this on this.id = @id
		where r.id in (this.id, this.restores) or r.repo_id = this.repo_id and r.state not in `+endedRollouts+`
			or r.id in (select o.rollout_id from orders o where o.host = any(@hosts) and o.ended_at is null and o.received_at is null)
		order by r.id for no key update of r`, args{"id": id, "hosts": hosts})
	if len(hosts) > 0 {
		b.Queue(`select from orders where host = any(@hosts) and ended_at is null order by id for no key update`, args{"hosts": hosts})
		b.Queue(`select from hosts where name = any(@hosts) order by id for no key update`, args{"hosts": hosts})
	}
	return tx.SendBatch(ctx, &b).Close()
}

// touched are the hosts that the move has orders for, or whose order it may end.
func (s saving) touched() []string {
	before := make(map[string]int, len(s.claim.Rollout.Hosts))
	for i, h := range s.claim.Rollout.Hosts {
		before[h.Host] = i
	}
	var hosts []string
	for _, o := range s.orders {
		hosts = append(hosts, o.Host)
	}
	for _, h := range s.move.Hosts {
		if i, known := before[h.Host]; known && s.claim.Rollout.Hosts[i].Order != "" && !sameProgress(s.claim.Rollout.Hosts[i], h) {
			hosts = append(hosts, h.Host)
		}
	}
	return hosts
}
