package db

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// shownOrders is how long an order that brought no lock is shown after its end.
const shownOrders = 24 * time.Hour

// LockWorks lists the newest wishes for newer locks, newest first. Orders that brought
// no lock are shown for a day.
func (d *DB) LockWorks(ctx context.Context, now time.Time, limit int) ([]fleet.LockWork, error) {
	type row struct {
		ID             string
		RepoID         int64
		InstallationID int64
		Owner          string
		RepoName       string
		DefaultBranch  string
		Host           string
		Actor          string
		Reason         string
		Path           string
		Inputs         []string
		AsPull         bool
		OrderState     fleet.HostState
		Detail         fleet.OrderDetail
		Failure        *fleet.HostError
		Note           string
		Unusable       string
		State          fleet.ProposalState
		Found          string
		CommitSHA      string `db:"commit_sha"`
		Number         int
		At             time.Time
		EndedAt        time.Time
	}
	rows, err := all[row](ctx, d.pool, `
		select coalesce(q.id, o.id) as id, r.id as repo_id, r.installation_id, r.owner, r.name as repo_name, r.default_branch,
			coalesce(q.host, o.host) as host, coalesce(q.actor, o.actor) as actor, coalesce(q.reason, o.reason) as reason,
			coalesce(q.path, '') as path, coalesce(q.inputs, '{}') as inputs, coalesce(q.as_pull, false) as as_pull,
			coalesce(o.state, '') as order_state, coalesce(o.detail, '{}') as detail, o.failure, coalesce(o.note, '') as note,
			coalesce((select h.reason from history h where h.subject = 'order/' || o.id and h.kind = 'lock.unusable' order by h.id desc limit 1), '') as unusable,
			coalesce(q.state, '') as state, coalesce(q.found, '') as found, coalesce(q.commit_sha, '') as commit_sha, coalesce(q.number, 0) as number,
			coalesce(o.issued_at, q.created_at) as at, case when q.id is null then o.ended_at else q.ended_at end as ended_at
		from (select * from orders where kind = 'update_inputs' and (ended_at is null or ended_at > @since)) o
		full join (select * from lock_proposals order by created_at desc limit @n) q on q.source = 'order/' || o.id
		join repos r on r.id = coalesce(q.repo_id, o.repo_id)
		where not r.removed
		order by at desc, id desc limit @n`,
		args{"since": now.Add(-shownOrders), "n": limit})
	if err != nil {
		return nil, fmt.Errorf("list newer locks: %w", err)
	}
	list := make([]fleet.LockWork, len(rows))
	for i, r := range rows {
		list[i] = fleet.LockWork{
			ID: r.ID, Host: r.Host, Actor: r.Actor, Reason: r.Reason, Path: cmp.Or(r.Path, r.Detail.LockFile),
			Repo:   fleet.Repo{ID: r.RepoID, Installation: r.InstallationID, Owner: r.Owner, Name: r.RepoName, DefaultBranch: r.DefaultBranch},
			Inputs: r.Inputs, AsPull: r.AsPull || r.Detail.AsPull, Order: r.OrderState, State: r.State, Found: r.Found,
			CommitSHA: r.CommitSHA, Number: r.Number, CreatedAt: r.At, EndedAt: r.EndedAt,
		}
		if w := &list[i]; w.State == "" {
			w.Inputs, w.Found = r.Detail.Inputs, cmp.Or(r.Unusable, r.Note)
			if r.Failure != nil && r.Unusable == "" {
				w.Found = r.Failure.Message
			}
		}
	}
	return list, nil
}
