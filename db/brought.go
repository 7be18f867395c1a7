package db

import (
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Evaluated is what a host says that a commit comes to for an attribute. Exactly one
// of Path and Error is set.
type Evaluated struct {
	Attr  string
	Path  string
	Error string
}

// What hosts may say of evaluations; the rest is passed over.
var (
	evaluatedCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)
	evaluatedPath   = regexp.MustCompile(`^/[!-~]{34,400}$`)
)

// said gathers what a batch of answers says about evaluations. An empty attribute is
// the host's own, an empty commit that of the order.
type said struct {
	orders, hosts, commits, attrs, paths, errors []string
	seqs                                         []int64
}

func (s *said) add(r AnswerRow, commit string, e Evaluated) {
	if e.Path != "" && !evaluatedPath.MatchString(e.Path) || (e.Path == "") == (e.Error == "") {
		return
	}
	s.orders, s.hosts, s.seqs = append(s.orders, r.Order), append(s.hosts, r.Host), append(s.seqs, int64(r.Seq))
	s.commits, s.attrs, s.paths, s.errors = append(s.commits, commit), append(s.attrs, e.Attr), append(s.paths, e.Path), append(s.errors, clip(e.Error))
}

// queueBrought writes what the answers bring beside their steps: evaluations, and
// locks, which are proposed by an effect. It comes after the orders were moved, since
// only one that ended well brings a lock, and before the answers are stored, since
// one that was recorded before brings nothing.
func (b *answerBatch) queueBrought(batch *pgx.Batch) {
	var s said
	var evaluated, locks []string
	var seqs []int64
	for _, r := range b.stored {
		if f := r.Facts; f != nil && evaluatedCommit.MatchString(f.ExpectedCommit) && f.ExpectedPath != "" {
			s.add(r, f.ExpectedCommit, Evaluated{Path: f.ExpectedPath})
		}
		for _, e := range r.Evaluated {
			if e.Attr = strings.TrimSpace(e.Attr); e.Attr != "" {
				s.add(r, "", e)
			}
		}
		if len(r.Evaluated) > 0 {
			evaluated = append(evaluated, r.Order)
		}
		if r.Lock {
			locks, seqs = append(locks, r.Order), append(seqs, int64(r.Seq))
		}
	}
	if len(s.orders) > 0 {
		s.queue(batch, b.now)
	}
	if len(evaluated) > 0 {
		batch.Queue(`
			delete from evaluating e using evaluations v
			where e.order_id = any(@orders) and v.repo_id = e.repo_id and v.commit_sha = e.commit_sha and v.attr = e.attr`,
			args{"orders": evaluated})
	}
	if len(locks) > 0 {
		queueLocks(batch, locks, seqs, b.now)
	}
}

// queue stores evaluations. A host is believed for its own attribute, and an evaluator
// for what it was asked for. What was said first counts; a path takes the place of an
// error, which may have been the network's. That another host says otherwise is a
// line of history.
func (s said) queue(batch *pgx.Batch, now time.Time) {
	batch.Queue(`
		with said as materialized (
			select distinct on (1, 2, 3) h.repo_id, coalesce(nullif(c.commit, ''), o.commit_sha) as commit_sha,
				coalesce(nullif(c.attr, ''), h.attr) as attr, c.path, c.error, h.name as host
			from unnest(@orders::text[], @hosts::text[], @seqs::bigint[], @commits::text[], @attrs::text[], @paths::text[], @errors::text[])
				c (order_id, host, seq, commit, attr, path, error)
			join hosts h on h.name = c.host and h.revoked_at is null and h.repo_id is not null
			join orders o on o.id = c.order_id and o.repo_id = h.repo_id
			where (c.attr = '' or 'evaluator' = any(h.tags) and o.detail->'evaluate' ? c.attr)
				and not exists (select from answers a where a.order_id = c.order_id and a.seq = c.seq)
			order by 1, 2, 3, c.path = '', h.name
		), differ as (
			insert into history (at, actor, kind, subject, detail, reason)
			select @now, 'host:' || s.host, 'evaluation.differs', 'host/' || s.host,
				jsonb_build_object('commit', s.commit_sha, 'attr', s.attr, 'path', s.path, 'first', v.path, 'first_by', v.by_host),
				'It evaluates ' || s.attr || ' to another path than ' || v.by_host || ' did, which stays.'
			from said s join evaluations v using (repo_id, commit_sha, attr)
			where s.path <> v.path and s.path <> '' and v.path <> ''
		)
		insert into evaluations as known (repo_id, commit_sha, attr, path, error, by_host, at)
		select s.repo_id, s.commit_sha, s.attr, s.path, s.error, s.host, @now from said s
		where not exists (select from evaluations v
			where v.repo_id = s.repo_id and v.commit_sha = s.commit_sha and v.attr = s.attr and (v.path <> '' or s.path = ''))
		order by s.repo_id, s.commit_sha, s.attr
		on conflict (repo_id, commit_sha, attr) do update
			set path = excluded.path, error = '', by_host = excluded.by_host, at = excluded.at
			where known.path = '' and excluded.path <> ''`,
		args{
			"orders": s.orders, "hosts": s.hosts, "seqs": s.seqs, "commits": s.commits, "attrs": s.attrs,
			"paths": s.paths, "errors": s.errors, "now": now,
		})
}

// queueLocks asks for the proposal of locks that came with answers.
func queueLocks(batch *pgx.Batch, orders []string, seqs []int64, now time.Time) {
	batch.Queue(`
		insert into outbox (key, kind, payload, created_at, due_at)
		select distinct 'propose:' || o.id, 'propose', jsonb_build_object('order', o.id), @now::timestamptz, @now
		from unnest(@orders::text[], @seqs::bigint[]) c (order_id, seq) join orders o on o.id = c.order_id
		where o.kind = 'update_inputs' and o.state = 'healthy'
			and not exists (select from answers a where a.order_id = c.order_id and a.seq = c.seq)
		order by 1
		on conflict do nothing`,
		args{"orders": orders, "seqs": seqs, "now": now})
}
