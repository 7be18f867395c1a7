package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

// Accounts are the authors of a repository's policy whose names were resolved: the
// account that each name belonged to when it first stood there.
func (d *DB) Accounts(ctx context.Context, repoID int64) (map[string]fleet.Actor, error) {
	type row struct {
		Login     string
		AccountID int64
		Type      string
	}
	rows, err := all[row](ctx, d.pool, `select login, account_id, type from accounts where repo_id = @repo`, args{"repo": repoID})
	if err != nil {
		return nil, fmt.Errorf("read authors of repository %d: %w", repoID, err)
	}
	accounts := make(map[string]fleet.Actor, len(rows))
	for _, r := range rows {
		accounts[r.Login] = fleet.Actor{ID: r.AccountID, Login: r.Login, Type: r.Type}
	}
	return accounts, nil
}

// KeepAccounts pins the names that stand in the policy now to the accounts that
// were found for them. A name that is pinned stays with its account, whoever bears
// it later; one that left the policy is forgotten.
func (d *DB) KeepAccounts(ctx context.Context, repoID int64, authors []string, found map[string]fleet.Actor, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `delete from accounts where repo_id = @repo and login <> all (@authors::text[])`,
			args{"repo": repoID, "authors": authors}); err != nil {
			return err
		}
		for _, login := range authors {
			a, ok := found[login]
			if !ok || a.ID <= 0 {
				continue
			}
			if _, err := tx.Exec(ctx, `
				insert into accounts (repo_id, login, account_id, type, resolved_at)
				values (@repo, @login, @id, @type, @now) on conflict do nothing`,
				args{"repo": repoID, "login": login, "id": a.ID, "type": a.Type, "now": now}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep authors of repository %d: %w", repoID, err)
	}
	return nil
}
