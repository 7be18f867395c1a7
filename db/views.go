package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// maxShown bounds the updates and the rollouts of one overview.
const maxShown = 200

// Overview reads the Fleet page as one consistent snapshot, in one round trip
// however large the fleet is. What is derived (online, compartments, progress) is
// left to package fleet.
func (d *DB) Overview(ctx context.Context, now time.Time) (fleet.Overview, error) {
	v := fleet.Overview{At: now}
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var b pgx.Batch
		queueHearing(&b, &v, now)
		queueRepoViews(&b, &v, `true`, args{})
		queueHostViews(&b, &v, `true`, args{})
		queueUpdateViews(&b, &v, `(u.state not in `+endedUpdates+` or u.changed_at > @since)`, args{"since": now.Add(-24 * time.Hour), "n": maxShown})
		queueRolloutViews(&b, &v, `true`, args{"n": maxShown})
		queueSilent(&b, &v)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fleet.Overview{}, fmt.Errorf("read overview: %w", err)
	}
	return v, nil
}

// hearing reads how GitHub is heard.
const hearing = `
	(select count(*) from inbox where due_at is not null) as inbox_waiting,
	(select min(received_at) from inbox where due_at is not null) as inbox_oldest,
	(select received_at from inbox order by id desc limit 1) as last_delivery,
	(select count(*) from repos r where coalesce(head_at, created_at) < @stale and ` + watched + `) as stale_repos`

type hearingRow struct {
	InboxWaiting int
	InboxOldest  time.Time
	LastDelivery time.Time
	StaleRepos   int
}

func queueHearing(b *pgx.Batch, v *fleet.Overview, now time.Time) {
	collect(b, `select `+hearing, args{"stale": now.Add(-staleAfter)}, func(r hearingRow) {
		v.GitHub = fleet.Hearing{LastDelivery: r.LastDelivery, Waiting: r.InboxWaiting, Oldest: r.InboxOldest, StaleRepos: r.StaleRepos}
	})
}

func queueRepoViews(b *pgx.Batch, v *fleet.Overview, which string, a args) {
	type row struct {
		repoRow
		HeadSHA     string
		HeadAt      time.Time
		PolicyError string
		Policy      *fleet.Policy
	}
	collect(b, `select id, installation_id, owner, name, default_branch, head_sha, head_at, policy_error, policy
		from repos r where `+watched+` and `+which+` order by owner, name, id`, a, func(r row) {
		v.Repos = append(v.Repos, fleet.RepoView{
			Repo: r.repo(), HeadSHA: r.HeadSHA, HeadAt: r.HeadAt, PolicyError: r.PolicyError, Policy: r.Policy,
		})
	})
}

func queueHostViews(b *pgx.Batch, v *fleet.Overview, which string, a args) {
	type row struct {
		hostRow
		EvaluatedBy, ExpectedPath, EvaluationError string
		EvaluatedAt                                time.Time
		Doing                                      string
	}
	collect(b, `select `+hostColumns+`, coalesce(v.by_host, '') as evaluated_by, coalesce(v.path, '') as expected_path,
			coalesce(v.error, '') as evaluation_error, v.at as evaluated_at,
			coalesce(w.kind, '') as doing
		from hosts h
		left join evaluations v on v.repo_id = h.repo_id and v.commit_sha = h.facts->>'checkout_commit' and v.attr = h.attr
		left join orders w on h.facts->>'working' = 'true' and w.id = h.facts->>'order' and w.host = h.name
		where h.revoked_at is null and `+which+` order by h.name`, a, func(r row) {
		view := fleet.HostView{Host: r.host(), Doing: r.Doing}
		if r.EvaluatedBy != "" {
			view.Evaluation = &fleet.Evaluation{
				Commit: view.Host.Facts.CheckoutCommit, Attr: view.Host.Attr, Path: r.ExpectedPath, Error: r.EvaluationError,
				Host: r.EvaluatedBy, At: r.EvaluatedAt,
			}
		}
		v.Hosts = append(v.Hosts, view)
	})
}

// endedUpdates are the terminal states of an update.
const endedUpdates = `('merged', 'closed', 'superseded')`

func queueUpdateViews(b *pgx.Batch, v *fleet.Overview, which string, a args) {
	collect(b, `
		select `+updateColumns+` from updates u `+updateJoins+`
		where not u.ignored and u.head_sha <> '' and not r.removed and `+which+`
		order by u.first_seen desc, u.id desc limit @n`, a, func(r updateRow) {
		v.Updates = append(v.Updates, r.update())
	})
}

// shownRollouts are those that have not ended and of each repository the newest that
// has, and the newest of those that brought a commit: what one that restores ended for.
const shownRollouts = `
	select r.* from rollouts r where r.state not in ` + endedRollouts + ` or r.id in (
		select distinct on (e.repo_id) e.id from rollouts e where e.state in ` + endedRollouts + `
		order by e.repo_id, e.created_at desc, e.id desc
	) or r.id in (
		select distinct on (e.repo_id) e.id from rollouts e where e.state in ` + endedRollouts + ` and e.kind <> 'restore'
		order by e.repo_id, e.created_at desc, e.id desc
	)`

func queueRolloutViews(b *pgx.Batch, v *fleet.Overview, which string, a args) {
	at := map[string]int{}
	shown := `with shown as (select * from (` + shownRollouts + `) r order by r.created_at desc, r.id desc limit @n) `
	collect(b, shown+`select `+rolloutColumns+` from shown r order by r.created_at desc, r.id desc`, args{"n": maxShown}, func(r rolloutRow) {
		at[r.ID] = len(v.Rollouts)
		v.Rollouts = append(v.Rollouts, r.rollout())
	})
	collect(b, shown+`select `+progressColumns+` from rollout_hosts h
		where h.rollout_id in (select id from shown) and `+which+` order by h.rollout_id, h.position`, a, func(r progressRow) {
		if i, ok := at[r.RolloutID]; ok {
			v.Rollouts[i].Hosts = append(v.Rollouts[i].Hosts, r.HostProgress)
		}
	})
}

func queueSilent(b *pgx.Batch, v *fleet.Overview) {
	collect(b, `select name, failing_since as since, last_error as error from receivers where enabled and failing_since is not null order by name`,
		args{}, func(r fleet.SilentReceiver) { v.Silent = append(v.Silent, r) })
}

// collect queues a query and hands each row of it, as a T, to f.
func collect[T any](b *pgx.Batch, sql string, a args, f func(T)) {
	b.Queue(sql, a).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
		for _, v := range list {
			f(v)
		}
		return err
	})
}

// Stats says how the work stands, for readiness and metrics.
type Stats struct {
	InboxWaiting   int
	InboxLag       time.Duration // how long the oldest delivery has waited
	LastDelivery   time.Time     // when the newest delivery came; zero: never
	StaleRepos     int           // watched repositories that were not read for three rounds
	EffectsWaiting int
	EffectsLag     time.Duration // how long the oldest effect has been overdue
	UpdatesDue     int
	RolloutsDue    int
	Hosts          int

	SilentReceivers int // can't be reached
	NoticesOverdue  int // should have been sent a minute ago
}

// Stats counts what waits.
func (d *DB) Stats(ctx context.Context, now time.Time) (Stats, error) {
	type row struct {
		hearingRow
		EffectsWaiting int
		EffectsOldest  time.Time
		UpdatesDue     int
		RolloutsDue    int
		Hosts          int

		SilentReceivers int
		NoticesOverdue  int
	}
	r, err := one[row](ctx, d.pool, `
		select `+hearing+`,
			(select count(*) from outbox) as effects_waiting,
			(select min(due_at) from outbox) as effects_oldest,
			(select count(*) from updates where due_at <= @now) as updates_due,
			(select count(*) from rollouts where due_at <= @now) as rollouts_due,
			(select count(*) from hosts where enrolled_at is not null and revoked_at is null) as hosts,
			(select count(*) from receivers where enabled and failing_since is not null) as silent_receivers,
			(select count(*) from notice_deliveries where state = 'waiting' and due_at <= @overdue) as notices_overdue`,
		args{"now": now, "overdue": now.Add(-time.Minute), "stale": now.Add(-staleAfter)})
	if err != nil {
		return Stats{}, fmt.Errorf("read statistics: %w", err)
	}
	return Stats{
		InboxWaiting: r.InboxWaiting, InboxLag: lag(now, r.InboxOldest), LastDelivery: r.LastDelivery, StaleRepos: r.StaleRepos,
		EffectsWaiting: r.EffectsWaiting, EffectsLag: lag(now, r.EffectsOldest),
		UpdatesDue: r.UpdatesDue, RolloutsDue: r.RolloutsDue, Hosts: r.Hosts,
		SilentReceivers: r.SilentReceivers, NoticesOverdue: r.NoticesOverdue,
	}, nil
}

func lag(now, since time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since))
}

// staleAfter is three rounds of reconciliation: what was not read for so long is old.
const staleAfter = 15 * time.Minute
