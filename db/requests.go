package db

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// request is what a person asked for on GitHub, kept until it has been handled.
type request struct {
	Repo    int64
	Number  int
	Kind    string // pressed or commented
	Action  string
	Comment int64
	SHA     string
	By      fleet.Actor
	Cause   string
}

// storeRequest keeps a request. One that is asked for again before it was handled
// is still one, of the later time: of hold, release, hold the last word counts.
func storeRequest(ctx context.Context, tx pgx.Tx, r request, now time.Time) error {
	if r.Repo <= 0 || r.Number <= 0 || r.Number > math.MaxInt32 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		insert into requests as known (repo_id, number, kind, action, comment_id, sha, by_id, by_login, by_type, cause, at, due_at)
		values (@repo, @number, @kind, @action, @comment, @sha, @by_id, @by_login, @by_type, @cause, @now, @now)
		on conflict (repo_id, number, kind, action, comment_id, sha, by_id) where handled_at is null
		do update set at = excluded.at, wake = known.wake + 1, due_at = least(known.due_at, excluded.due_at)`,
		args{
			"repo": r.Repo, "number": r.Number, "kind": r.Kind, "action": r.Action, "comment": r.Comment, "sha": r.SHA,
			"by_id": r.By.ID, "by_login": r.By.Login, "by_type": r.By.Type, "cause": r.Cause, "now": now,
		})
	return err
}

// RequestClaim is a press of a button, or a comment with a command, handed out to
// be handled.
type RequestClaim struct {
	UpdateID int64
	Repo     fleet.Repo
	Number   int
	Action   string // as in fleet.Pressed; empty for a comment
	Comment  int64  // id of the comment, 0 for a press
	SHA      string // the head whose check run carried the button; empty for a comment
	By       fleet.Actor
	At       time.Time // of the last press
	Attempt  int       // claims since it was pressed, this one included

	id, fence, wake int64
}

// ClaimRequests hands out up to n presses that are due and whose repository we may
// act for. Of one person on one update only the oldest is handed out: the order of
// hold and release matters. The claimed ones stay out of sight of other workers
// until the lease has run out.
func (d *DB) ClaimRequests(ctx context.Context, now time.Time, lease time.Duration, n int) ([]RequestClaim, error) {
	rows, err := d.pool.Query(ctx, `
		with due as (
			select q.id from requests q join repos r on r.id = q.repo_id
			where q.due_at <= @now and (q.lease_until is null or q.lease_until <= @now) and `+watched+`
				and not exists (
					select from requests e where e.due_at is not null and e.repo_id = q.repo_id
						and e.number = q.number and e.by_id = q.by_id and (e.at, e.id) < (q.at, q.id))
			order by q.due_at, q.id limit @n for update of q skip locked
		), q as (
			update requests set due_at = @until, lease_until = @until, fence = fence + 1, attempt = attempt + 1
			from due where requests.id = due.id
			returning requests.*
		)
		select u.id, r.id, r.installation_id, r.owner, r.name, r.default_branch, q.number, q.action, q.comment_id, q.sha,
			q.by_id, q.by_login, q.by_type, q.at, q.attempt, q.id, q.fence, q.wake
		from q join repos r on r.id = q.repo_id join updates u on u.repo_id = q.repo_id and u.number = q.number
		order by q.at, q.id`,
		args{"now": now, "until": now.Add(lease), "n": n})
	if err != nil {
		return nil, fmt.Errorf("claim requests: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (RequestClaim, error) {
		var c RequestClaim
		err := r.Scan(&c.UpdateID, &c.Repo.ID, &c.Repo.Installation, &c.Repo.Owner, &c.Repo.Name, &c.Repo.DefaultBranch,
			&c.Number, &c.Action, &c.Comment, &c.SHA, &c.By.ID, &c.By.Login, &c.By.Type, &c.At, &c.Attempt, &c.id, &c.fence, &c.wake)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim requests: %w", err)
	}
	return claimed, nil
}

// PostponeRequest gives a claim back unhandled, to be tried again at the given
// time, or at once if it was pressed again meanwhile.
func (d *DB) PostponeRequest(ctx context.Context, c RequestClaim, again time.Time) error {
	err := guarded(ctx, d.pool, `
		update requests set lease_until = null, due_at = case when wake = @wake then @again else least(due_at, @again) end
		where id = @id and fence = @fence and lease_until is not null`,
		args{"id": c.id, "fence": c.fence, "wake": c.wake, "again": again})
	if err != nil {
		return fmt.Errorf("postpone request %d: %w", c.id, err)
	}
	return nil
}

// RequestResult is how a request ended.
type RequestResult string

// The results of a request.
const (
	RequestAllowed RequestResult = "allowed" // what it asks for is stored
	RequestDenied  RequestResult = "denied"  // the person may not
	RequestVoid    RequestResult = "void"    // there is nothing left to do it to
	RequestIgnored RequestResult = "ignored" // it is no person's word
)

// RequestEnd is what comes of a request. At most one of the wishes is set, and
// only where it is allowed.
type RequestEnd struct {
	Result  RequestResult
	Why     string // one sentence
	Role    string // the person's on the repository, where it was read
	Merge   *fleet.MergeRequest
	Hold    *fleet.Hold
	Release bool // the hold
	Rewrite bool // the check run
	Deploy  *NewRollout
	Orders  []fleet.Order
	Move    *RolloutMove
	Restore *RolloutRestore

	Answer *fleet.Answer // to show on the update, where it was a command
	React  string        // GitHub's word for the reaction to the comment: "+1", "-1" or "confused"
}

// RolloutMove is a person's decision about one rollout.
type RolloutMove struct {
	ID string
	StateChange
}

// RolloutRestore is a person's wish to have an ended rollout undone.
type RolloutRestore struct {
	Of  string
	New NewRollout
}

// FinishRequest stores in one transaction what comes of a request, and who asked
// for what and why it was allowed or not in the history. If it was pressed again
// meanwhile it is due again. ErrConflict means that the claim was lost, or that the
// update is no longer one to which the wish applies; nothing is stored then.
func (d *DB) FinishRequest(ctx context.Context, c RequestClaim, end RequestEnd, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		// Updates first, as everywhere: whoever records a press locks its update before it.
		if err := d.grant(ctx, tx, c, end, now); err != nil {
			return err
		}
		err := guarded(ctx, tx, `
			update requests set lease_until = null, attempt = 0, outcome = @outcome,
				handled_at = case when wake = @wake then @now::timestamptz end,
				due_at = case when wake <> @wake then @now::timestamptz end
			where id = @id and fence = @fence and lease_until is not null`,
			args{
				"id": c.id, "fence": c.fence, "wake": c.wake, "now": now,
				"outcome": clip(string(end.Result) + ": " + end.Why),
			})
		if err != nil {
			return err
		}
		if err := respond(ctx, tx, c, end, now); err != nil {
			return err
		}
		if end.Result != RequestIgnored {
			if err := remember(ctx, tx, requestEvent(c, end, now)); err != nil {
				return err
			}
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("finish request %d: %w", c.id, err)
	}
	return nil
}

// GrantRequest is [DB.FinishRequest] for a wish that was judged as it came, so that
// no row of it was ever kept: of somebody who is signed in to the dashboard.
// ErrConflict means that the update is no longer one to which the wish applies.
func (d *DB) GrantRequest(ctx context.Context, c RequestClaim, end RequestEnd, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if err := d.grant(ctx, tx, c, end, now); err != nil {
			return err
		}
		if err := remember(ctx, tx, requestEvent(c, end, now)); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("grant %s of update %d: %w", c.Action, c.UpdateID, err)
	}
	return nil
}

func requestEvent(c RequestClaim, end RequestEnd, now time.Time) Event {
	return Event{
		At: now, Actor: c.By.Login, Kind: "request." + string(end.Result), Subject: updateSubject(c.UpdateID), Reason: end.Why,
		Detail: map[string]any{
			"action": c.Action, "comment": c.Comment, "head_sha": c.SHA, "actor_id": c.By.ID, "role": end.Role,
			"repo": c.Repo.FullName(), "number": c.Number, "pressed_at": c.At,
		},
	}
}

// respond shows the answer to a command on the update, and reacts to its comment.
func respond(ctx context.Context, tx pgx.Tx, c RequestClaim, end RequestEnd, now time.Time) error {
	var effects []Effect
	if end.Answer != nil {
		if _, err := tx.Exec(ctx, `
			update updates set answer = @answer, changed_at = @now
			where id = @id and (answer is null or (answer->>'at')::timestamptz <= @at)`,
			args{"id": c.UpdateID, "answer": end.Answer, "at": end.Answer.At, "now": now}); err != nil {
			return err
		}
		effects = append(effects, commentEffect(c.UpdateID))
	}
	if end.React != "" && c.Comment > 0 {
		effects = append(effects, reactEffect(c.UpdateID, c.Comment, end.React))
	}
	return putEffects(ctx, tx, now, effects...)
}

func (d *DB) grant(ctx context.Context, tx pgx.Tx, c RequestClaim, end RequestEnd, now time.Time) error {
	switch {
	case end.Merge != nil:
		return requestMerge(ctx, tx, c.UpdateID, *end.Merge)
	case end.Hold != nil:
		return holdUpdate(ctx, tx, c.UpdateID, *end.Hold, now)
	case end.Release:
		return releaseUpdate(ctx, tx, c, now)
	case end.Rewrite:
		return rewriteCheck(ctx, tx, c.UpdateID, now)
	case end.Move != nil:
		return d.setRolloutState(ctx, tx, end.Move.ID, end.Move.StateChange, now)
	case end.Restore != nil:
		_, err := d.startRestore(ctx, tx, end.Restore.Of, end.Restore.New, now)
		return err
	case end.Deploy != nil:
		_, err := d.startRollout(ctx, tx, *end.Deploy, c.UpdateID, now)
		return err
	case len(end.Orders) > 0:
		_, err := insertOrders(ctx, tx, end.Orders, now)
		return err
	}
	return nil
}

// holdUpdate stores a hold, which takes back an earlier wish to merge. It also
// takes the update from whoever looks at it, who does not know of the hold.
func holdUpdate(ctx context.Context, tx pgx.Tx, updateID int64, h fleet.Hold, now time.Time) error {
	return guarded(ctx, tx, `
		update updates set hold = @hold, changed_at = @now,
			request = case when (request->>'at')::timestamptz > @at then request end,
			lease_until = null, due_at = @now, fence = fence + 1, wake = wake + 1
		where id = @id and not ignored and state not in ('merged', 'closed', 'superseded')`,
		args{"id": updateID, "hold": h, "at": h.At, "now": now})
}

// releaseUpdate ends the hold that there was when the button was pressed.
func releaseUpdate(ctx context.Context, tx pgx.Tx, c RequestClaim, now time.Time) error {
	return guarded(ctx, tx, `
		update updates set hold = null, changed_at = @now, wake = wake + 1, due_at = least(due_at, @now)
		where id = @id and (@sha = '' or head_sha = @sha) and (hold->>'at')::timestamptz <= @at
			and state not in ('merged', 'closed', 'superseded')`,
		args{"id": c.UpdateID, "sha": c.SHA, "at": c.At, "now": now})
}

// rewriteCheck has the check run written even if it says the same: GitHub takes
// back the result of a suite of which a run is asked for again.
func rewriteCheck(ctx context.Context, tx pgx.Tx, updateID int64, now time.Time) error {
	if _, err := tx.Exec(ctx, `update updates set check_sum = '' where id = @id`, args{"id": updateID}); err != nil {
		return err
	}
	return putEffects(ctx, tx, now, checkEffect(updateID))
}
