package db

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// Bounds of what the page of one update shows.
const (
	maxUpdateRollouts = 10
	maxUpdateHistory  = 50
)

// UpdateDetail reads one pull request with its rollouts and its history, also one
// that is no update. Rollouts are not described.
func (d *DB) UpdateDetail(ctx context.Context, repoID int64, number int) (fleet.UpdateDetail, error) {
	u, err := d.UpdateByNumber(ctx, repoID, number)
	if err != nil {
		return fleet.UpdateDetail{}, err
	}
	detail := fleet.UpdateDetail{Update: u}
	detail.Rollouts, err = rolloutsWhere(ctx, d.pool, progressColumns, `r.update_id = @id order by r.id desc limit @n`,
		args{"id": u.ID, "n": maxUpdateRollouts})
	for _, group := range []fleet.ActGroup{fleet.ActUpdates, fleet.ActRollouts} {
		if err != nil {
			break
		}
		var acts []fleet.Act
		acts, err = d.Acts(ctx, fleet.ActQuery{Repo: u.Repo.FullName(), Number: number, Group: group, Limit: maxUpdateHistory})
		detail.History = append(detail.History, acts...)
	}
	slices.SortFunc(detail.History, func(a, b fleet.Act) int { return cmp.Compare(b.ID, a.ID) })
	if err != nil {
		return fleet.UpdateDetail{}, fmt.Errorf("read what befell update %d: %w", u.ID, err)
	}
	return detail, nil
}

// EndedUpdates lists updates that have ended, newest first.
func (d *DB) EndedUpdates(ctx context.Context, q fleet.UpdateQuery) ([]fleet.Update, error) {
	page := UpdatePage{RepoID: q.RepoID, Before: q.Before, Limit: q.Limit}
	for _, s := range fleet.AllUpdateStates() {
		if !s.Open() && (q.State == "" || q.State == s) {
			page.States = append(page.States, s)
		}
	}
	if len(page.States) == 0 {
		return []fleet.Update{}, nil // no state without an end is asked for
	}
	return d.Updates(ctx, page)
}

// LookAgain makes one pull request due at once because a person asks for it. While it
// is due already, asking again is the same wish.
func (d *DB) LookAgain(ctx context.Context, id int64, by string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		due, err := value[bool](ctx, tx, `select coalesce(due_at <= @now, false) from updates where id = @id for no key update`,
			args{"id": id, "now": now})
		if err != nil || due {
			return err
		}
		if _, err := tx.Exec(ctx, `update updates set wake = wake + 1, due_at = least(due_at, @now) where id = @id`,
			args{"id": id, "now": now}); err != nil {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: by, Kind: "update.look_asked", Subject: updateSubject(id), Reason: "It is looked at again.",
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("look at update %d again: %w", id, err)
	}
	return nil
}
