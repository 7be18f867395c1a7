package agent

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// machine is what a test may do with the machine that a rig's agent runs on: give
// it another boot, set its clock, and see which of its commands were called.
type machine struct {
	*rig
	mu     sync.Mutex
	boot   string
	offset time.Duration
}

func newMachine(t *testing.T) *machine {
	m := &machine{rig: newRig(t), boot: "boot-1"}
	standIn(t, m.path("tools", "systemctl"), m.path("calls"), "", "")
	m.configure = func(c *Config) {
		c.Tools = m.path("tools")
		c.BootID = func() string { m.mu.Lock(); defer m.mu.Unlock(); return m.boot }
		c.Now = func() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return time.Now().Add(m.offset) }
	}
	return m
}

// reboots is a boot: the machine comes up in what it was to boot.
func (m *machine) reboots(into string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boot += "+"
	for _, link := range []string{"booted", "current"} {
		if into != "" {
			_ = os.Remove(m.path(link))
			if err := os.Symlink(into, m.path(link)); err != nil {
				m.t.Fatal(err)
			}
		}
	}
}

func (m *machine) later(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offset += d
}

// calls are the commands that restart something and were called, without their
// place.
func (m *machine) calls() (calls []string) {
	data, _ := os.ReadFile(m.path("calls"))
	for line := range strings.Lines(strings.ReplaceAll(string(data), m.path("tools")+"/", "")) {
		if strings.Contains(line, "--no-block") || !strings.HasPrefix(line, "systemctl") {
			calls = append(calls, strings.TrimSpace(line))
		}
	}
	return calls
}

func (m *machine) called(n int, command string) {
	m.t.Helper()
	eventually(m.t, command, func() bool { calls := m.calls(); return len(calls) == n && calls[n-1] == command })
}

const (
	rebootCommand  = "systemctl --no-block reboot"
	restartCommand = "systemctl --no-block restart nixfleet-agent.service"
)

func TestRestartIsAnsweredByTheNewProcess(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	stop := m.start()
	o := m.send(agentbus.KindRestartAgent, "")
	m.await(o, agentbus.StepVerifying)
	m.called(1, restartCommand)
	late := m.send(agentbus.KindCancel, "", func(c *agentbus.Order) { c.Cancels = o.ID })
	if a := m.await(late, agentbus.StepHealthy); !strings.Contains(a.Note, "begun to restart") {
		t.Errorf("cancelling a restart: note %q", a.Note)
	}
	stop()
	m.start()
	a := m.await(o, agentbus.StepHealthy)
	if m.steps(o) != "received verifying healthy" || len(m.calls()) != 1 || !strings.Contains(a.Note, Version) {
		t.Errorf("restart took %q with %q, note %q", m.steps(o), m.calls(), a.Note)
	}
}

func TestErrandThatComesToNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind          agentbus.Kind
		command, code string
	}{
		{agentbus.KindRestartAgent, restartCommand, codeNotRestarted},
		{agentbus.KindReboot, rebootCommand, codeNotRebooted},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			stop := m.start()
			o := m.send(tt.kind, "")
			m.called(1, tt.command)
			if tt.kind == agentbus.KindReboot { // the agent's own end is none of the machine
				stop()
				m.start()
				m.called(2, tt.command)
			}
			m.later(rebootTimeout + time.Minute)
			a := m.await(o, agentbus.StepFailed)
			if a.Error.Code != tt.code || a.Error.Step != agentbus.StepVerifying || !strings.Contains(a.Error.Message, "nothing came of it") {
				t.Errorf("error %+v", a.Error)
			}
			if err := os.WriteFile(m.path("tools", "systemctl.exit"), []byte("1"), 0o600); err != nil {
				t.Fatal(err)
			}
			if a := m.await(m.send(tt.kind, ""), agentbus.StepFailed); a.Error.Code != tt.code || a.Error.ExitCode != 1 {
				t.Errorf("command that fails: %+v", a.Error)
			}
		})
	}
}

func TestRebootIsDoneWhenTheHostIsBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	stop := m.start()
	m.deployed()
	path := readLink(m.path("current"))
	o := m.send(agentbus.KindReboot, "", target(path))
	m.await(o, agentbus.StepVerifying)
	m.called(1, rebootCommand)
	waiting := m.send(agentbus.KindDeploy, m.commit(system{version: "v2"}))
	m.await(waiting, agentbus.StepReceived)
	stop()
	m.reboots(path)
	m.start()
	a := m.await(o, agentbus.StepHealthy)
	if m.steps(o) != "received verifying healthy" || a.BootID != "boot-1+" || a.Facts.BootedPath != path || len(m.calls()) != 1 {
		t.Errorf("reboot took %q with %q: %+v", m.steps(o), m.calls(), a)
	}
	m.await(waiting, agentbus.StepHealthy)
}

func TestRebootIntoAnotherSystem(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	stop := m.start()
	m.deployed()
	old := readLink(m.path("current"))
	m.await(m.send(agentbus.KindDeploy, m.commit(system{version: "v2"})), agentbus.StepHealthy)
	path := readLink(m.path("current"))

	a := m.await(m.send(agentbus.KindReboot, "", target(old)), agentbus.StepFailed)
	if a.Error.Code != codeOtherSystem || !strings.Contains(a.Error.Message, path) || len(m.calls()) > 0 {
		t.Errorf("a reboot that would end elsewhere: %+v, calls %q", a.Error, m.calls())
	}
	o := m.send(agentbus.KindReboot, "", target(path))
	m.called(1, rebootCommand)
	stop()
	m.reboots(old)
	m.start()
	a = m.await(o, agentbus.StepFailed)
	if a.Error.Code != codeOtherSystem || !strings.Contains(a.Error.Message, old) || !strings.Contains(a.Error.Message, path) {
		t.Errorf("error %+v", a.Error)
	}
}

func TestRestartGoesBeforeABuild(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	hold := m.path("building")
	m.touch(hold)
	stop := m.start()
	deploy := m.send(agentbus.KindDeploy, m.commit(system{version: "v1", hold: hold}))
	m.await(deploy, agentbus.StepBuilding)
	o := m.send(agentbus.KindRestartAgent, "")
	m.called(1, restartCommand)
	stop()
	m.start()
	m.await(o, agentbus.StepHealthy)
	m.remove(hold)
	m.await(deploy, agentbus.StepHealthy)
	if m.steps(deploy) != wholeWay || len(m.runs()) != 1 {
		t.Errorf("the build that was put off took %q, activations %v", m.steps(deploy), m.runs())
	}
}

// onMacOS makes the machine one with nix-darwin, whose programs are stand-ins.
func (m *machine) onMacOS(program string) {
	for _, tool := range []string{"launchctl", "shutdown"} {
		standIn(m.t, m.path("tools", tool), m.path("calls"), "", "")
	}
	configure := m.configure
	m.configure = func(c *Config) {
		configure(c)
		c.Platform, c.Program, c.Supervisor = Darwin, program, m.supervisor
	}
}

const kickstartCommand = "launchctl kickstart -k system/org.nixfleet.agent"

func TestErrandsOnMacOS(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.onMacOS("")
	stop := m.start()
	restart := m.send(agentbus.KindRestartAgent, "")
	m.called(1, kickstartCommand)
	stop()
	stop = m.start()
	m.await(restart, agentbus.StepHealthy)
	reboot := m.send(agentbus.KindReboot, "")
	m.called(2, "shutdown -r now")
	stop()
	m.reboots("")
	m.start()
	m.await(reboot, agentbus.StepHealthy)
	if a := m.await(m.send(agentbus.KindTest, ""), agentbus.StepRefused); a.Error.Code != agentbus.RefusedUnsupported {
		t.Errorf("a trial: %+v", a.Error)
	}
}

// Whoever switched to it, the agent of a new system on macOS is soon at work.
func TestAgentOnMacOSRestartsItself(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	systems := map[string]string{}
	for _, name := range []string{"a", "b"} {
		program := m.path("store", strings.Repeat(name, 32)+"-nixfleet-agent", "bin", "nixfleet-agent")
		standIn(t, program, m.path("programs"), "", "")
		systems[name] = m.path("system-" + name)
		if err := os.MkdirAll(m.path("system-"+name, "sw", "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(program, m.path("system-"+name, "sw", "bin", "nixfleet-agent")); err != nil {
			t.Fatal(err)
		}
	}
	m.reboots(systems["a"])
	m.onMacOS(m.path("system-a", "sw", "bin", "nixfleet-agent"))
	m.supervisor = []string{"/bin/false"}
	m.start()
	m.await(m.send(agentbus.KindRefresh, ""), agentbus.StepHealthy)
	if calls := m.calls(); len(calls) > 0 {
		t.Errorf("restarted without a reason: %q", calls)
	}
	m.reboots(systems["b"]) // what it boots does not matter, only what runs
	m.called(1, kickstartCommand)
}
