package db

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

// Acts reads lines of the history, newest first, with what they are about.
func (d *DB) Acts(ctx context.Context, q fleet.ActQuery) ([]fleet.Act, error) {
	where, a := actFilter(q)
	a["n"] = q.Limit
	list, err := all[fleet.Act](ctx, d.pool, `
		select h.id, h.at, h.actor, h.way, h.kind, h.subject, h.reason, h.detail, coalesce(h.host, '') as host,
			coalesce(h.rollout_id, '') as rollout, coalesce(r.owner || '/' || r.name, h.detail->>'repo', '') as repo, coalesce(u.number, 0) as number
		from (select * from history h where `+where+` order by h.id desc limit @n) h
		left join rollouts o on o.id = h.rollout_id
		left join updates u on u.id = coalesce(h.update_id, o.update_id)
		left join hosts m on m.name = h.host
		left join repos r on r.id = coalesce(h.repo_id, u.repo_id, o.repo_id, m.repo_id)
		order by h.id desc`, a)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return list, nil
}

// actFilter is what a query asks for, as a condition on history h.
func actFilter(q fleet.ActQuery) (string, args) {
	where, a := []string{"true"}, args{}
	add := func(condition, name string, value any) {
		where = append(where, condition)
		a[name] = value
	}
	if q.Actor != "" {
		add("h.actor in (@actor, 'host:' || @actor)", "actor", q.Actor)
	}
	if q.Host != "" {
		add("h.host = @host", "host", q.Host)
	}
	if q.Rollout != "" {
		add("h.rollout_id = @rollout", "rollout", q.Rollout)
	}
	if q.Kind != "" {
		add("h.kind = @kind", "kind", q.Kind)
	}
	if q.Group != "" {
		add("h.kind = any(@kinds)", "kinds", q.Group.Kinds())
	}
	if q.Text != "" {
		add("h.reason ilike @text", "text", "%"+literally.Replace(q.Text)+"%")
	}
	if !q.From.IsZero() {
		add("h.at >= @since", "since", q.From)
	}
	if !q.To.IsZero() {
		add("h.at < @until", "until", q.To)
	}
	if q.Before > 0 {
		add("h.id < @before", "before", q.Before)
	}
	if q.Repo != "" {
		add(`(h.detail->>'repo' = @repo or exists (select from repos r where r.owner || '/' || r.name = @repo and (h.repo_id = r.id
			or h.update_id in (select id from updates where repo_id = r.id)
			or h.rollout_id in (select id from rollouts where repo_id = r.id)
			or h.host in (select name from hosts where repo_id = r.id))))`, "repo", q.Repo)
	}
	if q.Number > 0 {
		about := `select u.id from updates u join repos r on r.id = u.repo_id where u.number = @number`
		if q.Repo != "" {
			about += ` and r.owner || '/' || r.name = @repo`
		}
		add(`(h.update_id in (`+about+`) or h.rollout_id in (select id from rollouts where update_id in (`+about+`)))`, "number", q.Number)
	}
	return strings.Join(where, " and "), a
}

// literally has no character of a text mean anything to a pattern.
var literally = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// PruneHistory forgets up to n lines of before the given time. The database refuses
// that of lines of the last 90 days.
func (d *DB) PruneHistory(ctx context.Context, before time.Time, n int) (forgotten int, err error) {
	err = d.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select set_config('nixfleet.forget_history', 'on', true)`); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `delete from history where id in (select id from history where at < @before order by at limit @n)`,
			args{"before": before, "n": n})
		forgotten = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("prune the history: %w", err)
	}
	return forgotten, nil
}
