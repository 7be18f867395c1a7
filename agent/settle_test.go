package agent

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

// systemctl gives the host a stand-in for systemd's: it lists the units that body
// prints as failed.
func (r *rig) systemctl(body string) {
	r.t.Helper()
	if err := os.MkdirAll(r.path("tools"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\ncd %s\n[ \"$1\" = list-units ] || exit 0\n%s\ntrue\n", r.dir, body)
	if err := os.WriteFile(r.path("tools", "systemctl"), []byte(text), 0o700); err != nil {
		r.t.Fatal(err)
	}
}

// The first look at the host is good and leaves a mark; what the mark brings about
// comes after the switch, and must count all the same.
func TestWhatFailsAfterTheSwitchCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, units, health string
		exit                int
		step                agentbus.Step
		code, says          string
	}{
		{name: "a unit fails late", units: "echo old.service; [ -e v2.seen ] && echo late.service", step: agentbus.StepReverted, code: findUnitsFailed, says: "late.service"},
		{name: "a health check fails late", units: "echo old.service", health: "[ ! -e v2.seen ]", step: agentbus.StepReverted, code: findUnhealthy, says: "health check"},
		{name: "status 4, and the units had failed before", units: "echo old.service", exit: 4, step: agentbus.StepHealthy, says: "none has failed that had not"},
		{name: "status 4, and a unit fails that had not", units: "echo old.service; [ $(cat current/nixos-version) = v2 ] && echo new.service", exit: 4, step: agentbus.StepReverted, code: findUnitsFailed, says: "new.service"},
		{name: "systemd can't be asked for a while", units: "[ -e v2.seen ] || [ $(cat current/nixos-version) = v1 ] || exit 1", step: agentbus.StepHealthy},
		{name: "systemd can't be asked", units: "[ $(cat current/nixos-version) = v1 ] || exit 1", step: agentbus.StepReverted, code: findUnitsUnknown, says: "not known which"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.systemctl(tt.units)
			r.start()
			r.deployed()
			r.policy.VerifyTimeout = 6
			mark := fmt.Sprintf("cd %s; %s || exit 1; [ $(cat current/nixos-version) = v1 ] || touch v2.seen", r.dir, or(tt.health, "true"))
			if !strings.Contains(tt.name, "while") {
				r.policy.Health = []agentbus.HealthCheck{{Command: []string{"/bin/sh", "-c", mark}}}
			}
			o := r.send(agentbus.KindDeploy, r.commit(system{version: "v2", exit: tt.exit}))
			if strings.Contains(tt.name, "while") {
				r.await(o, agentbus.StepVerifying)
				r.touch(r.path("v2.seen"))
			}
			a := r.await(o, tt.step)
			said, code := a.Note, ""
			if a.Error != nil {
				said, code = a.Error.Message, a.Error.Code
			}
			if code != tt.code || !strings.Contains(said, tt.says) {
				t.Errorf("code %q, said %q", code, said)
			}
			want := map[agentbus.Step]string{agentbus.StepHealthy: "v2", agentbus.StepReverted: "v1"}[tt.step]
			if r.version() != want {
				t.Errorf("%s runs, want %s", r.version(), want)
			}
		})
	}
}
