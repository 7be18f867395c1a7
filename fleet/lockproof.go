package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/flakelock"
)

// lockDiff is one lock file before and after, understood.
type lockDiff struct {
	path     string
	after    *flakelock.Lock
	changes  []flakelock.Change
	findings []flakelock.Finding
	fresh    []freshInput // sources that the base lock does not have
	steps    []step       // inputs that move to another revision
}

// freshInput is a locked source that came with the update.
type freshInput struct {
	name     string // path from the root
	ref      *flakelock.Ref
	original *flakelock.Ref // what is asked for
}

// diffLock reads both sides of a lock file. The error says which side is broken.
func diffLock(path string, pair LockPair) (lockDiff, error) {
	before, err := flakelock.Parse(pair.Base)
	if err != nil {
		return lockDiff{}, fmt.Errorf("%s at the merge base: %w", path, err)
	}
	after, err := flakelock.Parse(pair.Head)
	if err != nil {
		return lockDiff{}, fmt.Errorf("%s at the head: %w", path, err)
	}
	return lockDiff{
		path:     path,
		after:    after,
		changes:  flakelock.Compare(before, after),
		findings: flakelock.Inspect(before, after),
		fresh:    freshInputs(before, after),
		steps:    forwardSteps(before, after),
	}, nil
}

// freshInputs lists the sources of after that before does not have, whatever way
// they are reached. It does not rest on Nix's account, which lists a node that
// several inputs share only once.
func freshInputs(before, after *flakelock.Lock) []freshInput {
	known := map[string][]*flakelock.Ref{}
	key := func(r *flakelock.Ref) string { return r.Type + " " + r.Rev + " " + r.NarHash }
	eachNode(before, func(_ string, n *flakelock.Node) { known[key(n.Locked)] = append(known[key(n.Locked)], n.Locked) })
	var fresh []freshInput
	eachNode(after, func(name string, n *flakelock.Node) {
		if !slices.ContainsFunc(known[key(n.Locked)], n.Locked.Equal) {
			fresh = append(fresh, freshInput{name, n.Locked, n.Original})
		}
	})
	return fresh
}

// eachNode visits every locked node once, by the first path that reaches it, in
// the order of paths level by level.
func eachNode(l *flakelock.Lock, visit func(name string, n *flakelock.Node)) {
	type place struct {
		node *flakelock.Node
		name string
	}
	seen := map[*flakelock.Node]bool{l.Root: true}
	for queue := []place{{node: l.Root}}; len(queue) > 0; queue = queue[1:] {
		for _, in := range queue[0].node.Inputs {
			if in.Node == nil || seen[in.Node] {
				continue
			}
			seen[in.Node] = true
			name := strings.TrimPrefix(queue[0].name+"/"+in.Name, "/")
			queue = append(queue, place{in.Node, name})
			if in.Node.Locked != nil {
				visit(name, in.Node)
			}
		}
	}
}

// Names as GitHub allows them. Anything else in a lock is not asked for: it would
// be an attempt to reach another address of the API.
var (
	githubOwner = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	githubRepo  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	commitSHA   = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// maxCommits bounds how many revisions are asked for one lock file. Updates of
// real flakes bring fewer than 60; what lies beyond stays unread, and unread
// never merges.
const maxCommits = 200

// commitKey names a revision of a GitHub input as Snapshot.Commits does. It is
// empty for inputs that github.com can't answer for.
func commitKey(r *flakelock.Ref) string {
	onGitHub := r.Type == "github" && (r.Host == "" || r.Host == "github.com")
	named := githubOwner.MatchString(r.Owner) && githubRepo.MatchString(r.Repo) && strings.Trim(r.Repo, ".") != ""
	if !onGitHub || !named || !commitSHA.MatchString(r.Rev) {
		return ""
	}
	return r.Owner + "/" + r.Repo + "@" + r.Rev
}

// CommitsToRead lists what [Snapshot.Commits] must hold for an update of one lock
// file, as keys "owner/repo@rev", each once. Locks that can't be read need none.
func CommitsToRead(base, head []byte) []string {
	d, err := diffLock("", LockPair{Base: base, Head: head})
	if err != nil {
		return nil
	}
	var keys []string
	for _, in := range d.fresh {
		if key := commitKey(in.ref); key != "" && !slices.Contains(keys, key) && len(keys) < maxCommits {
			keys = append(keys, key)
		}
	}
	return keys
}

// trusted reports whether policy vouches for where r comes from. A slash at the
// end of a prefix is a matter of taste.
func trusted(p InputPolicy, r *flakelock.Ref) bool {
	return slices.ContainsFunc(p.Trust, func(prefix string) bool {
		return r.Under(prefix) || r.Under(strings.TrimSuffix(prefix, "/"))
	})
}

// trustLine is the line of the policy file that would vouch for r's source, and
// for no more than it takes.
func trustLine(r *flakelock.Ref) string {
	prefix := r.Address()
	if scheme, rest, ok := strings.Cut(prefix, "://"); ok && (r.Type == "tarball" || r.Type == "file") {
		host, _, _ := strings.Cut(rest, "/") // each version of an archive has its own path
		prefix = scheme + "://" + host + "/"
	}
	return fmt.Sprintf("updates: {inputs: {trust: [%q]}}", prefix)
}

// inputChanges makes the account of one lock ready to show.
func inputChanges(d lockDiff, lineages map[string]Reading[Lineage], several bool) []InputChange {
	var all []InputChange
	for _, c := range d.changes {
		ic := InputChange{Path: c.Input.String(), Kind: string(c.Kind)}
		if several {
			ic.Path = d.path + ": " + ic.Path
		}
		if c.From != nil {
			ic.From = c.From.Text(flakelock.Style{})
			if c.From.Ref != nil {
				ic.FromRev, ic.FromDate = c.From.Ref.Rev, c.From.Ref.LastModified
			}
		}
		if c.To != nil {
			ic.To = c.To.Text(flakelock.Style{})
			if c.To.Ref != nil {
				ic.ToRev, ic.ToDate = c.To.Ref.Rev, c.To.Ref.LastModified
			}
		}
		if c.From != nil && c.To != nil {
			ic.CompareURL = compareURL(c.From.Ref, c.To.Ref)
			ic.Commits = commitsBetween(c.From.Ref, c.To.Ref, lineages)
			ic.Repointed = repointed(c.From.Ref, c.To.Ref)
		}
		all = append(all, ic)
	}
	return all
}

// repointed reports whether an input changes to another source. One that follows
// another input has none of its own; each version of an archive has its own address.
func repointed(from, to *flakelock.Ref) bool {
	if from == nil || to == nil {
		return true
	}
	archive := to.Type == from.Type && (to.Type == "tarball" || to.Type == "file")
	return !archive && from.Address() != to.Address()
}

// unchanged is how many of the flake's own inputs a lock leaves as they are.
func unchanged(d lockDiff) int {
	n := len(d.after.RootInputs())
	for _, c := range d.changes {
		if c.To != nil && c.Input.Root() {
			n--
		}
	}
	return n
}

// commitsBetween is how many commits an update of one input brings; 0 where that
// is not known.
func commitsBetween(from, to *flakelock.Ref, lineages map[string]Reading[Lineage]) int {
	if from == nil || to == nil || !sameSource(from, to) {
		return 0
	}
	if l := lineages[stepKey(step{from: from, to: to})]; l.Known() && l.Value.Status == "ahead" {
		return l.Value.Ahead
	}
	return 0
}

var hostAndPath = regexp.MustCompile(`^[A-Za-z0-9.-]{1,253}(/[A-Za-z0-9._~-]{1,100}){1,10}$`)

// compareURL is the forge's page that shows what lies between two revisions of
// one source. It is empty where there is none that we know of.
func compareURL(from, to *flakelock.Ref) string {
	if from == nil || to == nil || from.Rev == "" || to.Rev == "" || from.Rev == to.Rev {
		return ""
	}
	if from.Type != to.Type || from.Host != to.Host || from.Owner != to.Owner || from.Repo != to.Repo || from.URL != to.URL {
		return ""
	}
	var place, page string
	switch to.Type {
	case "github":
		place, page = orElse(to.Host, "github.com")+"/"+to.Owner+"/"+to.Repo, "/compare/"
	case "gitlab":
		place, page = orElse(to.Host, "gitlab.com")+"/"+strings.ReplaceAll(to.Owner, "%2F", "/")+"/"+to.Repo, "/-/compare/"
	case "git":
		place, page = strings.TrimSuffix(strings.TrimPrefix(to.URL, "https://"), ".git"), "/compare/"
		if host, _, _ := strings.Cut(place, "/"); host != "github.com" && host != "codeberg.org" {
			return ""
		}
	}
	if !hostAndPath.MatchString(place) || !commitSHA.MatchString(from.Rev) || !commitSHA.MatchString(to.Rev) {
		return ""
	}
	return "https://" + place + page + from.Rev + "..." + to.Rev
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
