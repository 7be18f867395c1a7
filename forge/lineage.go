package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// lineageFresh is how long a revision that was found on its branch counts as being
// there, and one that can't be read as that. Branches of upstream move all the time,
// each asking costs a call, and what a branch has it rarely loses.
const lineageFresh = 30 * time.Minute

// readLineages asks how the new revisions of inputs lie to their branches and to
// the revisions that they replace.
func (l *look) readLineages(ctx context.Context) {
	keys := l.ofLocks(fleet.LineagesToRead)
	l.s.Lineages = each(l, keys, func(key string) fleet.Reading[fleet.Lineage] {
		if known, ok := l.lineages.get(key, l.now()); ok {
			return known
		}
		lineage, source, err := l.lineage(ctx, key)
		r := reading(l, source, lineage, err)
		if codeOf(err) == http.StatusNotFound || (err == nil && lineage.OnBranch()) {
			l.lineages.put(key, r, r.At.Add(lineageFresh))
		}
		return r
	})
}

// ofLocks collects, once each, what a function finds to be asked about the locks.
func (l *look) ofLocks(find func(base, head []byte) []string) []string {
	var keys []string
	seen := map[string]bool{}
	for _, lock := range l.s.Locks {
		if !lock.Known() {
			continue
		}
		for _, key := range find(lock.Value.Base, lock.Value.Head) {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// comparedPayload is a comparison without its commits and files.
type comparedPayload struct {
	Status  string `json:"status"`
	AheadBy int    `json:"ahead_by"`
	HTMLURL string `json:"html_url"` // of the page, with the repository's present name
}

// repository is "owner/name" of the repository that was compared in.
func (p comparedPayload) repository() string {
	page, err := url.Parse(p.HTMLURL)
	if err != nil {
		return ""
	}
	at, _, _ := strings.Cut(strings.TrimPrefix(page.Path, "/"), "/compare/")
	return at
}

// lineage compares "owner/repo@base...rev", where an empty base is the default
// branch. The repository may be anybody's; a token of ours reads what is public.
// The second page has neither commits nor files, which only the first would list.
//
// GitHub leads from a repository's old name to its present one. That is not
// followed: a lock that goes on naming the old one gets whatever is there, and the
// name is free for others as soon as its owner lets go of it.
func (c *client) lineage(ctx context.Context, key string) (_ fleet.Lineage, source string, err error) {
	name, span, _ := strings.Cut(key, "@")
	base, rev, _ := strings.Cut(span, "...")
	owner, repo, _ := strings.Cut(name, "/")
	if base == "" {
		base = "HEAD"
	}
	source = fmt.Sprintf("GET /repos/%s/compare/%s...%.7s", name, shortRef(base), rev)
	op := "compare " + key
	where, err := repoPath(fleet.Repo{Owner: owner, Name: repo}, "/compare/"+url.PathEscape(base)+"..."+rev+"?per_page=1&page=2")
	switch {
	case err != nil || !isSHA(rev):
		return fleet.Lineage{}, source, fmt.Errorf("%s: not two commits of a repository on GitHub", op)
	case c.enterprise:
		return fleet.Lineage{}, source, fmt.Errorf("%s: %w", op, errElsewhere)
	}
	p, err := get[comparedPayload](ctx, c, op, where)
	is := p.repository()
	switch {
	case codeOf(err) == http.StatusNotFound:
		return fleet.Lineage{}, source, &Error{Op: op, Code: http.StatusNotFound, Message: "no such branch or commit, or the repository is private", Err: err}
	case err != nil:
		return fleet.Lineage{}, source, err
	case p.Status == "":
		return fleet.Lineage{}, source, &Error{Op: op, Code: http.StatusOK, Message: "a comparison without a result"}
	case is != "" && !strings.EqualFold(is, name):
		return fleet.Lineage{}, source, fmt.Errorf("%s: the repository is now called %s; flake.nix should name it so", op, is)
	}
	return fleet.Lineage{Status: p.Status, Ahead: p.AheadBy}, source, nil
}

// errElsewhere says that nobody was asked about a commit.
var errElsewhere = errors.New("this is a GitHub Enterprise Server, which can't speak for repositories on github.com")

func shortRef(ref string) string {
	if isSHA(ref) {
		return ref[:7]
	}
	return ref
}
