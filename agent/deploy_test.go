package agent

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

const wholeWay = "received fetching building switching verifying healthy"

func nixSystem() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux"
	}
	return "x86_64-linux"
}

func TestDeployEndToEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.commit(system{version: "v1"})
	r.start()

	o := r.send(agentbus.KindDeploy, first)
	healthy := r.await(o, agentbus.StepHealthy)
	if got := r.steps(o); got != wholeWay {
		t.Errorf("steps %q, want %q", got, wholeWay)
	}
	if !strings.Contains(healthy.Note, "not known which commit runs") {
		t.Errorf("the first deploy's note is %q", healthy.Note)
	}
	f := healthy.Facts
	if f == nil || f.RunningCommit != first || f.CheckoutCommit != first || f.RemoteCommit != first ||
		f.ExpectedCommit != first || f.ExpectedPath != f.RunningPath || f.ProfilePath != f.RunningPath || f.RunningPath == "" {
		t.Errorf("facts after the deploy: %+v", f)
	}
	if f.Lock == nil || len(f.Lock.Inputs) != 1 || f.Lock.Inputs[0].Name != "nixpkgs" {
		t.Errorf("lock summary %+v", f.Lock)
	}
	if r.version() != "v1" {
		t.Errorf("%q runs, want v1", r.version())
	}

	second := r.commit(system{version: "v2 logged"})
	o = r.send(agentbus.KindDeploy, second)
	if a := r.await(o, agentbus.StepHealthy); a.Note != "" || a.Facts.RunningCommit != second {
		t.Errorf("second deploy: note %q, facts %+v", a.Note, a.Facts)
	}
	if got := r.runs(); len(got) != 2 {
		t.Errorf("activations %v, want two", got)
	}
	log, err := os.ReadFile(r.path("state", "logs", o.ID+".log"))
	if err != nil || !strings.Contains(string(log), "activating v2") || !strings.Contains(string(log), "building v2 logged") {
		t.Errorf("kept log: %v\n%s", err, log)
	}

	// The same closure again, from another commit: nothing to switch.
	third := r.commit(system{version: "v2 logged"})
	o = r.send(agentbus.KindDeploy, third)
	if a := r.await(o, agentbus.StepHealthy); a.Note != "already running" || a.Facts.RunningCommit != third {
		t.Errorf("deploy of the same closure: note %q, running %s", a.Note, a.Facts.RunningCommit)
	}
	if got := r.runs(); len(got) != 2 {
		t.Errorf("activations %v, want still two", got)
	}
}

// deployed brings the host to v1 and returns its commit.
func (r *rig) deployed() string {
	r.t.Helper()
	commit := r.commit(system{version: "v1"})
	r.await(r.send(agentbus.KindDeploy, commit), agentbus.StepHealthy)
	return commit
}

func TestDeployThatCannotBuild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, code, tail, key string
		system                system
	}{
		{"build fails", "build_failed", "no such luck", errBuild, system{version: "v2", fails: true}},
		{"flake does not evaluate", "evaluate_failed", "error:", errEvaluate, system{version: "v2", broken: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.start()
			r.deployed()
			o := r.send(agentbus.KindDeploy, r.commit(tt.system))
			a := r.await(o, agentbus.StepFailed)
			if a.Error.Code != tt.code || a.Error.Step != agentbus.StepBuilding || a.Error.ExitCode != 1 || !strings.Contains(a.Error.LogTail, tt.tail) {
				t.Errorf("error %+v", a.Error)
			}
			if a.Facts.Errors[tt.key] == "" || r.version() != "v1" || len(r.runs()) != 1 {
				t.Errorf("facts %+v, running %s", a.Facts, r.version())
			}
		})
	}
}

func TestFailedActivationGoesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.deployed()
	second := r.commit(system{version: "v2", exit: 2})
	a := r.await(r.send(agentbus.KindDeploy, second), agentbus.StepReverted)
	if a.Error.Code != "activation_failed" || a.Error.ExitCode != 2 || a.Error.Step != agentbus.StepSwitching || !strings.Contains(a.Error.LogTail, "activating v2") {
		t.Errorf("error %+v", a.Error)
	}
	f := a.Facts
	if r.version() != "v1" || len(r.runs()) != 3 || f.RunningPath != f.ProfilePath {
		t.Errorf("running %s after %v", r.version(), r.runs())
	}
	if f.RunningCommit != first || f.CheckoutCommit != second || f.ExpectedCommit != second || f.Errors[errSwitch] == "" {
		t.Errorf("facts say what was tried, not what runs: %+v", f)
	}
}

func TestFirstActivationThatFailsHasNoWayBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	a := r.await(r.send(agentbus.KindDeploy, r.commit(system{version: "v1", exit: 2})), agentbus.StepFailed)
	if !strings.Contains(a.Error.Message, "no previous system") || a.Error.ExitCode != 2 {
		t.Errorf("error %+v", a.Error)
	}
}

func TestHostThatIsNotWellGoesBack(t *testing.T) {
	t.Parallel()
	for code, spoil := range map[string]func(*rig){
		"unhealthy": func(r *rig) {
			r.policy.Health = []agentbus.HealthCheck{{Command: []string{"/bin/sh", "-c", "echo unwell; exit 7"}}}
		},
		findNetworkLost: func(r *rig) {
			r.setFresh(func(context.Context) error {
				if r.version() == "v2" {
					return errors.New("unwell")
				}
				return nil
			})
		},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.start()
			r.deployed()
			spoil(r)
			r.policy.VerifyTimeout = 8
			a := r.await(r.send(agentbus.KindDeploy, r.commit(system{version: "v2"})), agentbus.StepReverted)
			if a.Error.Code != code || a.Error.Step != agentbus.StepVerifying || !strings.Contains(a.Error.Message, "unwell") || r.version() != "v1" {
				t.Errorf("error %+v, running %s", a.Error, r.version())
			}
		})
	}
}

func TestCommitThatDoesNotGoForwardIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.deployed()
	second := r.commit(system{version: "v2"})
	r.await(r.send(agentbus.KindDeploy, second), agentbus.StepHealthy)

	a := r.await(r.send(agentbus.KindDeploy, first), agentbus.StepRefused)
	if a.Error.Code != agentbus.RefusedNotAhead || r.version() != "v2" {
		t.Errorf("error %+v, running %s", a.Error, r.version())
	}
	r.git("checkout", "--quiet", "-b", "side")
	side := r.commit(system{version: "v3"})
	r.git("checkout", "--quiet", "main")
	a = r.await(r.send(agentbus.KindDeploy, side), agentbus.StepFailed)
	if a.Error.Code != "commit_not_found" {
		t.Errorf("a commit of another branch: %+v", a.Error)
	}
	a = r.await(r.send(agentbus.KindDeploy, second, func(o *agentbus.Order) { o.Repo = "ext::sh -c true" }), agentbus.StepFailed)
	if a.Error.Code != "fetch_failed" || !strings.Contains(a.Error.LogTail, "not allowed") {
		t.Errorf("a transport that runs programs: %+v", a.Error)
	}
}

func TestPullSwitchRefresh(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.deployed()
	second := r.commit(system{version: "v2"})

	a := r.await(r.send(agentbus.KindRefresh, ""), agentbus.StepHealthy)
	if f := a.Facts; f.Behind != 1 || f.RemoteCommit != second || f.CheckoutCommit != first {
		t.Errorf("after refresh: %+v", f)
	}
	o := r.send(agentbus.KindPull, second)
	a = r.await(o, agentbus.StepHealthy)
	if f := a.Facts; f.Behind != 0 || f.CheckoutCommit != second || f.RunningCommit != first || f.ExpectedCommit != second || f.ExpectedPath == f.RunningPath {
		t.Errorf("after pull: %+v", f)
	}
	if r.steps(o) != "received fetching healthy" || r.version() != "v1" {
		t.Errorf("pull took %q, running %s", r.steps(o), r.version())
	}
	a = r.await(r.send(agentbus.KindSwitch, first), agentbus.StepFailed)
	if a.Error.Code != "checkout_moved" {
		t.Errorf("switch to where the checkout is not: %+v", a.Error)
	}
	o = r.send(agentbus.KindSwitch, "")
	a = r.await(o, agentbus.StepHealthy)
	if r.steps(o) != "received building switching verifying healthy" || r.version() != "v2" || a.Facts.RunningCommit != second {
		t.Errorf("switch took %q, running %s", r.steps(o), r.version())
	}
	eventually(t, "a heartbeat that knows the new system", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		last := r.beats[len(r.beats)-1]
		return last.Observed.RunningCommit == second && last.Order == o.ID && last.Gen == o.Gen && last.Step == agentbus.StepHealthy
	})
}
