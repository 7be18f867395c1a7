package agent

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// A switch that brings another agent ends in that agent, without anybody's doing:
// three tries within a minute, and none once it is at work.
func TestAgentBecomesTheOneOfTheNewSystem(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	stop := m.start()
	first := m.commit(system{version: "v1", agent: "a1"})
	m.await(m.send(agentbus.KindDeploy, first), agentbus.StepHealthy)
	stop()

	old := readLink(m.path("current", "sw", "bin", "nixfleet-agent"))
	configure := m.configure
	m.configure = func(c *Config) {
		configure(c)
		c.Program, c.Supervisor = old, []string{os.Args[0], "supervise"}
	}
	stop = m.start()
	m.await(m.send(agentbus.KindDeploy, m.commit(system{version: "v2", agent: "a1"})), agentbus.StepHealthy)
	if calls := m.calls(); len(calls) > 0 {
		t.Errorf("restarted for the same agent: %q", calls)
	}
	o := m.send(agentbus.KindDeploy, m.commit(system{version: "v3", agent: "a2"}))
	m.await(o, agentbus.StepHealthy)
	for n := range maxRenewals {
		m.called(n+1, restartCommand)
		m.later(renewalPause)
	}
	m.later(time.Hour)
	m.await(m.send(agentbus.KindRefresh, ""), agentbus.StepHealthy)
	stop()

	old = readLink(m.path("current", "sw", "bin", "nixfleet-agent"))
	m.start()
	m.await(m.send(agentbus.KindRefresh, ""), agentbus.StepHealthy)
	if calls := m.calls(); len(calls) != maxRenewals {
		t.Errorf("calls %q", calls)
	}
}

func TestWhenARenewalIsDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(ago time.Duration, tries int) renewal {
		return renewal{To: "new", Tries: tries, At: now.Add(-ago).UnixMilli()}
	}
	for _, tt := range []struct {
		name string
		r    renewal
		want bool
	}{
		{"never tried", renewal{}, true},
		{"another one before", renewal{To: "old", Tries: 9, At: now.UnixMilli()}, true},
		{"just tried", at(time.Second, 1), false},
		{"tried a while ago", at(renewalPause+time.Second, 1), true},
		{"tried often enough", at(time.Hour, maxRenewals), false},
		{"clock was set back", at(-time.Hour, 1), true},
	} {
		if got := tt.r.due("new", now); got != tt.want {
			t.Errorf("%s: due %v", tt.name, got)
		}
	}
	if time.Duration(maxRenewals-1)*renewalPause >= time.Minute {
		t.Error("the tries take longer than a minute")
	}
}

func TestProgramOfAStore(t *testing.T) {
	t.Parallel()
	const path = "/nix/store/00000000000000000000000000000000-nixfleet-agent-0.1.0"
	got := []string{
		storeOutput(path + "/bin/nixfleet-agent"), storeOutput(path), storeOutput("/usr/local/bin/nixfleet-agent"), storeOutput(""),
	}
	if !slices.Equal(got, []string{path, path, "", ""}) {
		t.Errorf("%q", got)
	}
}
