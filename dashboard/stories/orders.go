package stories

import (
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// filtered are the stories of the Fleet page's filter.
func (b book) filtered() []Story {
	return []Story{
		{Name: "filtered", About: "Only hosts that need somebody, by name.", Path: "/?q=sb&sort=name&state=attention", Overview: b.fleet(b.troubled())},
		{Name: "no-match", About: "A search that finds nothing.", Path: "/?q=webserver", Overview: b.fleet(b.nine())},
		{Name: "grouped", About: "Hosts by their tags; a host with two stands under the first.", Path: "/?group=tag&sort=-name", Overview: b.fleet(b.troubled())},
		{Name: "unknown-filter", About: "An address that asks for what the page does not know.", Path: "/?sort=colour&os=darwin", Role: "viewer", Overview: b.fleet(b.sleeping())},
	}
}

// orders are the stories of the questions before an order.
func (b book) orders() []Story {
	sleeping, nine := b.fleet(b.sleeping()), b.fleet(b.nine())
	ask := func(name, about, query string, o fleet.Overview) Story {
		return Story{Name: "order-" + name, About: about, Path: "/orders/new?" + query, Overview: o}
	}
	some := "&hosts=csb0&hosts=hsb0&hosts=mba-work"
	busy := b.in(fleet.RolloutRunning, b.midWave()...)
	open := []fleet.Order{
		b.open("01", "hsb0", fleet.OrderDeploy, fleet.HostBuilding), b.open("02", "hsb1", fleet.OrderPull, fleet.HostOrdered),
		b.open("03", "hsb1", fleet.OrderRefresh, fleet.HostReceived),
	}
	list := []Story{
		ask("switch", "Switch three hosts, one of which sleeps.", "kind=switch"+some, sleeping),
		ask("update", "Update hosts that work, and one that nobody knows.", "kind=deploy&hosts=hsb0,hsb1,nobody", busy),
		ask("rollback", "Roll one host back to what ran before.", "kind=rollback&hosts=csb0", nine),
		ask("reboot", "The first question before a reboot.", "kind=reboot"+some, nine),
		ask("reboot-sure", "The second one.", "kind=reboot&sure=yes&reason=due"+some, nine),
		ask("cancel", "Cancel what two hosts have.", "kind=cancel&hosts=hsb0&hosts=hsb1&hosts=csb0", nine),
		ask("none", "Nobody could do it.", "kind=test&hosts=imac0,steamdeck", nine),
		ask("many", "Forty hosts.", b.names(40), b.swarm(40)),
		{Name: "order-viewer", About: "A viewer sees what would happen.", Path: "/orders/new?kind=refresh" + some, Role: "viewer", Overview: nine},
		{Name: "order-choose", About: "What a host can be ordered, without script.", Path: "/orders?hosts=csb0", Overview: nine},
	}
	for i := range list {
		switch list[i].Name {
		case "order-update", "order-cancel":
			list[i].Open = open
		case "order-rollback":
			list[i].Generations = []fleet.Generation{
				{Number: 214, System: fleet.System{Path: systemPath("csb0", "6l2q"), Commit: head}, At: b.ago(26 * time.Hour), Running: true, Booted: true},
				{Number: 213, System: fleet.System{Path: systemPath("csb0", "0aa9"), Commit: before}, At: b.ago(9 * 24 * time.Hour)},
			}
		}
	}
	return list
}

func (b book) open(id, host, kind string, state fleet.HostState) fleet.Order {
	o := fleet.Order{ID: id, Host: host, Kind: kind, RepoID: 1, State: state, Actor: "bob", IssuedAt: b.ago(3 * time.Minute), ExpiresAt: b.now.Add(23 * time.Hour)}
	if kind == fleet.OrderDeploy || kind == fleet.OrderPull {
		o.Commit = head
	}
	if state != fleet.HostOrdered {
		o.ReceivedAt = b.ago(2 * time.Minute)
	}
	return o
}

func (b book) names(n int) string {
	query := "kind=pull&hosts="
	for i := range n {
		query += fmt.Sprintf("node%04d,", i)
	}
	return query
}

// swarm is a fleet of n hosts, the last of which sleeps.
func (b book) swarm(n int) fleet.Overview {
	hosts := make([]fleet.Host, n)
	for i := range hosts {
		name := fmt.Sprintf("node%04d", i)
		hosts[i] = b.host(name, "nixosConfigurations."+name, []string{"server", "desktop", "laptop"}[i%3])
	}
	hosts[n-1].LastSeen = b.ago(time.Hour)
	return b.fleet(hosts)
}

// Crowd is a fleet of n hosts, to see what many of them cost.
func Crowd(now time.Time, n int) fleet.Overview { return book{now: now}.swarm(n) }
