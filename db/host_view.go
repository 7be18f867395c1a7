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
