package fleet

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// modelOrder is one order as a modelled host has it.
type modelOrder struct {
	id      string
	rollout string
	kind    string // deploy, reboot, rollback or noop
	target  string // path
}

// computer is a modelled host: what runs on it, the order that it works on, and the
// newest one that it was sent.
type computer struct {
	path, profile string
	needsReboot   bool
	booted        time.Time
	byHand        bool // somebody switched it without us
	silent        bool

	newest  modelOrder // in the bucket
	working modelOrder // taken up; zero: none
	step    int        // index into modelSteps of its last answer
	done    string     // id of the order that it ended last
}

var modelSteps = []HostEvent{HostSaysReceived, HostSaysFetching, HostSaysBuilding, HostSaysSwitching, HostSaysVerifying}

// switching reports whether the machine is beyond the point where an order can be
// taken back.
func (m *computer) switching() bool { return m.working.id != "" && m.step >= 3 }

// modelAnswer is an answer on its way, with what the host then saw of itself.
type modelAnswer struct {
	host     string
	order    string
	event    HostEvent
	switched bool
	target   string
	final    bool
	facts    HostFacts
}

// world is a rollout, perhaps one that restores it, and machines that come and go,
// work or not, while people interfere. It does with each move what app and db do.
type world struct {
	now      time.Time
	main     *Rollout
	restore  *Rollout // nil: none
	hosts    map[string]Host
	machines map[string]*computer
	names    []string
	mail     []modelAnswer
	heard    []modelAnswer // delivered once already

	newer      bool
	newerHosts map[string]bool
	busy       bool
	hearing    time.Time
	orders     int
	open       map[string]bool // ids of orders that have neither ended nor were taken back
}

func drawWorld(t *rapid.T) *world {
	policy := DefaultPolicy().Deploy
	policy.MaxParallel = rapid.IntRange(1, 4).Draw(t, "max_parallel")
	policy.MaxFailures = Amount{N: rapid.IntRange(0, 3).Draw(t, "max_failures")}
	policy.Offline = rapid.SampledFrom([]string{"catch_up", "catch_up", "skip"}).Draw(t, "offline")
	policy.OnFailure = rapid.SampledFrom([]string{"halt", "rollback", "rollback", "revert_pr"}).Draw(t, "on_failure")
	policy.Reboot = rapid.SampledFrom([]string{"never", "when_needed", "window"}).Draw(t, "reboot")
	policy.Waves[0].Soak = rapid.SampledFrom([]time.Duration{0, 10 * time.Minute}).Draw(t, "soak")
	if rapid.Bool().Draw(t, "windows") {
		policy.Windows = []Freeze{{From: "Wed 10:00", To: "Wed 14:00"}, {From: "Thu 02:00", To: "Sun 06:00"}}
	}
	if rapid.Bool().Draw(t, "reboot_windows") {
		policy.RebootWindows = []Freeze{{From: "Wed 13:00", To: "Wed 13:30"}, {From: "Fri 02:00", To: "Fri 06:00"}}
	}
	hosts := enrolled(rapid.IntRange(0, 8).Draw(t, "hosts"), noon)
	plan, progress, err := MakePlan(policy, hosts)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		now: noon, hosts: map[string]Host{}, machines: map[string]*computer{}, open: map[string]bool{},
		main: &Rollout{ID: "main", Kind: RolloutDeploy, Commit: "c1", State: RolloutPlanned, Plan: plan, Hosts: progress},
	}
	for _, h := range hosts {
		w.hosts[h.Name] = h
		w.machines[h.Name] = &computer{path: "old", profile: "old", booted: noon.Add(-time.Hour)}
		w.names = append(w.names, h.Name)
	}
	w.pass(0)
	return w
}

// pass lets time pass, while all who are not silent tell of themselves.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for _, name := range w.names {
		if !w.machines[name].silent {
			w.beat(name, w.observe(name))
		}
	}
}

func (w *world) observe(name string) HostFacts {
	m := w.machines[name]
	return HostFacts{
		At: w.now, RunningPath: m.path, ProfilePath: m.profile, RebootNeeded: m.needsReboot,
		Uptime: w.now.Sub(m.booted), ExpectedPath: "new", ExpectedCommit: "c1",
	}
}

func (w *world) beat(name string, f HostFacts) {
	h := w.hosts[name]
	f.At = w.now
	h.LastSeen, h.Facts = w.now, f
	w.hosts[name] = h
}

// work lets a machine take one step with its order.
func (w *world) work(t *rapid.T, name string) {
	m := w.machines[name]
	if m.working.id != m.newest.id && !m.switching() && !m.silent {
		if m.working.id != "" {
			w.answer(name, HostSaysSuperseded)
		}
		m.working, m.step = modelOrder{}, 0
		if m.newest.kind != "noop" && m.newest.id != m.done {
			m.working = m.newest
			w.answer(name, modelSteps[0])
		}
		return
	}
	switch {
	case m.working.id == "":
	case m.step < 2 && rapid.IntRange(0, 9).Draw(t, "fails") == 0:
		w.answer(name, rapid.SampledFrom([]HostEvent{HostSaysFailed, HostSaysRefused, HostSaysCancelled}).Draw(t, "how"))
	case m.step < len(modelSteps)-1:
		m.step++
		if m.step == 3 {
			m.apply()
		}
		w.answer(name, modelSteps[m.step])
	default:
		w.conclude(t, name)
	}
}

// apply does to a machine what its order says.
func (m *computer) apply() {
	switch m.working.kind {
	case "reboot":
		m.path, m.needsReboot = m.profile, false
	default:
		m.path, m.profile, m.needsReboot = m.working.target, m.working.target, false
	}
}

// conclude ends an order that has switched.
func (w *world) conclude(t *rapid.T, name string) {
	m := w.machines[name]
	outcomes := []HostEvent{HostSaysHealthy, HostSaysHealthy, HostSaysHealthy, HostSaysFailed, HostPutOff}
	if m.working.kind == "deploy" {
		outcomes = append(outcomes, HostSaysReverted)
	}
	e := rapid.SampledFrom(outcomes).Draw(t, "outcome")
	switch e {
	case HostSaysReverted:
		m.path, m.profile = "old", "old"
	case HostPutOff:
		m.needsReboot = true
	}
	if m.working.kind == "reboot" {
		m.booted = w.now
	}
	w.answer(name, e)
}

// answer sends one answer of a machine. A final one ends its order.
func (w *world) answer(name string, e HostEvent) {
	m := w.machines[name]
	final := !slices.Contains(modelSteps, e)
	w.mail = append(w.mail, modelAnswer{
		host: name, order: m.working.id, event: e, final: final,
		switched: m.working.kind != "reboot" && m.step >= 3, target: m.working.target, facts: w.observe(name),
	})
	if final {
		m.done, m.working, m.step = m.working.id, modelOrder{}, 0
	}
}

// deliver records an answer, as the database does: it counts for the host that works
// on that order, and for nobody else.
func (w *world) deliver(a modelAnswer) {
	if h := w.hosts[a.host]; !h.RevokedAt.IsZero() {
		return
	}
	if a.final {
		w.beat(a.host, a.facts)
	}
	for _, r := range []*Rollout{w.main, w.restore} {
		if r == nil {
			continue
		}
		r.Hosts = slices.Clone(r.Hosts)
		for i := range r.Hosts {
			p := &r.Hosts[i]
			if p.Host != a.host || p.Order != a.order {
				continue
			}
			*p = p.After(a.event, w.now)
			if a.switched {
				p.Switched = true
				p.Target.Path = a.target
			}
		}
	}
	w.settle()
}

// settle notes which orders have ended.
func (w *world) settle() {
	for _, r := range []*Rollout{w.main, w.restore} {
		if r == nil {
			continue
		}
		for _, p := range r.Hosts {
			if p.State.Terminal() || p.State == HostDeferred {
				delete(w.open, p.Order)
			}
		}
	}
}

// deliverSome delivers the oldest answer of a host, or one a second time.
func (w *world) deliverSome(t *rapid.T) {
	if len(w.heard) > 0 && rapid.IntRange(0, 4).Draw(t, "again") == 0 {
		w.deliver(rapid.SampledFrom(w.heard).Draw(t, "twice"))
		return
	}
	i := slices.IndexFunc(w.mail, func(a modelAnswer) bool { return !w.machines[a.host].silent })
	if i < 0 {
		return
	}
	a := w.mail[i]
	w.mail = slices.Delete(w.mail, i, i+1)
	w.heard = append(w.heard, a)
	w.deliver(a)
}

func (w *world) deliverAll() {
	for _, a := range w.mail {
		w.heard = append(w.heard, a)
		w.deliver(a)
	}
	w.mail = nil
}

// send gives a machine an order, as the database and the bus do.
func (w *world) send(r *Rollout, name, kind, target string) string {
	w.orders++
	id := fmt.Sprintf("o%d", w.orders)
	w.machines[name].newest = modelOrder{id: id, rollout: r.ID, kind: kind, target: target}
	return id
}
