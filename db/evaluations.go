package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// evaluatesFor is a host h that may be asked to evaluate for its repository.
const evaluatesFor = `'evaluator' = any(h.tags) and h.enrolled_at is not null and h.revoked_at is null and h.last_seen > @since`

// maxUnevaluated bounds how many attributes are read at a time.
const maxUnevaluated = 1000

// Unevaluated is a repository with evaluators, one of them free, and attributes that
// nobody has evaluated at its head.
type Unevaluated struct {
	Repo       fleet.Repo
	Head       string
	Evaluators []fleet.Evaluator // that are online
	Wanted     []fleet.Unevaluated
}

// Unevaluated finds what there is to evaluate: at the head of each watched repository
// that has an evaluator, for each attribute of an enrolled host that nobody has
// evaluated and nobody is at work on. What was asked of an evaluator counts as being
// worked on until its time is up, until the evaluator goes away, or for a while after
// its order has ended without it: half a minute, doubled each time, at most an hour.
func (d *DB) Unevaluated(ctx context.Context, now time.Time) ([]Unevaluated, error) {
	list, err := d.evaluators(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("find evaluators: %w", err)
	}
	list = slices.DeleteFunc(list, func(u Unevaluated) bool {
		return !slices.ContainsFunc(u.Evaluators, func(e fleet.Evaluator) bool { return !e.Busy })
	})
	for i := range list {
		u := &list[i]
		u.Wanted, err = all[fleet.Unevaluated](ctx, d.pool, `
			select distinct h.attr, coalesce(e.attempt, 0) as attempts, coalesce(e.host, '') as host, coalesce(e.order_id, '') as "order"
			from hosts h
			left join evaluations v on v.repo_id = h.repo_id and v.commit_sha = @head and v.attr = h.attr
			left join evaluating e on e.repo_id = h.repo_id and e.commit_sha = @head and e.attr = h.attr
			left join orders o on o.id = e.order_id
			where h.repo_id = @repo and h.enrolled_at is not null and h.revoked_at is null and v.attr is null
				and (e.attr is null or e.until <= @now
					or o.ended_at + make_interval(secs => least(3600, 30 * power(2, least(e.attempt, 10) - 1))) <= @now
					or not exists (select from hosts q where q.name = e.host and q.revoked_at is null and q.last_seen > @since))
			order by attempts, h.attr limit @n`,
			args{"repo": u.Repo.ID, "head": u.Head, "now": now, "since": now.Add(-fleet.OnlineWithin), "n": maxUnevaluated})
		if err != nil {
			return nil, fmt.Errorf("find what %s has to evaluate: %w", u.Repo.FullName(), err)
		}
	}
	return slices.DeleteFunc(list, func(u Unevaluated) bool { return len(u.Wanted) == 0 }), nil
}

// evaluators lists the repositories that have any, with those that are online.
func (d *DB) evaluators(ctx context.Context, now time.Time) ([]Unevaluated, error) {
	type row struct {
		repoRow
		HeadSHA string `db:"head_sha"`
		Host    string
		Busy    bool
	}
	rows, err := all[row](ctx, d.pool, `
		select r.id, r.installation_id, r.owner, r.name, r.default_branch, r.head_sha, h.name as host,
			exists (select from evaluating e left join orders o on o.id = e.order_id
				where e.host = h.name and e.repo_id = r.id and e.commit_sha = r.head_sha and e.until > @now and o.ended_at is null) as busy
		from hosts h join repos r on r.id = h.repo_id
		where `+evaluatesFor+` and r.head_sha <> '' and `+watched+`
		order by r.id, h.name`, args{"now": now, "since": now.Add(-fleet.OnlineWithin)})
	if err != nil {
		return nil, err
	}
	var list []Unevaluated
	for _, r := range rows {
		if len(list) == 0 || list[len(list)-1].Repo.ID != r.ID {
			list = append(list, Unevaluated{Repo: r.repo(), Head: r.HeadSHA})
		}
		u := &list[len(list)-1]
		u.Evaluators = append(u.Evaluators, fleet.Evaluator{Name: r.Host, Busy: r.Busy})
	}
	return list, nil
}

// AskEvaluations issues an order to an evaluator and notes that the attributes are
// worked on. Where somebody else has asked for one of them meanwhile, or the head of
// the repository has moved, it is ErrConflict, and there is to be looked again.
func (d *DB) AskEvaluations(ctx context.Context, o fleet.Order, wanted []fleet.Unevaluated, until, now time.Time) error {
	o.Detail.Evaluate = make([]string, len(wanted))
	for i, w := range wanted {
		o.Detail.Evaluate[i] = w.Attr
	}
	err := d.tx(ctx, func(tx pgx.Tx) error {
		err := guarded(ctx, tx, `select id from repos where id = @repo and head_sha = @commit`, args{"repo": o.RepoID, "commit": o.Commit})
		if err != nil {
			return err
		}
		if _, err := insertOrders(ctx, tx, []fleet.Order{o}, now); err != nil {
			return err
		}
		// The host's row is locked now, so of two replicas the second sees here what the
		// first has asked for.
		mine, err := noteAsked(ctx, tx, o, wanted, until)
		if err == nil && mine < len(wanted) {
			err = ErrConflict
		}
		if err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("ask %s for %d evaluations: %w", o.Host, len(wanted), err)
	}
	return nil
}

// noteAsked notes that o asks for the attributes, and returns for how many of them
// nobody else has asked meanwhile.
func noteAsked(ctx context.Context, tx pgx.Tx, o fleet.Order, wanted []fleet.Unevaluated, until time.Time) (int, error) {
	attrs, was := make([]string, len(wanted)), make([]string, len(wanted))
	for i, w := range wanted {
		attrs[i], was[i] = w.Attr, w.Order
	}
	_, err := tx.Exec(ctx, `delete from evaluating where repo_id = @repo and commit_sha <> @commit`,
		args{"repo": o.RepoID, "commit": o.Commit})
	if err != nil {
		return 0, err
	}
	rows, err := all[struct{ Attr string }](ctx, tx, `
		insert into evaluating as known (repo_id, commit_sha, attr, host, order_id, until, attempt)
		select @repo, @commit, c.attr, @host, @order, @until, 1
		from unnest(@attrs::text[], @was::text[]) c (attr, was)
		where c.was = '' or exists (select from evaluating e where e.repo_id = @repo and e.commit_sha = @commit and e.attr = c.attr and e.order_id = c.was)
		order by c.attr
		on conflict (repo_id, commit_sha, attr) do update
			set host = excluded.host, order_id = excluded.order_id, until = excluded.until, attempt = known.attempt + 1
			where known.order_id = any(@was)
		returning attr`,
		args{
			"repo": o.RepoID, "commit": o.Commit, "host": o.Host, "order": o.ID, "until": until, "attrs": attrs, "was": was,
		})
	if err != nil {
		return 0, err
	}
	return len(rows), nil
}

// Expectation is what is known of the system that an order's host should run.
type Expectation struct {
	Commit string // what Path is about: the order's, or that of the host's checkout
	Path   string // empty where nobody knows
	Waits  bool   // an evaluator is about to find out
}

// Expectations tells by order what its commit, or else the commit of its host's
// checkout, comes to for the host. An evaluator looks at heads, and not again at what
// it found broken: all else is left to the host itself.
func (d *DB) Expectations(ctx context.Context, orders []string, now time.Time) (map[string]Expectation, error) {
	type row struct {
		ID string
		Expectation
	}
	rows, err := all[row](ctx, d.pool, `
		with asked as (
			select o.id, o.repo_id, h.attr, coalesce(nullif(o.commit_sha, ''), h.facts->>'checkout_commit', '') as commit
			from orders o join hosts h on h.name = o.host
			where o.id = any(@orders)
		)
		select a.id, a.commit, coalesce(v.path, '') as path,
			v.attr is null and a.commit = r.head_sha and exists (select from hosts h where h.repo_id = r.id and `+evaluatesFor+`) as waits
		from asked a join repos r on r.id = a.repo_id
		left join evaluations v on v.repo_id = a.repo_id and v.commit_sha = a.commit and v.attr = a.attr`,
		args{"orders": orders, "since": now.Add(-fleet.OnlineWithin)})
	if err != nil {
		return nil, fmt.Errorf("read what %d orders come to: %w", len(orders), err)
	}
	known := make(map[string]Expectation, len(rows))
	for _, r := range rows {
		known[r.ID] = r.Expectation
	}
	return known, nil
}

// Evaluation reads what a commit comes to for an attribute.
func (d *DB) Evaluation(ctx context.Context, repoID int64, commit, attr string) (fleet.Evaluation, error) {
	e, err := one[fleet.Evaluation](ctx, d.pool, `
		select v.commit_sha as commit, v.attr, v.path, v.error, v.by_host as host, v.at
		from evaluations v where v.repo_id = @repo and v.commit_sha = @commit and v.attr = @attr`,
		args{"repo": repoID, "commit": commit, "attr": attr})
	if err != nil {
		return fleet.Evaluation{}, fmt.Errorf("read evaluation of %s at %s: %w", attr, short(commit), err)
	}
	return e, nil
}

// PruneEvaluations forgets up to n evaluations of before the given time that are of no
// repository's head and of no host's checkout. It returns how many it forgot.
func (d *DB) PruneEvaluations(ctx context.Context, before time.Time, n int) (int, error) {
	tag, err := d.pool.Exec(ctx, `
		delete from evaluations v using (
			select e.repo_id, e.commit_sha, e.attr from evaluations e
			where e.at < @before
				and not exists (select from repos r where r.id = e.repo_id and r.head_sha = e.commit_sha)
				and not exists (select from hosts h where h.repo_id = e.repo_id and h.attr = e.attr and h.facts->>'checkout_commit' = e.commit_sha)
			order by e.at limit @n
		) old
		where v.repo_id = old.repo_id and v.commit_sha = old.commit_sha and v.attr = old.attr`,
		args{"before": before, "n": n})
	if err != nil {
		return 0, fmt.Errorf("prune evaluations: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
