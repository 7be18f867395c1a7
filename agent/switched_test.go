package agent

import (
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

func TestTestLeavesTheNextBootAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.deployed()
	old := readLink(r.path("current"))
	second := r.commit(system{version: "v2", kernel: "other"})
	r.policy.Reboot = rebootWhenNeeded // a trial is never rebooted into
	r.await(r.send(agentbus.KindPull, second), agentbus.StepHealthy)
	o := r.send(agentbus.KindTest, "")
	a := r.await(o, agentbus.StepHealthy)
	if r.steps(o) != "received building switching verifying healthy" || r.version() != "v2" || a.Facts.RunningCommit != second {
		t.Errorf("test took %q, running %s", r.steps(o), r.version())
	}
	if a.Facts.ProfilePath != old || len(a.Generations) != 1 || a.Generations[0].Running {
		t.Errorf("profile %s, generations %+v", a.Facts.ProfilePath, a.Generations)
	}
	// What was on trial is good: now it is switched to.
	if a = r.await(r.send(agentbus.KindSwitch, ""), agentbus.StepHealthy); a.Facts.ProfilePath != a.Facts.RunningPath || r.version() != "v2" {
		t.Errorf("facts after the switch: %+v", a.Facts)
	}
}

func TestTrialIsTakenBackByARollback(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.deployed()
	r.await(r.send(agentbus.KindPull, r.commit(system{version: "v2"})), agentbus.StepHealthy)
	r.await(r.send(agentbus.KindTest, ""), agentbus.StepHealthy)
	r.await(r.send(agentbus.KindRollback, ""), agentbus.StepHealthy)
	if r.version() != "v1" {
		t.Errorf("%s runs", r.version())
	}
}

func TestBootChangesNothingThatRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.deployed()
	r.await(r.send(agentbus.KindPull, r.commit(system{version: "v2"})), agentbus.StepHealthy)
	o := r.send(agentbus.KindBoot, "")
	a := r.await(o, agentbus.StepHealthy)
	f := a.Facts
	if r.version() != "v1" || f.RunningCommit != first || f.ProfilePath == f.RunningPath || f.ProfilePath != f.ExpectedPath {
		t.Errorf("running %s, facts %+v", r.version(), f)
	}
	if !f.RebootNeeded || !strings.Contains(a.Note, "next boot") {
		t.Errorf("note %q, reboot needed %v", a.Note, f.RebootNeeded)
	}
	// Going on with what runs takes the wait for a reboot back.
	if a = r.await(r.send(agentbus.KindRollback, "", target(f.RunningPath)), agentbus.StepHealthy); a.Facts.RebootNeeded {
		t.Errorf("facts after the rollback: %+v", a.Facts)
	}
}

// TestRebootPolicy goes through what becomes of a switch that a reboot must follow.
func TestRebootPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy string
		system system
		end    agentbus.Step
		note   string
	}{
		{"other kernel, never", "never", system{version: "v2", kernel: "k2"}, agentbus.StepHealthy, "new kernel"},
		{"other kernel, no policy", "", system{version: "v2", kernel: "k2"}, agentbus.StepHealthy, "new kernel"},
		{"other kernel, window", rebootInWindow, system{version: "v2", kernel: "k2"}, agentbus.StepDeferred, "new kernel"},
		{"not switched, never", "never", system{version: "v2", exit: 100}, agentbus.StepDeferred, "new system"},
		{"not switched, window", rebootInWindow, system{version: "v2", exit: 100}, agentbus.StepDeferred, "new system"},
		{"same kernel, window", rebootInWindow, system{version: "v2"}, agentbus.StepHealthy, ""},
		{"same kernel, when needed", rebootWhenNeeded, system{version: "v2"}, agentbus.StepHealthy, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.start()
			m.deployed()
			m.reboots(readLink(m.path("current")))
			m.policy.Reboot = tt.policy
			a := m.await(m.send(agentbus.KindDeploy, m.commit(tt.system)), tt.end)
			if !strings.Contains(a.Note, tt.note) || (tt.note == "") != (a.Note == "") || a.Facts.RebootNeeded != (tt.note != "") {
				t.Errorf("note %q, reboot needed %v", a.Note, a.Facts.RebootNeeded)
			}
			if len(m.calls()) > 0 {
				t.Errorf("calls %q", m.calls())
			}
		})
	}
}

func TestRebootWithinADeploy(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]system{
		"other kernel": {version: "v2", kernel: "k2"},
		"not switched": {version: "v2", exit: 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			stop := m.start()
			m.deployed()
			m.reboots(readLink(m.path("current")))
			m.policy.Reboot = rebootWhenNeeded
			o := m.send(agentbus.KindDeploy, m.commit(s))
			m.called(1, rebootCommand)
			if got := m.steps(o); got != "received fetching building switching verifying verifying" {
				t.Errorf("before the reboot: %q", got)
			}
			stop()
			next := readLink(m.path("profiles", "system"))
			m.reboots(next)
			m.start()
			a := m.await(o, agentbus.StepHealthy)
			if a.Facts.RebootNeeded || a.Facts.RunningPath != next || m.version() != "v2" || len(m.calls()) != 1 {
				t.Errorf("facts %+v, calls %q", a.Facts, m.calls())
			}
		})
	}
}

func TestDeployThatBootsAnotherSystemFails(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	stop := m.start()
	m.deployed()
	old := readLink(m.path("current"))
	m.reboots(old)
	m.policy.Reboot = rebootWhenNeeded
	o := m.send(agentbus.KindDeploy, m.commit(system{version: "v2", exit: 100}))
	m.called(1, rebootCommand)
	stop()
	m.reboots(old)
	m.start()
	if a := m.await(o, agentbus.StepFailed); a.Error.Code != codeOtherSystem || !strings.Contains(a.Error.Message, old) {
		t.Errorf("error %+v", a.Error)
	}
}

func TestActsThatAPlatformLacks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		platform Platform
		kind     agentbus.Kind
		instead  string // "" where it is supported
	}{
		{NixOS, agentbus.KindTest, ""},
		{NixOS, agentbus.KindBoot, ""},
		{NixOS, agentbus.KindReboot, ""},
		{Darwin, agentbus.KindTest, "order a switch"},
		{Darwin, agentbus.KindBoot, "order a switch"},
		{Darwin, agentbus.KindReboot, ""},
		{Darwin, agentbus.KindRollback, ""},
		{Home, agentbus.KindTest, "order a switch"},
		{Home, agentbus.KindBoot, "order a switch"},
		{Home, agentbus.KindReboot, "reboot it there"},
		{Home, agentbus.KindRestartAgent, ""},
	} {
		bad := checkOrder(testOrder(1, tt.kind), tt.platform)
		if (bad == nil) != (tt.instead == "") || bad != nil && (bad.Code != agentbus.RefusedUnsupported || !strings.Contains(bad.Message, tt.instead)) {
			t.Errorf("%s on %s: %+v", tt.kind, tt.platform, bad)
		}
	}
}

// An agent whose system is not the machine's, as in the demo, leaves the machine
// alone whatever it is told.
func TestGuestNeverRestartsTheMachine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.deployed()
	for _, kind := range []agentbus.Kind{agentbus.KindReboot, agentbus.KindRestartAgent} {
		if a := r.await(r.send(kind, ""), agentbus.StepRefused); a.Error.Code != agentbus.RefusedUnsupported || !strings.Contains(a.Error.Message, "on the machine") {
			t.Errorf("%s: %+v", kind, a.Error)
		}
	}
	r.policy.Reboot = rebootWhenNeeded
	r.await(r.send(agentbus.KindDeploy, r.commit(system{version: "v2", exit: 100})), agentbus.StepDeferred)
}

func TestWhoIsAGuest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cfg  Config
		want bool
	}{
		{Config{Platform: NixOS, Paths: Paths{Current: currentSystem}}, false},
		{Config{Platform: Darwin, Paths: Paths{Current: currentSystem}}, false},
		{Config{Platform: NixOS, Paths: Paths{Current: "/tmp/demo/current"}}, true},
		{Config{Platform: Home, Paths: Paths{Current: "/home/a/.local/state/nix/profiles/home-manager"}}, false},
	} {
		if got := tt.cfg.guest(); got != tt.want {
			t.Errorf("%s at %s: guest %v", tt.cfg.Platform, tt.cfg.Paths.Current, got)
		}
	}
}
