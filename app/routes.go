package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/handlers"
)

// routes is every address of the server (SPEC 10).
func (a *App) routes(ctx context.Context, webhookSecrets []string) (http.Handler, error) {
	hook, err := handlers.New(handlers.Config{
		Inbox: inbox{a.db, a.meters}, Secrets: webhookSecrets, Now: a.cfg.Now, Log: a.log, Signed: a.noteSigned,
	})
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	pages, err := a.pages()
	if err != nil {
		return nil, err
	}
	a.running.Go(func() { a.keep(ctx, "pages", pages.Run) })

	a.failures, a.askers = newLimits(failureEvery, failuresAtOnce, a.cfg.Now), newLimits(askEvery, askAtOnce, a.cfg.Now)
	a.changes = newLimits(changeEvery, changesAtOnce, a.cfg.Now)
	mux := http.NewServeMux()
	mux.Handle("/api/github/hook", hook) // refuses other methods itself, with words
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", a.metricsPage())
	mux.Handle("POST /api/v1/enroll", bounded(http.HandlerFunc(a.enroll)))
	mux.Handle("POST /api/v1/agent/repo-token", bounded(http.HandlerFunc(a.repoToken)))
	if a.door.tunnel != "" {
		mux.Handle("GET "+tunnelPath, a.passThrough())
	}
	api.Mount(mux, Version, Build, service{a})
	mux.Handle("/", pages)
	return a.fenced(mux), nil
}

// bodyWithin is how long a stranger may take to send a body. GitHub sends its 25 MB
// within its own ten seconds.
const bodyWithin = 30 * time.Second

// bounded keeps a slow sender from holding a connection for ever. It is not a
// setting of the whole server, since event streams are meant to last.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin))
		h.ServeHTTP(w, r)
	})
}

// ready answers whether this replica can do its work: the database and the bus
// are there and the inbox is being emptied.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	report := map[string]string{"database": "ok", "bus": "ok", "inbox": "ok"}
	status := http.StatusOK
	fault := func(part string, err error) {
		a.log.Warn().Ctx(r.Context()).Err(err).Str("part", part).Msg("not ready")
		report[part], status = "not reachable", http.StatusServiceUnavailable
	}
	stats, err := a.db.Stats(ctx, a.cfg.Now())
	if err != nil {
		fault("database", err)
	} else if stats.InboxLag > time.Minute {
		report["inbox"], status = fmt.Sprintf("oldest delivery waits for %s", stats.InboxLag.Round(time.Second)), http.StatusServiceUnavailable
	}
	if err := a.bus.Healthy(ctx); err != nil {
		fault("bus", err)
	}
	if a.settingUp() {
		report["github"] = "there is no App yet; open " + a.cfg.URL + nixfleet.SetupPath
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(report)
}

// overview serves the read model with everything derived from it.
type overview struct{ a *App }

// Overview is one consistent snapshot, described.
func (o overview) Overview(ctx context.Context) (fleet.Overview, error) {
	view, err := o.a.db.Overview(ctx, o.a.cfg.Now())
	if err != nil {
		return view, err
	}
	view.GitHub.Lost = int(o.a.lost.Load())
	fleet.Describe(&view, Version)
	return view, nil
}
