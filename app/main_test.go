package app

import (
	"bytes"
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/rs/zerolog"
)

// TestMain asks for few histories, and always the same, where the command line does
// not say otherwise: each of them is a server, a database and a git repository, and
// whoever changes one line shall not meet a history that was never tried. New ones
// are tried with -rapid.seed=0 -rapid.checks=200.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "supervise" { // a host of the simulated fleet switches
		if err := agent.Supervise(context.Background(), os.Args[2]); err != nil {
			panic(err)
		}
		return
	}
	for name, value := range map[string]string{"rapid.checks": "6", "rapid.seed": "12142018188274087934"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	dbtest.Main(m)
}

// clock stands still until a test moves it. It begins at noon: what people read tells
// the day only where it is another one, and tests must not depend on when they run.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

// remarks collects what is logged as a warning or worse.
type remarks struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *remarks) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *remarks) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *remarks) lines() int { return strings.Count(r.String(), "\n") }

// replica is an App that answers requests and whose loops the test turns by hand.
type replica struct {
	*App
	clock *clock
	log   *remarks
	url   string
}

const (
	webhookSecret = "It's a Secret to Everybody"
	adminSecret   = "the admin's own token"
)

// newReplica serves every address of the server on a database.
func newReplica(t testing.TB, d *db.DB) *replica {
	t.Helper()
	r := &replica{clock: newClock(), log: &remarks{}}
	r.App = &App{
		cfg: Config{Now: r.clock.now, GitHubAppID: 1, GitHubWebURL: "https://github.com/"},
		log: zerolog.New(r.log).Level(zerolog.WarnLevel), db: d, admin: hash(adminSecret), meters: newMeters(), traces: noTraces(),
	}
	server := httptest.NewUnstartedServer(nil)
	r.url = "http://" + server.Listener.Addr().String()
	r.cfg.URL, r.cfg.Log = r.url, r.App.log
	ctx, cancel := context.WithCancel(context.Background())
	routes, err := r.routes(ctx, []string{webhookSecret})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = routes
	server.Start()
	t.Cleanup(func() {
		server.Close()
		cancel()
		r.running.Wait()
	})
	return r
}

// must is for steps that a test stands on.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
