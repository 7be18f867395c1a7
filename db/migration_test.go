package db_test

import (
	"database/sql"
	"os"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
)

// A fleet that is at work while its server learns the hosts' side goes on: what hosts
// have taken up counts as that, and who can still go back knows to what.
func TestAFleetAtWorkGoesOnAfterTheHostsSideCame(t *testing.T) {
	t.Parallel()
	url := dbtest.Server(t)
	old, err := sql.Open("pgx", url)
	must(t, err)
	defer old.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, old, os.DirFS("migrations"),
		goose.WithTableName("schema_versions"), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	must(t, err)
	_, err = p.UpTo(t.Context(), 2)
	must(t, err)
	_, err = old.ExecContext(t.Context(), `
		insert into installations (id, account, changed_at) values (3, 'o', '2026-11-22Z');
		insert into repos (id, installation_id, owner, name, default_branch, created_at) values (7, 3, 'o', 'r7', 'main', '2026-11-22Z');
		insert into hosts (repo_id, name, attr, mode, public_key, enrolled_at, last_gen, facts)
			select 7, name, 'nixosConfigurations.' || name, 'fleet', 'U' || name, '2026-11-22Z', 1,
				jsonb_build_object('running_path', '/nix/store/old-' || name, 'running_commit', 'aaa')
			from unnest('{web1,web2,web3}'::text[]) name;
		insert into rollouts (id, repo_id, commit_sha, state, deploy, plan, created_at, started_at, due_at)
			values ('R1', 7, 'bbb', 'running', '{}', '{}', '2026-11-22Z', '2026-11-22Z', '2026-11-22Z');
		insert into orders (id, host, gen, kind, rollout_id, repo_id, commit_sha, actor, reason, issued_at, expires_at, state, ended_at)
			select 'R1-' || name, name, 1, 'deploy', 'R1', 7, 'bbb', 'push', '', '2026-11-22Z', '2026-11-23Z', state, ended::timestamptz
			from (values ('web1', 'building', null), ('web2', 'ordered', null), ('web3', 'healthy', '2026-11-22Z')) o (name, state, ended);
		insert into rollout_hosts (rollout_id, host, position, wave, state, order_id)
			select 'R1', host, 0, 0, state, id from orders;
		insert into answers (order_id, seq, step, at, recorded, raw)
			values ('R1-web1', 1, 'received', '2026-11-22Z', '2026-11-22T12:00Z', ''), ('R1-web1', 2, 'building', '2026-11-22Z', '2026-11-22T12:01Z', '')`)
	must(t, err)

	d, err := db.Open(t.Context(), db.Options{URL: url})
	must(t, err)
	defer d.Close()
	one, err := d.Order(t.Context(), "R1-web1")
	must(t, err)
	if want := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC); !one.ReceivedAt.Equal(want) {
		t.Errorf("web1 took its order up at %v, want %v", one.ReceivedAt, want)
	}
	waits, err := d.Deliverables(t.Context(), t0)
	must(t, err)
	equal(t, "what the bus has to hold", waits, []db.Deliverable{{Host: "web1", Gen: 1}, {Host: "web2", Gen: 1}})
	r, err := d.Rollout(t.Context(), "R1")
	must(t, err)
	before := map[string]fleet.System{}
	for _, h := range r.Hosts {
		before[h.Host] = h.Before
	}
	equal(t, "before", before, map[string]fleet.System{
		"web1": {Path: "/nix/store/old-web1", Commit: "aaa"}, "web2": {Path: "/nix/store/old-web2", Commit: "aaa"}, "web3": {},
	})
}
