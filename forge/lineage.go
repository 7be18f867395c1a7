package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// readLineages asks how the new revisions of inputs lie to their branches and to
// the revisions that they replace.
func (l *look) readLineages(ctx context.Context) {
	keys := l.ofLocks(fleet.LineagesToRead)
	l.s.Lineages = each(l, keys, func(key string) fleet.Reading[fleet.Lineage] {
		lineage, source, err := l.lineage(ctx, key)
		return reading(l, source, lineage, err)
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

// lineage compares "owner/repo@base...rev", where an empty base is the default
// branch. The repository may be anybody's; a token of ours reads what is public.
// The second page has neither commits nor files, which only the first would list.
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
	if err != nil || !isSHA(rev) {
		return fleet.Lineage{}, source, fmt.Errorf("%s: not two commits of a repository on GitHub", op)
	}
	p, err := get[struct {
		Status  string `json:"status"`
		AheadBy int    `json:"ahead_by"`
	}](ctx, c, op, where)
	switch {
	case codeOf(err) == http.StatusNotFound:
		return fleet.Lineage{}, source, &Error{Op: op, Code: http.StatusNotFound, Message: "no such branch or commit, or the repository is private", Err: err}
	case err != nil:
		return fleet.Lineage{}, source, err
	case p.Status == "":
		return fleet.Lineage{}, source, &Error{Op: op, Code: http.StatusOK, Message: "a comparison without a result"}
	}
	return fleet.Lineage{Status: p.Status, Ahead: p.AheadBy}, source, nil
}

func shortRef(ref string) string {
	if isSHA(ref) {
		return ref[:7]
	}
	return ref
}
