package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const backWaves = `  on_failure: rollback
  waves: [{name: canary, hosts: web1, soak: 0s}, {name: rest, hosts: all}]
  max_parallel: 1
`

func TestAFailureLeadsTheHostsBack(t *testing.T) {
	t.Parallel()
	h := newHands(t, backWaves)
	old := h.runs["web1"]
	bad := h.pushLock()
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	h.does("web2", agentbus.StepSwitching, agentbus.StepFailed)
	h.want("after the failure", "deploy rolling_back, restore running")
	parent, err := h.client.Rollouts(t.Context(), api.RolloutQuery{State: "rolling_back", Limit: 1})
	must(t, err)
	if r := h.latest(); r.Reason != "1 host failed, and the policy stops at 1 (max_failures). By policy (on_failure: rollback) the hosts that switched go back." {
		t.Errorf("the way back says why: %s", r.Reason)
	}
	o := h.order("web2") // the last one goes first
	if o.Kind != "rollback" || o.Detail.Target != path("web2", old) || o.Commit != old || o.Rollout != h.latest().ID {
		t.Errorf("web2 is ordered %+v", o)
	}
	h.does("web2", agentbus.StepSwitching, agentbus.StepHealthy)
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	h.want("when all are back", "deploy rolled_back, restore succeeded")
	for host, commit := range h.runs {
		if commit != old {
			t.Errorf("%s runs %.7s, want %.7s", host, commit, old)
		}
	}
	r, err := h.client.Rollout(t.Context(), parent[0].ID)
	must(t, err)
	if states := hostStates(r); states != "web1 healthy, web2 failed, web3 cancelled" {
		t.Errorf("in the rollout the hosts are %s", states)
	}
	if list, err := h.client.Quarantine(t.Context()); err != nil || len(list) != 1 || list[0].Commit != bad {
		t.Errorf("in quarantine: %+v, %v", list, err)
	}

	// What comes after it is free to go.
	h.pushLock()
	h.want("a newer commit", "deploy rolled_back, restore succeeded, deploy running")
}

func hostStates(r api.Rollout) string {
	var words []string
	for _, h := range r.Hosts {
		words = append(words, h.Host+" "+h.State)
	}
	return strings.Join(words, ", ")
}

// A server that dies after it stored that a rollout turns back, and before anything
// was done about it, finds that when it is back.
func TestARollbackIsTakenUpWhereItWas(t *testing.T) {
	t.Parallel()
	h := newHands(t, "  on_failure: halt\n  max_parallel: 3\n  waves: [{name: all, hosts: all}]\n")
	h.pushLock()
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	r := h.latest()
	must(t, h.db.SetRolloutState(t.Context(), r.ID, db.StateChange{
		From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRollingBack, Actor: "ada", Reason: "it is slow"}, h.clock.now()))
	h.work()
	h.want("while two hosts are under way", "deploy rolling_back")
	h.does("web2", agentbus.StepFailed)                         // before it switched
	h.does("web3", agentbus.StepSwitching, agentbus.StepFailed) // and after
	h.want("when nobody is under way", "deploy rolling_back, restore running")
	if states := hostStates(h.latest()); !strings.Contains(states, "web1") || !strings.Contains(states, "web3") || strings.Contains(states, "web2") {
		t.Errorf("those go back who switched: %s", states)
	}
	h.does("web1", agentbus.StepFailed) // one can't
	h.does("web3", agentbus.StepSwitching, agentbus.StepHealthy)
	h.want("when one could not go back", "deploy failed, restore failed")
	// A person has it tried again.
	_, err := h.client.SteerRollout(t.Context(), r.ID, "rollback", "the disk has room again")
	must(t, err)
	h.work()
	h.want("tried again", "deploy failed, restore failed, restore running")
	if states := hostStates(h.latest()); states != "web1 ordered" {
		t.Errorf("those go back who are not: %s", states)
	}
}

// The server dies between the two transactions: it is stored that the rollout turns
// back, but not what leads back.
func TestACrashBeforeTheWayBackIsFoundByTheNextLook(t *testing.T) {
	t.Parallel()
	h := newHands(t, strings.Replace(backWaves, "soak: 0s", "soak: 1h", 1))
	h.pushLock()
	h.does("web1", agentbus.StepSwitching, agentbus.StepHealthy)
	h.clock.forward(2 * time.Hour)
	h.work()
	o := h.order("web2")
	_, err := h.db.RecordAnswers(t.Context(), []db.AnswerRow{
		{Host: "web2", Order: o.ID, Gen: o.Gen, Seq: 1, Step: "failed", Failure: &fleet.HostError{Step: "building", Message: "no space left"}},
	}, h.clock.now())
	must(t, err)
	claims, err := h.db.ClaimRollouts(t.Context(), h.clock.now(), lease, 8)
	must(t, err)
	l, err := h.look(claims[0], h.clock.now())
	must(t, err)
	if len(claims) != 1 || l.move.State != fleet.RolloutRollingBack || !l.restores {
		t.Fatalf("%d claims; the look came to %+v", len(claims), l.move)
	}
	must(t, h.db.SaveRollout(t.Context(), claims[0], l.move, l.plan, l.orders, h.clock.now()))
	h.want("after the crash", "deploy rolling_back")
	h.clock.forward(restoreAgain)
	h.work()
	h.want("when the server is back", "deploy rolling_back, restore running")
}

func TestAFailureOpensARevert(t *testing.T) {
	t.Parallel()
	h := newHands(t, "  on_failure: revert_pr\n  max_parallel: 1\n")
	before := h.hub.File(pressedRepo, "main", "flake.lock")
	// Every answer to a write is lost once, as when the server dies right after it.
	for _, path := range []string{"/repos/*/git/trees", "/repos/*/git/commits", "/repos/*/git/refs", "/repos/*/pulls"} {
		h.hub.Inject(forgetest.Fault{Method: http.MethodPost, Path: path, Drop: true, AfterEffect: true})
	}
	bad := h.pushLock()
	h.does("web1", agentbus.StepSwitching, agentbus.StepFailed)
	for range 6 {
		h.clock.forward(backoff(6))
		h.work()
	}
	r := h.latest()
	branch := "nixfleet/revert-" + bad[:7]
	number := h.hub.OpenPullOf(pressedRepo, branch)
	if r.State != "halted" || r.Revert == nil || r.Revert.Number != number || number == 0 {
		t.Fatalf("the rollout is %s, its revert %+v, the pull request #%d; log:\n%s", r.State, r.Revert, number, h.replica.log)
	}
	if got := h.hub.File(pressedRepo, branch, "flake.lock"); got != before || got == "" {
		t.Errorf("the lock of the branch is\n%s\nwant\n%s", got, before)
	}
	title, body := h.hub.PullText(pressedRepo, number)
	if title != "Revert the lock update of "+bad[:7] || !strings.Contains(body, "<code>web1</code>, verifying: web.service failed") {
		t.Errorf("the pull request says %q:\n%s", title, body)
	}
	if again, _ := h.hub.PullText(pressedRepo, number+1); again != "" {
		t.Errorf("there is a second one: %s", again)
	}
}

func TestNothingIsRevertedThatMovedOn(t *testing.T) {
	t.Parallel()
	h := newHands(t, "  on_failure: revert_pr\n  max_parallel: 1\n")
	h.pushLock()
	first := h.latest()
	h.commit(pressedRepo, "main", map[string]string{"flake.lock": h.lock()}) // seen later
	h.does("web1", agentbus.StepSwitching, agentbus.StepFailed)
	r, err := h.client.Rollout(t.Context(), first.ID)
	must(t, err)
	if r.Revert == nil || r.Revert.Number != 0 || !strings.Contains(r.Revert.Found, "flake.lock was changed again since") {
		t.Errorf("the revert is %+v", r.Revert)
	}
	if h.hub.OpenPullOf(pressedRepo, "nixfleet/revert-"+first.Commit[:7]) != 0 {
		t.Error("a pull request is open all the same")
	}
}

func TestTheCommentTellsThatAnEndedRolloutWasRolledBack(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.click(p.update().HeadSHA, "merge", "ada")
	u := p.is(fleet.UpdateMerged, "")
	rolls := func() {
		t.Helper()
		for range 4 {
			p.clock.forward(editEvery)
			_, err := p.workRollouts(t.Context())
			must(t, err)
			p.turn()
		}
	}
	rolls()
	r, err := p.db.RolloutOf(t.Context(), p.repoID, u.MergeSHA)
	must(t, err)
	p.says("Nothing to deploy", true)
	p.says("It was rolled back since.", false)
	_, err = p.db.StartRestore(t.Context(), r.ID, db.NewRollout{ID: newID(p.clock.now()), ByPerson: true, Reason: "it is slow", Actor: "ada"}, p.clock.now())
	must(t, err)
	rolls()
	p.says("It was rolled back since.", true)
}
