package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// StartRestore starts the rollout that brings the hosts of another one back to what
// they ran before, and returns its id. A rollout that rolls back gets one, however many
// replicas find that it needs it. One that has ended (a person wants it undone) gets
// another one once the last has ended. In any other state it is ErrConflict. Without a
// reason of its own it has the one for which the other rolls back, and who said so.
func (d *DB) StartRestore(ctx context.Context, of string, n NewRollout, now time.Time) (id string, err error) {
	err = d.tx(ctx, func(tx pgx.Tx) error {
		id, err = d.startRestore(ctx, tx, of, n, now)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("restore what was before rollout %s: %w", of, err)
	}
	return id, nil
}

func (d *DB) startRestore(ctx context.Context, tx pgx.Tx, of string, n NewRollout, now time.Time) (string, error) {
	// The lock of the parent is what two replicas wait for.
	if err := lockAround(ctx, tx, of, nil); err != nil {
		return "", err
	}
	parent, err := one[rolloutRow](ctx, tx, `select `+rolloutColumns+` from rollouts r where id = @id`, args{"id": of})
	if err != nil {
		return "", err
	}
	known, err := value[string](ctx, tx, `
		select coalesce((select id from rollouts where restores = @of and (@all or state not in `+endedRollouts+`)
			order by created_at desc, id desc limit 1), '')`,
		args{"of": of, "all": parent.State == fleet.RolloutRollingBack})
	if err != nil || known != "" {
		return known, err
	}
	if parent.State != fleet.RolloutRollingBack && !parent.State.Terminal() || parent.Kind == fleet.RolloutRestore {
		return "", fmt.Errorf("%w: it is %s", ErrConflict, parent.State)
	}
	n.Kind, n.RepoID, n.UpdateID, n.Commit = fleet.RolloutRestore, parent.RepoID, parent.UpdateID, parent.Commit
	if n.Reason == "" {
		why, err := all[struct{ Actor, Reason string }](ctx, tx, `
			select actor, reason from history where subject = @subject and kind = 'rollout.rolling_back' order by id desc limit 1`,
			args{"subject": "rollout/" + of})
		if err != nil {
			return "", err
		}
		if len(why) > 0 {
			n.Actor, n.Reason = why[0].Actor, why[0].Reason
		}
	}
	if _, err := insertRollout(ctx, tx, n, of, now); err != nil {
		return "", err
	}
	if err := d.rolloutPlanned(ctx, tx, n, now); err != nil {
		return "", err
	}
	return n.ID, d.notify(ctx, tx)
}

// fillRestores adds to each claim what it restores, and what restores it.
func fillRestores(ctx context.Context, tx pgx.Tx, claims []RolloutClaim, ids []string) error {
	parents := make([]string, 0, len(claims))
	for _, c := range claims {
		if c.Rollout.Restores != "" {
			parents = append(parents, c.Rollout.Restores)
		}
	}
	around, err := rolloutsWhere(ctx, tx, progressColumns, `r.id = any(@parents) or r.restores = any(@ids) order by r.created_at desc, r.id desc`,
		args{"parents": parents, "ids": ids})
	if err != nil {
		return err
	}
	first := func(is func(fleet.Rollout) bool) *fleet.Rollout {
		if i := slices.IndexFunc(around, is); i >= 0 {
			return &around[i]
		}
		return nil
	}
	for i := range claims {
		r := claims[i].Rollout
		claims[i].Restoring = first(func(o fleet.Rollout) bool { return o.Restores == r.ID })
		claims[i].Parent = first(func(o fleet.Rollout) bool { return r.Restores != "" && o.ID == r.Restores })
	}
	return nil
}

// wakeParent makes what a rollout restores look at how far that is.
func wakeParent(ctx context.Context, tx pgx.Tx, r fleet.Rollout, now time.Time) error {
	if r.Restores == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `
		update rollouts set wake = wake + 1, due_at = least(due_at, @now) where id = @id and state = 'rolling_back'`,
		args{"id": r.Restores, "now": now})
	return err
}

// abortRestore ends the way back of a rollout that a person aborts while it rolls back.
func (d *DB) abortRestore(ctx context.Context, tx pgx.Tx, of string, c StateChange, now time.Time) error {
	rows, err := tx.Query(ctx, `select id from rollouts where restores = @of and state not in `+endedRollouts+` order by id`, args{"of": of})
	if err != nil {
		return err
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, id := range open {
		c.From = []fleet.RolloutState{fleet.RolloutPlanned, fleet.RolloutRunning, fleet.RolloutPaused, fleet.RolloutHalted}
		if err := d.setRolloutState(ctx, tx, id, c, now); err != nil {
			return err
		}
	}
	return nil
}
