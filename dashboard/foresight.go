package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// foresight is what an order will do: to which hosts it goes, what each of them then
// does, and who is left out and why.
type foresight struct {
	kind   string
	fates  []fate
	left   []leftOut
	commit string    // that all hosts are brought to, as it was seen; empty: each its own
	waits  int       // hosts that are offline
	until  time.Time // how long those have
	does   string    // in a sentence, and what of the policy applies
}

// fate is what happens to one host.
type fate struct {
	host      string
	when      look   // when it begins
	from, to  string // short commits; empty where it doesn't go from one to another, or that is not known
	otherwise string // what is said in place of a commit that is not known
	notes     []string
}

// fatesInSight is how many hosts a question may show without scrolling.
const fatesInSight = 5

// leftOut is a host that gets no order.
type leftOut struct{ host, why string }

// does says what a wish is, whatever the hosts are.
func (w orderWish) does() string {
	if w.kind == fleet.OrderRollback && (w.generation != 0 || w.target != "" || w.commit != "") {
		return "Goes back to the system that is named here. Nothing is built that is there already."
	}
	return actOf(w.kind).about
}

// foresee tells what a wish does, from what is known now.
func foresee(w orderWish, s scene, k situation) foresight {
	f := foresight{kind: w.kind, does: w.does(), until: s.now.Add(fleet.OrderWaits)}
	byName := make(map[string]fleet.HostView, len(s.o.Hosts))
	for _, h := range s.o.Hosts {
		byName[h.Host.Name] = h
	}
	repos := map[int64]bool{}
	for _, name := range w.hosts {
		h, ok := byName[name]
		if why := whyNot(w, h, ok, s, k); why != "" {
			f.left = append(f.left, leftOut{name, why})
			continue
		}
		repos[h.Host.RepoID] = true
		f.fates = append(f.fates, fateOf(w, h, s.repos[h.Host.RepoID], k))
		if !h.Online {
			f.waits++
		}
	}
	f.commit = w.commit
	if len(repos) == 1 && (w.kind == fleet.OrderPull || w.kind == fleet.OrderDeploy) {
		for id := range repos {
			f.commit = cmp.Or(w.commit, s.repos[id].HeadSHA)
			f.does += rebootRule(w.kind, s.repos[id].Policy)
		}
	}
	return f
}

// whyNot says why a host gets no order; nothing where it gets one.
func whyNot(w orderWish, h fleet.HostView, ok bool, s scene, k situation) string {
	if !ok {
		return "is none of our hosts"
	}
	if why := h.Host.TakesOrders(); why != "" {
		return why
	}
	if why := unable(h.Host, w.kind); why != "" {
		return why
	}
	repo, watched := s.repos[h.Host.RepoID]
	needs := w.kind == fleet.OrderPull || w.kind == fleet.OrderDeploy
	switch {
	case needs && !watched:
		return "its repository is not watched any more"
	case needs && cmp.Or(w.commit, repo.HeadSHA) == "":
		return "the default branch of its repository was not read yet"
	case w.kind == fleet.OrderCancel && !slices.ContainsFunc(k.open[h.Host.Name], cancellable):
		return "has no order that could be cancelled"
	}
	return ""
}

func cancellable(o fleet.Order) bool { return o.Kind != fleet.OrderCancel && o.Kind != fleet.OrderNoop }

func fateOf(w orderWish, h fleet.HostView, repo fleet.RepoView, k situation) fate {
	f := fate{host: h.Host.Name, otherwise: "not known"}
	facts := h.Host.Facts
	checkout := facts.CheckoutCommit
	for _, o := range k.open[f.host] {
		if o.Kind == fleet.OrderPull && o.Commit != "" {
			checkout = o.Commit // a switch comes after it
		}
	}
	switch w.kind {
	case fleet.OrderPull:
		f.from, f.to = facts.CheckoutCommit, cmp.Or(w.commit, repo.HeadSHA)
	case fleet.OrderSwitch, fleet.OrderTest, fleet.OrderBoot:
		f.from, f.to = facts.RunningCommit, checkout
	case fleet.OrderDeploy:
		f.from, f.to = facts.RunningCommit, cmp.Or(w.commit, repo.HeadSHA)
	case fleet.OrderRollback:
		f.from, f.otherwise = facts.RunningCommit, "what ran before"
		f.to, f.notes = backTo(w, k.generations)
	}
	if f.from != "" && f.from == f.to {
		f.notes = append(f.notes, map[bool]string{true: "It is there already.", false: "It runs that already."}[w.kind == fleet.OrderPull])
	}
	if f.to == "" && slices.Contains([]string{fleet.OrderSwitch, fleet.OrderTest, fleet.OrderBoot}, w.kind) {
		f.notes = append(f.notes, "It is not known what its checkout is at; without one it refuses.")
	}
	f.from, f.to = short(f.from), short(f.to)
	if w.kind == fleet.OrderReboot && facts.RebootNeeded {
		f.notes = append(f.notes, "It needs one: its system has another kernel than the one that runs.")
	}
	f.notes = append(f.notes, affected(w.kind, f.host, k.open[f.host])...)
	if p := h.Progress; p != nil && (p.State == fleet.HostWaiting || p.State == fleet.HostOffline) && slices.Contains(fleet.SystemKinds(), w.kind) {
		f.notes = append(f.notes, "A rollout that runs comes to it later all the same.")
	}
	f.when = begins(w.kind, h, k.open[f.host])
	return f
}

// backTo is the commit that a rollback of one host leads to, as far as that is known.
func backTo(w orderWish, generations []fleet.Generation) (commit string, notes []string) {
	if w.commit != "" {
		return w.commit, nil
	}
	running := slices.IndexFunc(generations, func(g fleet.Generation) bool { return g.Running })
	for i, g := range generations {
		wanted := w.target != "" && g.Path == w.target || w.generation != 0 && g.Number == w.generation
		if wanted || w.target == "" && w.generation == 0 && running >= 0 && i == running+1 {
			return g.Commit, []string{fmt.Sprintf("Generation %d.", g.Number)}
		}
	}
	return "", nil
}

// affected says what becomes of the orders that a host has.
func affected(kind, host string, open []fleet.Order) []string {
	var notes []string
	for _, o := range open {
		ends := (fleet.Order{Host: host, Kind: kind}).Replaces(o)
		switch {
		case !cancellable(o):
		case kind == fleet.OrderCancel && o.ReceivedAt.IsZero():
			notes = append(notes, "Ends its "+orderLine(o)+".")
		case kind == fleet.OrderCancel:
			notes = append(notes, "Stops its "+orderLine(o)+", unless that has begun to switch.")
		case ends && o.ReceivedAt.IsZero():
			notes = append(notes, "Takes the place of its "+orderLine(o)+".")
		case ends:
			notes = append(notes, "Stops its "+orderLine(o)+".")
		}
	}
	return notes
}

// begins is when a host takes an order up.
func begins(kind string, h fleet.HostView, open []fleet.Order) look {
	if !h.Online {
		return look{"idle", "offline", "Offline, waits for it"}
	}
	for _, o := range open {
		ends := (fleet.Order{Host: h.Host.Name, Kind: kind}).Replaces(o)
		if !o.ReceivedAt.IsZero() && cancellable(o) && !ends && !goesFirst(kind, o.Kind) {
			return look{"working", "clock", "After its " + orderWord(o.Kind)}
		}
	}
	return look{"ok", "go", "At once"}
}

// goesFirst reports whether a host begins a newer order before it ends an older one,
// as agents do: what only looks gives way, and a restart does not wait for a build.
func goesFirst(kind, older string) bool {
	restarts := []string{fleet.OrderRestartAgent, fleet.OrderReboot}
	switch {
	case kind == fleet.OrderCancel, older == fleet.OrderUpdateInputs:
		return true
	case older == fleet.OrderRefresh:
		return kind != fleet.OrderRefresh
	}
	return slices.Contains(restarts, kind) && !slices.Contains(restarts, older)
}

// rebootRule says whether an update reboots a host, by the policy of its repository.
func rebootRule(kind string, p *fleet.Policy) string {
	if kind != fleet.OrderDeploy || p == nil {
		return ""
	}
	if p.Deploy.Reboot == "when_needed" {
		return " A host reboots by itself when its new system has another kernel, as the policy says."
	}
	return " No host reboots by itself; System says where a new kernel waits for it."
}

// question is the dialog.
func (f foresight) question(w orderWish, who visitor) asking {
	one := ""
	if len(f.fates) == 1 {
		one = f.fates[0].host
	}
	names := make([]string, len(f.fates))
	for i, fate := range f.fates {
		names[i] = fate.host
	}
	what := nameOf(f.kind, len(f.fates), one)
	a := asking{
		title: what + "?", confirm: what, post: "/orders", byPost: true,
		danger: f.kind == fleet.OrderReboot || f.kind == fleet.OrderRollback,
		rows:   orderRows(f, w),
		fields: url.Values{"kind": {w.kind}, "key": {pressKey()}, "hosts": {strings.Join(names, " ")}},
	}
	for name, value := range map[string]string{"order": w.order, "target": w.target, "commit": f.commit} {
		if value != "" {
			a.fields.Set(name, value)
		}
	}
	if w.generation != 0 {
		a.fields.Set("generation", fmt.Sprint(w.generation))
	}
	switch {
	case !who.may(RoleOperator):
		a.stops = "Read-only: this needs the operator role, yours is " + who.role + "."
	case len(f.fates) == 0:
		a.title, a.stops = actOf(f.kind).label, "There is no host that could do it, so there is nothing to order."
	case f.kind == fleet.OrderReboot && !w.sure:
		a.again, a.confirm = "/orders/new", what+"…"
		a.fields.Set("sure", "yes")
	case f.kind == fleet.OrderReboot:
		a.title, a.confirm = "Really "+lower(what)+"?", "Yes, "+lower(what)
		a.fields.Set("sure", "yes")
		a.fields.Set("confirm", a.fields.Get("hosts"))
	}
	return a
}

// otherWay is another way to what somebody wants.
type otherWay struct {
	text, link, href string
	asks             bool // the link opens a question
}

// longest is how many bytes an address with names of hosts may have: proxies refuse
// longer ones.
const longest = 2000

// instead names the alternative to an order.
func (f foresight) instead() otherWay {
	other := func(kind, text string) otherWay {
		e := otherWay{text: text, link: actOf(kind).label, asks: true}
		q := url.Values{"kind": {kind}}
		for _, fate := range f.fates {
			q.Add("hosts", fate.host)
		}
		if e.href = "/orders/new?" + q.Encode(); len(e.href) > longest {
			e.href = ""
		}
		return e
	}
	switch f.kind {
	case fleet.OrderPull:
		return other(fleet.OrderDeploy, "also builds the commit and switches to it.")
	case fleet.OrderSwitch:
		return other(fleet.OrderTest, "is undone by the next boot.")
	case fleet.OrderTest:
		return other(fleet.OrderSwitch, "lasts beyond the next boot.")
	case fleet.OrderBoot:
		return other(fleet.OrderSwitch, "does not wait for a boot.")
	case fleet.OrderRestartAgent:
		return other(fleet.OrderRefresh, "only makes the agent look again.")
	case fleet.OrderReboot:
		return other(fleet.OrderRestartAgent, "is enough for an agent that hangs. A reboot can be left to the policy: deploy.reboot and reboot_windows.")
	case fleet.OrderRefresh:
		return other(fleet.OrderPull, "also brings the newest commit.")
	case fleet.OrderDeploy:
		return f.inWaves()
	case fleet.OrderRollback:
		if len(f.fates) == 1 {
			return otherWay{text: "lists every generation that it can go back to.", link: "Its page", href: hostPath(f.fates[0].host)}
		}
		return otherWay{text: "Rolling back a rollout brings each of its hosts to what it ran before."}
	}
	return otherWay{text: "Without this the orders go on, and end by themselves."}
}

// inWaves is a rollout in place of orders to all hosts at once.
func (f foresight) inWaves() otherWay {
	names := make([]string, len(f.fates))
	for i, fate := range f.fates {
		names[i] = fate.host
	}
	e := otherWay{text: "goes in waves and stops when hosts fail, as the policy says.", link: "A rollout", asks: true}
	if hosts := strings.Join(names, " or "); len(hosts) <= fleet.MaxSelector && len(names) > 0 {
		q := url.Values{"hosts": {hosts}}
		if f.commit != "" {
			q.Set("commit", f.commit)
		}
		e.href = "/rollouts/new?" + q.Encode()
	}
	return e
}
