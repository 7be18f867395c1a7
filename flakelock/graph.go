package flakelock

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Lock is a parsed flake.lock.
type Lock struct {
	Version int   // 5, 6 or 7
	Root    *Node // the flake itself

	nodes     int      // reachable, the root among them
	info      bool     // in the layout of version 5
	unreached []string // keys of nodes that no input leads to
	extra     []attr   // top-level members that are not ours
}

// Node is one source in the graph.
type Node struct {
	Key      string  // name in the file; without meaning beyond it
	Original *Ref    // what flake.nix asks for; nil for the root
	Locked   *Ref    // what was found; nil for the root
	Flake    bool    // false: only the files are used
	Parent   Path    // of relative path inputs: what the path is relative to; nil for others
	Inputs   []Input // sorted by name

	extra []attr
}

// Input is one named input of a node: a node of its own, or one that follows
// another input.
type Input struct {
	Name    string
	Node    *Node // nil when it follows
	Follows Path  // from the root; nil when it does not follow, empty when it follows the flake itself

	target *Node
}

// Target is the node that the input stands for, through follows. It is nil when the
// followed input does not exist.
func (in *Input) Target() *Node {
	if in.Node != nil {
		return in.Node
	}
	return in.target
}

// Path names an input from the root, e.g. ["hyprland", "wlroots"].
type Path []string

// String joins the names with slashes, as Nix does.
func (p Path) String() string { return strings.Join(p, "/") }

// MarshalJSON writes the path as [Path.String] has it.
func (p Path) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// Root reports whether the path names an input of the flake itself.
func (p Path) Root() bool { return len(p) == 1 }

// with returns the path extended by a name, in memory of its own.
func (p Path) with(name string) Path {
	q := make(Path, len(p)+1)
	copy(q, p)
	q[len(p)] = name
	return q
}

func (n *Node) input(name string) *Input {
	i, ok := slices.BinarySearchFunc(n.Inputs, name, func(in Input, name string) int {
		return strings.Compare(in.Name, name)
	})
	if !ok {
		return nil
	}
	return &n.Inputs[i]
}

// Lookup finds an input by its names from the root; on the way it goes through
// follows. It returns nil when there is no such input.
func (l *Lock) Lookup(path ...string) *Input {
	at := l.Root
	var in *Input
	for _, name := range path {
		if at == nil {
			return nil
		}
		if in = at.input(name); in == nil {
			return nil
		}
		at = in.Target()
	}
	return in
}

// RootInput is an input of the flake itself, with what it stands for.
type RootInput struct {
	Name string
	Ref  *Ref // through follows; nil when it follows nothing or the flake itself
}

// RootInputs lists the inputs of the flake itself, sorted by name.
func (l *Lock) RootInputs() []RootInput {
	list := make([]RootInput, 0, len(l.Root.Inputs))
	for i := range l.Root.Inputs {
		in := &l.Root.Inputs[i]
		root := RootInput{Name: in.Name}
		if n := in.Target(); n != nil {
			root.Ref = n.Locked
		}
		list = append(list, root)
	}
	return list
}

// Newest is the time of the newest root input, which is the lock's own age. It is
// zero when no root input carries a time.
func (l *Lock) Newest() time.Time {
	var newest time.Time
	for _, in := range l.RootInputs() {
		if in.Ref != nil && in.Ref.LastModified.After(newest) {
			newest = in.Ref.LastModified
		}
	}
	return newest
}
