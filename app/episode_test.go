package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/forge/forgetest"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

const (
	episodeHold = 10 * time.Minute
	inputRepo   = "octo/input"
)

// head is a commit that was pushed to the update's branch, and all that the
// test's own oracle knows of it. It is kept apart from what the App believes.
type head struct {
	sha      string
	good     bool // changes the lock alone, and forwards
	lock     string
	onto     string    // the lock of the merge base
	pushed   time.Time // not before which the hold begins
	build    string    // conclusion of the required check, "" for none
	provenAt time.Time // when all conditions held last
}

// episode is one history: an imitated github.com, a database, and a server that
// may be ended and begun again at any point. Its loops are turned by the test, so
// that time passes only when the test says so.
type episode struct {
	*testing.T
	rt   *rapid.T
	undo []func()

	hub    *forgetest.Server
	db     *db.DB
	clock  *clock
	log    *remarks
	server atomic.Pointer[http.Handler] // nil while the server is down
	url    string
	app    *App
	ctx    context.Context // of the server that runs now
	crash  context.CancelFunc

	busy sync.WaitGroup // requests that the imitation is at work on

	mu      sync.Mutex // guards all below: merges are judged while the server waits for them
	killAt  int        // requests from now; 0 for never
	bodies  map[*http.Request]written
	runs    map[string]int // check runs of ours that were made, by head
	repoID  int64
	number  int
	branch  string
	heads   map[string]*head
	lock    string            // on the default branch
	mains   map[string]string // locks of the default branch's commits
	over    bool              // the update is merged
	asked   []time.Time       // when somebody with write access asked for the merge
	label   bool
	draft   bool
	closed  bool
	unfault []func()
	revs    []string             // of the input, oldest first
	dates   map[string]time.Time // of these
	merges  map[int]int          // merges that took effect, by pull request
}

// The methods of testing.TB that an episode has to itself: a failure is rapid's to
// shrink, and what an episode started ends with it.
func (e *episode) Cleanup(f func())                  { e.undo = append(e.undo, f) }
func (e *episode) Errorf(format string, args ...any) { e.rt.Errorf(format, args...) }
func (e *episode) Fatalf(format string, args ...any) { e.rt.Fatalf(format, args...) }
func (e *episode) Error(args ...any)                 { e.rt.Error(args...) }
func (e *episode) Fatal(args ...any)                 { e.rt.Fatal(args...) }
func (e *episode) Logf(format string, args ...any)   { e.rt.Logf(format, args...) }
func (e *episode) Log(args ...any)                   { e.rt.Log(args...) }
func (e *episode) TempDir() string {
	dir, err := os.MkdirTemp("", "nixfleet-episode-")
	must(e, err)
	e.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (e *episode) end() {
	for _, f := range slices.Backward(e.undo) {
		f()
	}
}

// newEpisode is a repository whose policy holds an update for ten minutes and
// requires one check, and an update in it.
func newEpisode(t *testing.T, rt *rapid.T) *episode {
	e := &episode{
		T: t, rt: rt, clock: newClock(), log: &remarks{}, branch: lockBranch,
		heads: map[string]*head{}, mains: map[string]string{}, dates: map[string]time.Time{}, merges: map[int]int{},
		bodies: map[*http.Request]written{}, runs: map[string]int{},
	}
	e.Cleanup(func() {
		if rt.Failed() {
			rt.Logf("log of the servers:\n%s", e.log)
		}
	})
	e.db = dbtest.New(e)
	e.hub = forgetest.NewForTest(e, forgetest.Options{Now: e.clock.now})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := e.server.Load()
		if h == nil {
			panic(http.ErrAbortHandler) // nobody is there
		}
		(*h).ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = nil
	e.Cleanup(server.Close)
	e.url = server.URL
	e.hub.SetWebhook(e.url+"/api/github/hook", webhookSecret)
	e.hub.OnRequest(e.watch)
	e.start()
	e.Cleanup(func() { e.stop() })

	_, err := e.hub.AddRepo(forgetest.Repo{Name: inputRepo, Org: true, NotInstalled: true})
	must(e, err)
	e.repoID, err = e.hub.AddRepo(forgetest.Repo{Name: pressedRepo, Org: true})
	must(e, err)
	e.newRev()
	e.newRev()
	e.lock = lockOn(e.newRev(), e.dates)
	e.commit(forgetest.Commit{Files: map[string]string{"flake.lock": e.lock, "flake.nix": "{}\n", ".github/nixfleet.yml": `
version: 1
updates:
  auto_merge: {enabled: true, hold: 10m}
  required_checks: [{name: build, app: github-actions}]
`}})
	must(e, e.hub.SetPermission(pressedRepo, "ada", "write"))
	must(e, e.hub.SetPermission(pressedRepo, "eve", "read"))
	e.turn() // what was on the default branch before the App knew it is nobody's rollout
	e.open()
	return e
}

// start begins a server on the database, with nothing in its memory.
func (e *episode) start() {
	ctx, cancel := context.WithCancel(e.Context())
	log := zerolog.New(e.log).Level(zerolog.InfoLevel)
	a := &App{
		cfg: Config{Now: e.clock.now, GitHubAppID: e.hub.AppID, GitHubWebURL: e.hub.URL() + "/", URL: e.url, Log: log},
		log: log, db: e.db, admin: hash(adminSecret), meters: newMeters(), traces: noTraces(),
	}
	var err error
	a.forge, err = forge.New(forge.Config{
		APIURL: e.hub.APIURL(), AppID: e.hub.AppID, PrivateKey: e.hub.PrivateKeyPEM, UserAgent: "test", Now: e.clock.now, Log: log,
	})
	must(e, err)
	routes, err := a.routes(ctx, []string{webhookSecret})
	must(e, err)
	e.app, e.ctx, e.crash = a, ctx, cancel
	e.server.Store(&routes)
	_ = a.learnRepos(ctx) // as a start does; GitHub may be away
}

// stop ends the server as a kill does: nothing is tidied up.
func (e *episode) stop() {
	e.server.Store(nil)
	e.crash()
	e.busy.Wait()
	e.app.running.Wait()
	e.app.forge.Close()
}

func (e *episode) restart() { e.stop(); e.start() }

// turn does one round of some loops, or of all until they find nothing.
func (e *episode) turn(names ...string) {
	e.observe() // the App may act on what was done since the last look
	for range 60 {
		must(e, e.hub.WaitDelivered(e.Context()))
		found := 0
		for _, l := range e.app.everyLoop() {
			if len(names) > 0 && !slices.Contains(names, l.name) {
				continue
			}
			n, err := l.work(e.ctx)
			if err == nil { // a loop that failed waits for its next turn
				found += n
			}
		}
		if e.ctx.Err() != nil { // it was killed at work
			e.restart()
			return
		}
		if found == 0 || len(names) > 0 {
			return
		}
	}
	e.Fatalf("the loops never come to rest")
}

// newRev makes the next commit of the input.
func (e *episode) newRev() string {
	e.clock.forward(time.Second)
	sha, err := e.hub.CommitFiles(inputRepo, forgetest.Commit{Files: map[string]string{"a": fmt.Sprint(len(e.revs))}, Message: "Next"})
	must(e, err)
	e.revs, e.dates[sha] = append(e.revs, sha), e.clock.now()
	return sha
}

func lockOn(rev string, dates map[string]time.Time) string {
	hash := sha256.Sum256([]byte(rev))
	return fmt.Sprintf(`{
  "nodes": {
    "input": {
      "locked": {"lastModified": %d, "narHash": "sha256-%s", "owner": "octo", "repo": "input", "rev": "%s", "type": "github"},
      "original": {"owner": "octo", "repo": "input", "type": "github"}
    },
    "root": {"inputs": {"input": "input"}}
  },
  "root": "root",
  "version": 7
}
`, dates[rev].Unix(), base64.StdEncoding.EncodeToString(hash[:]), rev)
}

func (e *episode) commit(c forgetest.Commit) string {
	c.Author, c.Message = robot, "flake.lock: Update\n"
	sha, err := e.hub.CommitFiles(pressedRepo, c)
	must(e, err)
	if c.Branch == "" {
		if lock, changed := c.Files["flake.lock"]; changed {
			e.lock = lock
		}
		e.mains[sha] = e.lock
	}
	return sha
}

// push brings the branch to a new head on top of the default branch.
func (e *episode) push(files map[string]string, good bool) {
	sha := e.commit(forgetest.Commit{Branch: e.branch, Parent: e.hub.Head(pressedRepo, "main"), Files: files})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heads[sha] = &head{sha: sha, good: good, lock: files["flake.lock"], onto: e.lock, pushed: e.clock.now()}
}

func (e *episode) pushGood() {
	e.push(map[string]string{"flake.lock": lockOn(e.newRev(), e.dates)}, true)
}

// open opens the next update.
func (e *episode) open() {
	e.branch = fmt.Sprintf("%s-%d", lockBranch, len(e.heads))
	e.pushGood()
	var err error
	e.number, err = e.hub.OpenPull(pressedRepo, forgetest.Pull{Head: e.branch, Title: "flake.lock: Update"})
	must(e, err)
	e.label, e.draft, e.closed, e.over, e.asked = false, false, false, false, nil
}

func (e *episode) isOpen() bool { return e.hub.OpenPullOf(pressedRepo, e.branch) == e.number }

func (e *episode) current() *head {
	sha := e.hub.Head(pressedRepo, e.branch)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heads[sha]
}

// proven is the oracle: whether everything that a merge needs holds now.
func (e *episode) proven(h *head) bool {
	if h == nil || !h.good || h.build != "success" || e.draft || h.onto != e.lock {
		return false
	}
	for _, at := range e.asked {
		if !at.Before(h.pushed) {
			return true // somebody who may passes over hold and label
		}
	}
	return !e.label && !e.clock.now().Before(h.pushed.Add(episodeHold))
}

// observe remembers when the head was proven, after anything that may change it.
func (e *episode) observe() {
	h, open := e.current(), e.isOpen()
	e.mu.Lock()
	defer e.mu.Unlock()
	if open && e.proven(h) {
		h.provenAt = e.clock.now()
	}
}

// written is what matters of a request that writes.
type written struct {
	SHA     string `json:"sha"`
	HeadSHA string `json:"head_sha"`
	Name    string `json:"name"`
	main    string // the default branch before it
}

// watch sees every request to the imitation: it judges merges before they happen,
// counts what was made, and ends the server at the point that was drawn.
func (e *episode) watch(r *http.Request, phase forgetest.Phase) {
	merge := r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/merge")
	run := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/check-runs")
	main := ""
	if merge {
		main = e.hub.Head(pressedRepo, "main")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if phase == forgetest.AfterEffect {
		e.happened(e.bodies[r], main, run)
		delete(e.bodies, r)
	} else {
		e.busy.Add(1)
		context.AfterFunc(r.Context(), e.busy.Done)
		if merge || run {
			e.bodies[r] = e.judge(r, main, merge)
		}
	}
	if e.killAt--; e.killAt == 0 {
		e.crash()
		panic(http.ErrAbortHandler)
	}
}

func (e *episode) judge(r *http.Request, main string, merge bool) (w written) {
	from, err := r.GetBody()
	must(e, err)
	body, err := io.ReadAll(from)
	if err = errors.Join(err, json.Unmarshal(body, &w)); err != nil {
		e.Errorf("what the App writes can't be read: %v", err)
	}
	w.main = main
	h := e.heads[w.SHA]
	if merge && (h == nil || h.provenAt.IsZero() || e.clock.now().Sub(h.provenAt) > decisionHolds) {
		e.Errorf("the App asks to merge %q, which is not proven at %s: %+v", w.SHA, e.clock.now(), h)
	}
	return w
}

func (e *episode) happened(w written, main string, run bool) {
	switch {
	case run && w.Name == fleet.CheckRunName:
		e.runs[w.HeadSHA]++
	case w.main != main:
		e.merges[e.number]++
		e.merged(main, e.heads[w.SHA])
	}
}

// merged keeps what a merge of the present update did to the default branch.
func (e *episode) merged(main string, h *head) {
	e.over, e.lock = true, h.lock
	e.mains[main] = h.lock
}

// check says what must hold at every moment: one comment, one check run a head,
// one rollout a commit.
func (e *episode) check() {
	e.observe()
	for number := 1; number <= e.number; number++ {
		ours := 0
		for _, c := range e.hub.Comments(pressedRepo, number) {
			if c.Author == "nixfleet[bot]" {
				ours++
			}
		}
		if ours > 1 {
			e.Fatalf("%d comments of ours at #%d", ours, number)
		}
	}
	e.mu.Lock()
	for sha, n := range e.runs {
		if n > 1 {
			e.Errorf("%d check runs of ours at %.7s", n, sha)
		}
	}
	if n := e.merges[e.number]; n > 1 {
		e.Errorf("#%d was merged %d times", e.number, n)
	}
	e.mu.Unlock()
	o, err := e.db.Overview(e.Context(), e.clock.now())
	must(e, err)
	seen := map[string]bool{}
	for _, ro := range o.Rollouts {
		if seen[ro.Commit] {
			e.Fatalf("two rollouts of %.7s", ro.Commit)
		}
		seen[ro.Commit] = true
		if _, ok := e.mains[ro.Commit]; !ok {
			e.Fatalf("a rollout of %.7s, which never was on the default branch", ro.Commit)
		}
	}
}

// update is what the App believes.
func (e *episode) update() (fleet.Update, bool) {
	u, err := e.db.UpdateByNumber(e.Context(), e.repoID, e.number)
	if errors.Is(err, db.ErrNotFound) {
		return u, false
	}
	must(e, err)
	return u, true
}
