package flakelock

import (
	"fmt"
	"strings"
	"time"
)

// Show draws a lock as a tree for people: each input with its source, short revision
// and date (UTC), or what it follows. What lies below a shared node is drawn once.
func Show(l *Lock) string {
	d := drawing{shown: make(map[*Node]struct{}, l.nodes)}
	fmt.Fprintf(&d.b, "flake.lock, version %d: %s, %s in all", l.Version, count(len(l.Root.Inputs), "root input"), count(l.nodes-1, "source"))
	if newest := l.Newest(); !newest.IsZero() {
		d.b.WriteString("; newest of " + newest.Format(time.DateOnly))
	}
	d.b.WriteByte('\n')
	d.node(l.Root, "")
	return d.b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type drawing struct {
	b     strings.Builder
	shown map[*Node]struct{}
}

func (d *drawing) node(n *Node, indent string) {
	d.shown[n] = struct{}{}
	for i := range n.Inputs {
		in := &n.Inputs[i]
		branch, below := "├── ", "│   "
		if i == len(n.Inputs)-1 {
			branch, below = "└── ", "    "
		}
		d.b.WriteString(indent + branch + in.Name + ": " + summary(in))
		switch _, twice := d.shown[in.Node]; {
		case in.Node == nil:
			d.b.WriteByte('\n')
		case twice && len(in.Node.Inputs) > 0:
			d.b.WriteString(" (inputs shown above)\n")
		default:
			d.b.WriteByte('\n')
			d.node(in.Node, indent+below)
		}
	}
}

func summary(in *Input) string {
	switch {
	case in.Node == nil && len(in.Follows) == 0:
		return "follows this flake itself"
	case in.Node == nil && in.target == nil:
		return "follows '" + in.Follows.String() + "', which does not exist"
	case in.Node == nil:
		return "follows '" + in.Follows.String() + "'"
	}
	text := in.Node.Locked.Format(Style{ShortRevs: true, Hosts: true})
	if !in.Node.Locked.LastModified.IsZero() {
		text += " (" + in.Node.Locked.LastModified.Format(time.DateOnly) + ")"
	}
	if !in.Node.Flake {
		text += ", files only"
	}
	return text
}
