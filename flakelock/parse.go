package flakelock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxSize is the largest lock file that Parse takes, in bytes. Real ones of large
// flakes are about 100 KiB.
const MaxSize = 4 << 20

const (
	maxNodes         = 4096    // large flakes have some hundreds
	maxInputs        = 1 << 14 // over all nodes
	maxDepth         = 64      // names in an input path
	maxMembersOfNode = 64      // attributes of one ref or one node
)

// Parse reads a flake.lock of version 5, 6 or 7. It refuses what is not exactly such
// a file, with a [*ParseError] that says where. Members that it does not know are
// kept for [Inspect]. The returned Lock must not be changed.
func Parse(data []byte) (*Lock, error) {
	if len(data) > MaxSize {
		return nil, &ParseError{Line: 1, Column: 1, Problem: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), MaxSize)}
	}
	p := &parser{scanner: scanner{src: string(data)}, nodes: make(map[string]*pending)}
	if err := p.file(); err != nil {
		return nil, err
	}
	return p.link()
}

// pending is a node whose inputs are still names.
type pending struct {
	info  bool // in the layout of version 5
	node  *Node
	at    int // offset of the node, for errors
	edges []edge
	state visit
	level int // longest way down from here
}

type edge struct {
	name string
	at   int
	to   string // key of a node, unless it follows
	Input
}

type visit uint8

const (
	unseen visit = iota
	open
	done
)

type parser struct {
	scanner
	lock   Lock
	root   string
	rootAt int
	nodes  map[string]*pending
	order  []string // of the nodes in the file
	inputs int
}

func (p *parser) file() error {
	var version, root, nodes bool
	err := p.object(func(name string) error {
		switch name {
		case "version":
			version = true
			return p.version()
		case "root":
			root = true
			p.next()
			p.rootAt = p.pos
			var err error
			p.root, err = p.text()
			return err
		case "nodes":
			nodes = true
			return p.object(p.node)
		}
		return p.unknown(&p.lock.extra, name)
	})
	if err != nil {
		return err
	}
	if p.next() != 0 || p.pos < len(p.src) {
		return p.fail(p.pos, "something follows the end of the lock: %s", p.found())
	}
	for _, m := range []struct {
		have bool
		name string
	}{{version, "version"}, {nodes, "nodes"}, {root, "root"}} {
		if !m.have {
			return p.fail(p.pos, "the member %q is missing: this is not a flake.lock", m.name)
		}
	}
	sortAttrs(p.lock.extra)
	return nil
}

func (p *parser) version() error {
	p.next()
	at := p.pos
	n, err := p.digits()
	if err != nil {
		return err
	}
	if n != "5" && n != "6" && n != "7" {
		return p.fail(at, "version %s is not supported; 5, 6 and 7 are", n)
	}
	p.lock.Version, _ = strconv.Atoi(n)
	return nil
}

// unknown keeps a member that is not ours as it stands.
func (p *parser) unknown(extra *[]attr, name string) error {
	if len(*extra) >= maxMembersOfNode {
		return p.fail(p.pos, "more than %d unknown members", maxMembersOfNode)
	}
	value, err := p.raw(0)
	*extra = append(*extra, attr{name: name, kind: rawAttr, value: value})
	return err
}

func (p *parser) node(key string) error {
	p.next()
	if len(p.nodes) >= maxNodes {
		return p.fail(p.pos, "more than %d nodes", maxNodes)
	}
	if key == "" {
		return p.fail(p.pos, "a node without a name")
	}
	n := &pending{node: &Node{Key: key, Flake: true}, at: p.pos}
	p.nodes[key] = n
	p.order = append(p.order, key)
	var info []attr
	err := p.object(func(name string) (err error) {
		switch name {
		case "inputs":
			return p.object(func(input string) error { return p.edge(n, input) })
		case "locked":
			n.node.Locked, err = p.ref()
		case "original":
			n.node.Original, err = p.ref()
		case "info":
			info, err = p.attrs()
		case "flake":
			var a attr
			if a, err = p.scalar(); err == nil && a.kind != boolAttr {
				err = p.fail(p.pos, "expected true or false")
			}
			n.node.Flake = a.value == "true"
		case "parent":
			n.node.Parent, err = p.path()
		default:
			err = p.unknown(&n.node.extra, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	sortAttrs(n.node.extra)
	slices.SortFunc(n.edges, func(a, b edge) int { return strings.Compare(a.name, b.name) })
	return p.addInfo(n, info)
}

// addInfo merges what version 5 keeps in "info". Nix lets it override "locked" in
// every version, so anything else that stands there is refused.
func (p *parser) addInfo(n *pending, info []attr) error {
	if len(info) == 0 || n.node.Locked == nil {
		return nil
	}
	merged := slices.Clone(n.node.Locked.attrs)
	for _, a := range info {
		if a.name != "narHash" && a.name != "lastModified" {
			return p.fail(n.at, "info may hold narHash and lastModified, not %q", clip(a.name))
		}
		if _, twice := find(merged, a.name); twice {
			return p.fail(n.at, "%s stands in locked and in info", a.name)
		}
		merged = append(merged, a)
	}
	ref, problem := newRef(merged)
	if problem != "" {
		return p.fail(n.at, "info: %s", problem)
	}
	n.node.Locked, n.info = ref, true
	return nil
}

func (p *parser) attrs() ([]attr, error) {
	attrs := make([]attr, 0, 8)
	err := p.object(func(name string) error {
		if len(attrs) >= maxMembersOfNode {
			return p.fail(p.pos, "more than %d attributes", maxMembersOfNode)
		}
		a, err := p.scalar()
		a.name = name
		attrs = append(attrs, a)
		return err
	})
	return attrs, err
}

func (p *parser) ref() (*Ref, error) {
	p.next()
	at := p.pos
	attrs, err := p.attrs()
	if err != nil {
		return nil, err
	}
	r, problem := newRef(attrs)
	if problem != "" {
		return nil, p.fail(at, "%s", problem)
	}
	return r, nil
}

func (p *parser) edge(n *pending, name string) error {
	c := p.next()
	if p.inputs++; p.inputs > maxInputs {
		return p.fail(p.pos, "more than %d inputs", maxInputs)
	}
	// A slash would make the paths a/b and "a/b" look the same.
	if name == "" || strings.Contains(name, "/") {
		return p.fail(p.pos, "%q can't be the name of an input", clip(name))
	}
	e := edge{name: name, at: p.pos}
	var err error
	switch c {
	case '"':
		e.to, err = p.text()
	case '[':
		e.Follows, err = p.path()
	default:
		err = p.fail(p.pos, "expected the name of a node or the path of an input, found %s", p.found())
	}
	n.edges = append(n.edges, e)
	return err
}

// path reads an array of names. It is never nil: the empty path is the root.
func (p *parser) path() (Path, error) {
	path := make(Path, 0, 2)
	err := p.array(func() error {
		p.next()
		at := p.pos
		name, err := p.text()
		switch {
		case err != nil:
			return err
		case name == "" || strings.Contains(name, "/"):
			return p.fail(at, "%q can't be the name of an input", clip(name))
		case len(path) >= maxDepth:
			return p.fail(at, "a path of more than %d names", maxDepth)
		}
		path = append(path, name)
		return nil
	})
	return path, err
}
