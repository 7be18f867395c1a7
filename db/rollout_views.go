package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// happenedAtMost bounds how many changes of a rollout its page tells.
const happenedAtMost = 50

// RolloutDetail reads a rollout with what its page tells about it, as one consistent
// snapshot. One that is not known is ErrNotFound.
func (d *DB) RolloutDetail(ctx context.Context, id string) (fleet.RolloutDetail, error) {
	var r fleet.RolloutDetail
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var err error
		if r, err = rolloutDetail(ctx, tx, id); err != nil {
			return err
		}
		return around(ctx, tx, &r)
	})
	if err != nil {
		return r, fmt.Errorf("read rollout %s: %w", cleanText(id), err)
	}
	return r, nil
}

// pullRow is the pull request of an update as it is joined to a rollout, see pullColumns.
type pullRow struct {
	Number     int
	Title, URL string
}

const pullColumns = `coalesce(u.number, 0) as number, coalesce(u.title, '') as title, coalesce(u.url, '') as url`

func (p pullRow) ref(id int64) *fleet.PullRef {
	if p.Number == 0 {
		return nil
	}
	return &fleet.PullRef{ID: id, Number: p.Number, Title: p.Title, URL: p.URL}
}

// rolloutDetail reads the row of a rollout and what stands in rows around it.
func rolloutDetail(ctx context.Context, tx pgx.Tx, id string) (fleet.RolloutDetail, error) {
	type row struct {
		rolloutRow
		pullRow
		CreatedAt                                    time.Time
		ByPerson, Force                              bool
		OnlyHosts                                    []string
		InstallationID                               int64
		Owner, Name, DefaultBranch                   string
		Quarantine, Overtook, SupersededBy, WaitsFor string
	}
	r, err := one[row](ctx, tx, `
		select `+rolloutColumns+`, `+pullColumns+`, r.created_at, r.by_person, r.force, r.only_hosts,
			p.installation_id, p.owner, p.name, p.default_branch,
			coalesce((select q.reason from quarantine q where q.repo_id = r.repo_id and q.commit_sha = r.commit_sha
				and q.lifted_at is null), '') as quarantine,
			coalesce((select o.id from rollouts o where `+newerThan+` and o.commit_sha <> r.commit_sha and o.started_at is not null
				order by o.created_at desc, o.id desc limit 1), '') as overtook,
			case when r.state = 'superseded' then coalesce((select o.id from rollouts o where `+newerThan+`
				order by o.created_at, o.id limit 1), '') else '' end as superseded_by,
			case when r.state = 'planned' then coalesce((select o.id from rollouts o where o.repo_id = r.repo_id and o.id <> r.id
				and o.state in `+blockingStates+` order by o.id limit 1), '') else '' end as waits_for
		from rollouts r join repos p on p.id = r.repo_id left join updates u on u.id = r.update_id
		where r.id = @id`, args{"id": id})
	if err != nil {
		return fleet.RolloutDetail{}, err
	}
	return fleet.RolloutDetail{
		Rollout: r.rollout(), CreatedAt: r.CreatedAt, ByPerson: r.ByPerson, Force: r.Force, Only: r.OnlyHosts, Update: r.ref(r.UpdateID),
		Repo:       fleet.Repo{ID: r.RepoID, Installation: r.InstallationID, Owner: r.Owner, Name: r.Name, DefaultBranch: r.DefaultBranch},
		Quarantine: r.Quarantine, Overtook: r.Overtook, SupersededBy: r.SupersededBy, WaitsFor: r.WaitsFor,
	}, nil
}

// newerThan asks of a rollout o whether it brings a commit and came after r.
const newerThan = `o.repo_id = r.repo_id and (o.created_at, o.id) > (r.created_at, r.id) and o.kind <> 'restore'`

// around adds a rollout's hosts, its history, the rollouts that belong to it, and what
// it did to one of its hosts.
func around(ctx context.Context, tx pgx.Tx, r *fleet.RolloutDetail) error {
	family, err := rolloutsWhere(ctx, tx, progressColumns, `r.id in (@id, @parent) or r.id in (
		select id from rollouts where restores = @id order by created_at desc, id desc limit 1)`, args{"id": r.ID, "parent": r.Restores})
	if err != nil {
		return err
	}
	for i, o := range family {
		switch o.ID {
		case r.ID:
			r.Hosts = o.Hosts
		case r.Restores:
			r.Parent = &family[i]
		default:
			r.RestoredBy = &family[i]
		}
	}
	r.Happened, err = all[fleet.RolloutChange](ctx, tx, `
		select at, actor, substr(kind, 9) as what, coalesce(detail->>'host', '') as host, reason from history
		where subject = @subject and kind like 'rollout.%' order by id desc limit @n`, args{"subject": "rollout/" + r.ID, "n": happenedAtMost})
	if err != nil {
		return err
	}
	changes, err := all[struct {
		Host, ID string
		Change   fleet.Change
	}](ctx, tx, `
		select o.host, o.id, o.change from rollout_hosts h join orders o on o.id = h.order_id
		where h.rollout_id = @id and h.state = 'healthy' and o.change is not null order by h.position limit 1`, args{"id": r.ID})
	for _, c := range changes {
		r.Changes = &fleet.HostChanges{Host: c.Host, Order: c.ID, Change: c.Change}
	}
	return err
}

// EndedRollouts lists rollouts that have ended, newest first, with their hosts counted.
func (d *DB) EndedRollouts(ctx context.Context, q fleet.RolloutQuery) ([]fleet.RolloutSummary, error) {
	type row struct {
		rolloutRow
		pullRow
	}
	rows, err := all[row](ctx, d.pool, `
		select `+rolloutColumns+`, `+pullColumns+` from rollouts r left join updates u on u.id = r.update_id
		where r.state in `+endedRollouts+` and (@state = '' or r.state = @state) and (@repo = 0 or r.repo_id = @repo)
			and (@before = '' or r.id < @before)
		order by r.id desc limit @n`,
		args{"state": string(q.State), "repo": q.RepoID, "before": q.Before, "n": q.Limit})
	if err != nil {
		return nil, fmt.Errorf("list ended rollouts: %w", err)
	}
	list, at, ids := make([]fleet.RolloutSummary, len(rows)), map[string]int{}, make([]string, len(rows))
	for i, r := range rows {
		list[i] = fleet.RolloutSummary{Rollout: r.rollout(), Update: r.ref(r.UpdateID), Count: map[fleet.HostState]int{}}
		at[r.ID], ids[i] = i, r.ID
	}
	counts, err := all[struct {
		RolloutID string
		State     fleet.HostState
		Hosts     int
	}](ctx, d.pool, `select rollout_id, state, count(*) as hosts from rollout_hosts where rollout_id = any(@ids) group by rollout_id, state`,
		args{"ids": ids})
	if err != nil {
		return nil, fmt.Errorf("count the hosts of ended rollouts: %w", err)
	}
	for _, c := range counts {
		list[at[c.RolloutID]].Count[c.State] = c.Hosts
	}
	return list, nil
}
