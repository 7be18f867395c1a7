package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/forge"
)

const (
	// setupActor is who the one-time code in the log signs in.
	setupActor = "set-up"

	// setupCodeTTL is how long that code is good for. It is of no use once there is an
	// App.
	setupCodeTTL = 24 * time.Hour

	// awaitEvery is how soon an App that another replica created is noticed.
	awaitEvery = 3 * time.Second
)

// setup is how far this replica has come to being the App.
type setup struct {
	app      atomic.Pointer[credentials] // nil until the product runs
	sealed   atomic.Pointer[string]      // why stored credentials can't be opened; nil where they can
	replaces atomic.Int64                // the id of that App, which a new one may replace
	saved    chan struct{}               // holds one token: credentials were stored
	began    chan struct{}               // closed when the product runs

	lookMu sync.Mutex
	looked time.Time // for repositories
}

// beginOrSetUp begins the product where there is an App, by the settings or by an
// earlier set-up. Otherwise it serves the set-up, and the product begins by itself
// once there is one.
func (a *App) beginOrSetUp(ctx, work context.Context, s secrets) error {
	a.setup.saved, a.setup.began = make(chan struct{}, 1), make(chan struct{})
	// A set-up that was cut off may have left its way in, printed in a log; if it is
	// still needed, another is printed.
	if err := a.db.RevokeLogins(ctx, setupActor); err != nil {
		return err
	}
	if err := a.openSealKey(); err != nil {
		return err
	}
	if a.cfg.GitHubAppID != 0 {
		return a.begin(work, &credentials{appID: a.cfg.GitHubAppID, privateKey: s.privateKey, webhook: s.webhook, settings: true})
	}
	a.ownSecrets = s.webhook
	switch stored, err := a.storedApp(ctx); {
	case err == nil:
		return a.begin(work, stored)
	case !errors.Is(err, db.ErrNotFound) && !errors.Is(err, errSealed):
		return err
	}
	handler, err := a.setupRoutes()
	if err != nil {
		return err
	}
	a.front.Store(&handler)
	a.running.Go(func() { a.keep(work, "set-up", a.awaitApp) })
	return nil
}

// begin makes this replica the App: the door to GitHub, the loops, every address.
func (a *App) begin(work context.Context, c *credentials) error {
	f, err := forge.New(forge.Config{
		APIURL: a.cfg.GitHubAPIURL, AppID: c.appID, PrivateKey: c.privateKey, Enterprise: a.cfg.enterprise(),
		UserAgent: userAgent, Now: a.cfg.Now, Log: a.cfg.Log, Watch: a.traces.calls(),
	})
	if err != nil {
		return fmt.Errorf("github: %w", err)
	}
	a.forge, a.cfg.GitHubAppID = f, c.appID
	if err := a.openSignIn(c); err != nil {
		return err
	}
	handler, err := a.routes(work, c.webhook)
	if err != nil {
		return err
	}
	a.startWork(work)
	a.setup.app.Store(c)
	a.front.Store(&handler)
	close(a.setup.began)
	return nil
}

const userAgent = "nixfleet/" + Version

// awaitApp waits until there are credentials, and begins the product with them. They
// come from the wizard of this replica or another.
func (a *App) awaitApp(ctx context.Context) error {
	var code time.Time // until when the printed one is good
	for {
		stored, err := a.storedApp(ctx)
		switch {
		case err == nil:
			a.setup.sealed.Store(nil)
			// First, for begin must not be done twice, as it would be after an error.
			if err := a.db.RevokeLogins(ctx, setupActor); err != nil {
				return err
			}
			if err := a.begin(ctx, stored); err != nil {
				return err
			}
			a.log.Info().Ctx(ctx).Str("app", stored.slug).Int64("id", stored.appID).Msg("there is a GitHub App; the set-up ends and the work begins")
			return nil
		case errors.Is(err, errSealed):
			a.noteSealed(ctx, err)
		case errors.Is(err, db.ErrNotFound):
			a.setup.sealed.Store(nil)
			a.setup.replaces.Store(0)
		default:
			return err
		}
		if now := a.cfg.Now(); !now.Before(code) {
			code = now.Add(setupCodeTTL)
			if err := a.printSetupCode(ctx, code); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.setup.saved:
		case <-time.After(awaitEvery):
		}
	}
}

// printSetupCode tells whoever reads the server's log how to get in.
func (a *App) printSetupCode(ctx context.Context, until time.Time) error {
	token := newToken()
	if err := a.db.CreateLogin(ctx, hash(token), setupActor, "admin", until); err != nil {
		return err
	}
	a.log.Warn().Ctx(ctx).Str("open", a.cfg.URL+"/login?token="+token).Time("until", until).
		Msg("there is no GitHub App yet: open this address to create one; it works once (the admin token opens " + nixfleet.SetupPath + " as well)")
	return nil
}

// noteSealed remembers why the stored App is of no use, for the wizard to show.
func (a *App) noteSealed(ctx context.Context, cause error) {
	text := fmt.Sprintf("%v. Put back the key file with which NixFleet was set up (%s), and this goes on by itself; or create a new App below, which takes its place.", cause, a.seal.file)
	if was := a.setup.sealed.Swap(&text); was == nil || *was != text {
		a.log.Error().Ctx(ctx).Err(cause).Str("key", a.seal.file).Msg("the stored GitHub App can't be used")
	}
	if row, err := a.db.GitHubApp(ctx); err == nil {
		a.setup.replaces.Store(row.AppID)
	}
}

// setupRoutes is what a server without an App serves.
func (a *App) setupRoutes() (http.Handler, error) {
	pages, err := a.pages()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", a.ready)
	api.MountSetup(mux, Version, Build, service{a})
	for _, path := range []string{"/setup", "/setup/", "/login", "/logout", "/static/"} {
		mux.Handle(path, pages)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/" {
			http.Redirect(w, r, nixfleet.SetupPath, http.StatusSeeOther)
			return
		}
		w.Header().Set("Retry-After", "60")
		problem(w, http.StatusServiceUnavailable, "NixFleet has no GitHub App yet. Open "+a.cfg.URL+nixfleet.SetupPath+" to create one.")
	})
	return a.fenced(mux), nil
}

// pages makes the dashboard.
func (a *App) pages() (*dashboard.Dashboard, error) {
	pages, err := dashboard.New(dashboard.Config{
		Views: overview{a}, Listen: a.db.Listen, Actions: actions{a}, Sessions: sessions{a}, Setup: wizard{a}, Explainer: insight{a}, Policies: insight{a}, Activity: insight{a}, Receivers: receivers{a},
		Newcomers: newcomers{a},
		People:    people{a},
		Updates:   updates{a},
		Hosts:     hostPages{a},
		Locks:     updates{a},
		Orders:    desk{a},
		Now:       a.cfg.Now, Build: Build, PublicURL: a.cfg.URL, WebURL: a.cfg.GitHubWebURL, Log: a.log,

		Rollouts: rolloutPages{a},
	})
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	return pages, nil
}

func healthz(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

func (a *App) closeForge() {
	if a.forge != nil {
		a.forge.Close()
	}
}
