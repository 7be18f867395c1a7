package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Edge is one line of a state table: in From, Event leads to To.
type Edge[S, E ~string] struct {
	From  S
	Event E
	To    S
}

// table is a state machine. Every pair of state and event has an answer: what is
// not listed leaves the state as it is, which is what makes late, reordered and
// repeated events harmless.
type table[S, E ~string] map[S]map[E]S

// next is the state after e in s.
func (t table[S, E]) next(s S, e E) S {
	if to, ok := t[s][e]; ok {
		return to
	}
	return s
}

// legal reports whether some event leads from one state to another in one step.
// Staying is always legal.
func (t table[S, E]) legal(from, to S) bool {
	if _, known := t[from]; !known {
		return false
	}
	if from == to {
		return true
	}
	for _, s := range t[from] {
		if s == to {
			return true
		}
	}
	return false
}

// terminal reports whether no event leads out of s. Unknown states are not
// terminal: nobody may conclude from them that something has ended.
func (t table[S, E]) terminal(s S) bool {
	row, known := t[s]
	return known && len(row) == 0
}

// edges lists every line that changes a state, in a stable order.
func (t table[S, E]) edges() []Edge[S, E] {
	var all []Edge[S, E]
	for from, row := range t {
		for e, to := range row {
			if from != to {
				all = append(all, Edge[S, E]{from, e, to})
			}
		}
	}
	slices.SortFunc(all, func(a, b Edge[S, E]) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Event, b.Event))
	})
	return all
}

// mermaid draws the table as a Mermaid state diagram, one arrow per pair of
// states, so that the diagram in the docs is the table and nothing else.
func (t table[S, E]) mermaid(initial S, order []S) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	fmt.Fprintf(&b, "    [*] --> %s\n", initial)
	edges := t.edges()
	for _, from := range order {
		for _, to := range order {
			var events []string
			for _, e := range edges {
				if e.From == from && e.To == to {
					events = append(events, strings.ReplaceAll(string(e.Event), "_", " "))
				}
			}
			if len(events) > 0 {
				fmt.Fprintf(&b, "    %s --> %s: %s\n", from, to, strings.Join(events, ", "))
			}
		}
	}
	for _, s := range order {
		if t.terminal(s) {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	return b.String()
}
