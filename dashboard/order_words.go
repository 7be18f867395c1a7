package dashboard

import (
	"fmt"

	"github.com/nixfleet/nixfleet/fleet"
)

// orderKind is a kind of order as people read it.
type orderKind struct {
	kind  string // as package fleet names it
	icon  string
	label string // of a button or an entry of a menu
	about string // what it does, in one sentence
	bulk  bool   // it has a button for a selection
}

// orderKinds are the orders that people give, in the order of every menu.
var orderKinds = []orderKind{
	{fleet.OrderPull, "pull", "Pull", "Brings the checkout to the newest commit of the default branch. Builds and switches nothing.", true},
	{fleet.OrderSwitch, "switch", "Switch", "Builds what the checkout says and switches to it. If the new system is not well, the host goes back by itself.", true},
	{fleet.OrderDeploy, "rise", "Update", "Pulls, builds, switches and verifies in one go. If the new system is not well, the host goes back by itself.", true},
	{fleet.OrderTest, "flask", "Test", "Switches to what the checkout says, but only until the next boot, which starts what would have started before.", true},
	{fleet.OrderBoot, "clock", "Switch at boot", "Builds what the checkout says and makes it what the next boot starts. Nothing changes until then.", false},
	{fleet.OrderRollback, "back", "Roll back…", "Goes back to the system that ran before the running one.", true},
	{fleet.OrderRestartAgent, "again", "Restart agent", "Starts the agent’s process anew. Nothing else on the host restarts, and an order that is under way goes on.", true},
	{fleet.OrderReboot, "power", "Reboot…", "Restarts the machine, with all that runs on it.", true},
	{fleet.OrderRefresh, "eye", "Refresh", "Looks at everything again and reports it. Changes nothing.", true},
	{fleet.OrderCancel, "blocked", "Cancel orders", "Ends the orders that have not begun to switch yet.", true},
}

func actOf(kind string) orderKind {
	for _, a := range orderKinds {
		if a.kind == kind {
			return a
		}
	}
	return orderKind{kind: kind, icon: "unknown", label: title(kind)}
}

// nameOf names an order to a number of hosts, or to the one that is named.
func nameOf(kind string, n int, host string) string {
	of := host
	if n != 1 || host == "" {
		of = plural(n, "host", "hosts")
	}
	switch kind {
	case fleet.OrderPull:
		return "Pull on " + of
	case fleet.OrderSwitch:
		return "Switch " + of
	case fleet.OrderDeploy:
		return "Update " + of
	case fleet.OrderTest:
		return "Test on " + of
	case fleet.OrderBoot:
		return "Switch " + of + " at the next boot"
	case fleet.OrderRollback:
		return "Roll back " + of
	case fleet.OrderRestartAgent:
		if n == 1 {
			return "Restart the agent of " + of
		}
		return "Restart the agents of " + of
	case fleet.OrderReboot:
		return "Reboot " + of
	case fleet.OrderRefresh:
		return "Refresh " + of
	case fleet.OrderCancel:
		return "Cancel orders of " + of
	}
	return title(kind) + " on " + of
}

// orderWord names an order within a sentence.
func orderWord(kind string) string {
	switch kind {
	case fleet.OrderDeploy:
		return "update"
	case fleet.OrderRestartAgent:
		return "restart of the agent"
	case fleet.OrderUpdateInputs:
		return "update of inputs"
	case fleet.OrderBoot:
		return "switch at boot"
	}
	return kind
}

// unable says why a host's system knows no such order; nothing where it does.
func unable(h fleet.Host, kind string) string {
	platform := h.Platform()
	switch {
	case kind == fleet.OrderTest && platform != "nixos":
		return fleet.PlatformName(platform) + " has no trial of a configuration"
	case kind == fleet.OrderBoot && platform != "nixos":
		return fleet.PlatformName(platform) + " can’t leave a configuration to the next boot"
	case kind == fleet.OrderReboot && platform == "home":
		return "its agent works for one person, and may not reboot the machine"
	}
	return ""
}

// orderLine is an open order in a few words: what it is, and how far.
func orderLine(o fleet.Order) string {
	what := orderWord(o.Kind)
	if o.Commit != "" {
		what += " to " + short(o.Commit)
	}
	if o.Rollout != "" {
		what += " of a rollout"
	}
	if o.ReceivedAt.IsZero() {
		return what + " (not taken up yet)"
	}
	return fmt.Sprintf("%s (%s)", what, hostLook(o.State).progress())
}

// progress is a state within a sentence.
func (l look) progress() string {
	switch l.word {
	case "Received", "Order sent":
		return "taken up"
	}
	return lower(l.word)
}
