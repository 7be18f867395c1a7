package app

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// githubTakes is how long the imitation takes for an answer, about what GitHub does.
const githubTakes = 50 * time.Millisecond

// BenchmarkEvaluate measures the evaluation of one update, from its being due to
// the stored verdict, on an imitation of GitHub that takes 50 ms and its own work
// for an answer: at a head that was looked at before, and at one that is new.
// x-needed is how many times as long it takes as GitHub is at work on its answers;
// rounds is how many times it waits for GitHub, one after the other. A known head
// needs 3: the pull request names its commits; checks and rules go by them; the locks
// are asked for again. A new one needs 4: the locks name revisions to look up.
func BenchmarkEvaluate(b *testing.B) {
	p := newPressing(b)
	at := &answering{}
	p.hub.OnRequest(at.watch)
	measure := func(prepare func()) func(*testing.B) {
		return func(b *testing.B) {
			var ours, theirs time.Duration
			rounds := 0
			for b.Loop() {
				prepare()
				remove := p.hub.Inject(forgetest.Fault{Wait: githubTakes, Times: -1})
				at.begin()
				began := time.Now()
				if n, err := p.workUpdates(b.Context()); err != nil || n != 1 {
					b.Fatalf("%d updates were looked at: %v", n, err)
				}
				ours += time.Since(began)
				remove()
				theirs += at.work
				rounds += at.rounds
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-needed")
			b.ReportMetric(float64(rounds)/float64(b.N), "rounds")
			b.ReportMetric(ours.Seconds()*1000/float64(b.N), "ms/look")
		}
	}
	b.Run("known head", measure(p.touch))
	b.Run("new head", measure(func() {
		p.push()
		p.green()
		must(b, p.hub.WaitDelivered(b.Context()))
		for n := 1; n > 0; {
			var err error
			n, err = p.workInbox(b.Context())
			must(b, err)
		}
	}))
}

// answering is the time in which the imitation is at work on some answer.
type answering struct {
	mu     sync.Mutex
	under  int // requests it is at work on
	since  time.Time
	work   time.Duration
	rounds int // stretches of work without a pause
}

func (a *answering) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.work, a.rounds = 0, 0
}

func (a *answering) watch(_ *http.Request, phase forgetest.Phase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if phase == forgetest.BeforeEffect {
		if a.under++; a.under == 1 {
			a.since = time.Now()
			a.rounds++
		}
		return
	}
	if a.under--; a.under == 0 {
		a.work += time.Since(a.since)
	}
}

// touch makes the update due, as a webhook does.
func (p *pressing) touch() {
	p.t.Helper()
	must(p.t, p.db.Record(p.t.Context(), p.clock.now(), fleet.PullTouched{Repo: fleet.Repo{ID: p.repoID}, Number: p.number, Cause: "test"}))
}

// steady is how many updates wait side by side.
const steady = 1000

// BenchmarkSteadyUpdates lets 1 000 open updates of one installation wait for an
// hour of virtual time, and tells what that costs of the 5 000 calls that GitHub
// grants it: calls/update that count, and how many were answered with "nothing
// changed", which costs nothing.
func BenchmarkSteadyUpdates(b *testing.B) {
	p := newPressing(b)
	must(b, p.hub.AddLabel(pressedRepo, p.number, "nixfleet/hold", "ada"))
	lock := p.lock()
	for n := 1; n < steady; n++ {
		branch := fmt.Sprintf("update-%d", n)
		p.commit(pressedRepo, branch, map[string]string{"flake.lock": lock})
		number, err := p.hub.OpenPull(pressedRepo, forgetest.Pull{Head: branch, Title: "flake.lock: Update"})
		must(b, err)
		must(b, p.hub.AddLabel(pressedRepo, number, "nixfleet/hold", "ada"))
		if n%50 == 0 {
			p.turn()
		}
	}
	for range 3 { // the last edits are written
		p.clock.forward(time.Hour)
		p.turn()
	}
	var paid, free, hours int
	for b.Loop() {
		hours++
		p.hub.ResetCalls()
		for range 12 {
			p.clock.forward(reconcileEvery)
			p.turn()
		}
		for endpoint, n := range p.hub.Calls() {
			paid += n.Full
			free += n.NotModified
			if n.Full >= steady/10 {
				b.Logf("%s: %d in full, %d unchanged", endpoint, n.Full, n.NotModified)
			}
		}
	}
	b.ReportMetric(float64(paid)/float64(hours), "calls/h")
	b.ReportMetric(float64(free)/float64(hours), "unchanged/h")
	b.ReportMetric(float64(paid)/float64(hours*steady), "calls/update-h")
}
