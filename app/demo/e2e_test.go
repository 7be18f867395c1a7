package demo

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestAPullRequestBecomesNineSwitchedHosts(t *testing.T) {
	t.Parallel()
	r := newRig(t, 9, time.Second)
	address, spans := collect(t)
	r.cfg.OTLPURL = address
	var u fleet.Update
	var ro fleet.Rollout
	t.Cleanup(func() { oneTrace(t, spans(), u, 9) }) // once the server has stopped, which tells the last of it
	r.start()
	r.enrol()
	u, ro = r.deployed(r.open("update"))

	if head := r.world.hub.Head(fleetRepo, "main"); u.MergeSHA != head {
		t.Errorf("the update says it was merged as %s, the head of main is %s", u.MergeSHA, head)
	}
	if len(u.Verdict.Inputs) != 2 {
		t.Errorf("inputs changed: %v, want motd and services", u.Verdict.Inputs)
	}
	if len(ro.Hosts) != 9 {
		t.Errorf("the rollout has %d hosts", len(ro.Hosts))
	}
	for _, h := range ro.Hosts {
		if h.State != fleet.HostHealthy {
			t.Errorf("%s is %s", h.Host, h.State)
		}
		if got := r.activations(h.Host); len(got) != 1 {
			t.Errorf("%s activated %v, want exactly one system", h.Host, got)
		}
	}
	r.onGitHub(u, "Deployed 9/9 hosts")
	for _, want := range []string{
		`nixfleet_order_seconds_count{kind="deploy",state="healthy"} 9`, `nixfleet_rollouts_ended_total{kind="deploy",state="succeeded"} 1`,
		`nixfleet_hosts_online 9`, `nixfleet_host_compartments{compartment="system",state="ok"} 9`, `nixfleet_effects_total{kind="merge",result="done"} 1`,
		`nixfleet_database_up 1`, `nixfleet_bus_up 1`,
	} {
		if got := r.scraped(); !strings.Contains(got, want+"\n") {
			t.Errorf("a scrape does not find %s", want)
		}
	}
	r.await("the merged branch to be deleted", func(fleet.Overview) bool { return r.world.hub.Head(fleetRepo, updateBranch) == "" })
}

// onGitHub waits until comment and check run show what the dashboard shows.
func (r *rig) onGitHub(u fleet.Update, text string) {
	r.t.Helper()
	r.await("the comment to say "+text, func(fleet.Overview) bool {
		comments := r.world.hub.Comments(fleetRepo, u.Number)
		return len(comments) == 1 && strings.Contains(comments[0].Body, text)
	})
	runs := slices.DeleteFunc(r.world.hub.CheckRuns(fleetRepo, u.HeadSHA), func(c forgetest.CheckRun) bool { return c.Name != fleet.CheckRunName })
	if len(runs) != 1 {
		r.t.Errorf("%d check runs of ours at the head SHA, want one", len(runs))
	}
}

func TestWhatIsNotProvenIsNeverMerged(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, time.Hour)
	a := r.start()
	for _, tt := range []struct {
		scenario, reason string
		state            fleet.UpdateState
	}{
		{"extra-file", "build.sh", fleet.UpdateBlocked},
		{"owner", "mallory", fleet.UpdateBlocked},
		{"failing-check", "build", fleet.UpdateFailing},
		{"missing-check", "build", fleet.UpdateChecks},
	} {
		number := r.open(tt.scenario)
		u := r.inState(number, tt.state)
		jump := r.clock.Now()
		r.clock.forward(2 * time.Hour) // far beyond the hold
		u = r.looked(number, jump.Add(time.Hour))
		if u.State != tt.state {
			t.Errorf("%s: after the hold it is %s: %s", tt.scenario, u.State, u.Verdict.Headline)
		}
		if r.world.hub.OpenPullOf(fleetRepo, r.branch(number)) != number {
			t.Errorf("%s: pull request #%d is not open any more", tt.scenario, number)
		}
		r.onGitHub(u, tt.reason)
		if page := r.signIn(a, "viewer").get("/"); !strings.Contains(page, tt.reason) {
			t.Errorf("%s: the page does not name %q", tt.scenario, tt.reason)
		}
		if err := r.world.hub.ClosePull(fleetRepo, number, "demo"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAForcePushAfterGreenIsNeverMerged(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, time.Hour)
	r.start()
	number := r.open("update")
	u := r.inState(number, fleet.UpdateHolding)
	proven := u.HeadSHA

	// The push comes between the decision and the merge, at the worst moment.
	asked := make(chan struct{}, 1)
	r.world.hub.OnRequest(func(req *http.Request, phase forgetest.Phase) {
		if phase != forgetest.BeforeEffect || req.Method != http.MethodPut || !strings.HasSuffix(req.URL.Path, "/merge") {
			return
		}
		select {
		case asked <- struct{}{}:
		default:
			return
		}
		_, err := r.world.hub.CommitFiles(fleetRepo, forgetest.Commit{
			Branch: r.branch(number), Parent: r.world.hub.Head(fleetRepo, "main"),
			Files: map[string]string{"flake.lock": "{}"}, Author: robot, Message: "not what was proven",
		})
		if err != nil {
			t.Error(err)
		}
	})
	r.clock.forward(2 * time.Hour)
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("no merge was asked for")
	}
	jump := r.clock.Now()
	r.await("a look at the new head SHA", func(o fleet.Overview) bool {
		now, ok := find(o, number)
		return ok && now.HeadSHA != proven && now.Verdict.HeadSHA == now.HeadSHA
	})
	r.clock.forward(2 * time.Hour)
	if u = r.looked(number, jump.Add(time.Hour)); u.State == fleet.UpdateMerged {
		t.Error("a head that was not proven was merged")
	}
	if files := r.world.hub.OpenPullOf(fleetRepo, r.branch(number)); files != number {
		t.Error("the pull request is not open any more")
	}
}

func TestDuplicateReorderedAndLateDeliveriesChangeNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, time.Second)
	r.start()
	r.enrol()
	stop := []func(){
		r.world.hub.InjectHook(forgetest.HookFault{Event: "pull_request.opened", Times: -1, Do: forgetest.HookDuplicate}),
		r.world.hub.InjectHook(forgetest.HookFault{Event: "check_run.completed", Times: -1, Do: forgetest.HookSwap}),
		r.world.hub.InjectHook(forgetest.HookFault{Event: "push", Times: -1, Do: forgetest.HookDuplicate}),
		r.world.hub.InjectHook(forgetest.HookFault{Event: "check_suite.completed", Times: -1, Do: forgetest.HookHold}),
	}
	number := r.open("update")
	u, ro := r.deployed(number)
	for _, s := range stop {
		s()
	}
	r.world.hub.ReleaseHeld(true)
	if err := r.world.hub.WaitDelivered(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Every delivery once more, long after the fact.
	for _, d := range r.world.hub.Deliveries() {
		if err := r.world.hub.Redeliver(d.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.world.hub.WaitDelivered(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.settled()
	again, ro2 := r.deployed(number)
	if again.MergeSHA != u.MergeSHA || ro2.ID != ro.ID {
		t.Errorf("merge %s and rollout %s became %s and %s", u.MergeSHA, ro.ID, again.MergeSHA, ro2.ID)
	}
	r.once(u)
}

// settled waits until the inbox is empty and no update, repository or rollout is
// due.
func (r *rig) settled() {
	r.t.Helper()
	r.await("the server to have nothing left to do", func(fleet.Overview) bool {
		s, err := r.db.Stats(r.t.Context(), r.clock.Now())
		return err == nil && s.InboxWaiting == 0 && s.EffectsWaiting == 0
	})
}

// once checks that an update led to one merge, one rollout, one comment, one
// check run, and one switch on each host.
func (r *rig) once(u fleet.Update) {
	r.t.Helper()
	o, err := r.db.Overview(r.t.Context(), r.clock.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	if len(o.Rollouts) != 1 {
		r.t.Errorf("%d rollouts, want one", len(o.Rollouts))
	}
	for _, m := range r.world.machines {
		if got := r.activations(m.name); len(got) != 1 {
			r.t.Errorf("%s activated %d systems, want one: %v", m.name, len(got), got)
		}
	}
	if n := r.world.merges(); n != 1 {
		r.t.Errorf("main got %d commits from the update, want one", n)
	}
	r.onGitHub(u, "hosts")
}

func TestTheDemoDeploysAndSaysSo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := newRig(t, 2, time.Second) // for its checks of the machine; the demo makes a world of its own
	err := Run(t.Context(), Options{
		Hosts: 2, Hold: time.Second, Addr: "127.0.0.1:0", GitHubAddr: "127.0.0.1:0", UntilDeployed: true, JSON: true,
		Out: &out, Log: r.cfg.Log, Agent: testAgent,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got summary
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if got.Update.State != "merged" || got.Update.InputsChanged != 2 || len(got.Update.MergeSHA) != 40 {
		t.Errorf("update: %+v", got.Update)
	}
	if got.Rollout.State != "succeeded" || got.Rollout.Healthy != 2 || got.Rollout.Failed != 0 {
		t.Errorf("rollout: %+v", got.Rollout)
	}
}
