package stories

import (
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// HostRecord is what the story keeps of a host.
func (s Story) HostRecord(name string) (fleet.HostRecord, bool) {
	if s.Host != nil && s.Host.Host.Name == name {
		return *s.Host, true
	}
	for _, h := range s.Overview.Hosts {
		if h.Host.Name == name {
			return fleet.HostRecord{Host: h.Host}, true
		}
	}
	return fleet.HostRecord{}, false
}

// OrderRecord is what the story keeps of an order.
func (s Story) OrderRecord(host, id string) (fleet.OrderRecord, bool) {
	if s.Order != nil && s.Order.Order.Host == host && s.Order.Order.ID == id {
		return *s.Order, true
	}
	r, _ := s.HostRecord(host)
	if r.Changed != nil && r.Changed.Order.ID == id {
		return *r.Changed, true
	}
	for _, o := range r.Orders {
		if o.ID == id {
			return fleet.OrderRecord{Order: o}, true
		}
	}
	return fleet.OrderRecord{}, false
}

// hostStory changes one of the nine hosts and shows its page.
func (b book) hostStory(name, about, host, role string, change func(*fleet.HostRecord)) Story {
	hosts := b.nine()
	r := fleet.HostRecord{}
	for _, h := range hosts {
		if h.Name == host {
			r = b.record(h)
		}
	}
	change(&r)
	for i, h := range hosts {
		if h.Name == host {
			hosts[i] = r.Host
		}
	}
	if !r.Host.RevokedAt.IsZero() { // an overview leaves those out
		kept := hosts[:0]
		for _, h := range hosts {
			if h.Name != host {
				kept = append(kept, h)
			}
		}
		hosts = kept
	}
	return Story{Name: name, About: about, Path: "/hosts/" + host, Role: role, Overview: b.fleet(hosts), Host: &r}
}

// record is what is kept of a host that has been with the fleet for long.
func (b book) record(h fleet.Host) fleet.HostRecord {
	f := &h.Facts
	f.Uptime, f.Load1, f.BootID = 41*24*time.Hour+5*time.Hour, 0.42, "4f1c"
	f.MemoryUsed, f.MemoryTotal = 3_300<<20, 7_700<<20
	f.StoreFree, f.StoreTotal = 120<<30, 480<<30
	f.ProfilePath, f.OrderKeys, h.LastGen = f.RunningPath, []string{"k7Qm2xZ9"}, 118
	day := 24 * time.Hour
	deploy := b.ended(h, "01KAQ7", fleet.OrderDeploy, 2*day, 4*time.Minute+12*time.Second)
	deploy.Rollout, deploy.Actor, deploy.Reason = "01KAQ6", fleet.PolicyActor, "#41 flake.lock: Update"
	pull := b.ended(h, "01KAQ8", fleet.OrderPull, 26*time.Hour, 3*time.Second)
	refresh := b.ended(h, "01KAQ9", fleet.OrderRefresh, 5*time.Hour, time.Second)
	refresh.Commit, refresh.Reason = "", "after the disk was changed"
	return fleet.HostRecord{
		Host: h, Orders: []fleet.Order{refresh, pull, deploy},
		Generations: []fleet.Generation{
			{Number: 214, System: fleet.System{Path: f.RunningPath, Commit: head}, At: deploy.EndedAt.Add(-20 * time.Second), Running: true, Booted: true},
			{Number: 213, System: fleet.System{Path: systemPath(h.Name, "0aa9"), Commit: before}, At: b.ago(9 * day)},
			{Number: 212, System: fleet.System{Path: systemPath(h.Name, "77ab")}, At: b.ago(23 * day)},
		},
		Brought: []fleet.SystemOrder{{Path: f.RunningPath, Order: deploy.ID, Kind: deploy.Kind, Actor: deploy.Actor, Rollout: deploy.Rollout, IssuedAt: deploy.IssuedAt}},
		Changed: &fleet.OrderRecord{Order: deploy, Change: b.closure(h.Name)},
	}
}

// ended is an order of a host that ended well.
func (b book) ended(h fleet.Host, id, kind string, ago, took time.Duration) fleet.Order {
	o := b.given(h, id, kind, ago)
	o.ReceivedAt, o.EndedAt, o.State = o.IssuedAt.Add(time.Second), o.IssuedAt.Add(time.Second+took), fleet.HostHealthy
	return o
}

// given is an order that the host has not taken up.
func (b book) given(h fleet.Host, id, kind string, ago time.Duration) fleet.Order {
	return fleet.Order{
		ID: id, Host: h.Name, Gen: h.LastGen, Kind: kind, RepoID: 1, Commit: head, Actor: "alice",
		IssuedAt: b.ago(ago), ExpiresAt: b.ago(ago - 24*time.Hour), State: fleet.HostOrdered,
	}
}

// closure is what an update usually does to a system.
func (b book) closure(host string) *fleet.Change {
	c := &fleet.Change{
		From: fleet.System{Path: systemPath(host, "0aa9"), Commit: before}, To: fleet.System{Path: systemPath(host, "6l2q"), Commit: head},
		SizeFrom: 4_812 << 20, SizeTo: 4_871 << 20, More: 37,
		Packages: []fleet.PackageChange{
			{Name: "linux", From: []string{"6.18.1", "6.18.1-modules"}, To: []string{"6.18.4", "6.18.4-modules"}, Bytes: 3_400 << 10},
			{Name: "firefox", From: []string{"150.0"}, To: []string{"151.0.1"}, Bytes: 11 << 20},
			{Name: "glibc", From: []string{"2.42"}, To: []string{"2.42"}},
			{Name: "prometheus", To: []string{"3.8.0"}, Bytes: 92 << 20},
			{Name: "neofetch", From: []string{"7.1.0"}, Bytes: -84 << 10},
		},
	}
	for i := range 19 {
		c.Packages = append(c.Packages, fleet.PackageChange{
			Name: fmt.Sprintf("python3.13-package-%d", i), From: []string{"1.0"}, To: []string{"1.1"}, Bytes: int64(i) << 10,
		})
	}
	return c
}

func (b book) hostStories() []Story {
	return []Story{
		b.hostStory("host", "A host that is well.", "hsb1", "admin", func(*fleet.HostRecord) {}),
		b.hostStory("host-new", "A host that was added; its agent has not come yet.", "hsb1", "admin", func(r *fleet.HostRecord) {
			r.Host.EnrolledAt, r.Host.LastSeen, r.Host.Facts, r.Host.LastGen = time.Time{}, time.Time{}, fleet.HostFacts{}, 0
			*r = fleet.HostRecord{Host: r.Host}
		}),
		b.hostStory("host-silent", "A host that enrolled and has never reported.", "hsb1", "viewer", func(r *fleet.HostRecord) {
			r.Host.EnrolledAt, r.Host.LastSeen, r.Host.Facts, r.Host.LastGen = b.ago(3*time.Minute), time.Time{}, fleet.HostFacts{}, 0
			*r = fleet.HostRecord{Host: r.Host}
		}),
		b.hostStory("host-offline", "A host that sleeps keeps its last facts, dimmed; an order waits for it.", "mba-work", "", func(r *fleet.HostRecord) {
			r.Host.LastSeen, r.Host.Facts.At = b.ago(31*time.Hour), b.ago(31*time.Hour)
			r.Host.Facts.CheckoutCommit, r.Host.Facts.Behind, r.Host.Facts.ExpectedCommit = before, 2, before
			r.Orders = append([]fleet.Order{b.given(r.Host, "01KAQA", fleet.OrderDeploy, 40*time.Minute)}, r.Orders...)
		}),
		b.hostStory("host-failing", "A host whose build failed, whose disk is nearly full, and whose clock is wrong.", "csb1", "", b.failingHost),
		b.hostStory("host-reboot", "A host that needs a reboot, is behind, and has many inputs.", "hsb8", "", func(r *fleet.HostRecord) {
			f := &r.Host.Facts
			f.RebootNeeded, f.BootedPath, f.FailedUnits = true, systemPath("hsb8", "0aa9"), []string{"restic-backups-nas.service"}
			f.Behind, f.CheckoutCommit, f.RunningCommit, f.ExpectedCommit = 3, before, before, before
			r.Generations[0].Booted, r.Generations[1].Booted = false, true
			for i := range 14 {
				f.Lock.Inputs = append(f.Lock.Inputs, fleet.LockInputFact{Name: fmt.Sprintf("input-%d", i), Rev: before, LastModified: b.ago(time.Duration(50+i) * 24 * time.Hour)})
			}
		}),
		b.hostStory("host-macos", "A Mac whose agent is older than the server.", "imac0", "", func(r *fleet.HostRecord) {
			r.Host.Facts.AgentVersion, r.Host.Facts.BootedPath = "2.0.0", ""
		}),
		b.hostStory("host-working", "A host that works on an order, with a second one behind it.", "hsb1", "", func(r *fleet.HostRecord) {
			o := b.given(r.Host, "01KAQB", fleet.OrderSwitch, 140*time.Second)
			o.ReceivedAt, o.State, o.Commit = b.ago(138*time.Second), fleet.HostBuilding, ""
			next := b.given(r.Host, "01KAQC", fleet.OrderRestartAgent, 20*time.Second)
			next.Commit = ""
			r.Host.Facts.Working, r.Host.Facts.Order, r.Host.Facts.Step, r.Host.Facts.StepSince = true, o.ID, "building", b.ago(130*time.Second)
			r.Orders = append([]fleet.Order{next, o}, r.Orders...)
		}),
		b.hostStory("host-revoked", "A host whose credential was taken away.", "hsb8", "admin", func(r *fleet.HostRecord) {
			r.Host.RevokedAt, r.Host.LastSeen = b.ago(3*24*time.Hour), b.ago(3*24*time.Hour)
		}),
	}
}

func (b book) failingHost(r *fleet.HostRecord) {
	f := &r.Host.Facts
	f.Errors = map[string]string{"build": "builder for '/nix/store/w1…-prometheus-3.8.drv' failed with exit code 1"}
	f.ExpectedPath, f.ExpectedCommit = "", ""
	f.StoreFree, f.MemoryUsed, f.ClockOff = 9<<30, 7_100<<20, 9*time.Minute+4*time.Second
	o := b.failed(r.Host)
	r.Orders = append([]fleet.Order{o.Order}, r.Orders...)
}
