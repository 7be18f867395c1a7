package agent

import (
	"strings"

	"github.com/nixfleet/nixfleet/agentbus"
)

// relation is what a newer order does to an older one that has not ended.
type relation byte

// The relations. An order that can't be stopped any more (see [work.begun]) is
// waited for, whatever the table says.
const (
	waits relation = '.' // the newer order begins when the older one has ended
	stops relation = 'S' // the older order ends: what it was to do is not wanted any more
	first relation = 'F' // the newer order goes first, the older one afterwards
)

// olderKinds are the columns of relations.
var olderKinds = []agentbus.Kind{
	agentbus.KindDeploy, agentbus.KindPull, agentbus.KindSwitch, agentbus.KindTest, agentbus.KindBoot, agentbus.KindRollback,
	agentbus.KindRestartAgent, agentbus.KindReboot, agentbus.KindRefresh, agentbus.KindUpdateInputs,
}

// relations has a row for each kind of the newer order. Orders that say what the
// host is to be stop each other, but a switch after a pull is what a person means
// who orders both. Orders that only look give way to those that act and stop
// nothing. A restart goes before a build, which the next process takes up. A noop
// takes the place of an order that the host may have got in the meantime.
var relations = map[agentbus.Kind]string{
	//                         deploy pull switch test boot rollback restart reboot refresh inputs
	agentbus.KindDeploy:       "S S S S S S . . F F",
	agentbus.KindPull:         "S S S S S S . . F F",
	agentbus.KindSwitch:       "S . S S S S . . F F",
	agentbus.KindTest:         "S . S S S S . . F F",
	agentbus.KindBoot:         "S . S S S S . . F F",
	agentbus.KindRollback:     "S S S S S S . . F F",
	agentbus.KindRestartAgent: "F F F F F F S . F F",
	agentbus.KindReboot:       "F F F F F F . S F F",
	agentbus.KindRefresh:      ". . . . . . . . S F",
	agentbus.KindUpdateInputs: ". . . . . . . . . S",
	agentbus.KindNoop:         "S S S S S S . . . .",
}

// relate is what the newer order o does to the older order p.
func relate(o, p agentbus.Order) relation {
	if o.Kind == agentbus.KindCancel {
		if o.Cancels == p.ID {
			return stops
		}
		return waits
	}
	if o.Kind == agentbus.KindRefresh && p.Kind == agentbus.KindRefresh && len(p.Evaluate) > 0 && len(o.Evaluate) == 0 {
		return first // what p evaluates for other hosts is still wanted, but a look need not wait
	}
	row := strings.Fields(relations[o.Kind])
	for i, kind := range olderKinds {
		if kind == p.Kind && i < len(row) {
			return relation(row[i][0])
		}
	}
	return waits
}

// instant reports whether an order of this kind has nothing to carry out: it ends
// when what it stops has ended.
func instant(k agentbus.Kind) bool { return k == agentbus.KindCancel || k == agentbus.KindNoop }

// pick is the order to work on: one that can't be stopped any more, else the
// oldest that no newer one goes before.
func pick(works []work) (work, bool) {
	for _, w := range works {
		if w.begun() {
			return w, true
		}
	}
	for i, w := range works {
		if instant(w.Order.Kind) || overtaken(w, works[i+1:]) {
			continue
		}
		return w, true
	}
	return work{}, false
}

func overtaken(w work, newer []work) bool {
	for _, v := range newer {
		if relate(v.Order, w.Order) == first {
			return true
		}
	}
	return false
}
