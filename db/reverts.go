package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// NoteRevertCommit keeps the commit that was made to take a rollout's commit back,
// before any branch points to it. ErrConflict means that another worker kept one of its
// own meanwhile; was is what this one knew.
func (d *DB) NoteRevertCommit(ctx context.Context, rollout string, was, is fleet.Revert) error {
	err := guarded(ctx, d.pool, `
		update rollouts set revert = @is where id = @id and coalesce(revert->>'commit', '') = @was and coalesce(revert->>'found', '') = ''`,
		args{"id": rollout, "was": was.Commit, "is": is})
	if err != nil {
		return fmt.Errorf("keep the commit that reverts rollout %s: %w", rollout, err)
	}
	return nil
}

// EndRevert stores what became of the pull request that takes a rollout's commit back.
// What was stored first stays.
func (d *DB) EndRevert(ctx context.Context, rollout string, end fleet.Revert, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		r, err := one[rolloutRow](ctx, tx, `select `+rolloutColumns+` from rollouts r where id = @id for no key update`, args{"id": rollout})
		if err != nil || r.Revert.Found != "" {
			return err
		}
		if _, err := tx.Exec(ctx, `update rollouts set revert = @end where id = @id`, args{"id": rollout, "end": end}); err != nil {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: "policy", Kind: "rollout.revert", Subject: "rollout/" + rollout, Reason: end.Found,
			Detail: map[string]any{"commit": r.Commit, "repo_id": r.RepoID, "number": end.Number},
		}); err != nil {
			return err
		}
		return d.showRollout(ctx, tx, r.UpdateID, now)
	})
	if err != nil {
		return fmt.Errorf("end the revert of rollout %s: %w", rollout, err)
	}
	return nil
}
