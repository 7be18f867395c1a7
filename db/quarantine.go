package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

const quarantineColumns = `q.repo_id, q.commit_sha as commit, q.rollout_id as rollout, q.reason, q.at, q.lifted_by, q.lifted_at`

// Quarantined tells why a commit must not come to further hosts by itself; empty
// where it may.
func (d *DB) Quarantined(ctx context.Context, repoID int64, commit string) (reason string, err error) {
	return quarantined(ctx, d.pool, repoID, commit)
}

func quarantined(ctx context.Context, q querier, repoID int64, commit string) (string, error) {
	reason, err := value[string](ctx, q, `
		select coalesce((select reason from quarantine where repo_id = @repo and commit_sha = @commit and lifted_at is null), '')`,
		args{"repo": repoID, "commit": commit})
	if err != nil {
		return "", fmt.Errorf("look whether %s is in quarantine: %w", short(commit), err)
	}
	return reason, nil
}

// Quarantines lists the commits in quarantine, newest first.
func (d *DB) Quarantines(ctx context.Context) ([]fleet.Quarantine, error) {
	list, err := all[fleet.Quarantine](ctx, d.pool, `
		select `+quarantineColumns+` from quarantine q where q.lifted_at is null order by q.at desc, q.commit_sha limit 1000`, args{})
	if err != nil {
		return nil, fmt.Errorf("list commits in quarantine: %w", err)
	}
	return list, nil
}

// LiftQuarantine lets a commit spread again, at a person's word. A commit that is not
// in quarantine is ErrNotFound.
func (d *DB) LiftQuarantine(ctx context.Context, repoID int64, commit, actor, reason string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		lifted, err := value[bool](ctx, tx, `
			with lifted as (
				update quarantine set lifted_by = @actor, lifted_at = @now
				where repo_id = @repo and commit_sha = @commit and lifted_at is null returning 1
			)
			select exists (select from lifted)`,
			args{"repo": repoID, "commit": commit, "actor": actor, "now": now})
		if err != nil {
			return err
		}
		if !lifted {
			return ErrNotFound
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: actor, Kind: "quarantine.lifted", Subject: "commit/" + commit, Reason: reason,
			Detail: map[string]any{"repo_id": repoID},
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("lift the quarantine of %s: %w", short(commit), err)
	}
	return nil
}

// followMove stores what a move asks for beyond rollout, hosts and orders.
func followMove(ctx context.Context, tx pgx.Tx, s saving) error {
	r := s.claim.Rollout
	if err := wakeParent(ctx, tx, r, s.now); err != nil {
		return err
	}
	if s.move.RevertPR {
		// Whether it was asked for before is what the effect finds out first.
		if err := keepEffects(ctx, tx, s.now, revertEffect(r.ID)); err != nil {
			return err
		}
	}
	if s.move.Quarantine == "" {
		return nil
	}
	return quarantine(ctx, tx, r, s.move.Quarantine, s.now)
}

// quarantine keeps a commit from spreading. What a person lifted stays so, until
// another rollout shows it to be bad again.
func quarantine(ctx context.Context, tx pgx.Tx, r fleet.Rollout, reason string, now time.Time) error {
	fresh, err := value[bool](ctx, tx, `
		with stored as (
			insert into quarantine as known (repo_id, commit_sha, rollout_id, reason, at)
			values (@repo, @commit, @rollout, @reason, @now)
			on conflict (repo_id, commit_sha) do update
				set rollout_id = excluded.rollout_id, reason = excluded.reason, at = excluded.at, lifted_by = '', lifted_at = null
				where known.lifted_at is not null and known.rollout_id <> excluded.rollout_id
			returning 1
		)
		select exists (select from stored)`,
		args{"repo": r.RepoID, "commit": r.Commit, "rollout": r.ID, "reason": reason, "now": now})
	if err != nil || !fresh {
		return err
	}
	return remember(ctx, tx, Event{
		At: now, Actor: "policy", Kind: "quarantine.set", Subject: "commit/" + r.Commit, Reason: reason,
		Detail: map[string]any{"repo_id": r.RepoID, "rollout": r.ID},
	})
}
