package demo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/fleet"
)

// runTestAgent enrols, where there is a token, and runs the agent of one host.
func runTestAgent(ctx context.Context, r *rig, name, token string) error {
	return runHost(ctx, AgentSpec{
		Server: "http://" + r.cfg.Listen, Token: token, Name: name, Dir: r.hostDir(name), Env: r.world.nix.env(), Log: r.cfg.Log,
	}, r.clock.Now)
}

// testAgent is the seam that cmd/nixfleet fills for the demo.
func testAgent(ctx context.Context, s AgentSpec) error { return runHost(ctx, s, nil) }

func runHost(ctx context.Context, s AgentSpec, now func() time.Time) error {
	state := filepath.Join(s.Dir, "state")
	id, err := agent.LoadIdentity(state)
	if s.Token != "" {
		id, err = agent.Enroll(ctx, agent.Enrolment{Server: s.Server, Token: s.Token, Host: s.Name, StateDir: state, Now: now})
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, "profiles"), 0o755); err != nil {
		return err
	}
	return agent.Serve(ctx, id, agent.Config{
		StateDir: state,
		Paths: agent.Paths{
			Profile: filepath.Join(s.Dir, "profiles", "system"),
			Current: filepath.Join(s.Dir, "run", "current-system"),
			Booted:  filepath.Join(s.Dir, "run", "booted-system"),
			Store:   s.Dir,
		},
		Nix:        agent.Nix{Env: s.Env},
		Git:        agent.Git{Protocols: []string{"http"}},
		Supervisor: []string{os.Args[0], "supervise"},
		IdleBeat:   500 * time.Millisecond, BusyBeat: 500 * time.Millisecond,
		Now: now,
		Log: func(line string) { s.Log.Info().Str("host", s.Name).Msg(line) },
	})
}

// activations are the systems that a host activated, oldest first, as its own
// switch-to-configuration wrote them down.
func (r *rig) activations(name string) []string {
	b, err := os.ReadFile(filepath.Join(r.hostDir(name), "run", "activations"))
	if err != nil {
		return nil
	}
	return strings.Fields(strings.ReplaceAll(string(b), "switch ", ""))
}

// deployed waits until an update is merged and runs on all hosts, and returns it
// and its rollout.
func (r *rig) deployed(number int) (fleet.Update, fleet.Rollout) {
	r.t.Helper()
	var u fleet.Update
	var ro fleet.Rollout
	r.await("the update to run on all hosts", func(o fleet.Overview) bool {
		var ok bool
		if u, ok = find(o, number); !ok || u.State != fleet.UpdateMerged {
			return false
		}
		for _, ro = range o.Rollouts {
			if ro.Commit == u.MergeSHA && ro.State == fleet.RolloutSucceeded {
				return running(o, u.MergeSHA) == len(o.Hosts)
			}
		}
		return false
	})
	return u, ro
}

func find(o fleet.Overview, number int) (fleet.Update, bool) {
	for _, u := range o.Updates {
		if u.Number == number {
			return u, true
		}
	}
	return fleet.Update{}, false
}

// looked waits until an update was looked at after the given time, and returns it.
func (r *rig) looked(number int, after time.Time) fleet.Update {
	r.t.Helper()
	var u fleet.Update
	r.await("another look at the update", func(o fleet.Overview) bool {
		var ok bool
		u, ok = find(o, number)
		return ok && u.Verdict.At.After(after)
	})
	return u
}

// inState waits until an update is in a state, and returns it.
func (r *rig) inState(number int, state fleet.UpdateState) fleet.Update {
	r.t.Helper()
	var u fleet.Update
	r.await("update to be "+string(state), func(o fleet.Overview) bool {
		var ok bool
		u, ok = find(o, number)
		return ok && u.State == state
	})
	return u
}

// open plays a scenario and returns the number of its pull request.
func (r *rig) open(scenario string) int {
	r.t.Helper()
	number, err := r.world.openUpdate(r.t.Context(), scenario)
	if err != nil {
		r.t.Fatal(err)
	}
	return number
}

// branch is the head branch of a pull request.
func (r *rig) branch(number int) string {
	r.t.Helper()
	branch := r.world.branches[number]
	if branch == "" {
		r.t.Fatalf("pull request #%d was not opened by this world", number)
	}
	return branch
}

// merges counts the commits that main got since the world began.
func (w *world) merges() int {
	out, err := exec.Command("git", "--git-dir", w.hub.GitDir(fleetRepo), "rev-list", "--count", "main").Output()
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return -1
	}
	return n - 1
}
