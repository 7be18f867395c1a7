package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/broker"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/notify"
	"github.com/rs/zerolog"
)

// App is the running product: one replica of the server. Any number of them may
// share one database and one bus.
type App struct {
	cfg      Config
	log      zerolog.Logger
	db       *db.DB
	private  *db.Private // nil where the database is somebody else's
	keys     *agentbus.Keyring
	bus      *agentbus.Control
	forge    *forge.Forge
	door     busDoor
	failures *limits // of enrolments, by address
	askers   *limits // for tokens, by host
	changes  *limits // of keys, by host
	fence    fenceLimits
	summons  summons
	hearing  time.Time // since when hosts can be heard
	meters   *meters
	traces   *traces
	admin    []byte // SHA-256 of the admin token, nil where none is set

	seal         *seal
	sender       notify.Sender
	fenceOnce    sync.Once
	signIn       atomic.Pointer[forge.SignIn] // nil where people can't sign in with GitHub
	clientSecret string                       // of the settings

	ownSecrets []string // webhook secrets of the settings, for an App that they don't name
	setup      setup
	signed     signed // the last webhook

	branches time.Time // when hosts that follow their branch were last looked at, the loop's own

	loops    []*loop
	listener net.Listener
	front    atomic.Pointer[http.Handler] // what answers requests: the set-up, then the product
	server   *http.Server
	down     closers
	running  sync.WaitGroup
	stop     context.CancelCauseFunc
	failed   chan error   // the first part that ended by itself
	lost     atomic.Int64 // webhooks that GitHub could not bring, at the last look
	printed  bell         // rings when output of orders was recorded
}

// Start brings everything up in one straight line, each step on top of the ones
// before it, and returns once requests are answered. On an error everything that
// was already up is down again. The caller ends it with [App.Stop].
func Start(ctx context.Context, cfg Config) (_ *App, err error) {
	secrets, err := cfg.prepare()
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	cfg.Log = cfg.Log.Hook(idHook{})
	a := &App{cfg: cfg, log: cfg.Log, meters: newMeters(), traces: noTraces(), failed: make(chan error, 1)}
	a.down.log = cfg.Log
	defer func() {
		if err != nil {
			err = errors.Join(err, a.down.close())
		}
	}()
	if secrets.adminToken != "" {
		sum := sha256.Sum256([]byte(secrets.adminToken))
		a.admin = sum[:]
	}

	a.clientSecret = secrets.clientSecret

	if err := a.listen(ctx); err != nil {
		return nil, err
	}
	if err := a.openDatabase(ctx); err != nil {
		return nil, err
	}
	if err := a.openBus(ctx); err != nil {
		return nil, err
	}
	if a.traces, err = openTraces(ctx, cfg.OTLPURL, a.keys.FleetID()); err != nil {
		return nil, err
	}
	a.down.add("traces", a.traces.stop)

	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	a.stop = cancel
	a.down.add("github", func(context.Context) error { a.closeForge(); return nil })
	a.down.add("work", func(ctx context.Context) error { return a.stopWork(ctx) })
	if a.private != nil {
		a.running.Go(func() { a.private.Keep(work) })
	}
	if err := a.beginOrSetUp(ctx, work, secrets); err != nil {
		return nil, err
	}
	a.serveHTTP(work)
	return a, nil
}

// URL is the public address of the server.
func (a *App) URL() string { return a.cfg.URL }

// BusURLs are the addresses at which hosts reach the bus, its own port first.
func (a *App) BusURLs() []string { return slices.Clone(a.door.urls) }

// Failed delivers an error when a part that must not end has ended by itself.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends everything in reverse order, within ten seconds. What was not done
// yet stays due in the database.
func (a *App) Stop() error { return a.down.close() }

func (a *App) openDatabase(ctx context.Context) error {
	url := a.cfg.DatabaseURL
	if url == "" {
		private, err := db.StartPrivate(ctx, db.PrivateOptions{
			Dir: a.cfg.path("postgres"),
			Log: func(line string) { a.log.Debug().Str("part", "postgres").Msg(line) },
		})
		if err != nil {
			return fmt.Errorf("private postgres: %w", err)
		}
		a.private = private
		a.down.add("postgres", private.Stop)
		url = private.URL()
	}
	var err error
	a.db, err = db.Open(ctx, db.Options{URL: url})
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	a.down.add("database", func(context.Context) error { a.db.Close(); return nil })
	return nil
}

func (a *App) openBus(ctx context.Context) error {
	var err error
	a.keys, err = agentbus.LoadOrCreateKeyring(a.cfg.path("keys.json"))
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	opts := agentbus.ControlOptions{Keys: a.keys, Now: a.cfg.Now, Log: a.busLog()}
	pool, err := a.pinGiven()
	if err != nil {
		return err
	}
	if a.cfg.NATSURL != "" {
		opts.URLs = strings.Split(a.cfg.NATSURL, ",")
		if pool != nil {
			opts.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
		if a.door.urls = a.cfg.publicBus(); len(a.door.urls) == 0 {
			a.door.urls = opts.URLs
		}
	} else {
		secure, err := a.secureBus()
		if err != nil {
			return err
		}
		embedded, err := broker.Start(ctx, broker.Options{
			Dir: a.cfg.path("nats"), Listen: a.cfg.NATSListen, Trust: a.keys.Trust(), TLS: secure, Tunnel: true,
			Log: func(line string) { a.log.Debug().Str("part", "nats").Msg(line) },
		})
		if err != nil {
			return fmt.Errorf("embedded nats: %w", err)
		}
		a.down.add("nats", embedded.Shutdown)
		opts.Broker, a.door.tunnel = embedded, embedded.Tunnel()
		a.door.urls = a.cfg.busAddresses(embedded.URL())
	}
	a.bus, err = agentbus.ConnectControl(ctx, opts)
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	a.hearing = a.cfg.Now()
	a.down.add("bus", func(context.Context) error { a.bus.Close(); return nil })
	return nil
}

// startWork starts the loops and the readers of the bus. They end with ctx.
func (a *App) startWork(ctx context.Context) {
	a.loops = a.everyLoop()
	for _, l := range a.loops {
		l.rounds, l.failures = a.meters.rounds.WithLabelValues(l.name), a.meters.failures.WithLabelValues(l.name)
	}
	for _, l := range a.loops {
		a.running.Go(func() { l.run(ctx) })
	}
	a.running.Go(func() { a.keep(ctx, "changes", func(ctx context.Context) error { return a.db.Listen(ctx, a.pokeAll) }) })
	a.running.Go(func() { a.keep(ctx, "answers", a.readAnswers) })
	a.running.Go(func() { a.keep(ctx, "logs", a.readLogs) })
	a.running.Go(func() {
		a.keep(ctx, "output", func(ctx context.Context) error { return a.db.ListenOutput(ctx, a.printed.ring) })
	})
	a.running.Go(func() { a.keep(ctx, "heartbeats", a.readBeats) })
	a.running.Go(func() { a.keep(ctx, "recovery", a.recover) })
	a.running.Go(func() { a.keep(ctx, "housekeeping", a.tidy) })
	a.running.Go(func() { a.keep(ctx, "watch", a.watch) })
	a.running.Go(func() { a.keep(ctx, "bus repair", a.mend) })
}

// everyLoop lists the loops that claim due work, in the order in which work walks
// through them.
func (a *App) everyLoop() []*loop {
	return []*loop{
		newLoop("inbox", a.log, a.workInbox),
		newLoop("repos", a.log, a.workRepos),
		newLoop("requests", a.log, a.workRequests),
		newLoop("updates", a.log, a.workUpdates),
		newLoop("proposals", a.log, a.workProposals),
		newLoop("rollouts", a.log, a.workRollouts),
		newLoop("evaluations", a.log, a.workEvaluations).resting(evaluationRest),
		newLoop("effects", a.log, a.workEffects),
		newLoop("follow", a.log, a.workFollow),
		newLoop("notices", a.log, a.workNotices),
		newLoop("messages", a.log, a.workMessages),
		newLoop("orders", a.log, a.workOrders),
		newLoop("overdue", a.log, a.workOverdue),
		newLoop("people", a.log, a.workPeople),
	}
}

// keep runs a part that should last as long as ctx, and starts it again, with a
// growing pause, when it ends early with an error. A part that ends without one
// has done its work.
func (a *App) keep(ctx context.Context, part string, run func(context.Context) error) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := run(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if time.Since(began) > backoff(attempt) {
			attempt = 1 // it did well for a while: what ended it is a new matter
		}
		a.log.Error().Ctx(ctx).Err(err).Str("part", part).Msg("ended early; it is started again")
		select {
		case <-ctx.Done():
		case <-time.After(backoff(attempt)):
		}
	}
}

func (a *App) pokeAll() {
	for _, l := range a.loops {
		l.poke()
	}
}

func (a *App) stopWork(ctx context.Context) error {
	a.stop(errors.New("the server is stopping"))
	ended := make(chan struct{})
	go func() { a.running.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("work is still under way: %w", ctx.Err())
	}
}

// listen takes the address first: a port that is in use is the commonest fault of
// a start, and the real port is part of the public address.
func (a *App) listen(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	a.listener, err = lc.Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w (is another server running? set NIXFLEET_LISTEN)", a.cfg.Listen, err)
	}
	a.down.add("listener", func(context.Context) error {
		if err := a.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if a.cfg.URL == "" {
		a.cfg.URL = "http://" + a.listener.Addr().String()
	}
	return nil
}

// serveHTTP answers requests until the way down begins.
func (a *App) serveHTTP(ctx context.Context) {
	a.server = &http.Server{
		Handler:           a.observed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.front.Load()).ServeHTTP(w, r) })),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	a.running.Go(func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			select {
			case a.failed <- fmt.Errorf("http: %w", err):
			default:
			}
		}
	})
	a.down.add("http", func(ctx context.Context) error {
		// Open event streams never end by themselves; they get a moment, then the
		// connection is closed and the page says so.
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := a.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return a.server.Close()
	})
}
