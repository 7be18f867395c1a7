package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	closureTimeout = 2 * time.Minute
	sizesAtOnce    = 500 // paths on one command line

	// What an answer carries of a change, beside all else that is in it.
	maxPackages   = 200
	maxChange     = 16 << 10 // bytes
	maxVersions   = 8        // of one package
	maxNameBytes  = 100
	tellableBytes = 8 << 10 // a rebuild that changes less is not worth a line
)

// pathInfo is one store path of a closure.
type pathInfo struct {
	path  string
	bytes int64
}

// closure are the store paths that path needs to run, with their sizes. The old
// commands print plain text and mean the same in every Nix; the JSON of the new
// ones has had three forms.
func (b builder) closure(ctx context.Context, path string) ([]pathInfo, error) {
	res, err := b.query(ctx, "--requisites", path)
	if err != nil {
		return nil, err
	}
	paths := strings.Fields(string(res.stdout))
	infos := make([]pathInfo, 0, len(paths))
	for some := range slices.Chunk(paths, sizesAtOnce) {
		res, err := b.query(ctx, append([]string{"--size"}, some...)...)
		if err != nil {
			return nil, err
		}
		sizes := strings.Fields(string(res.stdout))
		if len(sizes) != len(some) {
			return nil, fmt.Errorf("nix-store told the sizes of %d paths, not of %d", len(sizes), len(some))
		}
		for i, text := range sizes {
			bytes, err := strconv.ParseInt(text, 10, 64)
			if err != nil || bytes < 0 {
				return nil, fmt.Errorf("nix-store told the size %q", clip(text, 40))
			}
			infos = append(infos, pathInfo{some[i], bytes})
		}
	}
	return infos, nil
}

// valid reports whether path is whole in the store.
func (b builder) valid(ctx context.Context, path string) bool {
	if _, err := storePath(path); err != nil {
		return false
	}
	argv := append(niced(), b.nix.program("nix-store"), "--check-validity", path)
	_, err := run(ctx, command{argv: argv, env: environ(b.nix.Env...), dir: "/", timeout: closureTimeout})
	return err == nil
}

func (b builder) query(ctx context.Context, args ...string) (result, error) {
	argv := append(append(niced(), b.nix.program("nix-store"), "--query"), args...)
	return run(ctx, command{argv: argv, env: environ(b.nix.Env...), dir: "/", timeout: closureTimeout})
}

// changeTo says what the way from the running system to path changes, or nil where
// that cannot be found out, which is no reason to stop. The store is asked once
// for each two systems.
func (t *task) changeTo(ctx context.Context, path string) *agentbus.Change {
	n := t.notes.get()
	from := readLink(t.cfg.Paths.Current)
	var c agentbus.Change
	if n.Change != nil && n.Change.From == from && n.Change.To == path {
		c = *n.Change
	} else {
		var err error
		if c, err = t.builder().compare(ctx, from, path); err != nil {
			if ctx.Err() == nil {
				t.log.printf("what changes is not known: %v", err)
			}
			return nil
		}
	}
	c.FromCommit, c.ToCommit = t.commitOf(ctx, n, from), n.commitOf(path)
	if err := t.notes.update(func(n *notes) { n.Change = &c }); err != nil {
		t.log.printf("what changes could not be noted: %v", err)
	}
	return &c
}

// changeBegun is the change of a switch to path that was begun before.
func (t *task) changeBegun(path string) *agentbus.Change {
	if c := t.notes.get().Change; c != nil && c.To == path {
		return c
	}
	return nil
}

// changeExpected is what a switch to the expected system would change, if that is
// built already and does not run.
func (t *task) changeExpected(ctx context.Context) *agentbus.Change {
	path := t.notes.get().Expected.Path
	if path == "" || path == readLink(t.cfg.Paths.Current) || !t.builder().valid(ctx, path) {
		return nil
	}
	return t.changeTo(ctx, path)
}

// compare is the way from one system to another; from may be empty.
func (b builder) compare(ctx context.Context, from, to string) (c agentbus.Change, err error) {
	ctx, cancel := context.WithTimeout(ctx, closureTimeout)
	defer cancel()
	after, err := b.closure(ctx, to)
	if err != nil {
		return c, err
	}
	var before []pathInfo
	if from != "" {
		if before, err = b.closure(ctx, from); err != nil {
			return c, err
		}
	}
	c = diffClosures(before, after)
	c.From, c.To = from, to
	return c, nil
}

// diffClosures are the packages in which two closures differ, the greatest changes
// in size first. What the other way round was added is removed.
func diffClosures(from, to []pathInfo) agentbus.Change {
	type pack struct {
		from, to map[string]bool // versions
		bytes    int64
	}
	packs := map[string]*pack{}
	var c agentbus.Change
	note := func(p pathInfo) (*pack, string) {
		name, version := parseName(p.path)
		if packs[name] == nil {
			packs[name] = &pack{from: map[string]bool{}, to: map[string]bool{}}
		}
		return packs[name], version
	}
	for _, p := range from {
		k, version := note(p)
		k.from[version] = true
		k.bytes -= p.bytes
		c.SizeFrom += p.bytes
	}
	for _, p := range to {
		k, version := note(p)
		k.to[version] = true
		k.bytes += p.bytes
		c.SizeTo += p.bytes
	}
	for name, k := range packs {
		if maps.Equal(k.from, k.to) && k.bytes < tellableBytes && k.bytes > -tellableBytes {
			continue
		}
		c.Packages = append(c.Packages, agentbus.PackageChange{
			Name: clip(name, maxNameBytes), From: versions(k.from), To: versions(k.to), Bytes: k.bytes,
		})
	}
	slices.SortFunc(c.Packages, func(a, b agentbus.PackageChange) int {
		return cmp.Or(cmp.Compare(max(b.Bytes, -b.Bytes), max(a.Bytes, -a.Bytes)), cmp.Compare(a.Name, b.Name))
	})
	all := len(c.Packages)
	c.Packages = fitting(c.Packages)
	c.More = all - len(c.Packages)
	return c
}

// fitting is as much of list, from the first on, as an answer may carry.
func fitting(list []agentbus.PackageChange) []agentbus.PackageChange {
	room := maxChange
	for i, p := range list {
		text, err := json.Marshal(p)
		if room -= len(text) + 1; err != nil || room < 0 || i == maxPackages {
			return list[:i]
		}
	}
	return list
}

// versions are the versions in a set, in order; one that has none counts as "".
func versions(set map[string]bool) []string {
	list := slices.Sorted(maps.Keys(set))
	for i := range list {
		list[i] = clip(list[i], maxNameBytes)
	}
	return list[:min(len(list), maxVersions)]
}

// outputNames are what nixpkgs calls the parts of a package. They are one package to
// people, so they are left out of its version.
var outputNames = []string{
	"-bin", "-data", "-debug", "-dev", "-devdoc", "-dist", "-doc", "-info", "-lib", "-lib32", "-lib64", "-libs",
	"-man", "-modules", "-out", "-python", "-static", "-terminfo", "-tools", "-xxd",
}

// parseName takes the name of a package and its version out of a store path.
func parseName(storePath string) (name, version string) {
	name = path.Base(storePath)
	if _, rest, ok := strings.Cut(name, "-"); ok { // behind the hash
		name = rest
	}
	name, version = splitName(name)
	for _, o := range outputNames {
		if v, ok := strings.CutSuffix(version, o); ok && v != "" {
			return name, v
		}
	}
	return name, version
}

// splitName is Nix's parseDrvName: the version begins after the first dash that no
// letter follows.
func splitName(s string) (name, version string) {
	for i := 0; i+1 < len(s); i++ {
		if c := s[i+1] | 0x20; s[i] == '-' && (c < 'a' || c > 'z') {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
