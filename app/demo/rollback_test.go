package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// onFailure changes the policy of the world: one host at a time, and what follows when
// one fails.
func (r *rig) onFailure(does string) {
	r.t.Helper()
	policy := r.world.file("nixfleet.yml")
	policy = strings.ReplaceAll(policy, "max_parallel: 3", "max_parallel: 1")
	policy = strings.ReplaceAll(policy, "on_failure: halt", "on_failure: "+does)
	_, err := r.world.hub.CommitFiles(fleetRepo, forgetest.Commit{
		Files: map[string]string{".github/nixfleet.yml": policy}, Message: "When a host fails: " + does, Date: r.clock.Now(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// openBroken opens an update after which a service of one host does not start.
func (r *rig) openBroken(ctx context.Context, host string) int {
	r.t.Helper()
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	number, err := r.world.play(ctx, scenario{id: "breaks-" + host, prepare: func(w *world) error { return w.bumpInputs(host, w.opts.Now()) }})
	if err != nil {
		r.t.Fatal(err)
	}
	return number
}

// ended waits until the rollout of an update's merge is in a state.
func (r *rig) ended(number int, state fleet.RolloutState) (fleet.Update, fleet.Rollout) {
	r.t.Helper()
	var u fleet.Update
	var ro fleet.Rollout
	r.await(fmt.Sprintf("the rollout of #%d to be %s", number, state), func(o fleet.Overview) bool {
		u, _ = find(o, number)
		i := slices.IndexFunc(o.Rollouts, func(ro fleet.Rollout) bool {
			return ro.Commit == u.MergeSHA && ro.Kind == fleet.RolloutDeploy && ro.State == state
		})
		if i >= 0 {
			ro = o.Rollouts[i]
		}
		return i >= 0
	})
	return u, ro
}

// A host of the last wave does not come up: it goes back by itself, and the canaries,
// which did well, are led back, the last one first. Then the policy asks for a pull
// request instead.
func TestAFailureLeadsCanariesBackAndOpensARevert(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, time.Second)
	r.onFailure("rollback")
	r.start()
	r.enrol()
	good, _ := r.deployed(r.open("update"))
	u, ro := r.ended(r.openBroken(t.Context(), "edge1"), fleet.RolloutRolledBack)
	for _, name := range []string{"db1", "web1"} {
		if got := r.activations(name); len(got) != 3 || got[2] != got[0] || got[1] == got[0] {
			t.Errorf("%s activated %v, want the old system, the new one and the old one again", name, got)
		}
	}
	if got := hostStates(ro); got != "db1 healthy, web1 healthy, edge1 reverted" {
		t.Errorf("the hosts of the rollout: %s", got)
	}
	r.await("all hosts to run what they ran", func(o fleet.Overview) bool { return running(o, good.MergeSHA) == 3 })
	list, err := r.db.Rollouts(t.Context(), rolloutsOf(fleet.RolloutSucceeded))
	if err != nil || len(list) == 0 || list[0].Restores != ro.ID || hostStates(list[0]) != "web1 healthy, db1 healthy" {
		t.Fatalf("the way back: %+v, %v", list, err)
	}
	if back := list[0].Hosts; back[1].StartedAt.Before(back[0].EndedAt) {
		t.Errorf("db1 went back before web1 was back: %+v", back)
	}
	if why, err := r.db.Quarantined(t.Context(), ro.RepoID, u.MergeSHA); err != nil || !strings.Contains(why, "1 host failed") {
		t.Errorf("the commit's quarantine: %q, %v", why, err)
	}
	r.onGitHub(u, "Rolled back")

	r.onFailure("revert_pr")
	before := r.world.hub.File(fleetRepo, "main", "flake.lock")
	_, ro = r.ended(r.openBroken(t.Context(), "edge1"), fleet.RolloutFailed)
	branch := fmt.Sprintf("nixfleet/revert-%.7s", ro.Commit)
	r.await("the revert to be open", func(fleet.Overview) bool { return r.world.hub.OpenPullOf(fleetRepo, branch) != 0 })
	if r.world.hub.File(fleetRepo, branch, "flake.lock") != before {
		t.Error("the revert does not bring the lock that there was")
	}
	if title, body := r.world.hub.PullText(fleetRepo, r.world.hub.OpenPullOf(fleetRepo, branch)); !strings.Contains(title, ro.Commit[:7]) || !strings.Contains(body, "edge1") {
		t.Errorf("it says %q\n%s", title, body)
	}
}

func hostStates(r fleet.Rollout) string {
	var words []string
	for _, h := range r.Hosts {
		words = append(words, h.Host+" "+string(h.State))
	}
	return strings.Join(words, ", ")
}

// rolloutsOf are the newest rollouts in a state.
func rolloutsOf(state fleet.RolloutState) db.RolloutPage {
	return db.RolloutPage{State: state, Limit: 1}
}
