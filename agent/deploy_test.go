package agent

import (
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
	if r.version() != "v1" {
		t.Errorf("%q runs, want v1", r.version())
	}

	second := r.commit(system{version: "v2"})
	o = r.send(agentbus.KindDeploy, second)
	if a := r.await(o, agentbus.StepHealthy); a.Note != "" || a.Facts.RunningCommit != second {
		t.Errorf("second deploy: note %q, facts %+v", a.Note, a.Facts)
	}
	if got := r.runs(); len(got) != 2 {
		t.Errorf("activations %v, want two", got)
	}
}
