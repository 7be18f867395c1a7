package stories

import (
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// failed is an order whose build failed.
func (b book) failed(h fleet.Host) fleet.OrderRecord {
	o := b.given(h, "01KAQD", fleet.OrderDeploy, 26*time.Minute)
	o.ReceivedAt, o.EndedAt, o.State = o.IssuedAt.Add(time.Second), o.IssuedAt.Add(3*time.Minute), fleet.HostFailed
	o.Reason = "prometheus 3.8 for the new dashboards"
	o.Failure = &fleet.HostError{
		Step: "building", Code: "build_failed", ExitCode: 1, Message: "builder for '/nix/store/w1…-prometheus-3.8.drv' failed with exit code 1",
		LogTail: "running tests\n--- FAIL: TestAlerts (0.03s)\nerror: builder for '/nix/store/w1…-prometheus-3.8.drv' failed with exit code 1",
	}
	return fleet.OrderRecord{Order: o, Steps: b.steps(o, "received", "fetching", "building", "failed")}
}

// steps are answers of a host, further and further apart.
func (b book) steps(o fleet.Order, names ...string) []fleet.OrderStep {
	var list []fleet.OrderStep
	at := o.ReceivedAt
	for i, s := range names {
		list = append(list, fleet.OrderStep{Step: s, At: at, Recorded: at.Add(40 * time.Millisecond)})
		at = at.Add(time.Duration(i*i*9+2) * time.Second)
	}
	return list
}

// printed is a log with more lines than a page shows at once, or with few.
func printed(lines int) []fleet.OutputChunk {
	var out []fleet.OutputChunk
	add := func(step, text string) {
		from := int64(0)
		if len(out) > 0 {
			from = out[len(out)-1].To
		}
		out = append(out, fleet.OutputChunk{From: from, To: from + int64(len(text)), Step: step, Text: text})
	}
	add("fetching", "From https://github.com/aurora/nixcfg\n   4c1d9e0..def4567  main       -> origin/main\n")
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "copying path '/nix/store/%032d-package-%d' from 'https://cache.nixos.org'...\n", i, i)
	}
	add("building", "evaluating nixosConfigurations.hsb1…\nthese 3 derivations will be built:\n  /nix/store/w1…-etc.drv\n"+b.String())
	add("switching", "stopping the following units: restic-backups-nas.timer\nactivating the configuration...\n<script>alert('a log is text')</script>\n")
	return out
}

func (b book) orderStories() []Story {
	var host fleet.Host
	for _, h := range b.nine() {
		if h.Name == "hsb1" {
			host = b.record(h).Host
		}
	}
	page := func(name, about string, r fleet.OrderRecord, log []fleet.OutputChunk) Story {
		return Story{
			Name: name, About: about, Path: "/hosts/" + host.Name + "/orders/" + r.Order.ID, Overview: b.fleet(b.nine()), Order: &r, Log: log,
		}
	}
	order := func(id, kind string, ago time.Duration, state fleet.HostState, change func(*fleet.Order)) fleet.Order {
		o := b.given(host, id, kind, ago)
		o.ReceivedAt, o.State = o.IssuedAt.Add(2*time.Second), state
		if change != nil {
			change(&o)
		}
		return o
	}
	over := func(o *fleet.Order) { o.EndedAt = o.IssuedAt.Add(4 * time.Minute) }

	runs := order("01KAQE", fleet.OrderDeploy, 3*time.Minute, fleet.HostBuilding, nil)
	well := order("01KAQF", fleet.OrderDeploy, 2*time.Hour, fleet.HostHealthy, func(o *fleet.Order) {
		over(o)
		o.Rollout, o.Actor, o.Reason = "01KAQ6", fleet.PolicyActor, "#41 flake.lock: Update"
	})
	back := order("01KAQG", fleet.OrderSwitch, 50*time.Minute, fleet.HostReverted, func(o *fleet.Order) {
		over(o)
		o.Failure = &fleet.HostError{Step: "verifying", Code: "network_lost", Message: "nothing that answered before the switch answers now; it went back to generation 213"}
	})
	gone := order("01KAQH", fleet.OrderPull, 5*time.Hour, fleet.HostCancelled, func(o *fleet.Order) {
		o.EndedAt, o.ReceivedAt, o.Note = o.IssuedAt.Add(20*time.Second), time.Time{}, "bob cancelled it before the host took it up"
	})
	waits := page("order-waiting", "An order that waits for a host that sleeps.", fleet.OrderRecord{Order: b.given(host, "01KAQI", fleet.OrderDeploy, 10*time.Minute)}, nil)
	for i := range waits.Overview.Hosts {
		waits.Overview.Hosts[i].Online = waits.Overview.Hosts[i].Host.Name != host.Name
	}
	return []Story{
		page("order-running", "An order that the host works on.", fleet.OrderRecord{Order: runs, Steps: b.steps(runs, "received", "fetching", "building"), Change: b.closure(host.Name)}, printed(40)),
		page("order-healthy", "An order that went well, with all that it changed and a long log.", fleet.OrderRecord{
			Order: well, Steps: b.steps(well, "received", "fetching", "building", "switching", "verifying", "healthy"), Change: b.closure(host.Name),
		}, printed(3000)),
		page("order-failed", "An order whose build failed.", b.failed(host), printed(4)),
		page("order-reverted", "A switch after which the host went back by itself.", fleet.OrderRecord{
			Order: back, Steps: b.steps(back, "received", "building", "switching", "verifying", "reverted"),
		}, printed(4)),
		page("order-cancelled", "An order that was cancelled before the host took it up.", fleet.OrderRecord{Order: gone}, nil),
		waits,
	}
}
