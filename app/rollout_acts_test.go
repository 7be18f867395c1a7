package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// denied checks that something was refused, in words for people.
func denied(t *testing.T, what string, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: got %v, want an error with %q", what, err, says)
	}
}

const oneWave = "  max_parallel: 3\n  max_failures: 1\n  waves: [{name: all, hosts: all}]\n"

func TestPeopleSteerARollout(t *testing.T) {
	t.Parallel()
	h := newHands(t, oneWave)
	old := h.runs["web1"]
	h.pushLock()
	id := h.latest().ID
	steer := func(verb, says, state string) {
		t.Helper()
		for range 2 { // a double click
			r, err := h.client.SteerRollout(t.Context(), id, verb, "by hand")
			if says != "" {
				denied(t, verb, err, says)
				continue
			}
			if err != nil || r.State != state {
				t.Errorf("%s: %+v, %v; want %s", verb, r.State, err, state)
			}
		}
		h.work()
	}
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	steer("pause", "", "paused")
	steer("resume", "", "running")
	_, err := h.client.RetryRollout(t.Context(), id, "", "")
	denied(t, "retry while it runs", err, "The rollout is running.")
	_, err = h.client.ExcludeHost(t.Context(), id, "web1", "")
	denied(t, "exclude what is done", err, "web1 has ended already")
	_, err = h.client.ExcludeHost(t.Context(), id, "web9", "")
	denied(t, "exclude a stranger", err, "There is no rollout")
	for range 2 {
		r, err := h.client.ExcludeHost(t.Context(), id[:12], "web3", "its disk is full")
		if err != nil || hostStates(r) != "web1 healthy, web2 ordered, web3 excluded" {
			t.Errorf("excluded: %s, %v", hostStates(r), err)
		}
	}
	h.does("web2", agentbus.StepSwitching, agentbus.StepHealthy)
	h.want("when the others are done", "deploy succeeded")
	steer("pause", "The rollout is succeeded, so it can't be paused.", "")

	// What has ended is undone by a rollout of its own.
	steer("rollback", "", "planned")
	h.want("undone", "deploy succeeded, restore running")
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	h.does("web2", agentbus.StepSwitching, agentbus.StepHealthy)
	if h.runs["web1"] != old || h.runs["web2"] != old {
		t.Errorf("the hosts run %v", h.runs)
	}
	steer("rollback", "No host has to go back", "")
	if d := h.hub.Deployments(pressedRepo); len(d) != 1 || !strings.HasSuffix(strings.Join(d[0].States, " "), "inactive") {
		t.Errorf("on GitHub: %+v", d)
	}
	events, err := h.db.History(t.Context(), 1000)
	must(t, err)
	var told []string
	for _, e := range slices.Backward(events) {
		if strings.HasPrefix(e.Kind, "rollout.") && e.Actor == "admin (local)" {
			told = append(told, strings.TrimPrefix(e.Kind, "rollout.")+" "+e.Reason)
		}
	}
	if got := strings.Join(told[:4], ", "); got != "paused by hand, running by hand, host_excluded its disk is full, planned by hand" {
		t.Errorf("the history tells: %s", got)
	}
}

func TestWhatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHands(t, oneWave)
	bad := h.pushLock()
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	h.does("web2", agentbus.StepFailed)
	h.does("web3", agentbus.StepFailed)
	first := h.latest()
	if first.State != "halted" {
		t.Fatalf("it is %s", first.State)
	}
	for range 2 {
		if _, err := h.client.RetryRollout(t.Context(), first.ID, "the disk has room", "K1"); err != nil {
			t.Fatal(err)
		}
	}
	h.work()
	h.want("tried again", "deploy superseded, deploy running")
	if r := h.latest(); hostStates(r) != "web2 ordered, web3 ordered" || r.Commit != bad || r.Reason != "the disk has room" || r.Actor != "admin (local)" {
		t.Errorf("the retry is %+v", r)
	}
	h.does("web2", agentbus.StepSwitching, agentbus.StepHealthy)
	h.does("web3", agentbus.StepSwitching, agentbus.StepHealthy)
	h.want("when it is done", "deploy superseded, deploy succeeded")
	if r, err := h.client.RetryRollout(t.Context(), first.ID, "the disk has room", "K1"); err != nil || r.ID != h.latest().ID {
		t.Errorf("the same request once more: %+v, %v", r.ID, err)
	}
	_, err := h.client.RetryRollout(t.Context(), "latest", "", "")
	denied(t, "nothing failed", err, "There is nothing to try again")
	h.pushLock()
	_, err = h.client.RetryRollout(t.Context(), first.ID, "", "")
	denied(t, "overtaken", err, "of another commit has begun since")
	_, err = h.client.SteerRollout(t.Context(), first.ID, "rollback", "")
	denied(t, "roll back what was overtaken", err, "would take that one back, too")
}

func TestAPersonDeploysACommit(t *testing.T) {
	t.Parallel()
	h := newHands(t, oneWave)
	first := h.hub.Head(pressedRepo, "main")
	second := h.pushLock()
	for host := range h.runs {
		h.does(host, agentbus.StepSwitching, agentbus.StepHealthy)
	}
	side := h.commit(pressedRepo, "side", map[string]string{"flake.lock": "{}"})
	start := func(n api.NewRollout) (api.Rollout, error) { return h.client.StartRollout(t.Context(), n, "") }
	for what, tt := range map[string]struct {
		want api.NewRollout
		says string
	}{
		"a commit of a side branch": {api.NewRollout{Commit: side}, "is not on main of octo/fleet"},
		"no commit":                 {api.NewRollout{Commit: "deadbeef"}, `octo/fleet has no commit "deadbeef"`},
		"an older commit":           {api.NewRollout{Commit: first[:8]}, "web1, web2, web3 run commits that are later than " + first[:7]},
		"no host":                   {api.NewRollout{Hosts: "tag:none"}, `"tag:none" picks no host`},
		"no selector":               {api.NewRollout{Hosts: "web1 and"}, "expected"},
		"no repository":             {api.NewRollout{Repo: "octo/none"}, "There is no watched repository"},
	} {
		_, err := start(tt.want)
		denied(t, what, err, tt.says)
	}
	var back api.Rollout
	for range 2 { // a double click
		r, err := start(api.NewRollout{Commit: first[:8], Backward: true, AtOnce: true, Hosts: "web1 or web2", Reason: "the newer one is slow"})
		must(t, err)
		if back.ID != "" && r.ID != back.ID {
			t.Errorf("two rollouts of one wish: %s and %s", back.ID, r.ID)
		}
		back = r
	}
	h.work()
	h.want("back", "deploy succeeded, backward running")
	if o := h.order("web1"); o.Kind != "rollback" || o.Commit != first || o.Detail.Target != "" {
		t.Errorf("web1 is ordered %+v", o)
	}
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	h.does("web2", agentbus.StepSwitching, agentbus.StepHealthy)

	// Update fleet: the head of the default branch, to all.
	r, err := start(api.NewRollout{})
	must(t, err)
	h.work()
	if r.Commit != second || r.Kind != "deploy" || hostStates(h.latest()) != "web1 ordered, web2 ordered, web3 ordered" {
		t.Errorf("update fleet: %+v with %s", r, hostStates(h.latest()))
	}
	h.does("web1", agentbus.StepFailed)
	h.does("web2", agentbus.StepSwitching, agentbus.StepHealthy)
	h.does("web3", agentbus.StepSwitching, agentbus.StepHealthy)

	// A commit that proved bad takes force, until somebody lifts that.
	_, err = start(api.NewRollout{})
	denied(t, "in quarantine", err, "is in quarantine: 1 host failed")
	r, err = start(api.NewRollout{Force: true, Hosts: "web1"})
	must(t, err)
	_, err = h.client.SteerRollout(t.Context(), r.ID, "abort", "")
	must(t, err)
	q, err := h.client.LiftQuarantine(t.Context(), second[:6], "it was the disk")
	if err != nil || q.Commit != second {
		t.Errorf("lifted: %+v, %v", q, err)
	}
	_, err = h.client.LiftQuarantine(t.Context(), second[:6], "")
	denied(t, "lifted twice", err, "There is no commit")
	if _, err = start(api.NewRollout{}); err != nil {
		t.Errorf("once lifted: %v", err)
	}
}

// A rollout that nobody asked for does not bring a commit that proved bad.
func TestAQuarantinedCommitDoesNotSpreadByItself(t *testing.T) {
	t.Parallel()
	h := newHands(t, oneWave)
	start := func(byPerson bool) {
		t.Helper()
		n := newRollout(fleet.Repo{ID: h.repoID}, strings.Repeat("ab", 20), fleet.DefaultPolicy().Deploy, h.clock.now())
		n.ByPerson = byPerson
		_, err := h.db.StartRollout(t.Context(), *n, h.clock.now())
		must(t, err)
		h.work()
	}
	start(true)
	h.does("web1", agentbus.StepFailed)
	start(false) // e.g. its merge is recorded
	h.want("of its own accord", "deploy halted, deploy aborted")
	if r := h.latest(); !strings.HasPrefix(r.Headline, "abababa is in quarantine: 1 host failed") {
		t.Errorf("it says %q", r.Headline)
	}
}
