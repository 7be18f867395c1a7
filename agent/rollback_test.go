package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/agentbus"
)

// target lets an order name a system.
func target(path string) func(*agentbus.Order) {
	return func(o *agentbus.Order) { o.Commit, o.Target = "", path }
}

func TestRollbackToAPickedGeneration(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.deployed()
	r.await(r.send(agentbus.KindDeploy, r.commit(system{version: "v2"})), agentbus.StepHealthy)
	third := r.commit(system{version: "v3"})
	list := r.await(r.send(agentbus.KindDeploy, third), agentbus.StepHealthy).Generations
	if len(list) != 3 || list[0].Number != 3 || !list[0].Running || list[2].Running || list[2].Commit != first || list[2].At == 0 {
		t.Fatalf("generations %+v", list)
	}

	o := r.send(agentbus.KindRollback, "", target(list[2].Path))
	a := r.await(o, agentbus.StepHealthy)
	if r.steps(o) != "received switching verifying healthy" || r.version() != "v1" {
		t.Errorf("rollback took %q, running %s", r.steps(o), r.version())
	}
	if f := a.Facts; f.RunningCommit != first || f.CheckoutCommit != third || f.ProfilePath != f.RunningPath {
		t.Errorf("facts after the rollback: %+v", f)
	}
	if len(a.Generations) != 4 || !a.Generations[0].Running || a.Generations[0].Commit != first {
		t.Errorf("generations after the rollback: %+v", a.Generations)
	}
	runs := len(r.runs())
	a = r.await(r.send(agentbus.KindRollback, "", target(list[2].Path)), agentbus.StepHealthy)
	if a.Note != alreadyRunning || len(r.runs()) != runs {
		t.Errorf("the same rollback again: note %q, activations %v", a.Note, r.runs())
	}
	// Forward again is no way back, so it is checked like any deploy.
	if a = r.await(r.send(agentbus.KindDeploy, third), agentbus.StepHealthy); r.version() != "v3" {
		t.Errorf("note %q, running %s", a.Note, r.version())
	}
}

func TestRollbackToACommitAndToWhatRanBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.deployed()
	second := r.commit(system{version: "v2"})
	r.await(r.send(agentbus.KindDeploy, second), agentbus.StepHealthy)

	o := r.send(agentbus.KindRollback, first)
	a := r.await(o, agentbus.StepHealthy)
	if r.steps(o) != wholeWay || r.version() != "v1" || a.Facts.CheckoutCommit != first {
		t.Errorf("rollback to a commit took %q, running %s, facts %+v", r.steps(o), r.version(), a.Facts)
	}
	o = r.send(agentbus.KindRollback, "")
	r.await(o, agentbus.StepHealthy)
	if r.version() != "v2" {
		t.Errorf("before v1 ran v2; now %s runs", r.version())
	}
	r.git("checkout", "--quiet", "-b", "side")
	side := r.commit(system{version: "v3"})
	r.git("checkout", "--quiet", "main")
	if a := r.await(r.send(agentbus.KindRollback, side), agentbus.StepFailed); a.Error.Code != "commit_not_found" {
		t.Errorf("rollback to a commit of another branch: %+v", a.Error)
	}
}

func TestRollbackToWhatIsNotTheHosts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	if a := r.await(r.send(agentbus.KindRollback, ""), agentbus.StepRefused); a.Error.Code != agentbus.RefusedNoGeneration {
		t.Errorf("rollback of a host that runs nothing: %+v", a.Error)
	}
	r.deployed()
	running := filepath.Base(readLink(r.path("current")))
	stranger := t.TempDir() + "/" + running
	if err := os.MkdirAll(stranger+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	standIn(t, stranger+"/bin/switch-to-configuration", r.path("calls"), "", "")
	for _, path := range []string{stranger, strings.Replace(readLink(r.path("current")), "-nixos", "-other", 1)} {
		a := r.await(r.send(agentbus.KindRollback, "", target(path)), agentbus.StepRefused)
		if a.Error.Code != agentbus.RefusedNoGeneration || !strings.Contains(a.Error.Message, "choose one of its generations") {
			t.Errorf("%s: %+v", path, a.Error)
		}
	}
	a := r.await(r.send(agentbus.KindRollback, "", target("../../etc")), agentbus.StepRefused)
	if a.Error.Code != agentbus.RefusedMalformed {
		t.Errorf("a target that is no store path: %+v", a.Error)
	}
	if a := r.await(r.send(agentbus.KindRollback, ""), agentbus.StepRefused); a.Error.Code != agentbus.RefusedNoGeneration {
		t.Errorf("rollback of the only system: %+v", a.Error)
	}
	if len(r.runs()) != 1 {
		t.Errorf("activations %v", r.runs())
	}
}

// The agent is killed in a rollback to "the one before": what is before has changed
// when the next process takes it up.
func TestRollbackThatIsTakenUpGoesBackOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.start()
	r.deployed()
	r.await(r.send(agentbus.KindDeploy, r.commit(system{version: "v2"})), agentbus.StepHealthy)
	r.touch(r.path("current.hold"))
	o := r.send(agentbus.KindRollback, "")
	r.await(o, agentbus.StepSwitching)
	eventually(t, "the activation runs", func() bool { return len(r.runs()) == 3 })
	stop()
	r.remove(r.path("state", "journal.jsonl"))
	r.remove(r.path("current.hold"))
	eventually(t, "the host is back", func() bool { return r.version() == "v1" })
	r.start() // the order is still in the bucket
	r.await(o, agentbus.StepHealthy)
	if r.version() != "v1" || len(r.runs()) != 3 {
		t.Errorf("running %s after %v", r.version(), r.runs())
	}
}

func TestGenerationsOfAProfile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, system := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, system), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"system-9-link": "a", "system-10-link": "b", "system-2-link": "gone", "system-x-link": "a", "system--1-link": "a",
		"other-3-link": "a", "system": "system-10-link", "system-extra-4-link": "a", "system-11": "a",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	list := generationsOf(filepath.Join(dir, "system"))
	for i := range list {
		if time.Since(time.Unix(list[i].At, 0)) > time.Hour {
			t.Errorf("generation %d is of %d", list[i].Number, list[i].At)
		}
		list[i].At = 0
	}
	want := []agentbus.Generation{{Number: 10, Path: filepath.Join(dir, "b")}, {Number: 9, Path: filepath.Join(dir, "a")}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("generations (-want +got):\n%s", diff)
	}
}

func TestSystemBeforeTheRunningOne(t *testing.T) {
	t.Parallel()
	history := func(paths string) (list []agentbus.Generation) { // oldest first
		for i, p := range strings.Fields(paths) {
			list = append([]agentbus.Generation{{Number: i + 1, Path: p}}, list...)
		}
		return list
	}
	for _, tt := range []struct{ history, running, want string }{
		{"a b", "b", "a"},
		{"a b b", "b", "a"},
		{"a b a", "a", "b"}, // b was gone back from
		{"a b c", "b", "a"}, // b runs on trial
		{"a b", "x", "b"},   // x runs on trial: the profile has never had it
		{"a", "a", ""},
		{"", "a", ""},
		{"a", "", "a"},
	} {
		if got := before(history(tt.history), tt.running); got != tt.want {
			t.Errorf("before %q in %q: %q, want %q", tt.running, tt.history, got, tt.want)
		}
	}
}
