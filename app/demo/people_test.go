package demo

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// A hold of a day, ended by a person on the page: the merge commit runs, and the
// comment names who asked for it.
func TestAPersonMergesAndDeploysFromThePage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 24*time.Hour)
	a := r.start()
	r.enrol()
	number := r.open("update")
	u := r.inState(number, fleet.UpdateHolding)

	viewer, operator := r.signIn(a, "viewer"), r.signIn(a, "operator")
	form := url.Values{"head_sha": {u.HeadSHA}, "build": {operator.build}, "deploy": {"yes"}}
	path := "/updates/" + strconv.FormatInt(u.ID, 10) + "/merge"
	if status := viewer.post(path, form); status != http.StatusForbidden {
		t.Errorf("a viewer got %d", status)
	}
	if status := operator.post(path, url.Values{"head_sha": {strings.Repeat("0", 40)}, "build": {operator.build}, "deploy": {"yes"}}); status != http.StatusConflict {
		t.Errorf("a request for another head SHA got %d", status)
	}
	for range 2 { // a button is pressed twice easily
		if status := operator.post(path, form); status >= http.StatusBadRequest {
			t.Fatalf("an operator got %d", status)
		}
	}
	u, _ = r.deployed(number)
	if u.MergedBy != "tester (local)" {
		t.Errorf("merged by %q, want the person who asked", u.MergedBy)
	}
	r.settled()
	r.once(u)
}

// The first canary does not come up: it goes back by itself, the rollout halts,
// and nobody else is touched.
func TestAFailingSwitchHaltsTheRollout(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, time.Second)
	r.start()
	r.enrol()
	r.deployed(r.open("update"))
	number := r.open("failing-switch")
	var u fleet.Update
	var ro fleet.Rollout
	r.await("the rollout to halt", func(o fleet.Overview) bool {
		u, _ = find(o, number)
		i := slices.IndexFunc(o.Rollouts, func(ro fleet.Rollout) bool { return ro.Commit == u.MergeSHA && ro.State == fleet.RolloutHalted })
		if i < 0 {
			return false
		}
		ro = o.Rollouts[i]
		return !slices.ContainsFunc(ro.Hosts, func(h fleet.HostProgress) bool { return h.State.UnderWay() })
	})
	canary := r.world.machines[0].name
	for _, h := range ro.Hosts {
		switch {
		case h.Host == canary && (h.State != fleet.HostReverted || h.Failure == nil || h.Failure.ExitCode != 4):
			t.Errorf("%s is %s with %+v, want reverted after exit code 4", h.Host, h.State, h.Failure)
		case h.Wave > 0 && h.State != fleet.HostWaiting:
			t.Errorf("%s of a later wave is %s", h.Host, h.State)
		}
	}
	if runs := r.await("the canary to say what it runs", func(o fleet.Overview) bool { return runsOn(o, canary) != "" }); runsOn(runs, canary) == u.MergeSHA {
		t.Error("the canary still runs the commit that failed")
	}
	r.onGitHub(u, canary)
	r.onGitHub(u, "exit code 4")
}

func runsOn(o fleet.Overview, host string) string {
	for _, h := range o.Hosts {
		if h.Host.Name == host {
			return h.Host.Facts.RunningCommit
		}
	}
	return ""
}
