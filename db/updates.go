package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// UpdateClaim is an update handed out for a look, with what we know of it.
type UpdateClaim struct {
	Update   fleet.Update
	Recorded fleet.Recorded // for Update.HeadSHA, the head of the last look
	Attempt  int            // claims since the last look that was stored, this one included

	fence, wake int64
}

// updateRow is an update as it is read, see updateColumns.
type updateRow struct {
	ID             int64
	RepoID         int64
	InstallationID int64
	Owner          string
	RepoName       string
	DefaultBranch  string
	Number         int
	Title          string
	URL            string
	HeadSHA        string
	Ignored        bool
	State          fleet.UpdateState
	Verdict        fleet.Verdict
	Request        *fleet.MergeRequest
	Hold           *fleet.Hold
	Answer         *fleet.Answer
	Refusal        *fleet.MergeRefusal
	FirstSeen      time.Time
	HeadSeen       time.Time
	ChecksPassed   time.Time
	MergeSHA       string
	MergedBy       string
	MergedAt       time.Time
	CommentID      int64
	CommentSum     string
	CommentAt      time.Time
	CheckRunID     int64
	CheckSHA       string
	CheckSum       string
	CheckAt        time.Time
	ChangedAt      time.Time
	RunningRollout string
	Receivers      []string
	Attempt        int
	Fence          int64
	Wake           int64
}

// updateColumns reads an updateRow from updates u, its repository r and the
// sighting s of its head, see updateJoins.
const updateColumns = `
	u.id, u.repo_id, r.installation_id, r.owner, r.name as repo_name, r.default_branch, u.number, u.title, u.url,
	u.head_sha, u.ignored, u.state, u.verdict, u.request, u.hold, u.answer, u.refusal, u.first_seen, s.seen_at as head_seen, s.checks_passed,
	u.merge_sha, u.merged_by, u.merged_at, u.comment_id, u.comment_sum, u.comment_at, u.check_run_id, u.check_sha, u.check_sum, u.check_at,
	u.changed_at, u.attempt, u.fence, u.wake,
	coalesce((select o.commit_sha from rollouts o where o.repo_id = u.repo_id and o.state in ` + blockingStates + `
		order by o.created_at limit 1), '') as running_rollout,
	(select array_agg(v.name order by v.name) from receivers v) as receivers`

const updateJoins = `
	join repos r on r.id = u.repo_id
	left join head_sightings s on s.update_id = u.id and s.sha = u.head_sha`

// blockingStates are those of fleet.RolloutState.Blocks.
const blockingStates = `('running', 'paused', 'rolling_back')`

func (r updateRow) update() fleet.Update {
	return fleet.Update{
		ID: r.ID,
		Repo: fleet.Repo{
			ID: r.RepoID, Installation: r.InstallationID, Owner: r.Owner, Name: r.RepoName, DefaultBranch: r.DefaultBranch,
		},
		Number: r.Number, Title: r.Title, URL: r.URL, HeadSHA: r.HeadSHA, Ignored: r.Ignored, State: r.State, Verdict: r.Verdict,
		FirstSeen: r.FirstSeen, HeadSeen: r.HeadSeen, Request: r.Request, Hold: r.Hold, Answer: r.Answer,
		MergeSHA: r.MergeSHA, MergedBy: r.MergedBy, MergedAt: r.MergedAt,
		CommentID: r.CommentID, CommentSum: r.CommentSum, CommentAt: r.CommentAt, CheckAt: r.CheckAt,
		CheckRunID: r.CheckRunID, CheckSHA: r.CheckSHA, CheckSum: r.CheckSum, ChangedAt: r.ChangedAt,
	}
}

func (r updateRow) recorded() fleet.Recorded {
	return fleet.Recorded{
		FirstSeen: r.FirstSeen, HeadSeen: r.HeadSeen, ChecksPassed: r.ChecksPassed,
		Request: r.Request, Hold: r.Hold, RunningRollout: r.RunningRollout, Refusal: r.Refusal, Receivers: r.Receivers,
	}
}

func (r updateRow) claim() UpdateClaim {
	return UpdateClaim{Update: r.update(), Recorded: r.recorded(), Attempt: r.Attempt, fence: r.Fence, wake: r.Wake}
}

// ClaimUpdates hands out up to n updates that are due and whose repository we may
// read. They stay out of sight of other workers until the lease has run out.
func (d *DB) ClaimUpdates(ctx context.Context, now time.Time, lease time.Duration, n int) ([]UpdateClaim, error) {
	rows, err := all[updateRow](ctx, d.pool, `
		with due as (
			select u.id from updates u join repos r on r.id = u.repo_id
			where u.due_at <= @now and (u.lease_until is null or u.lease_until <= @now) and `+watched+`
			order by u.due_at limit @n for update of u skip locked
		), u as (
			update updates set due_at = @until, lease_until = @until, fence = fence + 1, attempt = attempt + 1
			from due where updates.id = due.id
			returning updates.*
		)
		select `+updateColumns+` from u `+updateJoins+` order by u.id`,
		args{"now": now, "until": now.Add(lease), "n": n})
	if err != nil {
		return nil, fmt.Errorf("claim updates: %w", err)
	}
	claims := make([]UpdateClaim, len(rows))
	for i, r := range rows {
		claims[i] = r.claim()
	}
	return claims, nil
}

// watched holds for a repository r that the App may act for.
const watched = `not r.removed and not exists (
	select from installations i where i.id = r.installation_id and (i.removed or i.suspended))`

// PostponeUpdate gives a claim back without a verdict, to be looked at again at
// the given time, or at once if it was woken meanwhile.
func (d *DB) PostponeUpdate(ctx context.Context, c UpdateClaim, again time.Time) error {
	err := guarded(ctx, d.pool, `
		update updates set lease_until = null, due_at = case when wake = @wake then @again else least(due_at, @again) end
		where id = @id and fence = @fence`,
		args{"id": c.Update.ID, "fence": c.fence, "wake": c.wake, "again": again})
	if err != nil {
		return fmt.Errorf("postpone update %d: %w", c.Update.ID, err)
	}
	return nil
}

// SeeHead returns when we first saw a head SHA of an update, which is now if we
// had not.
func (d *DB) SeeHead(ctx context.Context, updateID int64, sha string, now time.Time) (time.Time, error) {
	seen, err := value[time.Time](ctx, d.pool, `
		insert into head_sightings as known (update_id, sha, seen_at) values (@id, @sha, @now)
		on conflict (update_id, sha) do update set seen_at = least(known.seen_at, excluded.seen_at)
		returning seen_at`,
		args{"id": updateID, "sha": sha, "now": now})
	if err != nil {
		return time.Time{}, fmt.Errorf("see head of update %d: %w", updateID, err)
	}
	return seen, nil
}

// RecordedOf is what a claim of the update would know, were sha its head: for those
// who only ask what a look would find. It records nothing, so the times of a head
// that no look has seen are zero.
func (d *DB) RecordedOf(ctx context.Context, id int64, sha string) (fleet.Recorded, error) {
	r, err := one[updateRow](ctx, d.pool, `select `+updateColumns+` from updates u `+updateJoins+` where u.id = @id`, args{"id": id})
	if err != nil {
		return fleet.Recorded{}, fmt.Errorf("read what is recorded of update %d: %w", id, err)
	}
	if r.HeadSHA == sha {
		return r.recorded(), nil
	}
	type sighting struct{ SeenAt, ChecksPassed time.Time }
	seen, err := all[sighting](ctx, d.pool, `select seen_at, checks_passed from head_sightings where update_id = @id and sha = @sha`,
		args{"id": id, "sha": sha})
	if err != nil {
		return fleet.Recorded{}, fmt.Errorf("read what is recorded of update %d: %w", id, err)
	}
	r.HeadSeen, r.ChecksPassed = time.Time{}, time.Time{}
	for _, s := range seen {
		r.HeadSeen, r.ChecksPassed = s.SeenAt, s.ChecksPassed
	}
	return r.recorded(), nil
}

// Update reads one update.
func (d *DB) Update(ctx context.Context, id int64) (fleet.Update, error) {
	r, err := one[updateRow](ctx, d.pool, `select `+updateColumns+` from updates u `+updateJoins+` where u.id = @id`, args{"id": id})
	if err != nil {
		return fleet.Update{}, fmt.Errorf("read update %d: %w", id, err)
	}
	return r.update(), nil
}

// UpdateByNumber reads the update of one pull request.
func (d *DB) UpdateByNumber(ctx context.Context, repoID int64, number int) (fleet.Update, error) {
	r, err := one[updateRow](ctx, d.pool, `
		select `+updateColumns+` from updates u `+updateJoins+` where u.repo_id = @repo and u.number = @number`,
		args{"repo": repoID, "number": number})
	if err != nil {
		return fleet.Update{}, fmt.Errorf("read update #%d of repository %d: %w", number, repoID, err)
	}
	return r.update(), nil
}

// requestMerge stores a person's wish to merge one head SHA and wakes the update.
// If that is no longer its head, or it has ended or is held since, the answer is
// ErrConflict.
func requestMerge(ctx context.Context, tx pgx.Tx, updateID int64, m fleet.MergeRequest) error {
	err := guarded(ctx, tx, `
		update updates set request = @request, changed_at = @at, wake = wake + 1, due_at = least(due_at, @at)
		where id = @id and head_sha = @sha and not ignored and state not in ('merged', 'closed', 'superseded')
			and (hold is null or (hold->>'at')::timestamptz <= @at)`,
		args{"id": updateID, "sha": m.HeadSHA, "request": m, "at": m.At})
	if err != nil {
		return err
	}
	return remember(ctx, tx, Event{
		At: m.At, Actor: m.By.Login, Kind: "update.merge_requested", Subject: updateSubject(updateID),
		Detail: map[string]any{"head_sha": m.HeadSHA, "deploy": m.Deploy, "actor_id": m.By.ID},
	})
}

func updateSubject(id int64) string { return fmt.Sprintf("update/%d", id) }

// Written is what was written to GitHub about an update: its id there, a digest of
// what it says, and when.
type Written struct {
	ID  int64
	Sum string
	At  time.Time
}

// SetComment remembers our comment on an update.
func (d *DB) SetComment(ctx context.Context, updateID int64, w Written) error {
	_, err := d.pool.Exec(ctx, `update updates set comment_id = @comment, comment_sum = @sum, comment_at = @at where id = @id`,
		args{"id": updateID, "comment": w.ID, "sum": w.Sum, "at": w.At})
	if err != nil {
		return fmt.Errorf("set comment of update %d: %w", updateID, err)
	}
	return nil
}

// SetCheckRun remembers our check run on one head SHA of an update.
func (d *DB) SetCheckRun(ctx context.Context, updateID int64, sha string, w Written) error {
	_, err := d.pool.Exec(ctx, `update updates set check_run_id = @run, check_sha = @sha, check_sum = @sum, check_at = @at where id = @id`,
		args{"id": updateID, "run": w.ID, "sha": sha, "sum": w.Sum, "at": w.At})
	if err != nil {
		return fmt.Errorf("set check run of update %d: %w", updateID, err)
	}
	return nil
}
