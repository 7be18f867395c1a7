package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// What lists of a host show at once; the rest unfolds.
const (
	ordersAtOnce      = 8
	generationsAtOnce = 8
)

// moreOrders are the orders behind the three dots of a host's page.
var moreOrders = []string{
	fleet.OrderTest, fleet.OrderBoot, fleet.OrderRefresh, fleet.OrderRestartAgent, fleet.OrderRollback, fleet.OrderReboot,
}

// orderTitle names an order as a heading does.
func orderTitle(o fleet.Order) string {
	switch {
	case o.Kind == fleet.OrderCancel:
		return "Cancel of an order"
	case o.Kind == fleet.OrderNoop:
		return "Nothing, to follow an order that ended"
	case o.Kind == fleet.OrderRefresh && len(o.Detail.Evaluate) > 0:
		return "Evaluate for " + plural(len(o.Detail.Evaluate), "host", "hosts")
	case o.Kind == fleet.OrderRollback && o.Detail.Target != "":
		return "Rollback to a generation"
	case o.Commit != "" && slices.Contains([]string{fleet.OrderPull, fleet.OrderDeploy, fleet.OrderRollback}, o.Kind):
		return title(orderWord(o.Kind)) + " to " + short(o.Commit)
	}
	return title(orderWord(o.Kind))
}

// orderLook is how an order stands. An order that a host has not taken up says
// whether it can.
func orderLook(o fleet.Order, online bool) look {
	switch {
	case o.EndedAt.IsZero() && o.ReceivedAt.IsZero() && !online:
		return look{"idle", "offline", "Waits for the host"}
	case o.EndedAt.IsZero() && o.ReceivedAt.IsZero():
		return look{"working", "working", "Sent"}
	case o.State == fleet.HostHealthy && !slices.Contains(verified, o.Kind):
		return look{"ok", "ok", "Done"}
	case o.State == fleet.HostCancelled && strings.HasPrefix(o.Note, "a newer order"):
		return look{"idle", "blocked", "Superseded"}
	}
	return hostLook(o.State)
}

// verified are the orders after which a host checks that all is well.
var verified = []string{fleet.OrderDeploy, fleet.OrderSwitch, fleet.OrderTest, fleet.OrderRollback}

// stoppable reports whether there is something about an order to cancel.
func stoppable(o fleet.Order) bool {
	return o.EndedAt.IsZero() && o.Kind != fleet.OrderCancel && o.Kind != fleet.OrderNoop
}

func cancelButton(o fleet.Order) button {
	return button{label: "Cancel…", icon: "blocked", href: orderAskURL(fleet.OrderCancel, "", "order", o.ID), asks: true}
}

// repeatButton asks for the same once more; nothing where that makes no sense.
func repeatButton(o fleet.Order) (button, bool) {
	if o.EndedAt.IsZero() || !slices.Contains(fleet.RequestKinds(), o.Kind) || o.Kind == fleet.OrderCancel || len(o.Detail.Evaluate) > 0 {
		return button{}, false
	}
	commit := o.Commit
	if o.Kind != fleet.OrderPull && o.Kind != fleet.OrderDeploy && o.Kind != fleet.OrderRollback || o.Detail.Target != "" {
		commit = ""
	}
	return button{label: "Run again…", icon: "again", href: orderAskURL(o.Kind, o.Host, "commit", commit, "target", o.Detail.Target), asks: true}, true
}

// tookWords is how long an order took, from when the host took it up.
func tookWords(o fleet.Order) string {
	from := o.ReceivedAt
	if from.IsZero() || o.EndedAt.IsZero() {
		return "–"
	}
	return span(max(0, o.EndedAt.Sub(from)))
}

// clipped is s as one line of at most so many bytes.
func clipped(s string, most int) string { return fleet.PlainLine(s, most) }

// modeMeans says what a host's mode means.
func modeMeans(mode string) string {
	switch mode {
	case "manual":
		return "It takes part in no rollout: it is left to people"
	case "automatic":
		return "It follows the default branch by itself"
	}
	return "It takes part in rollouts"
}

// changeCounts says how many packages came, went and changed.
func changeCounts(c fleet.Change) []string {
	var added, removed, updated, rebuilt int
	for _, p := range c.Packages {
		switch packageLook(p).word {
		case "added":
			added++
		case "removed":
			removed++
		case "updated":
			updated++
		default:
			rebuilt++
		}
	}
	var list []string
	for _, n := range []struct {
		n    int
		word string
	}{{updated, "updated"}, {added, "added"}, {removed, "removed"}, {rebuilt, "rebuilt"}} {
		if n.n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n.n, n.word))
		}
	}
	return list
}

func packageLook(p fleet.PackageChange) look {
	switch {
	case len(p.From) == 0:
		return look{"ok", "", "added"}
	case len(p.To) == 0:
		return look{"error", "", "removed"}
	case !slices.Equal(p.From, p.To):
		return look{"working", "", "updated"}
	}
	return look{"idle", "", "rebuilt"}
}

// versionWords is what becomes of a package's versions.
func versionWords(p fleet.PackageChange) string {
	list := func(versions []string) string {
		return cmp.Or(strings.Join(slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v == "" }), ", "), "no version")
	}
	switch {
	case len(p.From) == 0:
		return list(p.To)
	case len(p.To) == 0 || slices.Equal(p.From, p.To):
		return list(p.From)
	}
	return list(p.From) + " → " + list(p.To)
}

// bytesWords is by how much something grew.
func bytesWords(n int64) string {
	switch {
	case n > 0:
		return "+" + fleet.Size(n)
	case n < 0:
		return "−" + fleet.Size(-n)
	}
	return ""
}

// sizeWords is what becomes of the whole closure.
func sizeWords(c fleet.Change) string {
	if c.SizeTo == 0 {
		return ""
	}
	lines := c.Lines() // the last one is about the closure
	return title(lines[len(lines)-1])
}

// lasted is how long something took that began and ended.
func lasted(from, to time.Time) string {
	if from.IsZero() || to.Before(from) {
		return ""
	}
	return span(to.Sub(from))
}
