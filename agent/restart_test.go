package agent

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

func (r *rig) setFresh(f func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = f
}

// The process of the agent is killed at every step, as a crash or an activation
// that restarts it would, and a new one must bring the order to its end.
func TestAgentKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, step := range []agentbus.Step{
		agentbus.StepReceived, agentbus.StepFetching, agentbus.StepBuilding, agentbus.StepSwitching, agentbus.StepVerifying,
	} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			building, checking := r.path("building"), r.path("checking")
			commit := r.commit(system{version: "v1 " + string(step), hold: building})
			r.policy.Health = []agentbus.HealthCheck{{Command: []string{"/bin/sh", "-c", "while [ -e " + checking + " ]; do sleep 0.1; done"}}}
			for _, hold := range []string{building, r.path("current.hold"), checking} {
				r.touch(hold)
			}
			kill := r.spawn()
			o := r.send(agentbus.KindDeploy, commit)
			release := map[agentbus.Step]string{
				agentbus.StepBuilding: building, agentbus.StepSwitching: r.path("current.hold"), agentbus.StepVerifying: checking,
			}
			for s := agentbus.StepReceived; ; s = nextStep(s) {
				r.await(o, s)
				if s == step {
					kill()
					kill = r.spawn()
				}
				if path := release[s]; path != "" {
					r.remove(path)
				}
				if s == agentbus.StepHealthy {
					break
				}
			}
			if r.steps(o) != wholeWay || len(r.runs()) != 1 {
				t.Errorf("steps %q, activations %v", r.steps(o), r.runs())
			}
		})
	}
}

// The agent is killed between its word that all is well and its answer. The word
// holds.
func TestAgentKilledAfterItsWord(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	kill := r.spawn()
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v1 said"}))
	d := jobDir(r.path("state", "switch", o.ID))
	eventually(t, "the verdict", func() bool { return d.has(verdictFile) })
	kill()
	r.spawn()
	if r.await(o, agentbus.StepHealthy); r.steps(o) != wholeWay || len(r.runs()) != 1 {
		t.Errorf("steps %q, activations %v", r.steps(o), r.runs())
	}
}

func nextStep(s agentbus.Step) agentbus.Step {
	all := strings.Fields(wholeWay)
	for i, name := range all[:len(all)-1] {
		if name == string(s) {
			return agentbus.Step(all[i+1])
		}
	}
	return s
}

func TestSwitchWithoutAWordIsReverted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.start()
	r.deployed()
	r.policy.VerifyTimeout = 1
	r.setFresh(func(ctx context.Context) error {
		if r.version() == "v2" {
			<-ctx.Done()
		}
		return ctx.Err()
	})
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v2"}))
	r.await(o, agentbus.StepVerifying)
	stop()
	d := jobDir(r.path("state", "switch", o.ID))
	eventually(t, "the supervisor goes back by itself", func() bool { return d.has(outcomeFile) })
	if r.version() != "v1" {
		t.Errorf("%s runs", r.version())
	}
	r.start()
	a := r.await(o, agentbus.StepReverted)
	if a.Error.Code != "no_word" || len(r.runs()) != 3 {
		t.Errorf("error %+v, activations %v", a.Error, r.runs())
	}
}

func TestSupervisorKilledInTheActivation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.deployed()
	r.touch(r.path("current.hold"))
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v2"}))
	r.await(o, agentbus.StepSwitching)
	eventually(t, "the activation runs", func() bool { return len(r.runs()) == 2 })
	var s started
	if ok, err := jobDir(r.path("state", "switch", o.ID)).read(startedFile, &s); !ok || err != nil {
		t.Fatal("no mark of the supervisor", err)
	}
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.remove(r.path("current.hold"))
	a := r.await(o, agentbus.StepReverted)
	if a.Error.Code != "interrupted" || r.version() != "v1" || len(r.runs()) != 3 {
		t.Errorf("error %+v, running %s after %v", a.Error, r.version(), r.runs())
	}
}

func TestLostJournalDoesNotSwitchAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.start()
	r.deployed()
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v2", exit: 2}))
	r.await(o, agentbus.StepReverted)
	stop()
	r.remove(r.path("state", "journal.jsonl"))
	r.mu.Lock()
	r.answers = nil
	r.mu.Unlock()

	r.start() // the order is still in the bucket
	a := r.await(o, agentbus.StepReverted)
	if a.Error.ExitCode != 2 || len(r.runs()) != 3 {
		t.Errorf("error %+v, activations %v", a.Error, r.runs())
	}
}

func TestNewerOrderSupersedesOneThatBuilds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := r.path("building")
	r.touch(hold)
	r.start()
	old := r.send(agentbus.KindDeploy, r.commit(system{version: "v1", hold: hold}))
	r.await(old, agentbus.StepBuilding)
	newer := r.send(agentbus.KindDeploy, r.commit(system{version: "v2"}))
	r.await(old, agentbus.StepSuperseded)
	r.await(newer, agentbus.StepHealthy)
	if got := r.runs(); len(got) != 1 || r.version() != "v2" {
		t.Errorf("activations %v, running %s", got, r.version())
	}
}

func TestNewerOrderWaitsForASwitch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.touch(r.path("current.hold"))
	r.start()
	old := r.send(agentbus.KindDeploy, r.commit(system{version: "v1"}))
	r.await(old, agentbus.StepSwitching)
	newer := r.send(agentbus.KindDeploy, r.commit(system{version: "v2"}))
	r.await(newer, agentbus.StepReceived)
	tooLate := r.send(agentbus.KindCancel, "", func(o *agentbus.Order) { o.Cancels = old.ID })
	if a := r.await(tooLate, agentbus.StepHealthy); !strings.Contains(a.Note, "begun to switch") {
		t.Errorf("cancelling a switch: note %q", a.Note)
	}
	r.remove(r.path("current.hold"))
	r.await(old, agentbus.StepHealthy)
	r.await(newer, agentbus.StepHealthy)
	if len(r.runs()) != 2 || r.version() != "v2" {
		t.Errorf("activations %v, running %s", r.runs(), r.version())
	}
}

func TestOfflineHostCarriesOutTheNewestOrderOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.start()
	r.deployed()
	stop()
	missed := r.send(agentbus.KindDeploy, r.commit(system{version: "v2"}))
	newest := r.send(agentbus.KindDeploy, r.commit(system{version: "v3"}))
	r.start()
	r.await(newest, agentbus.StepHealthy)
	if got := r.got(missed); len(got) != 0 || len(r.runs()) != 2 || r.version() != "v3" {
		t.Errorf("answers %v to the order that was replaced, activations %v", got, r.runs())
	}
}

func TestAnswersAreRepeatedUntilConfirmed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.confirm = false
	stop := r.start()
	o := r.send(agentbus.KindNoop, "")
	count := func() (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range r.answers {
			if a.Order == o.ID {
				n++
			}
		}
		return n
	}
	eventually(t, "the answer and its repetition", func() bool { return count() >= 2 })
	stop()
	before := count()
	r.start() // another process repeats it, too
	eventually(t, "a repetition by the next process", func() bool { return count() > before })
	r.mu.Lock()
	r.confirm = true
	r.mu.Unlock()
	eventually(t, "nothing is left to confirm", func() bool {
		s, err := ReadStatus(r.path("state"), r.path("current"))
		return err == nil && s.Unconfirmed == 0 && s.Order == o.ID && s.Step == agentbus.StepHealthy
	})
}

func TestSecondAgentInOneStateDirectory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.await(r.send(agentbus.KindNoop, ""), agentbus.StepHealthy)
	a, err := New(r.config(bustest.Link(t, r.host)))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another one works") {
		t.Errorf("second agent: %v", err)
	}
	if _, err := os.Stat(r.path("state", "journal.jsonl")); err != nil {
		t.Error(err)
	}
}

// A supervisor that is slow to begin must not be waited for as if it had ended.
func TestSlowSupervisor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.supervisor = []string{"/bin/sh", "-c", `sleep 5; exec "$0" supervise "$1"`, os.Args[0]}
	r.start()
	r.deployed()
	if len(r.runs()) != 1 {
		t.Errorf("activations %v", r.runs())
	}
}

func TestSupervisorThatNeverStarts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.supervisor = []string{"/bin/false"}
	r.start()
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v1"}))
	a := r.await(o, agentbus.StepFailed)
	if a.Error.Code != "supervisor_failed" || len(r.runs()) != 0 {
		t.Errorf("error %+v, activations %v", a.Error, r.runs())
	}
	// One that comes too late leaves the host alone.
	if err := Supervise(t.Context(), r.path("state", "switch", o.ID, jobFile)); err != nil {
		t.Fatal(err)
	}
	if len(r.runs()) != 0 || r.version() != "" {
		t.Errorf("activations %v after the order had failed", r.runs())
	}
}
