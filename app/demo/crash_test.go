package demo

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// request matches a REST call of the server.
func request(method, suffix string, phase forgetest.Phase) func(*http.Request, forgetest.Phase) bool {
	return func(r *http.Request, p forgetest.Phase) bool {
		return p == phase && r.Method == method && strings.HasSuffix(r.URL.Path, suffix)
	}
}

// atRequest kills the server while the first matching call is under way: the
// caller never gets its answer.
func (r *rig) atRequest(p *process, match func(*http.Request, forgetest.Phase) bool) (reached chan struct{}) {
	reached = make(chan struct{})
	done := false
	r.world.hub.OnRequest(func(req *http.Request, phase forgetest.Phase) {
		r.mu.Lock()
		hit := !done && match(req, phase)
		done = done || hit
		r.mu.Unlock()
		if hit {
			p.kill()
			close(reached)
			panic(http.ErrAbortHandler)
		}
	})
	return reached
}

// kill -9 at the three points that lose most: one merge, one rollout, and every
// host switches once, all the same.
func TestAKilledServerTakesUpWhereItWas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		crash func(*testing.T, *rig, *process) int // returns the pull request
	}{
		{"after the webhook is stored", func(t *testing.T, r *rig, p *process) int {
			reached := r.atRequest(p, request(http.MethodGet, "/pulls/1", forgetest.BeforeEffect))
			number := r.open("update")
			wait(t, reached)
			return number
		}},
		{"between the merge and its record", func(t *testing.T, r *rig, p *process) int {
			reached := r.atRequest(p, request(http.MethodPut, "/merge", forgetest.AfterEffect))
			number := r.open("update")
			wait(t, reached)
			return number
		}},
		{"in the middle of a wave", func(t *testing.T, r *rig, p *process) int {
			number := r.open("update")
			r.midWave()
			p.kill()
			return number
		}},
		{"by SIGTERM in the middle of a wave", func(t *testing.T, r *rig, p *process) int {
			number := r.open("update")
			r.midWave()
			p.terminate()
			return number
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3, time.Second)
			p := r.spawn()
			r.await("the server to see its repository", func(o fleet.Overview) bool { return len(o.Repos) == 1 && o.Repos[0].HeadSHA != "" })
			r.enrol()
			number := tt.crash(t, r, p)
			// The outage is longer than a lease, so what the dead server had claimed is
			// due for the next one.
			r.clock.forward(time.Minute)
			r.spawn()
			u, _ := r.deployed(number)
			r.settled()
			r.once(u)
		})
	}
}

func wait(t *testing.T, reached <-chan struct{}) {
	t.Helper()
	select {
	case <-reached:
	case <-time.After(patience):
		t.Fatal("the server never came to the point where it should be killed")
	}
}

// midWave waits until a host of the rollout is under way and another still waits.
func (r *rig) midWave() {
	r.await("a wave to be under way", func(o fleet.Overview) bool {
		if len(o.Rollouts) == 0 || o.Rollouts[0].State != fleet.RolloutRunning {
			return false
		}
		under := slices.ContainsFunc(o.Rollouts[0].Hosts, func(h fleet.HostProgress) bool { return h.State.UnderWay() })
		waiting := slices.ContainsFunc(o.Rollouts[0].Hosts, func(h fleet.HostProgress) bool { return h.State == fleet.HostWaiting })
		return under && waiting
	})
}

func TestAHostThatWasAwayGetsOnlyTheNewestOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, time.Second)
	r.start()
	r.enrol()
	away := r.world.machines[2].name
	r.stopAgent(away)
	r.clock.forward(fleet.OnlineWithin + time.Minute)
	r.await("the others to be heard again", func(o fleet.Overview) bool {
		online := 0
		for _, h := range o.Hosts {
			if h.Host.Online(r.clock.Now()) {
				online++
			}
		}
		return online == len(o.Hosts)-1
	})
	var last fleet.Update
	for range 2 {
		number := r.open("update")
		r.await("the rollout to end without the host that is away", func(o fleet.Overview) bool {
			var ok bool
			last, ok = find(o, number)
			if !ok || last.MergeSHA == "" {
				return false
			}
			return slices.ContainsFunc(o.Rollouts, func(ro fleet.Rollout) bool {
				return ro.Commit == last.MergeSHA && ro.State == fleet.RolloutSucceeded
			}) && running(o, last.MergeSHA) == len(o.Hosts)-1
		})
	}
	if got := r.activations(away); len(got) != 0 {
		t.Fatalf("%s is away and activated %v", away, got)
	}
	r.startAgent(away, "")
	r.await("the host that was away to catch up", func(o fleet.Overview) bool { return running(o, last.MergeSHA) == len(o.Hosts) })
	if got := r.activations(away); len(got) != 1 {
		t.Errorf("%s activated %v, want only the newest system", away, got)
	}
}
