package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// hand is a host that a test drives by hand, over the real bus.
type hand struct {
	t    *testing.T
	link *agentbus.HostLink
	gen  uint64
	seq  map[string]uint32
}

// byHand enrols a host and connects it.
func (r *replica) byHand(t *testing.T, name string) *hand {
	t.Helper()
	id, err := agent.Enroll(t.Context(), r.agentOf(t, name, r.token(t, name)))
	must(t, err)
	cfg := id.Bus()
	cfg.Now = r.clock.now
	return &hand{t: t, link: bustest.Link(t, cfg), seq: map[string]uint32{}}
}

// reads is the next order that the host finds.
func (h *hand) reads() agentbus.Order {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	o, err := h.link.Next(ctx, h.gen)
	must(h.t, err)
	h.gen = o.Gen
	return o
}

// says answers an order, and waits until the server has recorded that.
func (h *hand) says(r *replica, o agentbus.Order, step agentbus.Step, more ...func(*agentbus.Answer)) {
	h.t.Helper()
	h.seq[o.ID]++
	a := agentbus.Answer{V: agentbus.ProtocolVersion, Order: o.ID, Gen: o.Gen, Seq: h.seq[o.ID], Step: step, At: r.clock.now().UnixMilli()}
	for _, m := range more {
		m(&a)
	}
	bustest.Eventually(h.t, "the bus takes the answer", func() bool { return h.link.Answer(h.t.Context(), a) == nil })
	bustest.Eventually(h.t, "the answer is recorded", func() bool {
		d, err := r.db.OrderRecord(h.t.Context(), o.ID)
		return err == nil && len(d.Steps) == int(h.seq[o.ID])
	})
}

// newHandFleet is a fleet of hosts that are driven by hand, whose repository has a
// head and a policy. Answers are read as they come; all else the test turns.
func newHandFleet(t *testing.T, names ...string) (*replica, map[string]*hand) {
	t.Helper()
	r := newFleet(t)
	hands := map[string]*hand{}
	for _, n := range names {
		hands[n] = r.byHand(t, n)
	}
	r.headIs(t, strings.Repeat("a", 40))
	ctx, cancel := context.WithCancel(context.Background())
	r.running.Go(func() { r.keep(ctx, "answers", r.readAnswers) })
	t.Cleanup(cancel)
	return r, hands
}

func (r *replica) headIs(t *testing.T, sha string) {
	t.Helper()
	now := r.clock.now()
	must(t, r.db.Record(t.Context(), now, fleet.RepositoryChanged{Repo: fleet.Repo{ID: 7, Installation: 3, Owner: "o", Name: "nixcfg", DefaultBranch: "main"}}))
	repos, err := r.db.ClaimRepos(t.Context(), now, lease, 10)
	must(t, err)
	policy := fleet.DefaultPolicy()
	policy.Deploy.Settle, policy.Deploy.Reboot, policy.Deploy.MaxParallel = 42*time.Second, "window", 1
	policy.Deploy.Health = []fleet.HealthCheck{{Unit: "nginx.service"}}
	must(t, r.db.SaveRepo(t.Context(), repos[0], db.RepoChange{HeadSHA: sha, Policy: &policy, Again: now.Add(time.Hour)}, now))
}

// runs says what a host runs, as its heartbeat does.
func (r *replica) runs(t *testing.T, host, commit string) {
	t.Helper()
	now := r.clock.now()
	must(t, r.db.SaveBeats(t.Context(), []db.Beat{{Host: host, At: now, Facts: fleet.HostFacts{At: now, RunningCommit: commit}}}))
}

// order asks for an order as the API does, and sends what follows.
func (r *replica) order(t *testing.T, n api.NewOrder) []api.PlacedOrder {
	t.Helper()
	placed, err := r.client().PlaceOrders(t.Context(), "", n)
	must(t, err)
	r.sendAll(t)
	return placed
}

func (r *replica) client() *api.Client { return &api.Client{Server: r.url, Token: adminSecret} }

func (r *replica) sendAll(t *testing.T) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = r.workOrders(t.Context())
		must(t, err)
	}
}

func (r *replica) orderIs(t *testing.T, id string, state fleet.HostState) {
	t.Helper()
	o, err := r.client().Order(t.Context(), id)
	must(t, err)
	if o.State != string(state) {
		t.Errorf("order %s (%s) is %s, want %s: %s", id, o.Kind, o.State, state, o.Note)
	}
}

func TestOrdersOfPeopleReachHostsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	r, hosts := newHandFleet(t, "web1")
	web1 := hosts["web1"]
	r.runs(t, "web1", "old")
	placed := r.order(t, api.NewOrder{Kind: "deploy", Hosts: "web1", Reason: "the fix"})
	if placed[0].Found != "Sent." || !placed[0].Online {
		t.Errorf("placed %+v", placed)
	}
	r.order(t, api.NewOrder{Kind: "refresh", Hosts: "web1"})
	r.order(t, api.NewOrder{Kind: "restart_agent", Hosts: "web1"})

	deploy := web1.reads()
	if deploy.Kind != agentbus.KindDeploy || deploy.Commit != strings.Repeat("a", 40) || deploy.Repo != "https://github.com/o/nixcfg.git" ||
		deploy.Policy.Settle != 42 || deploy.Policy.Health[0].Unit != "nginx.service" {
		t.Errorf("the host reads %+v", deploy)
	}
	if deploy.Policy.Reboot != "never" { // nobody leads a host that is on its own to a window
		t.Errorf("reboot %q", deploy.Policy.Reboot)
	}
	for _, kind := range []agentbus.Kind{agentbus.KindRefresh, agentbus.KindRestartAgent} {
		web1.says(r, deploy, agentbus.StepReceived)
		r.sendAll(t)
		if deploy = web1.reads(); deploy.Kind != kind {
			t.Fatalf("the host reads %s, want %s", deploy.Kind, kind)
		}
	}
	list, err := r.client().Orders(t.Context(), "web1", 10)
	must(t, err)
	if len(list) != 3 || list[2].Actor != "admin (local)" || list[2].Reason != "the fix" || list[2].State != "received" {
		t.Errorf("orders %+v", list)
	}
}

func TestAnOrderWaitsForAHostThatIsAway(t *testing.T) {
	t.Parallel()
	r, hosts := newHandFleet(t, "web1")
	placed := r.order(t, api.NewOrder{Kind: "switch", Hosts: "all"})
	if want := "The host is offline; the order waits for it until " + r.clock.now().Add(fleet.OrderWaits).Format("2006-01-02 15:04 UTC") + "."; placed[0].Found != want {
		t.Errorf("told %q, want %q", placed[0].Found, want)
	}
	replaced := placed[0].Order
	placed = r.order(t, api.NewOrder{Kind: "pull", Hosts: "all", Commit: strings.Repeat("b", 40)})
	r.orderIs(t, replaced, fleet.HostCancelled)
	if o := hosts["web1"].reads(); o.ID != placed[0].Order || o.Kind != agentbus.KindPull || o.Commit != strings.Repeat("b", 40) {
		t.Errorf("the host reads %+v", o)
	}
	lapsed := r.order(t, api.NewOrder{Kind: "reboot", Hosts: "web1", Confirm: []string{"web1"}})
	r.clock.forward(fleet.OrderWaits)
	n, err := r.workOverdue(t.Context())
	must(t, err)
	r.orderIs(t, lapsed[0].Order, fleet.HostFailed)
	if n != 2 {
		t.Errorf("%d orders ended, want the pull that was never answered and the reboot", n)
	}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	r, hosts := newHandFleet(t, "web1", "web2")
	web1 := hosts["web1"]
	begun := r.order(t, api.NewOrder{Kind: "deploy", Hosts: "web1"})[0].Order
	deploy := web1.reads()
	web1.says(r, deploy, agentbus.StepBuilding)
	waits := r.order(t, api.NewOrder{Kind: "refresh", Hosts: "web1"})[0].Order

	placed := r.order(t, api.NewOrder{Kind: "cancel", Hosts: "all", Reason: "wrong commit"})
	if len(placed) != 3 || placed[2].Found != "It has no order that could be cancelled." {
		t.Fatalf("placed %+v", placed)
	}
	r.orderIs(t, waits, fleet.HostCancelled) // the host had not taken it up
	r.orderIs(t, begun, fleet.HostBuilding)  // it is free only when the host says that it has stopped
	cancel := web1.reads()
	if cancel.Kind != agentbus.KindCancel || cancel.Cancels != begun {
		t.Fatalf("the host reads %+v, want the cancel of %s", cancel, begun)
	}
	if placed, err := r.client().CancelOrder(t.Context(), begun, ""); err != nil || placed[0].Found != "Its cancel is on the way already." {
		t.Errorf("cancelled twice: %+v, %v", placed, err)
	}
	web1.says(r, deploy, agentbus.StepCancelled)
	web1.says(r, cancel, agentbus.StepHealthy)
	r.orderIs(t, begun, fleet.HostCancelled)
	r.orderIs(t, cancel.ID, fleet.HostHealthy)
	for id, code := range map[string]int{begun: 422, cancel.ID: 422, "unknown": 404} {
		_, err := r.client().CancelOrder(t.Context(), id, "")
		if p, ok := errors.AsType[*api.Problem](err); !ok || p.Code != code {
			t.Errorf("cancel %s: %v, want %d", id, err, code)
		}
	}
}

func TestARollbackGoesToAGenerationOfTheHost(t *testing.T) {
	t.Parallel()
	r, hosts := newHandFleet(t, "web1")
	path := "/nix/store/" + strings.Repeat("a", 32) + "-nixos"
	r.order(t, api.NewOrder{Kind: "refresh", Hosts: "web1"})
	hosts["web1"].says(r, hosts["web1"].reads(), agentbus.StepHealthy, func(a *agentbus.Answer) {
		a.Generations = []agentbus.Generation{{Number: 9, Path: path + "-9", Running: true}, {Number: 7, Path: path, At: 1e9}}
	})
	list, err := r.client().Generations(t.Context(), "web1")
	if err != nil || len(list) != 2 || list[1].Number != 7 || !list[1].At.Equal(time.Unix(1e9, 0)) {
		t.Errorf("generations %+v, %v", list, err)
	}
	for _, n := range []api.NewOrder{{Generation: 7}, {Target: path}, {}} {
		n.Kind, n.Hosts = "rollback", "web1"
		want := path
		if n.Generation == 0 && n.Target == "" {
			want = "" // the one before the running one
		}
		r.order(t, n)
		if o := hosts["web1"].reads(); o.Kind != agentbus.KindRollback || o.Target != want {
			t.Errorf("%+v: the host reads %+v", n, o)
		}
	}
	if _, err := r.client().PlaceOrders(t.Context(), "", api.NewOrder{Kind: "rollback", Hosts: "web1", Generation: 8}); err == nil || !strings.Contains(err.Error(), "it has 9, 7") {
		t.Errorf("to a generation that there is not: %v", err)
	}
}

func TestOrdersThatAreNotGiven(t *testing.T) {
	t.Parallel()
	r, _ := newHandFleet(t, "web1")
	for says, n := range map[string]api.NewOrder{
		"order a refresh":    {Kind: "rollback", Hosts: "web1", Generation: 8},
		"picks none":         {Kind: "pull", Hosts: "tag:none"},
		"expected one of":    {Kind: "dance", Hosts: "all"},
		"This restarts web1": {Kind: "reboot", Hosts: "web1"},
	} {
		if _, err := r.client().PlaceOrders(t.Context(), "", n); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want it to say %q", n, err, says)
		}
	}
}

func TestARepeatedRequestIsOne(t *testing.T) {
	t.Parallel()
	r, _ := newHandFleet(t, "web1")
	ask := func(n api.NewOrder) (string, error) {
		placed, err := r.client().PlaceOrders(t.Context(), "key", n)
		if err != nil {
			return "", err
		}
		return placed[0].Order, nil
	}
	first, err := ask(api.NewOrder{Kind: "pull", Hosts: "web1"})
	must(t, err)
	if again, err := ask(api.NewOrder{Kind: "pull", Hosts: "web1"}); err != nil || again != first {
		t.Errorf("the second time: %s, %v, want %s", again, err, first)
	}
	if _, err := ask(api.NewOrder{Kind: "reboot", Hosts: "web1", Confirm: []string{"web1"}}); err == nil || !strings.Contains(err.Error(), "another request") {
		t.Errorf("another request with the key: %v", err)
	}
}

// What a bus lost is sent again, in the order in which hosts may read it.
func TestTheBusIsMended(t *testing.T) {
	t.Parallel()
	r, hosts := newHandFleet(t, "web1")
	first := r.order(t, api.NewOrder{Kind: "refresh", Hosts: "web1"})[0].Order
	_, err := r.client().PlaceOrders(t.Context(), "", api.NewOrder{Kind: "restart_agent", Hosts: "web1"})
	must(t, err)
	o := hosts["web1"].reads()
	if o.ID != first {
		t.Fatalf("the host reads %+v", o)
	}
	hosts["web1"].says(r, o, agentbus.StepReceived)
	must(t, r.repairBus(t.Context())) // and not what the outbox asks for
	if o := hosts["web1"].reads(); o.Kind != agentbus.KindRestartAgent {
		t.Errorf("the host reads %+v", o)
	}
}

func TestAnAutomaticHostFollowsTheBranch(t *testing.T) {
	t.Parallel()
	r, hosts := newHandFleet(t, "web1", "web2")
	mode := "automatic"
	for name := range hosts {
		r.runs(t, name, "old")
		_, err := r.client().ChangeHost(t.Context(), name, api.HostChange{Mode: &mode})
		must(t, err)
	}
	follow := func() int {
		t.Helper()
		r.clock.forward(branchesEvery)
		n, err := r.workFollow(t.Context())
		must(t, err)
		r.sendAll(t)
		return n
	}
	if n := follow() + follow(); n != 1 {
		t.Fatalf("%d orders with max_parallel 1", n)
	}
	head := strings.Repeat("a", 40)
	o := hosts["web1"].reads()
	if o.Kind != agentbus.KindDeploy || o.Commit != head || o.Policy.Settle != 42 {
		t.Errorf("the host reads %+v", o)
	}
	hosts["web1"].says(r, o, agentbus.StepHealthy)
	r.runs(t, "web1", head)
	if n := follow(); n != 1 {
		t.Fatalf("%d orders once the first is done", n)
	}
	bad := hosts["web2"].reads()
	hosts["web2"].says(r, bad, agentbus.StepReverted)
	if n := follow(); n != 0 {
		t.Errorf("%d orders for what failed before", n)
	}
	r.headIs(t, strings.Repeat("c", 40))
	if n := follow(); n != 1 {
		t.Errorf("%d orders for the next commit", n)
	}
}
