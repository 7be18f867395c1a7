package forgetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// entry is one line of a tree.
type entry struct {
	mode, kind, sha, path string
	size                  int64
}

func (g gitDir) lsTree(treeish string, recursive bool, paths ...string) ([]entry, error) {
	args := []string{"ls-tree", "-z", "-l"}
	if recursive {
		args = append(args, "-r", "-t")
	}
	args = append(append(args, treeish, "--"), paths...)
	out, err := g.run(args...)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for line := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		meta, path, ok := strings.Cut(line, "\t")
		f := strings.Fields(meta)
		if !ok || len(f) != 4 {
			continue
		}
		size, _ := strconv.ParseInt(f[3], 10, 64) // "-" for trees
		entries = append(entries, entry{f[0], f[1], f[2], path, size})
	}
	return entries, nil
}

// lookup finds one path; the empty path is the tree itself.
func (g gitDir) lookup(commit, path string) (entry, bool) {
	if path == "" {
		sha, err := g.line("rev-parse", commit+"^{tree}")
		return entry{mode: "040000", kind: "tree", sha: sha}, err == nil
	}
	list, err := g.lsTree(commit, false, path)
	if err != nil || len(list) != 1 || list[0].path != path {
		return entry{}, false
	}
	return list[0], true
}

func (g gitDir) blob(sha string) ([]byte, error) { return g.run("cat-file", "blob", sha) }

// treeEdit changes one path; sha "" removes it.
type treeEdit struct{ mode, sha, path string }

// editTree writes a tree made of base ("" for none) and the edits, in an index
// of its own: no worktree is ever needed.
func (g gitDir) editTree(base string, edits []treeEdit) (string, error) {
	dir, err := os.MkdirTemp("", "forgetest-index-")
	if err != nil {
		return "", fmt.Errorf("make an index: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")}
	if base != "" {
		if _, err := g.exec(nil, env, "read-tree", base); err != nil {
			return "", err
		}
	}
	var in bytes.Buffer
	for _, e := range edits {
		mode, sha := e.mode, e.sha
		if sha == "" {
			mode, sha = "0", strings.Repeat("0", 40)
		}
		fmt.Fprintf(&in, "%s %s\t%s\x00", mode, sha, e.path)
	}
	if _, err := g.exec(in.Bytes(), env, "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	out, err := g.exec(nil, env, "write-tree")
	return strings.TrimSpace(string(out)), err
}

func (g gitDir) writeBlob(content []byte) (string, error) {
	out, err := g.exec(content, nil, "hash-object", "-w", "--stdin")
	return strings.TrimSpace(string(out)), err
}

// change is one file of a diff, in the words of the API.
type change struct {
	status, path, previous, sha string
	additions, deletions        int
	binary                      bool
}

var statusWords = map[byte]string{'A': "added", 'D': "removed", 'M': "modified", 'R': "renamed", 'C': "copied", 'T': "changed"}

// diff lists what head changes against base, renames detected as on the site.
func (g gitDir) diff(base, head string) ([]change, error) {
	raw, err := g.run("diff-tree", "-r", "-M", "-z", "--raw", "--no-abbrev", base, head)
	if err != nil {
		return nil, err
	}
	var changes []change
	f := strings.Split(string(raw), "\x00")
	for i := 0; i+1 < len(f) && strings.HasPrefix(f[i], ":"); i += 2 {
		meta := strings.Fields(f[i][1:])
		c := change{status: statusWords[meta[4][0]], path: f[i+1], sha: meta[3]}
		if c.status == "removed" {
			c.sha = meta[2]
		}
		if c.status == "renamed" || c.status == "copied" {
			c.previous, c.path = f[i+1], f[i+2]
			i++
		}
		changes = append(changes, c)
	}
	return changes, g.countLines(base, head, changes)
}

func (g gitDir) countLines(base, head string, changes []change) error {
	out, err := g.run("diff-tree", "-r", "-M", "--numstat", "-z", base, head)
	if err != nil {
		return err
	}
	f := strings.Split(string(out), "\x00")
	for i, n := 0, 0; i < len(f) && n < len(changes); i, n = i+1, n+1 {
		cols := strings.SplitN(f[i], "\t", 3)
		if len(cols) < 3 {
			break
		}
		changes[n].additions, _ = strconv.Atoi(cols[0]) // "-" for binary files
		changes[n].deletions, _ = strconv.Atoi(cols[1])
		changes[n].binary = cols[0] == "-"
		if cols[2] == "" { // a rename: two more fields with the paths
			i += 2
		}
	}
	return nil
}

// patch is the hunk text of one file, "" for binary and very large ones.
func (g gitDir) patch(base, head string, c change) string {
	paths := []string{c.path}
	if c.previous != "" {
		paths = append(paths, c.previous)
	}
	out, err := g.run(append([]string{"diff", "-M", base, head, "--"}, paths...)...)
	if err != nil || c.binary || len(out) > 200_000 {
		return ""
	}
	at := bytes.Index(out, []byte("\n@@"))
	if at < 0 {
		return ""
	}
	return strings.TrimRight(string(out[at+1:]), "\n")
}

// mergeTree merges two commits without a worktree; clean is false on conflict.
func (g gitDir) mergeTree(ours, theirs string) (tree string, clean bool, err error) {
	out, err := g.run("merge-tree", "--write-tree", "--no-messages", ours, theirs)
	switch {
	case err == nil:
		return strings.TrimSpace(string(out)), true, nil
	case exitCode(err) == 1:
		return "", false, nil
	default:
		return "", false, err
	}
}

// replay puts the commits of head that base lacks on top of base, one by one.
// A synthetic commit with the original's parent makes git take that parent as
// the merge base, which is what a cherry-pick is.
func (g gitDir) replay(base, head string, committer ident) (tip string, clean bool, err error) {
	commits, err := g.log("--reverse", "--no-merges", base+".."+head)
	if err != nil {
		return "", false, err
	}
	tip = base
	for _, c := range commits {
		current, err := g.commit(tip)
		if err != nil {
			return "", false, err
		}
		ours, err := g.commitTree(newCommit{tree: current.tree, message: "-", parents: slices.Clip(c.parents), author: committer, committer: committer})
		if err != nil {
			return "", false, err
		}
		tree, clean, err := g.mergeTree(ours, c.sha)
		if err != nil || !clean {
			return "", false, err
		}
		tip, err = g.commitTree(newCommit{tree: tree, message: c.message, parents: []string{tip}, author: c.author, committer: committer})
		if err != nil {
			return "", false, err
		}
	}
	return tip, true, nil
}
