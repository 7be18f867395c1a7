package db

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// Record makes due what the facts touch. It keeps no truth of them but names and
// installations, so recording one twice changes nothing that matters.
func (d *DB) Record(ctx context.Context, now time.Time, facts ...fleet.Fact) error {
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.record(ctx, tx, now, facts) })
	if err != nil {
		return fmt.Errorf("record facts: %w", err)
	}
	return nil
}

func (d *DB) record(ctx context.Context, tx pgx.Tx, now time.Time, facts []fleet.Fact) error {
	if len(facts) == 0 {
		return nil
	}
	for _, f := range facts {
		if err := recordFact(ctx, tx, now, f); err != nil {
			return fmt.Errorf("%T: %w", f, err)
		}
	}
	return d.notify(ctx, tx)
}

func recordFact(ctx context.Context, tx pgx.Tx, now time.Time, f fleet.Fact) error {
	switch f := f.(type) {
	case fleet.PullTouched:
		return touchPull(ctx, tx, f.Repo, f.Number, now)
	case fleet.CommitTouched:
		return touchCommit(ctx, tx, f.Repo, f.SHA, now)
	case fleet.BranchMoved:
		return moveBranch(ctx, tx, f, now)
	case fleet.InstallationChanged:
		return changeInstallation(ctx, tx, f, now)
	case fleet.RepositoryChanged:
		if f.Removed {
			return removeRepo(ctx, tx, f.Repo.ID)
		}
		return touchRepo(ctx, tx, f.Repo, now)
	case fleet.Pressed:
		return press(ctx, tx, f, now)
	case fleet.Commented:
		if err := touchPull(ctx, tx, f.Repo, f.Number, now); err != nil {
			return err
		}
		return storeRequest(ctx, tx, request{
			Repo: f.Repo.ID, Number: f.Number, Kind: "commented", Comment: f.Comment, By: f.By, Cause: f.Cause,
		}, now)
	default:
		return fmt.Errorf("no table for this fact")
	}
}

// valid reports whether a repository can be stored. GitHub's ids are positive.
func valid(r fleet.Repo) bool { return r.ID > 0 }

// knowRepo stores what an event says of its repository. An event never brings a
// removed repository back: it may have come late.
func knowRepo(ctx context.Context, tx pgx.Tx, r fleet.Repo, now time.Time) error {
	_, err := tx.Exec(ctx, `
		insert into repos as known (id, installation_id, owner, name, default_branch, created_at, due_at)
		values (@id, @installation, @owner, @name, @branch, @now, @now)
		on conflict (id) do update set
			installation_id = case when @installation = 0 then known.installation_id else @installation end,
			owner = coalesce(nullif(@owner, ''), known.owner),
			name = coalesce(nullif(@name, ''), known.name),
			default_branch = coalesce(nullif(@branch, ''), known.default_branch)
		where (known.installation_id, known.owner, known.name, known.default_branch) is distinct from (@installation, @owner, @name, @branch)`,
		args{"id": r.ID, "installation": r.Installation, "owner": r.Owner, "name": r.Name, "branch": r.DefaultBranch, "now": now})
	return err
}

func touchRepo(ctx context.Context, tx pgx.Tx, r fleet.Repo, now time.Time) error {
	if !valid(r) {
		return nil
	}
	if err := knowRepo(ctx, tx, r, now); err != nil {
		return err
	}
	return wakeRepo(ctx, tx, r.ID, now)
}

func wakeRepo(ctx context.Context, tx pgx.Tx, id int64, now time.Time) error {
	_, err := tx.Exec(ctx, `update repos set wake = wake + 1, due_at = least(due_at, @now) where id = @id`, args{"id": id, "now": now})
	return err
}

// removeRepo forgets nothing: history keeps naming it. It is no longer acted for.
func removeRepo(ctx context.Context, tx pgx.Tx, id int64) error {
	_, err := tx.Exec(ctx, `update repos set removed = true, due_at = null where id = @id`, args{"id": id})
	return err
}

// touchPull makes one pull request due, and known if it was not.
func touchPull(ctx context.Context, tx pgx.Tx, r fleet.Repo, number int, now time.Time) error {
	if !valid(r) {
		return nil
	}
	if err := knowRepo(ctx, tx, r, now); err != nil {
		return err
	}
	return wakePulls(ctx, tx, r.ID, []int{number}, now)
}

func wakePulls(ctx context.Context, tx pgx.Tx, repoID int64, numbers []int, now time.Time) error {
	numbers = slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return n <= 0 || n > math.MaxInt32 })
	slices.Sort(numbers) // rows are locked in one order everywhere
	_, err := tx.Exec(ctx, `
		insert into updates as known (repo_id, number, state, first_seen, changed_at, due_at)
		select @repo, n, 'observed', @now, @now, @now from unnest(@numbers::int[]) n
		on conflict (repo_id, number) do update set wake = known.wake + 1, due_at = least(known.due_at, @now)`,
		args{"repo": repoID, "numbers": slices.Compact(numbers), "now": now})
	return err
}

// wakeListed wakes what GitHub's list of open pull requests shows to be new or
// changed since the last list, and what is open to us but not in the list. All else
// waits for its own time: a look at each of a thousand would be asked for nothing.
func wakeListed(ctx context.Context, tx pgx.Tx, repoID int64, open []fleet.OpenPull, now time.Time) error {
	versions := map[int]string{}
	for _, p := range open {
		if p.Number > 0 && p.Number <= math.MaxInt32 {
			versions[p.Number] = p.Version
		}
	}
	numbers := slices.Sorted(maps.Keys(versions)) // rows are locked in one order everywhere
	if numbers == nil {
		numbers = []int{} // none listed is '{}'
	}
	list := make([]string, len(numbers))
	for i, n := range numbers {
		list[i] = versions[n]
	}
	_, err := tx.Exec(ctx, `
		insert into updates as known (repo_id, number, state, first_seen, changed_at, due_at, listed)
		select @repo, n, 'observed', @now, @now, @now, v from unnest(@numbers::int[], @versions::text[]) as l (n, v)
		on conflict (repo_id, number) do update set wake = known.wake + 1, due_at = least(known.due_at, @now), listed = excluded.listed
		where known.listed <> excluded.listed`,
		args{"repo": repoID, "numbers": numbers, "versions": list, "now": now})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		with gone as materialized (
			select id from updates
			where repo_id = @repo and not ignored and state not in ('merged', 'closed', 'superseded') and number <> all (@numbers::int[])
			order by id for no key update
		)
		update updates u set wake = wake + 1, due_at = least(due_at, @now) from gone where u.id = gone.id`,
		args{"repo": repoID, "numbers": numbers, "now": now})
	return err
}

// doubtIgnored has the next list wake the pull requests that are not taken for
// updates: another policy may.
func doubtIgnored(ctx context.Context, tx pgx.Tx, repoID int64) error {
	_, err := tx.Exec(ctx, `update updates set listed = '' where repo_id = @repo and ignored and listed <> ''`, args{"repo": repoID})
	return err
}

// touchCommit wakes the updates whose head a commit is, and those that are being
// looked at: their look may find this very commit and have read its checks a
// moment too early.
func touchCommit(ctx context.Context, tx pgx.Tx, r fleet.Repo, sha string, now time.Time) error {
	if !valid(r) || sha == "" {
		return nil
	}
	if err := knowRepo(ctx, tx, r, now); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		with touched as materialized (
			select id from updates
			where repo_id = @repo and (lease_until is not null or not ignored and (head_sha = @sha or head_sha = ''))
			order by id for no key update
		)
		update updates u set wake = wake + 1, due_at = least(due_at, @now) from touched where u.id = touched.id`,
		args{"repo": r.ID, "sha": sha, "now": now})
	return err
}

// moveBranch wakes the repository and its open updates when its default branch
// moved. Other branches are heads of pull requests, which speak for themselves.
func moveBranch(ctx context.Context, tx pgx.Tx, f fleet.BranchMoved, now time.Time) error {
	if !valid(f.Repo) {
		return nil
	}
	if err := knowRepo(ctx, tx, f.Repo, now); err != nil {
		return err
	}
	isDefault, err := value[bool](ctx, tx, `select default_branch in ('', @branch) from repos where id = @id`,
		args{"id": f.Repo.ID, "branch": f.Branch})
	if err != nil || !isDefault {
		return err
	}
	if err := wakeRepo(ctx, tx, f.Repo.ID, now); err != nil {
		return err
	}
	return wakeOpenUpdates(ctx, tx, f.Repo.ID, now)
}

// wakeOpenUpdates makes every open update of a repository due.
func wakeOpenUpdates(ctx context.Context, tx pgx.Tx, repoID int64, now time.Time) error {
	_, err := tx.Exec(ctx, `
		with open as materialized (
			select id from updates
			where repo_id = @repo and not ignored and state not in ('merged', 'closed', 'superseded')
			order by id for no key update
		)
		update updates u set wake = wake + 1, due_at = least(due_at, @now) from open where u.id = open.id`,
		args{"repo": repoID, "now": now})
	return err
}

func changeInstallation(ctx context.Context, tx pgx.Tx, f fleet.InstallationChanged, now time.Time) error {
	if f.ID <= 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		insert into installations (id, account, removed, suspended, changed_at)
		values (@id, @account, @removed, @suspended, @now)
		on conflict (id) do update set account = excluded.account, removed = excluded.removed,
			suspended = excluded.suspended, changed_at = excluded.changed_at`,
		args{"id": f.ID, "account": f.Account, "removed": f.Removed, "suspended": f.Suspended, "now": now})
	if err != nil {
		return err
	}
	for _, r := range f.Added {
		r.Installation = f.ID
		if err := addRepo(ctx, tx, r, now); err != nil {
			return err
		}
	}
	for _, r := range f.Dropped {
		if err := removeRepo(ctx, tx, r.ID); err != nil {
			return err
		}
	}
	return nil
}

func addRepo(ctx context.Context, tx pgx.Tx, r fleet.Repo, now time.Time) error {
	if err := touchRepo(ctx, tx, r, now); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `update repos set removed = false where id = @id and removed`, args{"id": r.ID})
	return err
}

func press(ctx context.Context, tx pgx.Tx, f fleet.Pressed, now time.Time) error {
	if err := touchCommit(ctx, tx, f.Repo, f.SHA, now); err != nil {
		return err
	}
	for _, n := range f.Numbers {
		if err := touchPull(ctx, tx, f.Repo, n, now); err != nil {
			return err
		}
		err := storeRequest(ctx, tx, request{
			Repo: f.Repo.ID, Number: n, Kind: "pressed", Action: f.Action, SHA: f.SHA, By: f.By, Cause: f.Cause,
		}, now)
		if err != nil {
			return err
		}
	}
	return nil
}
