package flakelock

import "strings"

// link turns names into nodes and checks what only the whole graph can show.
func (p *parser) link() (*Lock, error) {
	root, ok := p.nodes[p.root]
	if !ok {
		return nil, p.failAt(p.rootAt, "root", "there is no node %q", clip(p.root))
	}
	if root.node.Locked != nil || root.node.Original != nil {
		return nil, p.failAt(root.at, nodeField(root.node), "the root is the flake itself and can't be locked")
	}
	for _, key := range p.order {
		if n := p.nodes[key]; n != root {
			if err := p.checkNode(n); err != nil {
				return nil, err
			}
		}
	}
	if err := p.descend(root, 0); err != nil {
		return nil, err
	}
	p.lock.Root = root.node
	for _, key := range p.order {
		n := p.nodes[key]
		if n.state == unseen {
			p.lock.unreached = append(p.lock.unreached, key)
			continue
		}
		p.lock.nodes++
		p.lock.info = p.lock.info || n.info
	}
	return &p.lock, p.follow()
}

func nodeField(n *Node) string { return "nodes." + clip(n.Key) }

func (p *parser) failAt(at int, field, format string, args ...any) error {
	p.field = strings.Split(field, ".")
	if strings.HasPrefix(field, "nodes.") {
		p.field = []string{"nodes", field[len("nodes."):]}
	}
	return p.fail(at, format, args...)
}

func (p *parser) checkNode(n *pending) error {
	switch {
	case n.node.Locked == nil:
		return p.failAt(n.at, nodeField(n.node), `"locked" is missing`)
	case n.node.Original == nil:
		return p.failAt(n.at, nodeField(n.node), `"original" is missing`)
	}
	if why := n.node.Locked.unlocked(); why != "" {
		return p.failAt(n.at, nodeField(n.node), "locked: %s", why)
	}
	return nil
}

// descend links the inputs of a node and of all below it, each node once, and
// refuses cycles and chains longer than a path may be.
func (p *parser) descend(n *pending, depth int) error {
	n.state = open
	n.node.Inputs = make([]Input, len(n.edges))
	for i, e := range n.edges {
		in := &n.node.Inputs[i]
		*in = Input{Name: e.name, Follows: e.Follows}
		if e.Follows != nil {
			continue
		}
		child, ok := p.nodes[e.to]
		switch {
		case !ok:
			return p.failAt(e.at, nodeField(n.node), "input %q names the node %q, which does not exist", clip(e.name), clip(e.to))
		case child.state == open:
			return p.failAt(e.at, nodeField(n.node), "input %q leads back to the node %q: a cycle", clip(e.name), clip(e.to))
		case depth+1 > maxDepth:
			return p.failAt(e.at, nodeField(n.node), "inputs are nested deeper than %d", maxDepth)
		case child.state == unseen:
			if err := p.descend(child, depth+1); err != nil {
				return err
			}
		}
		if n.level = max(n.level, child.level+1); n.level > maxDepth {
			return p.failAt(e.at, nodeField(n.node), "inputs are nested deeper than %d", maxDepth)
		}
		in.Node = child.node
	}
	n.state = done
	return nil
}

// follow resolves every input that follows another, and refuses circles. An input
// that follows nothing is left unresolved: Nix fails on it only when it is used,
// and such locks exist.
func (p *parser) follow() error {
	f := follower{root: p.lock.Root, state: make(map[*Input]visit)}
	for _, key := range p.order {
		n := p.nodes[key]
		for i := range n.node.Inputs {
			if in := &n.node.Inputs[i]; in.Follows != nil && !f.resolve(in, 0) {
				return p.failAt(n.edges[i].at, nodeField(n.node), "input %q follows itself in a circle", clip(in.Name))
			}
		}
	}
	return nil
}

type follower struct {
	root  *Node
	state map[*Input]visit
}

// resolve sets the target of an input that follows; false means a circle. Every
// input is resolved once, so the work is bounded by the length of all paths.
func (f *follower) resolve(in *Input, depth int) bool {
	switch f.state[in] {
	case open:
		return false
	case done:
		return true
	}
	if depth > maxInputs {
		return false
	}
	f.state[in] = open
	at := f.root
	for _, name := range in.Follows {
		step := at.input(name)
		if step == nil {
			at = nil
			break
		}
		if step.Follows != nil && !f.resolve(step, depth+1) {
			return false
		}
		if at = step.Target(); at == nil {
			break
		}
	}
	in.target = at
	f.state[in] = done
	return true
}
