package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// PolicySettings is the policy of a repository without a policy file, as YAML.
type PolicySettings struct {
	Policy    string
	ChangedBy string
	ChangedAt time.Time
}

// PolicySettings reads the settings of a repository, nil where nobody made any.
func (d *DB) PolicySettings(ctx context.Context, repoID int64) (*PolicySettings, error) {
	rows, err := all[PolicySettings](ctx, d.pool, `select policy, changed_by, changed_at from settings where repo_id = @repo`, args{"repo": repoID})
	if err != nil {
		return nil, fmt.Errorf("read settings of repository %d: %w", repoID, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// SavePolicySettings stores the settings of a repository, with who changed them in
// the history, and makes the repository and its open updates due. Empty settings
// bring the built-in policy back.
func (d *DB) SavePolicySettings(ctx context.Context, repoID int64, policy, by string, now time.Time) error {
	return d.savePolicySettings(ctx, repoID, nil, policy, by, now)
}

// ReplacePolicySettings is [DB.SavePolicySettings] by somebody who read them first:
// settings that were changed since then, which is at another time than seen, are
// ErrConflict. A zero seen stands for no settings.
func (d *DB) ReplacePolicySettings(ctx context.Context, repoID int64, seen time.Time, policy, by string, now time.Time) error {
	return d.savePolicySettings(ctx, repoID, &seen, policy, by, now)
}

func (d *DB) savePolicySettings(ctx context.Context, repoID int64, seen *time.Time, policy, by string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		// One change of a repository's settings at a time, also of the first.
		if _, err := tx.Exec(ctx, `select from repos where id = @repo for update`, args{"repo": repoID}); err != nil {
			return err
		}
		known, err := all[PolicySettings](ctx, tx, `select policy, changed_by, changed_at from settings where repo_id = @repo`, args{"repo": repoID})
		if err != nil {
			return err
		}
		was, at := "", time.Time{}
		for _, k := range known {
			was, at = k.Policy, k.ChangedAt
		}
		if seen != nil && !seen.Equal(at) {
			return ErrConflict
		}
		if was == policy {
			return nil
		}
		if _, err := tx.Exec(ctx, `
			insert into settings (repo_id, policy, changed_by, changed_at) values (@repo, @policy, @by, @now)
			on conflict (repo_id) do update set policy = excluded.policy, changed_by = excluded.changed_by, changed_at = excluded.changed_at`,
			args{"repo": repoID, "policy": policy, "by": by, "now": now}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update repos set wake = wake + 1, due_at = least(due_at, @now) where id = @repo`,
			args{"repo": repoID, "now": now}); err != nil {
			return err
		}
		if err := wakeOpenUpdates(ctx, tx, repoID, now); err != nil {
			return err
		}
		if err := doubtIgnored(ctx, tx, repoID); err != nil {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: by, Kind: "settings.changed", Subject: fmt.Sprintf("repo:%d", repoID),
			Detail: map[string]any{"from": was, "to": policy}, Reason: "the policy settings were changed",
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("save settings of repository %d: %w", repoID, err)
	}
	return nil
}
