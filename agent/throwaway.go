package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// throwAwayDir is where throw-away checkouts are, below the state directory. Nothing in
// it outlives the order that it was made for.
const throwAwayDir = "throwaway"

// throwAway is a repository of its own at commit, in a new directory below dir, which
// the caller removes, also upon an error. It borrows the objects of c and knows no
// remote.
func (c checkout) throwAway(ctx context.Context, dir, commit string) (checkout, error) {
	away := checkout{git: c.git, stream: c.stream}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		away.dir, err = os.MkdirTemp(dir, "flake-")
	}
	if err != nil {
		return away, err
	}
	if err := away.prepare(ctx); err != nil {
		return away, err
	}
	objects := filepath.Join(c.dir, ".git", "objects") + "\n"
	if err := os.WriteFile(filepath.Join(away.dir, ".git", "objects", "info", "alternates"), []byte(objects), 0o600); err != nil {
		return away, err
	}
	return away, away.at(ctx, commit)
}

// changed lists the files that differ from the commit, new ones too.
func (c checkout) changed(ctx context.Context) ([]string, error) {
	out, err := c.raw(ctx, gitTimeout, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignored=no")
	if err != nil {
		return nil, err
	}
	var files []string
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if len(entry) > 3 {
			files = append(files, entry[3:])
		}
	}
	return files, nil
}

// plain reads a file of the working tree that is a plain file there, and no link by
// which a repository would have another file of this host written.
func (c checkout) plain(file string) ([]byte, error) {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(filepath.FromSlash(file))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() >= stdoutBytes {
		return nil, fmt.Errorf("%s is no plain file of less than %d bytes", file, stdoutBytes)
	}
	return root.ReadFile(filepath.FromSlash(file))
}
