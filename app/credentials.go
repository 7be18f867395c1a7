package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/forge"
)

// sealKeyFile is the default key file, in the data directory.
const sealKeyFile = "github-app.key"

// credentials are what it takes to be the GitHub App.
type credentials struct {
	appID      int64
	privateKey []byte
	webhook    []string // live secrets

	clientID, clientSecret string // with which people sign in; empty where they are not known

	slug, page string // empty where the settings name the App
	settings   bool   // they come from the settings, which win over what is stored
}

// sealedParts is what the database holds of the App, encrypted.
type sealedParts struct {
	PrivateKey    string `json:"private_key"`
	WebhookSecret string `json:"webhook_secret"`
	ClientSecret  string `json:"client_secret"`
}

// openSealKey finds the key that seals credentials; one of our own is made on first
// use.
func (a *App) openSealKey() (err error) {
	if a.cfg.SealKeyFile != "" {
		a.seal, err = openSeal(a.cfg.SealKeyFile, false)
	} else {
		a.seal, err = openSeal(a.cfg.path(sealKeyFile), true)
	}
	if err != nil {
		return fmt.Errorf("NIXFLEET_SEAL_KEY_FILE: %w", err)
	}
	return nil
}

// storedApp reads the App that the set-up created. It is db.ErrNotFound where there is
// none, and errSealed where there is one that our key does not open.
func (a *App) storedApp(ctx context.Context) (*credentials, error) {
	row, parts, err := a.openStored(ctx)
	if err != nil {
		return nil, err
	}
	return &credentials{
		appID: row.AppID, privateKey: []byte(parts.PrivateKey), webhook: a.liveSecrets(parts.WebhookSecret), slug: row.Slug, page: row.HTMLURL,
		clientID: row.ClientID, clientSecret: parts.ClientSecret,
	}, nil
}

func (a *App) openStored(ctx context.Context) (row db.GitHubApp, parts sealedParts, err error) {
	if row, err = a.db.GitHubApp(ctx); err != nil {
		return row, parts, err
	}
	text, err := a.seal.open(row.Sealed, sealUse(row.AppID))
	if err == nil && json.Unmarshal(text, &parts) != nil {
		err = errSealed
	}
	if err != nil {
		return row, parts, fmt.Errorf("open the credentials of App %s (%d): %w", row.Slug, row.AppID, err)
	}
	return row, parts, nil
}

// liveSecrets are the webhook secrets of an App with a stored one. One secret of the
// settings is on its way to take its place (see adoptSecret): until then both live.
// Two of the settings leave it out.
func (a *App) liveSecrets(stored string) []string {
	switch {
	case len(a.ownSecrets) == 1 && a.ownSecrets[0] != stored:
		return []string{a.ownSecrets[0], stored}
	case len(a.ownSecrets) == 2:
		return a.ownSecrets
	}
	return []string{stored}
}

// adoptSecret ends a rotation: once GitHub has signed with the secret of the settings,
// it is the one that is stored. The former one lives until the next start.
func (a *App) adoptSecret(ctx context.Context) error {
	c := a.setup.app.Load()
	if _, used := a.lastSigned(); c == nil || c.settings || used != 0 || len(c.webhook) < 2 || len(a.ownSecrets) != 1 {
		return nil
	}
	row, parts, err := a.openStored(ctx)
	if err != nil || parts.WebhookSecret == a.ownSecrets[0] {
		return err
	}
	parts.WebhookSecret = a.ownSecrets[0]
	text, err := json.Marshal(parts)
	if err != nil {
		return fmt.Errorf("seal the credentials of the App: %w", err)
	}
	err = a.db.ResealGitHubApp(ctx, row, a.seal.shut(text, sealUse(row.AppID)))
	if errors.Is(err, db.ErrConflict) {
		return nil // another replica did it
	}
	if err == nil {
		a.log.Info().Ctx(ctx).Int64("app", row.AppID).Msg("GitHub uses the new webhook secret, which is stored now; restart the server to refuse the former one")
	}
	return err
}

// saveApp stores a new App, sealed. What GitHub hands out once is not to be lost to a
// database that is away for a moment, so this tries for a while.
func (a *App) saveApp(ctx context.Context, made forge.NewApp, replaces int64, by string) error {
	text, err := json.Marshal(sealedParts{string(made.PrivateKey), made.WebhookSecret, made.ClientSecret})
	if err != nil {
		return fmt.Errorf("seal the credentials of the App: %w", err)
	}
	row := db.GitHubApp{
		AppID: made.ID, Slug: made.Slug, HTMLURL: made.HTMLURL, ClientID: made.ClientID, Sealed: a.seal.shut(text, sealUse(made.ID)),
	}
	return insist(ctx, func() error { return a.db.SaveGitHubApp(ctx, row, replaces, by, a.cfg.Now()) },
		func(err error) bool { return errors.Is(err, db.ErrConflict) })
}

// sealUse binds what is sealed to its App.
func sealUse(appID int64) string { return "github app " + strconv.FormatInt(appID, 10) }

// attemptsAtOnce bounds insist: three attempts within two seconds.
const attemptsAtOnce = 3

// insist does something again that failed, unless it is hopeless, for as long as a
// person waits.
func insist(ctx context.Context, do func() error, hopeless func(error) bool) error {
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil || hopeless(err) || attempt == attemptsAtOnce {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt) * 500 * time.Millisecond):
		}
	}
}
