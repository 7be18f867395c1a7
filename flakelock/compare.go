package flakelock

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// ChangeKind is what became of an input.
type ChangeKind string

// The kinds of changes.
const (
	Updated ChangeKind = "updated"
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
)

// Change is one line of the account of two locks. Its JSON form is that of
// `nixfleet lock diff --json`.
type Change struct {
	Kind  ChangeKind `json:"kind"`
	Input Path       `json:"input"`
	From  *Side      `json:"from"` // nil when added
	To    *Side      `json:"to"`   // nil when removed
}

// Side is an input before or after a change: a ref, or the input that it follows.
type Side struct {
	Ref     *Ref // nil when it follows
	Follows Path // nil when it does not
}

// Text is the side as Nix prints it.
func (s *Side) Text(style Style) string {
	if s.Ref == nil {
		return "follows '" + s.Follows.String() + "'"
	}
	text := "'" + s.Ref.Format(style) + "'"
	if !s.Ref.LastModified.IsZero() {
		text += " (" + s.Ref.LastModified.Format(time.DateOnly) + ")"
	}
	return text
}

// MarshalJSON writes url, rev, last_modified (Unix seconds) and follows; what does
// not apply is null.
func (s *Side) MarshalJSON() ([]byte, error) {
	var out struct {
		URL          *string `json:"url"`
		Rev          *string `json:"rev"`
		LastModified *int64  `json:"last_modified"`
		Follows      *Path   `json:"follows"`
	}
	if s.Ref == nil {
		out.Follows = &s.Follows
		return json.Marshal(out)
	}
	out.URL = new(s.Ref.String())
	if s.Ref.Rev != "" {
		out.Rev = &s.Ref.Rev
	}
	if !s.Ref.LastModified.IsZero() {
		out.LastModified = new(s.Ref.LastModified.Unix())
	}
	return json.Marshal(out)
}

// Compare gives Nix's own account of what differs between two locks: every input
// whose locked attributes differ, that came, or that went, sorted by path. Like Nix
// it lists a node once even where several inputs share it, and says nothing of
// "original"; a proof needs [Inspect] as well.
func Compare(before, after *Lock) []Change {
	a, b := before.flat(), after.flat()
	var changes []Change
	for len(a) > 0 || len(b) > 0 {
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = slices.Compare(a[0].path, b[0].path)
		}
		switch {
		case order < 0:
			changes = append(changes, Change{Kind: Removed, Input: a[0].path, From: a[0].side()})
			a = a[1:]
		case order > 0:
			changes = append(changes, Change{Kind: Added, Input: b[0].path, To: b[0].side()})
			b = b[1:]
		default:
			if !sameEdge(a[0].in, b[0].in) {
				changes = append(changes, Change{Kind: Updated, Input: b[0].path, From: a[0].side(), To: b[0].side()})
			}
			a, b = a[1:], b[1:]
		}
	}
	return changes
}

// located is an input with the first path that leads to it.
type located struct {
	path Path
	in   *Input
}

func (l located) side() *Side {
	if l.in.Node == nil {
		return &Side{Follows: l.in.Follows}
	}
	return &Side{Ref: l.in.Node.Locked}
}

func sameEdge(a, b *Input) bool {
	if a.Node != nil && b.Node != nil {
		return a.Node.Locked.Equal(b.Node.Locked)
	}
	return a.Node == nil && b.Node == nil && slices.Equal(a.Follows, b.Follows)
}

// flat lists every input once, sorted by path. A node that is reached on several
// ways is opened on the first, so the work is bounded by the size of the file.
func (l *Lock) flat() []located {
	list := make([]located, 0, 2*l.nodes)
	opened := make(map[*Node]struct{}, l.nodes)
	var open func(prefix Path, n *Node)
	open = func(prefix Path, n *Node) {
		if _, twice := opened[n]; twice {
			return
		}
		opened[n] = struct{}{}
		for i := range n.Inputs {
			in := &n.Inputs[i]
			path := prefix.with(in.Name)
			list = append(list, located{path, in})
			if in.Node != nil {
				open(path, in.Node)
			}
		}
	}
	open(nil, l.Root)
	return list
}

// Text prints changes as `nix flake update` does, a line break at the end of each.
// No changes give the empty string.
func Text(changes []Change, style Style) string {
	var b strings.Builder
	for _, c := range changes {
		switch c.Kind {
		case Added:
			b.WriteString("• Added input '" + c.Input.String() + "':\n    " + c.To.Text(style) + "\n")
		case Removed:
			b.WriteString("• Removed input '" + c.Input.String() + "'\n")
		case Updated:
			b.WriteString("• Updated input '" + c.Input.String() + "':\n    " + c.From.Text(style) + "\n  → " + c.To.Text(style) + "\n")
		}
	}
	return b.String()
}

// JSON is the account in the form of `nixfleet lock diff --json`.
func JSON(changes []Change) ([]byte, error) {
	if changes == nil {
		changes = []Change{}
	}
	return json.Marshal(struct {
		Changes []Change `json:"changes"`
	}{changes})
}
