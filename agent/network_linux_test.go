package agent

import (
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// world is a host in a network of its own, one wire away from the bus and from
// an anchor, which are in the network of the test.
type world struct {
	*rig
	ns     string // process id that names the host's network
	bus    *forwarder
	anchor string
}

func newWorld(t *testing.T, number int) *world {
	t.Helper()
	holder := exec.Command("sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	w := &world{ns: strconv.Itoa(holder.Process.Pid)}
	n := strconv.Itoa(number)
	wire, here, there := "wire"+n, "10.77."+n+".1", "10.77."+n+".2"
	for _, args := range []string{
		"ip link add " + wire + " type veth peer name eth0 netns " + w.ns,
		"ip addr add " + here + "/24 dev " + wire,
		"ip link set " + wire + " up",
		"nsenter -t " + w.ns + " -n ip addr add " + there + "/24 dev eth0",
		"nsenter -t " + w.ns + " -n ip link set eth0 up",
		"nsenter -t " + w.ns + " -n ip link set lo up",
	} {
		sh(t, args)
	}
	bus := bustest.Start(t)
	w.rig = newRigOn(t, bus)
	w.enter = strings.Fields("nsenter -t " + w.ns + " -n")
	u, err := url.Parse(bus.Broker.URL())
	if err != nil {
		t.Fatal(err)
	}
	w.bus = &forwarder{t: t, addr: here + ":0", to: u.Host}
	w.bus.start()
	t.Cleanup(w.bus.stop)
	u.Host = w.bus.addr
	w.host.URLs = []string{u.String()}
	anchor, err := net.Listen("tcp", here+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = anchor.Close() })
	w.anchor = anchor.Addr().String()
	w.policy.Anchors = []string{w.anchor}
	return w
}

func sh(t *testing.T, line string) string {
	t.Helper()
	args := strings.Fields(line)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// first brings the host to v1, which puts the wire up.
func (w *world) first() {
	w.t.Helper()
	w.await(w.send(agentbus.KindDeploy, w.commit(system{version: "v1", also: "ip link set eth0 up"})), agentbus.StepHealthy)
	w.policy.VerifyTimeout = 4
}

// ended waits for the order's final answer. Those before it may have been lost
// with the connection; the final one says that they need not come again.
func (w *world) ended(o agentbus.Order, step agentbus.Step) (final agentbus.Answer) {
	w.t.Helper()
	eventually(w.t, "the end of "+o.ID, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		i := slices.IndexFunc(w.answers, func(a agentbus.Answer) bool { return a.Order == o.ID && a.Step.Final() })
		if i >= 0 {
			final = w.answers[i]
		}
		return i >= 0
	})
	if final.Step != step {
		w.t.Fatalf("order %s ended as %s, want %s: %+v note %q", o.ID, final.Step, step, final.Error, final.Note)
	}
	return final
}

func (w *world) online() bool {
	return strings.Contains(sh(w.t, "nsenter -t "+w.ns+" -n ip link show eth0"), "state UP")
}

func (w *world) switchDir(o agentbus.Order) jobDir { return jobDir(w.path("state", "switch", o.ID)) }

// reverted checks that the host runs v1 again and can be reached.
func (w *world) reverted(a agentbus.Answer, code string) {
	w.t.Helper()
	if a.Error.Code != code || w.version() != "v1" || !w.online() || len(w.runs()) != 3 {
		w.t.Errorf("error %+v, %s runs after %v, online %v", a.Error, w.version(), w.runs(), w.online())
	}
}

const cutTheWire = "ip link set eth0 down"

// What becomes of a host whose new system, whose server or whose machine fails,
// with a real network between the two.
func TestHostOnTheNetwork(t *testing.T) {
	t.Parallel()
	if nixEnv == nil {
		t.Skip("nix and git are not installed")
	}
	if !inside(t) {
		return
	}
	sh(t, "ip link set lo up")
	for i, tt := range []struct {
		name string
		run  func(*world)
	}{
		{"the new system cuts the network", cutNetwork},
		{"it cuts the network and takes the agent down", cutNetworkAndAgent},
		{"the machine restarts half way, without a network", restartHalfWay},
		{"the server is down, the network is not", serverIsDown},
		{"the server is down, and the policy is to go back", serverIsDownGoBack},
		{"no network to begin with", noNetwork},
		{"the network comes back before the switch", networkComesBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(newWorld(t, i+1))
		})
	}
}

func cutNetwork(w *world) {
	w.spawn()
	w.first()
	o := w.send(agentbus.KindDeploy, w.commit(system{version: "v2", also: cutTheWire}))
	w.reverted(w.ended(o, agentbus.StepReverted), findNetworkLost)
}

func cutNetworkAndAgent(w *world) {
	kill := w.spawn()
	w.first()
	o := w.send(agentbus.KindDeploy, w.commit(system{version: "v2", also: cutTheWire}))
	d := w.switchDir(o)
	eventually(w.t, "the new system runs", func() bool { return d.has(activatedFile) })
	kill()
	eventually(w.t, "the host goes back by itself", func() bool { return d.has(outcomeFile) })
	w.spawn()
	w.reverted(w.ended(o, agentbus.StepReverted), "no_word")
}

func restartHalfWay(w *world) {
	kill := w.spawn()
	w.first()
	w.touch(w.path("current.hold"))
	o := w.send(agentbus.KindDeploy, w.commit(system{version: "v2", also: cutTheWire}))
	d := w.switchDir(o)
	eventually(w.t, "the activation has cut the network", func() bool { return len(w.runs()) == 2 && !w.online() })
	kill()
	var s started
	var p process
	if ok, err := d.read(startedFile, &s); !ok || err != nil {
		w.t.Fatal(ok, err)
	}
	if ok, err := d.read(runningFile, &p); !ok || err != nil {
		w.t.Fatal(ok, err)
	}
	_ = syscall.Kill(s.PID, syscall.SIGKILL)
	_ = syscall.Kill(-p.PID, syscall.SIGKILL)
	w.remove(w.path("current")) // /run is empty
	w.remove(w.path("current.hold"))
	argv := append(w.enter, os.Args[0], "resume", w.path("state"))
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		w.t.Fatalf("resume: %v\n%s", err, out)
	}
	if w.version() != "v1" || !w.online() {
		w.t.Errorf("%s runs before there is an agent, online %v", w.version(), w.online())
	}
	w.spawn()
	w.reverted(w.ended(o, agentbus.StepReverted), "interrupted")
}

// switchWithout deploys v2 with a server that is down from the activation on.
func (w *world) switchWithout() agentbus.Order {
	w.t.Helper()
	w.spawn()
	w.first()
	w.touch(w.path("current.hold"))
	o := w.send(agentbus.KindDeploy, w.commit(system{version: "v2"}))
	eventually(w.t, "the activation runs", func() bool { return len(w.runs()) == 2 })
	w.bus.stop()
	w.remove(w.path("current.hold"))
	eventually(w.t, "the host decides", func() bool { return w.switchDir(o).has(outcomeFile) })
	w.bus.start()
	return o
}

func serverIsDown(w *world) {
	a := w.ended(w.switchWithout(), agentbus.StepHealthy)
	if !strings.Contains(a.Note, "the server did not answer") || w.version() != "v2" || len(w.runs()) != 2 {
		w.t.Errorf("note %q, %s runs after %v", a.Note, w.version(), w.runs())
	}
}

func serverIsDownGoBack(w *world) {
	w.policy.Unreachable = unreachableRollback
	w.reverted(w.ended(w.switchWithout(), agentbus.StepReverted), findServerDown)
}

// prepareWithout takes a deploy of v2 to where it is about to switch, without a
// bus, and without anything else that would answer.
func (w *world) prepareWithout() agentbus.Order {
	w.t.Helper()
	w.spawn()
	w.first()
	hold := w.path("building")
	w.touch(hold)
	w.policy.Anchors = nil
	o := w.send(agentbus.KindDeploy, w.commit(system{version: "v2 " + w.ns, hold: hold}))
	w.await(o, agentbus.StepBuilding)
	w.bus.stop()
	w.remove(hold)
	return o
}

func noNetwork(w *world) {
	w.policy.SwitchTimeout = 3
	o := w.prepareWithout()
	eventually(w.t, "the order is given up", func() bool {
		s, err := ReadStatus(w.path("state"), w.path("current"))
		return err == nil && s.Order == o.ID && s.Step.Final()
	})
	w.bus.start()
	a := w.ended(o, agentbus.StepFailed)
	if a.Error.Code != "no_network" || w.version() != "v1" || len(w.runs()) != 1 {
		w.t.Errorf("error %+v, %s runs after %v", a.Error, w.version(), w.runs())
	}
}

func networkComesBack(w *world) {
	o := w.prepareWithout()
	eventually(w.t, "the host waits for a network", func() bool {
		log, err := os.ReadFile(w.path("state", "logs", o.ID+".log"))
		return err == nil && strings.Contains(string(log), "waiting for a network")
	})
	if len(w.runs()) != 1 {
		w.t.Errorf("switched without a network: %v", w.runs())
	}
	w.bus.start()
	if w.ended(o, agentbus.StepHealthy); len(w.runs()) != 2 {
		w.t.Errorf("activations %v", w.runs())
	}
}

// forwarder is the bus's address on the wire, which can be out of service.
type forwarder struct {
	t        *testing.T
	addr, to string

	mu    sync.Mutex
	conns []net.Conn
	l     net.Listener
	wg    sync.WaitGroup
}

func (f *forwarder) start() {
	f.t.Helper()
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.l, f.addr = l, l.Addr().String()
	f.mu.Unlock()
	f.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", f.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			f.mu.Lock()
			f.conns = append(f.conns, in, out)
			f.mu.Unlock()
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				f.wg.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = in.Close()
					_ = out.Close()
				})
			}
		}
	})
}

func (f *forwarder) stop() {
	f.mu.Lock()
	_ = f.l.Close()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
	f.mu.Unlock()
	f.wg.Wait()
}
