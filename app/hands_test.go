package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// hands is a server beside an imitated github.com, with hosts that do what the test
// says: it reads the order that a host holds, as the host would, and answers for it.
type hands struct {
	*pressing
	client *api.Client
	seq    map[string]uint32 // of answers, by order
	runs   map[string]string // the commit that a host runs
}

// newHands enrols web1 to web3, which run the commit before.
func newHands(t testing.TB, deploy string) *hands {
	t.Helper()
	p := newWatched(t, "version: 1\ndeploy:\n  auto: true\n"+deploy)
	h := &hands{
		pressing: p, client: &api.Client{Server: p.url, Token: adminSecret},
		seq: map[string]uint32{}, runs: map[string]string{},
	}
	p.turn()
	for _, name := range []string{"web1", "web2", "web3"} {
		host := fleet.Host{RepoID: p.repoID, Name: name, Attr: "nixosConfigurations." + name, Mode: "fleet"}
		must(t, p.db.CreateHost(t.Context(), db.NewHost{Host: host, TokenHash: []byte("token of " + name), Expires: p.clock.now().Add(time.Hour)}, p.clock.now()))
		_, err := p.db.EnrollHost(t.Context(), []byte("token of "+name), name, "U"+name, p.clock.now())
		must(t, err)
		h.runs[name] = p.hub.Head(pressedRepo, "main")
	}
	h.work()
	return h
}

// path is what a host's system is built to from a commit.
func path(host, commit string) string { return fmt.Sprintf("/nix/store/%s-%.7s", host, commit) }

func (h *hands) facts(host string) fleet.HostFacts {
	return fleet.HostFacts{At: h.clock.now(), RunningCommit: h.runs[host], RunningPath: path(host, h.runs[host])}
}

// work has every host heard and drives all loops until nothing is left to do.
func (h *hands) work() {
	h.t.Helper()
	for range 20 {
		h.clock.forward(2 * time.Second)
		beats := []db.Beat{}
		for host := range h.runs {
			beats = append(beats, db.Beat{Host: host, At: h.clock.now(), Facts: h.facts(host)})
		}
		must(h.t, h.db.SaveBeats(h.t.Context(), beats))
		h.turn()
		n, err := h.workRollouts(h.t.Context())
		must(h.t, err)
		if n == 0 {
			return
		}
	}
}

// pushLock brings a newer lock onto the default branch.
func (h *hands) pushLock() string {
	h.t.Helper()
	sha := h.commit(pressedRepo, "main", map[string]string{"flake.lock": h.lock()})
	h.work()
	return sha
}

// order is what a host works on in the newest rollout that it takes part in.
func (h *hands) order(host string) fleet.Order {
	h.t.Helper()
	list, err := h.db.Rollouts(h.t.Context(), db.RolloutPage{Limit: 100})
	must(h.t, err)
	for _, r := range list {
		for _, p := range r.Hosts {
			if p.Host == host && p.State.UnderWay() {
				o, err := h.db.Order(h.t.Context(), p.Order)
				must(h.t, err)
				return o
			}
		}
	}
	h.t.Fatalf("%s works on no order: %s: %s", host, h.rollouts(), hostStates(h.latest()))
	return fleet.Order{}
}

// does has a host go through steps of its order; from switching on it runs what the
// order asked for.
func (h *hands) does(host string, steps ...agentbus.Step) {
	h.t.Helper()
	o := h.order(host)
	for _, step := range steps {
		h.seq[o.ID]++
		row := db.AnswerRow{Host: host, Order: o.ID, Gen: o.Gen, Seq: h.seq[o.ID], Step: string(step), At: h.clock.now()}
		if step == agentbus.StepSwitching {
			if h.runs[host] = o.Commit; o.Detail.Target != "" && o.Detail.Target != path(host, o.Commit) {
				h.t.Errorf("%s is to go to %s at commit %.7s", host, o.Detail.Target, o.Commit)
			}
		}
		if step == agentbus.StepHealthy {
			f := h.facts(host)
			row.Facts = &f
		}
		if step == agentbus.StepFailed {
			row.Failure = &fleet.HostError{Step: "verifying", Code: "unhealthy", Message: "web.service failed", ExitCode: 1}
		}
		_, err := h.db.RecordAnswers(h.t.Context(), []db.AnswerRow{row}, h.clock.now())
		must(h.t, err)
	}
	h.work()
}

// rollouts are all there are, oldest first, as "kind state".
func (h *hands) rollouts() string {
	h.t.Helper()
	list, err := h.client.Rollouts(h.t.Context(), api.RolloutQuery{Limit: 100})
	must(h.t, err)
	var words []string
	for _, r := range slices.Backward(list) {
		words = append(words, r.Kind+" "+r.State)
	}
	return strings.Join(words, ", ")
}

func (h *hands) want(what, rollouts string) {
	h.t.Helper()
	if got := h.rollouts(); got != rollouts {
		h.t.Fatalf("%s: the rollouts are: %s; want: %s; log:\n%s", what, got, rollouts, h.replica.log)
	}
}

func (h *hands) latest() api.Rollout {
	h.t.Helper()
	r, err := h.client.Rollout(h.t.Context(), "latest")
	must(h.t, err)
	return r
}
