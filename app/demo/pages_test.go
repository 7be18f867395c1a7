package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// newest waits until the newest order of a host has ended as it should, and returns it.
func (r *rig) newest(host, kind string, state fleet.HostState) api.Order {
	r.t.Helper()
	var last api.Order
	r.await(fmt.Sprintf("%s of %s to be %s", kind, host, state), func(fleet.Overview) bool {
		list, err := r.client().Orders(r.t.Context(), host, 20)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, o := range list {
			if o.Kind == kind {
				last = o
				break
			}
		}
		return last.Kind == kind && last.Ended && last.State == string(state)
	})
	return last
}

// Everything that the pages of hosts, updates and rollouts offer is pressed, in the
// order in which somebody would who tries it out, and seen on a host.
func TestEveryButtonDoesWhatItSays(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 24*time.Hour)
	a := r.start()
	r.enrol()
	one, two := r.world.machines[0].name, r.world.machines[1].name
	h := r.person(a, "admin")
	row := func(host, kind string) {
		h.press(fmt.Sprintf("#h-%s [data-menu]", host))
		h.do(fmt.Sprintf("#row-menu [data-kind=%s]", kind))
	}

	// An update is held, released, looked at again, and merged by the hand of a person.
	number := r.open("update")
	r.inState(number, fleet.UpdateHolding)
	h.visit("/")
	h.do(`[data-ask][href$="/ask/hold"]`)
	r.await("the hold", func(o fleet.Overview) bool { u, _ := find(o, number); return u.Hold != nil })
	page := fmt.Sprintf("/updates/%s/%d", fleetRepo, number)
	h.visit(page)
	h.do(`[data-ask][href$="/ask/release"]`)
	r.await("the release", func(o fleet.Overview) bool { u, _ := find(o, number); return u.Hold == nil })
	before := r.inState(number, fleet.UpdateHolding).Verdict.At
	h.press(`form[action$="/look"] button`)
	r.looked(number, before)
	h.do(`[data-ask][href$="/ask/merge"]`)
	u, _ := r.deployed(number)
	if !strings.HasPrefix(u.MergedBy, "tess") {
		t.Errorf("it was merged by %q", u.MergedBy)
	}
	h.Until(`document.body.innerText.includes("Deployed 2/2 hosts")`) // on the page that was open all the time

	// A second one is merged only, and brought to the hosts step by step.
	number = r.open("update")
	r.inState(number, fleet.UpdateHolding)
	h.visit(fmt.Sprintf("/updates/%s/%d", fleetRepo, number))
	h.do(`[data-ask][href$="/ask/only"]`)
	merged := r.inState(number, fleet.UpdateMerged).MergeSHA
	h.visit("/")
	h.Until(fmt.Sprintf(`!!document.querySelector("#h-%s .c-git").innerText.match(/behind/i)`, one))
	row(one, "refresh")
	r.newest(one, "refresh", fleet.HostHealthy)
	row(one, "pull")
	r.newest(one, "pull", fleet.HostHealthy)
	if f := r.facts(one); f.CheckoutCommit != merged || f.RunningCommit == merged {
		t.Errorf("after a pull: %+v", f)
	}
	row(one, "boot")
	r.newest(one, "boot", fleet.HostHealthy)
	if f := r.facts(one); f.RunningCommit == merged || f.ProfilePath == f.RunningPath {
		t.Errorf("after a switch at boot: %+v", f)
	}
	row(one, "test")
	r.newest(one, "test", fleet.HostHealthy)
	if f := r.facts(one); f.RunningCommit != merged {
		t.Errorf("after a test: %+v", f)
	}
	row(one, "rollback")
	r.newest(one, "rollback", fleet.HostHealthy)
	if f := r.facts(one); f.RunningCommit != u.MergeSHA {
		t.Errorf("after a rollback it runs %.7s, want %.7s", f.RunningCommit, u.MergeSHA)
	}
	row(one, "switch")
	r.newest(one, "switch", fleet.HostHealthy)
	h.press(fmt.Sprintf("#h-%s [data-menu]", one))
	h.press("#row-menu [data-kind=cancel]")
	h.Until(`document.querySelector("#ask").open && !document.querySelector("#ask footer [type=submit]")`) // there is nothing to cancel
	h.Click("#ask [data-close]")
	row(one, "restart_agent")
	row(one, "reboot")
	if o := r.newest(one, "reboot", fleet.HostFailed); o.Failure == nil || o.Failure.Code != "unsupported" {
		t.Errorf("a machine that must not reboot says %+v", o.Failure)
	}

	h.do(`[data-ask][href^="/updates/ask/check"]`)

	// Both are selected, and updated together.
	h.Run(`document.querySelector("#pick-all").click()`)
	h.Until(`document.querySelector("#selected").innerText === "2 selected"`)
	h.do(`#selection [value=deploy]`)
	r.newest(two, "deploy", fleet.HostHealthy)
	if f := r.facts(two); f.RunningCommit != merged {
		t.Errorf("after an update of the selection: %+v", f)
	}
	for _, kind := range []string{"pull", "switch", "test", "rollback", "restart_agent", "reboot", "refresh", "cancel"} {
		h.press(fmt.Sprintf("#selection [value=%s]", kind)) // the questions are those of the rows
		h.Until(`document.querySelector("#ask").open && document.querySelector("#ask").innerText.includes("db1")`)
		h.Click("#ask [data-close]")
		h.Until(`!document.querySelector("#ask").open`)
	}
	r.steered(h)
	r.looksAt(h, one)
	h.Blameless()
	elsewhere := []string{"/hosts/NAME/change", "/hosts/NAME/readmit", "/hosts/NAME/revoke", "/logout"} // TestEverySettingDoesWhatItSays
	for _, left := range leftOut(t, h) {
		if deed, _, _ := strings.Cut(left, " "); !slices.Contains(elsewhere, deed) {
			t.Errorf("nobody pressed %s", left)
		}
	}
}

// waiting is a commit whose build waits for a file, and fails while another is there.
func (r *rig) waiting(name string) (sha, ready, broken string) {
	r.t.Helper()
	ready, broken = filepath.Join(r.world.dir, name+"-ready"), filepath.Join(r.world.dir, name+"-broken")
	build := strings.Replace(r.world.file("build.sh"), "set -eu",
		"set -eu\nPATH=/usr/bin:/bin\nwhile [ ! -e "+ready+" ]; do sleep 1; done\nif [ -e "+broken+" ]; then echo it is broken; exit 1; fi", 1)
	return r.commit(map[string]string{"build.sh": build}), ready, broken
}

// rollout waits until the newest rollout of a commit is in one of some states, and
// returns it.
func (r *rig) rollout(commit string, states ...fleet.RolloutState) fleet.Rollout {
	r.t.Helper()
	var ro fleet.Rollout
	r.await(fmt.Sprintf("rollout of %.7s to be %s", commit, states), func(o fleet.Overview) bool {
		for _, ro = range o.Rollouts {
			if ro.Commit == commit {
				return slices.Contains(states, ro.State)
			}
		}
		return false
	})
	return ro
}

func (r *rig) touch(path string) {
	r.t.Helper()
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		r.t.Fatal(err)
	}
}

// steered does to rollouts, on their pages, everything that can be done to them.
func (r *rig) steered(h *hand) {
	r.t.Helper()
	before := r.facts(r.world.machines[0].name).RunningCommit
	commit, ready, broken := r.waiting("first")
	building := func(o fleet.Overview) bool {
		return slices.ContainsFunc(o.Rollouts, func(ro fleet.Rollout) bool {
			return ro.Commit == commit && slices.ContainsFunc(ro.Hosts, func(p fleet.HostProgress) bool { return p.State == fleet.HostBuilding })
		})
	}
	r.await("a build", building)
	h.visit("/rollouts/" + r.rollout(commit, fleet.RolloutRunning).ID)
	h.do(`[data-ask][href$="/pause"]`)
	r.rollout(commit, fleet.RolloutPaused)
	h.do(`[data-ask][href$="/resume"]`)
	r.rollout(commit, fleet.RolloutRunning)
	r.touch(broken)
	r.touch(ready)
	r.rollout(commit, fleet.RolloutHalted, fleet.RolloutFailed) // by whether both fail at once
	if err := os.Remove(broken); err != nil {
		r.t.Fatal(err)
	}
	h.do(`[data-ask][href$="/retry"]`)
	r.rollout(commit, fleet.RolloutSucceeded)
	h.do(`[data-ask][href$="/rollback"]`)
	r.await("a host to be where it was", func(o fleet.Overview) bool { return running(o, before) > 0 }) // one that had not failed before was not tried again
	h.visit("/rollouts")
	if h.Ask(`!!document.querySelector("[data-ask][href^='/rollouts/quarantine/lift']")`) {
		h.do(`[data-ask][href^="/rollouts/quarantine/lift"]`)
		h.Until(`!document.querySelector("[data-ask][href^='/rollouts/quarantine/lift']")`)
	}

	// The next one is started by hand, is not wanted, and then it is.
	commit, ready, _ = r.waiting("second")
	start := func() {
		h.visit("/")
		h.do(`a[data-ask][href^="/rollouts/new"]`)
		h.Until(`/^\/rollouts\/[0-9A-Z]{26}$/.test(location.pathname) && document.querySelector("#live").dataset.state === "live"`)
		h.look()
	}
	start()
	r.await("a build", building)
	h.do(`[data-ask][href$="/abort"]`)
	r.rollout(commit, fleet.RolloutAborted)
	r.touch(ready)
	start()
	r.rollout(commit, fleet.RolloutSucceeded)
	h.Until(`document.body.innerText.includes("Deployed 2/2 hosts")`)
}

// looksAt opens the pages of a host and of one of its orders.
func (r *rig) looksAt(h *hand, name string) {
	r.t.Helper()
	now := r.facts(name).RunningCommit
	h.visit("/hosts/" + name)
	h.do(`[data-ask][href*="kind=rollback"][href*="target="]`)
	r.newest(name, "rollback", fleet.HostHealthy)
	r.await("the host to be at another generation", func(fleet.Overview) bool { return r.facts(name).RunningCommit != now })
	order := r.newest(name, "rollback", fleet.HostHealthy)
	h.visit("/hosts/" + name + "/orders/" + order.ID)
	h.Until(`document.body.innerText.includes("healthy") || document.body.innerText.includes("Healthy")`)
}
