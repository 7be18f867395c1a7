package demo

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func (r *rig) client() *api.Client {
	return &api.Client{Server: "http://" + r.cfg.Listen, Token: adminToken}
}

// order gives one host an order, as `nixfleet order` does, and returns its id.
func (r *rig) order(n api.NewOrder) string {
	r.t.Helper()
	placed, err := r.client().PlaceOrders(r.t.Context(), "", n)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(placed) != 1 || placed[0].Order == "" {
		r.t.Fatalf("ordered %+v, want one order", placed)
	}
	return placed[0].Order
}

// orderIs waits until an order is in a state, and returns it.
func (r *rig) orderIs(id string, state fleet.HostState) api.Order {
	r.t.Helper()
	var o api.Order
	r.await("order "+id+" to be "+string(state), func(fleet.Overview) bool {
		var err error
		if o, err = r.client().Order(r.t.Context(), id); err != nil {
			r.t.Fatal(err)
		}
		if o.Ended && o.State != string(state) {
			r.t.Fatalf("order %s (%s) ended as %s: %s %+v", id, o.Kind, o.State, o.Note, o.Failure)
		}
		return o.State == string(state)
	})
	return o
}

// commit brings files to the default branch, and waits until the server knows of it.
func (r *rig) commit(files map[string]string) string {
	r.t.Helper()
	sha, err := r.world.hub.CommitFiles(fleetRepo, forgetest.Commit{Files: files, Message: "By hand"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.await("the server to read the new head", func(o fleet.Overview) bool { return o.Repos[0].HeadSHA == sha })
	return sha
}

// facts is what a host saw of itself last.
func (r *rig) facts(name string) fleet.HostFacts {
	r.t.Helper()
	h, err := r.client().Host(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return h.Facts
}

// One host, step by step, as a person does it who wants to see each.
func TestAHostIsLedStepByStep(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, time.Second)
	r.start()
	r.enrol()
	name := r.world.machines[0].name
	head := r.world.hub.Head(fleetRepo, "main")

	r.orderIs(r.order(api.NewOrder{Kind: "pull", Hosts: name}), fleet.HostHealthy)
	if f := r.facts(name); f.CheckoutCommit != head || f.RunningCommit != "" || len(r.activations(name)) != 0 {
		t.Errorf("after a pull of %.7s: %+v", head, f)
	}
	r.orderIs(r.order(api.NewOrder{Kind: "switch", Hosts: name}), fleet.HostHealthy)
	if f := r.facts(name); f.RunningCommit != head || len(r.activations(name)) != 1 {
		t.Errorf("after a switch: %+v", f)
	}
	newer := r.commit(map[string]string{"README.md": "A word more.\n"})
	r.orderIs(r.order(api.NewOrder{Kind: "refresh", Hosts: name}), fleet.HostHealthy)
	if f := r.facts(name); f.CheckoutCommit != head || f.RemoteCommit != newer || f.Behind != 1 {
		t.Errorf("after a refresh: %+v", f)
	}
	done := r.orderIs(r.order(api.NewOrder{Kind: "deploy", Hosts: "all", Reason: "both at once"}), fleet.HostHealthy)
	if f := r.facts(name); f.RunningCommit != newer || done.Commit != newer || len(done.Steps) < 4 || done.Received.IsZero() {
		t.Errorf("after a deploy: %+v, the order: %+v", f, done)
	}
}

// What was good before is one order away, also by its number.
func TestAHostGoesBackAndTries(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, time.Second)
	r.start()
	r.enrol()
	name := r.world.machines[0].name
	do := func(n api.NewOrder) fleet.HostFacts {
		t.Helper()
		n.Hosts = name
		r.orderIs(r.order(n), fleet.HostHealthy)
		return r.facts(name)
	}
	first := r.world.hub.Head(fleetRepo, "main")
	do(api.NewOrder{Kind: "deploy"})
	second := r.commit(map[string]string{"README.md": "A word more.\n"})
	do(api.NewOrder{Kind: "deploy"})
	if got := do(api.NewOrder{Kind: "rollback"}).RunningCommit; got != first {
		t.Errorf("gone back, it runs %.7s, want %.7s", got, first)
	}
	list, err := r.client().Generations(t.Context(), name)
	if err != nil || len(list) < 2 {
		t.Fatalf("generations %+v, %v", list, err)
	}
	newest := list[slices.IndexFunc(list, func(g fleet.Generation) bool { return !g.Running })]
	if newest.Commit != second || list[0].Commit != first {
		t.Errorf("generations %+v", list)
	}
	if got := do(api.NewOrder{Kind: "rollback", Generation: newest.Number}); got.RunningPath != newest.Path || got.RunningCommit != second {
		t.Errorf("gone to generation %d, it runs %+v", newest.Number, got)
	}
	third := r.commit(map[string]string{"README.md": "And one more.\n"})
	do(api.NewOrder{Kind: "pull"})
	if got := do(api.NewOrder{Kind: "boot"}); got.RunningCommit != second || got.ProfilePath == newest.Path {
		t.Errorf("left to the next boot, it runs %+v", got)
	}
	if got := do(api.NewOrder{Kind: "test"}); got.RunningCommit != third {
		t.Errorf("tried out, it runs %+v", got)
	}
}

// A cancelled build stops, and the host is free for the next order then.
func TestACancelStopsABuild(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, time.Second)
	r.start()
	r.enrol()
	name := r.world.machines[0].name
	good := r.world.hub.Head(fleetRepo, "main")
	never := filepath.Join(r.world.dir, "never")
	endless := strings.Replace(r.world.file("build.sh"), "set -eu", "set -eu\nPATH=/usr/bin:/bin\nwhile [ ! -e "+never+" ]; do sleep 1; done", 1)
	bad := r.commit(map[string]string{"build.sh": endless})

	building := r.order(api.NewOrder{Kind: "deploy", Hosts: name, Commit: bad})
	r.orderIs(building, fleet.HostBuilding)
	cancel := r.order(api.NewOrder{Kind: "cancel", Hosts: name, Reason: "it never ends"})
	r.orderIs(building, fleet.HostCancelled)
	r.orderIs(cancel, fleet.HostHealthy)
	r.orderIs(r.order(api.NewOrder{Kind: "deploy", Hosts: name, Commit: good}), fleet.HostHealthy)
	if got := r.facts(name).RunningCommit; got != good {
		t.Errorf("it runs %.7s, want %.7s", got, good)
	}
}

// A host that follows needs nobody.
func TestAnAutomaticHostFollowsByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, time.Second)
	r.start()
	r.enrol()
	name := r.world.machines[0].name
	mode := "automatic"
	if _, err := r.client().ChangeHost(t.Context(), name, api.HostChange{Mode: &mode}); err != nil {
		t.Fatal(err)
	}
	first := r.world.hub.Head(fleetRepo, "main")
	r.await("the host to run the head", func(o fleet.Overview) bool { return runsOn(o, name) == first })
	second := r.commit(map[string]string{"README.md": "A word more.\n"})
	r.await("the host to run the next head", func(o fleet.Overview) bool { return runsOn(o, name) == second })
	list, err := r.client().Orders(t.Context(), name, 10)
	if err != nil || len(list) != 2 || list[0].Actor != fleet.PolicyActor {
		t.Errorf("it took %d orders: %+v, %v", len(list), list, err)
	}
}
