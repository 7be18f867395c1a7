package demo

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/app"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// evaluated waits until it is known what a commit comes to for every host, and returns
// the paths and who worked them out, by host.
func (r *rig) evaluated(commit string) map[string]fleet.Evaluation {
	r.t.Helper()
	found := map[string]fleet.Evaluation{}
	r.await("the evaluations of "+commit, func(o fleet.Overview) bool {
		for _, h := range o.Hosts {
			e, err := r.db.Evaluation(r.t.Context(), h.Host.RepoID, commit, h.Host.Attr)
			if err != nil || e.Path == "" {
				return false
			}
			found[h.Host.Name] = e
		}
		return len(found) == len(r.world.machines)
	})
	return found
}

// lights waits until the system of every host is shown in one light.
func (r *rig) lights(want fleet.Light) {
	r.t.Helper()
	r.await("every system to be shown as "+string(want), func(o fleet.Overview) bool {
		fleet.Describe(&o, app.Version)
		for _, h := range o.Hosts {
			if h.Compartments[2].Light != want {
				return false
			}
		}
		return true
	})
}

// Strategy host, end to end: an evaluator knows for all hosts what the head comes to, a
// host makes a newer lock, the server proves and commits it, and it is rolled out.
func TestAHostMakesTheUpdate(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, 0)
	r.world.machines[2].tags = append(r.world.machines[2].tags, fleet.EvaluatorTag)
	policy := strings.Replace(r.world.file("nixfleet.yml"), "updates:\n", "updates:\n  strategy: host\n", 1)
	first, err := r.world.hub.CommitFiles(fleetRepo, forgetest.Commit{Files: map[string]string{".github/nixfleet.yml": policy}, Message: "Let hosts update"})
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	r.enrol()
	for host, e := range r.evaluated(first) {
		if e.Host != "edge1" {
			t.Errorf("what %s should run was worked out by %s; no host has even pulled", host, e.Host)
		}
	}

	if err := r.world.bumpInputs("", r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	motd := r.world.hub.Head(motdRepo, "main")
	client := &api.Client{Server: "http://" + r.cfg.Listen, Token: adminToken}
	asked, err := client.UpdateInputs(t.Context(), fleetRepo, api.UpdateInputs{Inputs: []string{"motd"}, Reason: "a new message"})
	if err != nil {
		t.Fatal(err)
	}
	if asked.Host != "edge1" || asked.Base != first {
		t.Errorf("asked %+v, want the evaluator and %s", asked, first)
	}
	var got api.InputsUpdate
	r.await("the lock to be committed", func(fleet.Overview) bool {
		got, err = client.InputsUpdate(t.Context(), fleetRepo, asked.ID)
		return err == nil && got.Ended
	})
	if got.Lock == nil || got.Lock.State != "committed" || len(got.Lock.Changes) != 1 {
		t.Fatalf("%+v, lock %+v", got, got.Lock)
	}
	head := r.world.hub.Head(fleetRepo, "main")
	lock, err := exec.Command("git", "--git-dir", r.world.hub.GitDir(fleetRepo), "show", head+":flake.lock").Output()
	if err != nil || got.Lock.Commit != head || !strings.Contains(string(lock), motd) {
		t.Errorf("main is at %.7s, the commit is said to be %.7s, the input is at %s (%v):\n%s", head, got.Lock.Commit, motd, err, lock)
	}

	r.await("the commit to run on all hosts", func(o fleet.Overview) bool {
		for _, ro := range o.Rollouts {
			if ro.Commit == head && ro.State == fleet.RolloutSucceeded {
				return running(o, head) == len(o.Hosts)
			}
		}
		return false
	})
	r.lights(fleet.LightOK)
	known := r.evaluated(head)
	o, err := r.db.Overview(t.Context(), r.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range o.Hosts {
		if h.Host.Facts.RunningPath != known[h.Host.Name].Path {
			t.Errorf("%s runs %s, the commit comes to %s", h.Host.Name, h.Host.Facts.RunningPath, known[h.Host.Name].Path)
		}
	}
}
