package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// gauge is how much of something is used.
type gauge struct {
	name  string
	words string // such as "3.1 GiB of 7.7 GiB used"
	used  int    // of 100
	look  look   // empty where it is well
}

func newGauge(name string, used, total uint64, high, full int, word string) (gauge, bool) {
	if total == 0 || used > total {
		return gauge{}, false
	}
	g := gauge{name: name, used: int(math.Round(100 * float64(used) / float64(total)))}
	g.words = fmt.Sprintf("%s of %s used", fleet.Size(int64(min(used, math.MaxInt64))), fleet.Size(int64(min(total, math.MaxInt64))))
	switch {
	case g.used >= full:
		g.look = look{"error", "error", word}
	case g.used >= high:
		g.look = look{"stale", "stale", word}
	}
	return g, true
}

// gauges are memory and the disk of the store.
func (v hostDetail) gauges() []gauge {
	f := v.Host.Facts
	var list []gauge
	if g, ok := newGauge("Memory", f.MemoryUsed, f.MemoryTotal, 90, 97, "nearly full"); ok {
		list = append(list, g)
	}
	if f.StoreFree <= f.StoreTotal {
		if g, ok := newGauge("/nix/store", f.StoreTotal-f.StoreFree, f.StoreTotal, 90, 97, "nearly full: builds fail without room"); ok {
			list = append(list, g)
		}
	}
	return list
}

// bootedAt is when the machine started, as it says; whole minutes, so that it does
// not differ from report to report.
func (v hostDetail) bootedAt() time.Time {
	f := v.Host.Facts
	if f.Uptime <= 0 || f.At.IsZero() {
		return time.Time{}
	}
	return f.At.Add(-f.Uptime).Truncate(time.Minute)
}

// clockSlack is how far a host's clock may be off before it refuses orders.
const clockSlack = 2 * time.Minute

// clockWords says how a host's clock stands to the server's.
func (v hostDetail) clockWords() (text, tone string) {
	off := v.Host.Facts.ClockOff
	words := "as the server’s"
	switch {
	case off >= time.Second:
		words = span(off) + " behind the server’s"
	case off <= -time.Second:
		words = span(-off) + " ahead of the server’s"
	}
	if off.Abs() > clockSlack {
		return words + ": it refuses orders", "error"
	}
	return words, ""
}

// agentWords compares the agent's version with the server's.
func (v hostDetail) agentWords() (text, tone string) {
	have, want := v.Host.Facts.AgentVersion, v.s.o.Agent
	for _, c := range v.Compartments {
		if c.ID == "lock" && c.Light == fleet.LightError {
			return have + ", expected " + want, "error"
		}
	}
	if want != "" && have != want && have != "" {
		return have + ", the server’s is " + want, ""
	}
	return cmp.Or(have, "not known"), ""
}

// failedSteps are the steps of the host's errors, by name.
func (v hostDetail) failedSteps() []string {
	return slices.Sorted(maps.Keys(v.Host.Facts.Errors))
}

// systems are the store paths of a host that people compare, each once: what runs,
// what would be, what starts at the next boot, what started.
func (v hostDetail) systems() []fact {
	f := v.Host.Facts
	var list []fact
	add := func(name, path string) {
		if path == "" {
			return
		}
		for i := range list {
			if list[i].value == path {
				list[i].name += ", " + strings.ToLower(name)
				return
			}
		}
		list = append(list, fact{name: name, value: path})
	}
	add("Running", f.RunningPath)
	add("Expected", cmp.Or(f.ExpectedPath, v.sharedPath()))
	add("Next boot", f.ProfilePath)
	add("Booted", f.BootedPath)
	return list
}

// inputs are the root inputs of the host's lock, newest first.
func (v hostDetail) inputs() []fleet.LockInputFact {
	if v.Host.Facts.Lock == nil {
		return nil
	}
	list := slices.Clone(v.Host.Facts.Lock.Inputs)
	slices.SortStableFunc(list, func(a, b fleet.LockInputFact) int {
		return cmp.Or(b.LastModified.Compare(a.LastModified), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// manyInputs are too many to show all of them at once.
const manyInputs = 12
