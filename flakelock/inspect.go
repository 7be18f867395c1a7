package flakelock

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxSteps bounds the comparison of locks whose nodes are shared. Without sharing
// there are at most as many steps as both locks have inputs.
const maxSteps = 1 << 17

// Inspect lists everything that differs between two locks and is more than a new
// revision: beside rev, narHash, lastModified, lastModifiedDate and revCount of a
// locked input nothing may differ without a finding. It also checks that changed
// and new inputs are what their "original" asks for.
//
// It follows every way through both graphs at once and compares each pair of nodes
// that the same path leads to, so an edit of a shared node can't hide behind the
// first path that reaches it. Findings come in the order of input paths.
func Inspect(before, after *Lock) []Finding {
	w := inspector{seen: make(map[pair]struct{}, after.nodes)}
	w.file(before, after)
	w.walk(nil, before.Root, after.Root)
	return w.findings
}

type pair struct{ before, after *Node }

type inspector struct {
	findings []Finding
	seen     map[pair]struct{}
	steps    int // inputs compared
}

func (w *inspector) add(kind FindingKind, at Path, attribute, from, to string) {
	w.findings = append(w.findings, Finding{kind, at, attribute, from, to})
}

// file compares what belongs to no input.
func (w *inspector) file(before, after *Lock) {
	if before.Version != after.Version {
		w.add(FormatChanged, nil, "version", strconv.Itoa(before.Version), strconv.Itoa(after.Version))
	}
	if before.info != after.info {
		w.add(FormatChanged, nil, "info", strconv.FormatBool(before.info), strconv.FormatBool(after.info))
	}
	w.members(UnknownChanged, nil, before.extra, after.extra)
	for _, key := range after.unreached {
		if !slices.Contains(before.unreached, key) {
			w.add(Unreached, nil, "nodes", "", key)
		}
	}
	for _, key := range before.unreached {
		if !slices.Contains(after.unreached, key) {
			w.add(Unreached, nil, "nodes", key, "")
		}
	}
}

// walk compares the inputs of two nodes that one path leads to. Either may be nil.
func (w *inspector) walk(at Path, before, after *Node) {
	if _, again := w.seen[pair{before, after}]; again {
		return
	}
	w.seen[pair{before, after}] = struct{}{}
	if before != nil && after != nil {
		w.node(at, before, after)
	}
	a, b := inputsOf(before), inputsOf(after)
	for len(a) > 0 || len(b) > 0 {
		if w.steps++; w.steps == maxSteps {
			w.add(TooTangled, nil, "inputs", "", "")
		}
		if w.steps >= maxSteps {
			return
		}
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			w.edge(at.with(a[0].Name), &a[0], nil)
			a = a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			w.edge(at.with(b[0].Name), nil, &b[0])
			b = b[1:]
		default:
			w.edge(at.with(b[0].Name), &a[0], &b[0])
			a, b = a[1:], b[1:]
		}
	}
}

func inputsOf(n *Node) []Input {
	if n == nil {
		return nil
	}
	return n.Inputs
}

// edge compares one input; before is nil when it is new, after when it is gone.
func (w *inspector) edge(at Path, before, after *Input) {
	switch {
	case before == nil:
		w.add(InputAdded, at, "", "", describe(after))
	case after == nil:
		w.add(InputRemoved, at, "", describe(before), "")
	case (before.Node == nil) != (after.Node == nil) || !slices.Equal(before.Follows, after.Follows):
		w.add(InputRepointed, at, "", describe(before), describe(after))
	}
	var a, b *Node
	if before != nil {
		a = before.Node
	}
	if after != nil {
		b = after.Node
		if b == nil && after.target == nil && (before == nil || before.Node != nil || before.target != nil) {
			w.add(DanglingFollows, at, "", "", after.Follows.String())
		}
	}
	if a == nil && b != nil {
		w.consistent(at, b)
	}
	if a != nil || b != nil {
		w.walk(at, a, b)
	}
}

func describe(in *Input) string { return located{in: in}.side().Text(Style{}) }

// node compares all that a node says of itself.
func (w *inspector) node(at Path, before, after *Node) {
	w.members(UnknownChanged, at, before.extra, after.extra)
	if before.Locked == nil || after.Locked == nil {
		return // the root
	}
	if before.Flake != after.Flake {
		w.add(FlakeFlagChanged, at, "flake", strconv.FormatBool(before.Flake), strconv.FormatBool(after.Flake))
	}
	if (before.Parent == nil) != (after.Parent == nil) || !slices.Equal(before.Parent, after.Parent) {
		w.add(ParentChanged, at, "parent", parentText(before), parentText(after))
	}
	w.members(OriginalChanged, at, before.Original.attrs, after.Original.attrs)
	w.locked(at, before.Locked, after.Locked)
	if !before.Locked.Equal(after.Locked) || !before.Original.Equal(after.Original) {
		w.consistent(at, after)
	}
}

func parentText(n *Node) string {
	if n.Parent == nil {
		return ""
	}
	return "/" + n.Parent.String()
}

// members reports every attribute that differs, all with one kind.
func (w *inspector) members(kind FindingKind, at Path, before, after []attr) {
	diffAttrs(before, after, func(a, b attr) {
		w.add(kind, at, cmp.Or(a.name, b.name), quoteKind(a, b), quoteKind(b, a))
	})
}

// quoteKind is a value in words, with its kind where the kinds differ.
func quoteKind(a, other attr) string {
	if a.value == other.value && a.kind == textAttr {
		return strconv.Quote(a.value)
	}
	return a.value
}

// diffAttrs calls differ for each name whose attribute differs; the zero attr stands
// for none. Both lists are sorted.
func diffAttrs(before, after []attr, differ func(before, after attr)) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].name < after[0].name:
			differ(before[0], attr{})
			before = before[1:]
		case len(before) == 0 || after[0].name < before[0].name:
			differ(attr{}, after[0])
			after = after[1:]
		default:
			if before[0] != after[0] {
				differ(before[0], after[0])
			}
			before, after = before[1:], after[1:]
		}
	}
}

// locked compares two locked refs, attribute by attribute.
func (w *inspector) locked(at Path, before, after *Ref) {
	diffAttrs(before.attrs, after.attrs, func(a, b attr) {
		name := cmp.Or(a.name, b.name)
		if kind := lockedKind(name, before, after); kind != "" {
			w.add(kind, at, name, quoteKind(a, b), quoteKind(b, a))
		}
	})
}

// lockedKind classes a difference of one locked attribute; empty means that it is
// what updates are for.
func lockedKind(name string, before, after *Ref) FindingKind {
	switch name {
	case "narHash":
		switch {
		case after.NarHash == "":
			return HashRemoved
		case before.Rev == after.Rev && after.Rev != "" && before.NarHash != "":
			return HashChanged
		}
		return ""
	case "rev":
		if after.Rev == "" {
			return FetchChanged // a tarball's commit, no longer told
		}
		return ""
	case "type", "host", "owner", "repo", "dir", "path", "id":
		return IdentityChanged
	case "url":
		if archive(before) && archive(after) && before.Type == after.Type && sameHost(before.URL, after.URL) {
			return ArchiveMoved
		}
		return IdentityChanged
	case "ref":
		return RefChanged
	}
	switch _, known := attrKinds[name]; {
	case volatile(name):
		return ""
	case known:
		return FetchChanged
	}
	return UnknownChanged
}

func archive(r *Ref) bool { return r.Type == "tarball" || r.Type == "file" }

// sameHost compares scheme and authority of two URLs.
func sameHost(a, b string) bool {
	x, y := hostOf(a), hostOf(b)
	return x != "" && x == y
}

// hostOf is a URL up to its path, e.g. https://example.org:8443. It is empty when the
// URL has no authority or one with credentials.
func hostOf(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	if host == "" || strings.Contains(host, "@") {
		return ""
	}
	return scheme + "://" + host
}

// consistent checks that locked is what original asks for: Nix makes locked from
// original by adding what it found, so whatever original says must still be there,
// and little else.
func (w *inspector) consistent(at Path, n *Node) {
	original, locked := n.Original, n.Locked
	for _, a := range original.attrs {
		got, _ := find(locked.attrs, a.name)
		if got != a && !mayDiffer(a.name, original, locked) {
			w.add(Inconsistent, at, a.name, a.value, got.value)
		}
	}
	if original.Type == "indirect" {
		return // a registry decides what it means
	}
	for _, a := range locked.attrs {
		if _, asked := original.Attr(a.name); !asked && !mayBeFound(a.name, locked) {
			w.add(Inconsistent, at, a.name, "", a.value)
		}
	}
}

// mayDiffer reports whether locking rightly changes an attribute of original.
func mayDiffer(name string, original, locked *Ref) bool {
	switch {
	case original.Type == "indirect" && locked.Type != "indirect":
		return name != "rev" && name != "dir"
	case original.Type != locked.Type:
		return false
	}
	switch name {
	case "ref":
		forge := locked.Type == "github" || locked.Type == "gitlab" || locked.Type == "sourcehut"
		return forge && locked.Ref == "" || locked.Ref == "refs/heads/"+original.Ref || locked.Ref == "refs/tags/"+original.Ref
	case "url":
		return archive(locked) // the Link header of a lockable archive names another
	case "allRefs":
		return true // only widens the search for rev
	}
	return false
}

// mayBeFound reports whether locking adds an attribute.
func mayBeFound(name string, locked *Ref) bool {
	if name == "ref" {
		return locked.Type == "git" || locked.Type == "hg" || locked.Type == "mercurial"
	}
	return volatile(name) || name == "treeHash" || name == "__final"
}
