package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// nine is the fleet of the demo: two canaries, servers, desktops and laptops.
func (b book) nine() []fleet.Host {
	return []fleet.Host{
		b.host("csb0", "nixosConfigurations.csb0", "canary", "server"),
		b.host("csb1", "nixosConfigurations.csb1", "canary", "server"),
		b.host("hsb0", "nixosConfigurations.hsb0", "home"),
		b.host("hsb1", "nixosConfigurations.hsb1", "home"),
		b.host("hsb8", "nixosConfigurations.hsb8", "home"),
		b.host("gpc0", "nixosConfigurations.gpc0", "desktop"),
		b.host("imac0", "darwinConfigurations.imac0", "desktop"),
		b.host("mba-work", "darwinConfigurations.mba", "laptop"),
		b.host("steamdeck", "homeConfigurations.deck", "laptop"),
	}
}

// host is one that is well: up to date, current, seen just now.
func (b book) host(name, attr string, tags ...string) fleet.Host {
	return fleet.Host{
		RepoID: 1, Name: name, Attr: attr, Tags: tags, Mode: "fleet",
		EnrolledAt: b.ago(90 * 24 * time.Hour), LastSeen: b.ago(3 * time.Second),
		Facts: fleet.HostFacts{
			At: b.ago(3 * time.Second), AgentVersion: agent,
			CheckoutCommit: head, RemoteCommit: head, RunningCommit: head, ExpectedCommit: head,
			RunningPath: systemPath(name, "6l2q"), ExpectedPath: systemPath(name, "6l2q"), BootedPath: systemPath(name, "6l2q"),
			Lock: b.lock(3),
		},
	}
}

func systemPath(name, hash string) string {
	return storage + hash + "8zq1n0v4k7c9x5w3y1r2p6a0s9d8-nixos-system-" + name + "-26.05"
}

// lock is one whose newest input is days old.
func (b book) lock(days int) *fleet.LockFacts {
	day := 24 * time.Hour
	return &fleet.LockFacts{SHA256: "00", Inputs: []fleet.LockInputFact{
		{Name: "nixpkgs", Rev: before, LastModified: b.ago(time.Duration(days)*day + 5*time.Hour)},
		{Name: "home-manager", Rev: before, LastModified: b.ago(time.Duration(days+2)*day + time.Hour)},
		{Name: "disko", Rev: before, LastModified: b.ago(time.Duration(days+41) * day)},
	}}
}

// troubled shows each kind of trouble that a host can be in.
func (b book) troubled() []fleet.Host {
	hosts := b.nine()
	hosts[1].Facts.Errors = map[string]string{"build": "builder for '/nix/store/w1…-prometheus-3.8.drv' failed with exit code 1"}
	hosts[2].Facts.Behind, hosts[2].Facts.CheckoutCommit, hosts[2].Facts.RunningCommit = 3, before, before
	hosts[2].Facts.ExpectedCommit = before
	hosts[3].Facts.RunningPath, hosts[3].Facts.RunningCommit = systemPath("hsb1", "0aa9"), before
	hosts[4].Facts.RebootNeeded = true
	hosts[4].Facts.FailedUnits = []string{"restic-backups-nas.service"}
	hosts[5].Facts.Lock = b.lock(45)
	hosts[6].Facts.AgentVersion = "2.0.0"
	hosts[7].Facts.Errors = map[string]string{"fetch": "ssh: connect to host github.com port 22: Operation timed out"}
	hosts[8].Facts.Working, hosts[8].Facts.Step = true, "building"
	fresh := b.host("nuc1", "nixosConfigurations.nuc1", "new")
	fresh.EnrolledAt, fresh.LastSeen, fresh.Facts = time.Time{}, time.Time{}, fleet.HostFacts{}
	return append(hosts, fresh)
}

// sleeping shows hosts that went away at different times.
func (b book) sleeping() []fleet.Host {
	hosts := b.nine()
	for i, away := range map[int]time.Duration{7: 26 * time.Minute, 8: 31 * time.Hour, 5: 9 * 24 * time.Hour} {
		hosts[i].LastSeen, hosts[i].Facts.At = b.ago(away), b.ago(away)
	}
	hosts[8].Facts.CheckoutCommit, hosts[8].Facts.Behind, hosts[8].Facts.RunningCommit = before, 2, before
	hosts[8].Facts.ExpectedCommit = before
	return hosts
}
