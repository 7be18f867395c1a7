package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/fleet"
)

// Views is where the pages come from.
type Views interface {
	// Overview returns one consistent snapshot, already described: compartments,
	// progress and headlines are filled.
	Overview(ctx context.Context) (fleet.Overview, error)
}

// Seen is what a person had before their eyes when they pressed a button.
type Seen struct {
	Update  int64
	HeadSHA string
	HeldAt  time.Time // when the hold was put on that the page showed; zero where it showed none
}

// Actions is what a person may ask for. Each is recorded before it returns and
// carried out later; asking twice is the same as asking once. They fail with
// [ErrHeadMoved] when the pull request is no longer what was seen, and with a
// [Refused] for every other reason meant for people.
type Actions interface {
	// Merge asks to merge the head SHA that was seen and, if deploy is set, to roll
	// the result out.
	Merge(ctx context.Context, actor fleet.Actor, seen Seen, deploy bool) error
	// Hold keeps an update from merging by itself until then; zero: until released.
	Hold(ctx context.Context, actor fleet.Actor, seen Seen, until time.Time) error
	// Release ends the hold that was seen.
	Release(ctx context.Context, actor fleet.Actor, seen Seen) error
}

// ErrHeadMoved says that a pull request is no longer what the person saw.
var ErrHeadMoved = errors.New("the pull request changed since you looked")

// Refused is an error whose text is meant for the person who pressed the button.
type Refused string

func (r Refused) Error() string { return string(r) }

// Config is what a dashboard needs. Now and the interfaces must be set.
type Config struct {
	Views     Views
	Actions   Actions
	Sessions  Sessions
	Explainer Explainer
	Policies  Policies
	Activity  Activity
	Receivers Receivers
	Updates   Updates
	Newcomers Newcomers
	Rollouts  Rollouts
	Orders    Orders
	People    People
	Hosts     Hosts
	Locks     Locks
	Setup     Setup // nil where there is nothing to set up
	// Listen calls changed whenever something visible was committed, until ctx ends.
	Listen func(ctx context.Context, changed func()) error
	Now    func() time.Time

	Build     string // revision of this program; a page of another build is told to reload
	PublicURL string // where people reach the dashboard; decides how cookies are set
	WebURL    string // GitHub's pages; https://github.com when empty
	Log       zerolog.Logger

	Batch time.Duration // at most one patch per Batch; 250 ms when zero
	Beat  time.Duration // how often an open stream proves that it lives; 10 s when zero
}

// Dashboard serves the pages. Its Run must be running for pages to stay live.
type Dashboard struct {
	cfg     Config
	build   string // Config.Build and the assets' hash
	handler http.Handler
	hub     hub
	dirty   chan struct{} // holds one token: something visible may have changed
	stopped chan struct{} // closed when Run returns; ends open streams
	stop    sync.Once
}

// New checks cfg and prepares the routes.
func New(cfg Config) (*Dashboard, error) {
	if cfg.Views == nil || cfg.Actions == nil || cfg.Sessions == nil || cfg.Explainer == nil || cfg.Policies == nil || cfg.Activity == nil || cfg.Newcomers == nil || cfg.Rollouts == nil || cfg.Receivers == nil || cfg.Now == nil {
		return nil, errors.New("dashboard: Views, Actions, Sessions, Explainer, Policies, Activity, Newcomers, Rollouts, Receivers and Now must be set")
	}
	if cfg.Updates == nil || cfg.Orders == nil || cfg.People == nil || cfg.Locks == nil {
		return nil, errors.New("dashboard: Updates, Orders, People and Locks must be set")
	}
	if cfg.Hosts == nil {
		return nil, errors.New("dashboard: Hosts must be set")
	}
	if cfg.Batch == 0 {
		cfg.Batch = 250 * time.Millisecond
	}
	if cfg.Beat == 0 {
		cfg.Beat = 10 * time.Second
	}
	if cfg.WebURL == "" {
		cfg.WebURL = "https://github.com"
	}
	d := &Dashboard{
		cfg:     cfg,
		build:   cfg.Build + "+" + assetsHash,
		dirty:   make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	d.hub.channels = map[string]*channel{}
	d.handler = d.routes()
	return d, nil
}

// ServeHTTP serves everything of the dashboard.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

// Run keeps every open page equal to the read model until ctx ends, then ends
// the open streams. Call it before the HTTP server is shut down, which waits for
// them.
func (d *Dashboard) Run(ctx context.Context) error {
	defer d.stop.Do(func() { close(d.stopped) })
	g, ctx := errgroup.WithContext(ctx)
	if d.cfg.Listen != nil {
		g.Go(func() error {
			if err := d.cfg.Listen(ctx, d.wake); err != nil && ctx.Err() == nil {
				return fmt.Errorf("listen for visible changes: %w", err)
			}
			return nil
		})
	}
	g.Go(func() error { d.publish(ctx); return nil })
	return g.Wait()
}

// wake says that something visible may have changed.
func (d *Dashboard) wake() {
	select {
	case d.dirty <- struct{}{}:
	default:
	}
}

func (d *Dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	d.live(mux, "/{$}", d.fleetLive())
	d.orderRoutes(mux)
	d.hostRoutes(mux)
	d.live(mux, "/activity", d.activityLive())
	mux.Handle("GET /activity/{file}", d.signedIn(d.exportActivity))
	d.updateRoutes(mux)
	mux.Handle("GET /enroll", d.signedIn(d.enrolPage))
	mux.Handle("POST /enroll", d.signedIn(d.enrol))
	d.live(mux, "/enroll/{name}", d.newcomerLive())
	d.notificationRoutes(mux)
	mux.Handle("GET /settings", d.signedIn(d.settingsIndex))
	mux.Handle("GET /settings/{owner}/{name}", d.signedIn(d.settingsPage))
	mux.Handle("POST /settings/{owner}/{name}", d.signedIn(d.saveSettings))
	d.rolloutRoutes(mux)
	d.loginRoutes(mux)
	d.peopleRoutes(mux)
	if d.cfg.Setup != nil {
		d.setupRoutes(mux)
	}
	mux.Handle("GET /static/{hash}/{name}", http.HandlerFunc(serveAsset))
	// Cross-origin posts are refused for every route, also those added later.
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// policy is the Content-Security-Policy of every page: nothing inline, nothing
// from elsewhere, nothing evaluated.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secured sets the headers that every answer carries and bounds what is read.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		next.ServeHTTP(w, r)
	})
}
