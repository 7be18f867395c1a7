package forge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/flakelock"
	"github.com/nixfleet/nixfleet/fleet"
)

const (
	maxLock   = flakelock.MaxSize
	maxPolicy = 256 << 10
)

// content reads the bytes of one file at one commit.
func (c *client) content(ctx context.Context, repo fleet.Repo, file, sha string, limit int) ([]byte, error) {
	op := fmt.Sprintf("read %s at %.7s", file, sha)
	escaped, err := filePath(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if !isSHA(sha) {
		return nil, fmt.Errorf("%s: %q is no commit", op, sha)
	}
	where, err := repoPath(repo, "/contents/"+escaped+"?ref="+sha)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	a, err := c.do(ctx, call{op: op, path: where, accept: acceptRaw})
	switch {
	case codeOf(err) == http.StatusNotFound:
		return nil, &Error{Op: op, Code: http.StatusNotFound, Message: fmt.Sprintf("%s does not exist at %.7s", file, sha), Err: err}
	case err != nil:
		return nil, err
	case len(a.body) > limit:
		return nil, fmt.Errorf("%s: it has %d bytes, at most %d are read", op, len(a.body), limit)
	}
	return bytes.Clone(a.body), nil
}

// treePayload is one directory.
type treePayload struct {
	Truncated bool `json:"truncated"`
	Tree      []struct {
		Path string `json:"path"`
		Mode string `json:"mode"`
		Type string `json:"type"`
		SHA  string `json:"sha"`
	} `json:"tree"`
}

// modes finds the git mode of files at a commit. A file that is not there is not in
// the map.
func (c *client) modes(ctx context.Context, repo fleet.Repo, commit string, files []string) (map[string]string, error) {
	entries, err := c.entries(ctx, repo, commit, files)
	modes := make(map[string]string, len(entries))
	for file, e := range entries {
		modes[file] = e.mode
	}
	return modes, err
}

// treeEntry is one file at one commit.
type treeEntry struct {
	mode string
	sha  string // of its content
}

// entries finds files at a commit, directory by directory. A file that is not there is
// not in the map.
func (c *client) entries(ctx context.Context, repo fleet.Repo, commit string, files []string) (map[string]treeEntry, error) {
	op := fmt.Sprintf("read git modes at %.7s", commit)
	trees := map[string]treePayload{} // by object, as several locks share directories
	found := map[string]treeEntry{}
	for _, file := range files {
		sha, dirs := commit, strings.Split(path.Dir(file), "/")
		if dirs[0] == "." {
			dirs = nil
		}
		for i, name := range append(dirs, path.Base(file)) {
			tree, err := c.tree(ctx, op, repo, sha, trees)
			if err != nil {
				return nil, err
			}
			mode, next := tree.entry(name)
			if mode == "" && tree.Truncated {
				return nil, fmt.Errorf("%s: GitHub cuts the list of files short", op)
			}
			if mode == "" || (i < len(dirs) && mode != "040000") {
				break
			}
			if i == len(dirs) {
				found[file] = treeEntry{mode, next}
			}
			sha = next
		}
	}
	return found, nil
}

func (t treePayload) entry(name string) (mode, sha string) {
	for _, e := range t.Tree {
		if e.Path == name {
			return e.Mode, e.SHA
		}
	}
	return "", ""
}

func (c *client) tree(ctx context.Context, op string, repo fleet.Repo, sha string, known map[string]treePayload) (treePayload, error) {
	if t, ok := known[sha]; ok {
		return t, nil
	}
	if !isSHA(sha) {
		return treePayload{}, fmt.Errorf("%s: %q is no tree", op, sha)
	}
	where, err := repoPath(repo, "/git/trees/"+sha)
	if err != nil {
		return treePayload{}, fmt.Errorf("%s: %w", op, err)
	}
	t, err := get[treePayload](ctx, c, op, where)
	if err == nil {
		known[sha] = t
	}
	return t, err
}

// comparePayload is a comparison of two commits.
type comparePayload struct {
	Status    string `json:"status"`
	MergeBase struct {
		SHA string `json:"sha"`
	} `json:"merge_base_commit"`
	Files []filePayload `json:"files"`
}

// compare asks for no commits, as far as GitHub lets one.
func (c *client) compare(ctx context.Context, repo fleet.Repo, from, to string) (comparePayload, error) {
	op := fmt.Sprintf("compare %.7s with %.7s of %s", from, to, repo.FullName())
	if !isSHA(from) || !isSHA(to) {
		return comparePayload{}, fmt.Errorf("%s: not two commits", op)
	}
	where, err := repoPath(repo, "/compare/"+from+"..."+to+"?per_page=1")
	if err != nil {
		return comparePayload{}, fmt.Errorf("%s: %w", op, err)
	}
	return get[comparePayload](ctx, c, op, where)
}

// mergeBase finds where head left base, and what it changed since: unlike the list
// of a pull request's files, this names the commits that it is about.
func (c *client) mergeBase(ctx context.Context, repo fleet.Repo, base, head string) (comparePayload, error) {
	p, err := c.compare(ctx, repo, base, head)
	if err == nil && !isSHA(p.MergeBase.SHA) {
		err = errors.New("GitHub names no merge base")
	}
	return p, err
}

// maxCompared is where GitHub stops listing the files of a comparison.
const maxCompared = 300

// ErrTooManyFiles says that a comparison has more files than GitHub lists.
var ErrTooManyFiles = errors.New("GitHub lists only the first 300 changed files")

// FilesChanged lists the files that differ between two commits, with both names
// of renamed ones. With ErrTooManyFiles the list is only its beginning.
func (f *Forge) FilesChanged(ctx context.Context, repo fleet.Repo, from, to string) ([]string, error) {
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return nil, fmt.Errorf("compare commits of %s: %w", repo.FullName(), err)
	}
	p, err := c.compare(ctx, repo, from, to)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range p.Files {
		names = append(names, file.Filename)
		if file.Previous != "" {
			names = append(names, file.Previous)
		}
	}
	if len(p.Files) >= maxCompared {
		return names, fmt.Errorf("compare %.7s with %.7s of %s: %w", from, to, repo.FullName(), ErrTooManyFiles)
	}
	return names, nil
}

// commit reads the date of one revision of an input, named "owner/repo@rev". The
// repository may be anybody's; a token of ours reads what is public.
func (c *client) commit(ctx context.Context, key string) (facts fleet.CommitFacts, source string, err error) {
	name, rev, _ := strings.Cut(key, "@")
	owner, repo, _ := strings.Cut(name, "/")
	source = "GET /repos/" + name + "/git/commits/" + url.PathEscape(rev)
	op := "read commit " + key
	where, err := repoPath(fleet.Repo{Owner: owner, Name: repo}, "/git/commits/"+rev)
	switch {
	case err != nil || !isSHA(rev):
		return facts, source, fmt.Errorf("%s: not the name of a commit on GitHub", op)
	case c.enterprise:
		return facts, source, fmt.Errorf("%s: %w", op, errElsewhere)
	}
	p, err := get[struct {
		SHA       string `json:"sha"`
		Committer struct {
			Date time.Time `json:"date"`
		} `json:"committer"`
	}](ctx, c, op, where)
	switch {
	case codeOf(err) == http.StatusNotFound:
		return facts, source, &Error{Op: op, Code: http.StatusNotFound, Message: "no such commit, or the repository is private", Err: err}
	case err != nil:
		return facts, source, err
	case p.SHA != rev || p.Committer.Date.IsZero():
		return facts, source, &Error{Op: op, Code: http.StatusOK, Message: "another commit, or one without a date"}
	}
	return fleet.CommitFacts{CommitterDate: p.Committer.Date.UTC()}, source, nil
}
