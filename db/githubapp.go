package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// GitHubApp is the App that the set-up created. Sealed holds its private key and
// secrets; the key that opens it is not in the database.
type GitHubApp struct {
	AppID     int64
	Slug      string
	HTMLURL   string // its page on GitHub
	ClientID  string
	Sealed    []byte
	CreatedAt time.Time
}

// GitHubApp reads the App that the set-up created. ErrNotFound says that there is
// none yet.
func (d *DB) GitHubApp(ctx context.Context) (GitHubApp, error) {
	a, err := one[GitHubApp](ctx, d.pool, `select app_id, slug, html_url, client_id, sealed, created_at from github_app`, nil)
	if err != nil {
		return GitHubApp{}, fmt.Errorf("read the GitHub App: %w", err)
	}
	return a, nil
}

// SaveGitHubApp stores the App, once. Only one whose credentials can't be opened any
// more may be replaced, and is named then: replaces is its id, 0 where there must be
// none. ErrConflict says that there is another by now.
func (d *DB) SaveGitHubApp(ctx context.Context, a GitHubApp, replaces int64, by string, now time.Time) error {
	err := d.tx(ctx, func(tx pgx.Tx) error {
		if err := guarded(ctx, tx, `
			insert into github_app (app_id, slug, html_url, client_id, sealed, created_at)
			select @id, @slug, @url, @client, @sealed, @now
			where @replaces = 0::bigint or exists (select from github_app where app_id = @replaces)
			on conflict (one) do update set app_id = excluded.app_id, slug = excluded.slug, html_url = excluded.html_url,
				client_id = excluded.client_id, sealed = excluded.sealed, created_at = excluded.created_at
			where github_app.app_id = @replaces`,
			args{"id": a.AppID, "slug": a.Slug, "url": a.HTMLURL, "client": a.ClientID, "sealed": a.Sealed, "now": now, "replaces": replaces}); err != nil {
			return err
		}
		if err := remember(ctx, tx, Event{
			At: now, Actor: by, Kind: "github_app.created", Subject: fmt.Sprintf("app:%d", a.AppID),
			Detail: map[string]any{"slug": a.Slug, "replaces": replaces}, Reason: "the GitHub App was set up",
		}); err != nil {
			return err
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("save the GitHub App %d: %w", a.AppID, err)
	}
	return nil
}

// ResealGitHubApp stores other credentials of the same App. ErrConflict says that they
// are not those that were read.
func (d *DB) ResealGitHubApp(ctx context.Context, read GitHubApp, sealed []byte) error {
	err := guarded(ctx, d.pool, `update github_app set sealed = @sealed where app_id = @id and sealed = @was`,
		args{"sealed": sealed, "id": read.AppID, "was": read.Sealed})
	if err != nil {
		return fmt.Errorf("reseal the GitHub App %d: %w", read.AppID, err)
	}
	return nil
}

// CreateSetupVisit notes that somebody is sent to GitHub's page for new Apps: the
// hash of the state that has to come back.
func (d *DB) CreateSetupVisit(ctx context.Context, hash []byte, actor string, expires time.Time) error {
	_, err := d.pool.Exec(ctx, `insert into setup_visits (hash, actor, expires_at) values (@hash, @actor, @expires)`,
		args{"hash": hash, "actor": actor, "expires": expires})
	if err != nil {
		return fmt.Errorf("note a visit to GitHub's page for new Apps: %w", err)
	}
	return nil
}

// UseSetupVisit ends a visit that came back, and forgets those that never will. One
// that is unknown, has come back before or has expired is ErrNotFound.
func (d *DB) UseSetupVisit(ctx context.Context, hash []byte, now time.Time) (actor string, err error) {
	actor, err = value[string](ctx, d.pool, `
		with gone as (delete from setup_visits where expires_at <= @now)
		delete from setup_visits where hash = @hash and expires_at > @now returning actor`, args{"hash": hash, "now": now})
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("end a visit to GitHub's page for new Apps: %w", err)
	}
	return actor, err
}

// RevokeLogins makes the one-time sign-in tokens of an actor useless.
func (d *DB) RevokeLogins(ctx context.Context, actor string) error {
	if _, err := d.pool.Exec(ctx, `delete from logins where actor = @actor and used_at is null`, args{"actor": actor}); err != nil {
		return fmt.Errorf("revoke sign-in tokens of %s: %w", cleanText(actor), err)
	}
	return nil
}
