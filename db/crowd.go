package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnrolCrowd records simulated hosts of a repository as enrolled, all at once. A
// measurement of a large fleet does with it what an operator and the hosts would do
// with as many tokens.
func (d *DB) EnrolCrowd(ctx context.Context, repoID int64, names []string, now time.Time) error {
	rows := make([][]any, len(names))
	for i, name := range names {
		rows[i] = []any{repoID, name, "nixosConfigurations." + name, []string{"simulated"}, "fleet", "simulated " + name, now}
	}
	columns := []string{"repo_id", "name", "attr", "tags", "mode", "public_key", "enrolled_at"}
	if _, err := d.pool.CopyFrom(ctx, pgx.Identifier{"hosts"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("enrol %d simulated hosts: %w", len(names), err)
	}
	return nil
}

// HostsUpFor counts the hosts whose newest facts claim at least so much uptime, by
// which a measurement tells whether a heartbeat has been kept.
func (d *DB) HostsUpFor(ctx context.Context, uptime time.Duration) (int, error) {
	n, err := value[int](ctx, d.pool, `select count(*) from hosts where coalesce((facts->>'uptime')::bigint, 0) >= @least`,
		args{"least": int64(uptime)})
	if err != nil {
		return 0, fmt.Errorf("count hosts by uptime: %w", err)
	}
	return n, nil
}
