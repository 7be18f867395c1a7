package agent

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

// builderOf waits for a build that is held and returns its process.
func (r *rig) builderOf(hold string) (pid int) {
	r.t.Helper()
	eventually(r.t, "a build", func() bool {
		data, err := os.ReadFile(hold + ".pid")
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && pid > 0
	})
	return pid
}

// alive reports whether the process runs; one that only nobody has waited for does
// not.
func alive(pid int) bool {
	state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(state), ") Z ") && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func cancels(p agentbus.Order) func(*agentbus.Order) {
	return func(o *agentbus.Order) { o.Cancels = p.ID }
}

// endsWith notes, for each final answer that leaves the host, whether pid runs.
func (r *rig) endsWith(pid func() int) func() map[string]bool {
	seen := map[string]bool{}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onAnswer = func(a agentbus.Answer) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if a.Step.Final() {
			seen[string(a.Step)] = seen[string(a.Step)] || alive(pid())
		}
	}
	return func() map[string]bool { r.mu.Lock(); defer r.mu.Unlock(); return seen }
}

func TestCancelStopsABuild(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := r.path("building")
	r.touch(hold)
	r.start()
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v1", hold: hold}))
	r.await(o, agentbus.StepBuilding)
	pid := r.builderOf(hold)
	ends := r.endsWith(func() int { return pid })
	c := r.send(agentbus.KindCancel, "", cancels(o))
	a := r.await(o, agentbus.StepCancelled)
	if a = r.await(c, agentbus.StepHealthy); r.steps(c) != "received healthy" || !strings.Contains(a.Note, "stopped") {
		t.Errorf("cancel took %q, note %q", r.steps(c), a.Note)
	}
	if alive(pid) {
		t.Error("the build runs although it was said to have stopped")
	}
	for step, running := range ends() {
		if running {
			t.Errorf("the answer %s was given while the build ran", step)
		}
	}
	r.await(r.send(agentbus.KindCancel, "", cancels(o)), agentbus.StepHealthy) // again changes nothing
	if len(r.runs()) != 0 {
		t.Errorf("activations %v", r.runs())
	}
}

func TestCancelOfAnOrderThatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.touch(r.path("current.hold"))
	r.start()
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v1"}))
	r.await(o, agentbus.StepSwitching)
	waiting := r.send(agentbus.KindDeploy, r.commit(system{version: "v2"}))
	r.await(waiting, agentbus.StepReceived)
	r.await(r.send(agentbus.KindCancel, "", cancels(waiting)), agentbus.StepHealthy)
	r.await(waiting, agentbus.StepCancelled)
	r.remove(r.path("current.hold"))
	r.await(o, agentbus.StepHealthy)
	if r.version() != "v1" || len(r.runs()) != 1 {
		t.Errorf("running %s after %v", r.version(), r.runs())
	}
}

// The agent is killed while something of an order runs. The next process does not
// begin anything before that is gone.
func TestWhatACrashLeavesBehindIsStopped(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{false, true} {
		t.Run("cancelled "+strconv.FormatBool(cancelled), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			hold := r.path("building")
			r.touch(hold)
			kill := r.spawn()
			o := r.send(agentbus.KindDeploy, r.commit(system{version: "v1", hold: hold}))
			r.await(o, agentbus.StepBuilding)
			pid := r.builderOf(hold)
			kill()
			if !alive(pid) {
				t.Skip("here a build ends with the agent")
			}
			if cancelled {
				r.send(agentbus.KindCancel, "", cancels(o))
			}
			r.spawn()
			if cancelled {
				r.await(o, agentbus.StepCancelled)
			} else {
				eventually(t, "another build", func() bool { return r.builderOf(hold) != pid })
			}
			if alive(pid) {
				t.Error("the build of the killed agent still runs")
			}
			if !cancelled {
				r.remove(hold)
				r.await(o, agentbus.StepHealthy)
			}
		})
	}
}

// What is evaluated for others gives way to an order that acts, and is taken up
// again.
func TestEvaluationGivesWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := r.path("evaluating")
	r.touch(hold)
	commit := r.put(map[string]string{"flake.nix": several(hold)})
	r.start()
	slow := r.send(agentbus.KindRefresh, commit, func(o *agentbus.Order) { o.Evaluate = []string{"nixosConfigurations.slow"} })
	r.await(slow, agentbus.StepBuilding)
	r.await(r.send(agentbus.KindPull, commit), agentbus.StepHealthy)
	if got := r.steps(slow); got != "received fetching building" {
		t.Errorf("the evaluation that gave way: %s", got)
	}
	r.remove(hold)
	if a := r.await(slow, agentbus.StepHealthy); len(a.Evaluated) != 1 || a.Evaluated[0].Path == "" {
		t.Errorf("the evaluation that was taken up: %+v", a.Evaluated)
	}
}
