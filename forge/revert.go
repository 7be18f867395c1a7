package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/nixfleet/nixfleet/fleet"
)

// RevertCommit is a commit that gives files back what they were before another one.
type RevertCommit struct {
	Commit  string   // that is taken back
	Base    string   // head of the default branch, which the new commit is made on
	Files   []string // that may be changed; Commit must have changed no other
	Title   string
	Message string // below the title
}

// NoRevert says why a commit is not taken back.
type NoRevert struct{ Why string }

func (e *NoRevert) Error() string { return e.Why }

// MakeRevert makes that commit as the App. No branch points to it yet, as with
// [Forge.MakeCommit]. Nothing is taken back that anybody has changed since: what can't
// be, or must not be, is a *NoRevert; what GitHub will never take is ErrRefused.
func (f *Forge) MakeRevert(ctx context.Context, repo fleet.Repo, n RevertCommit) (string, error) {
	op := fmt.Sprintf("revert %.7s of %s", n.Commit, repo.FullName())
	c, err := f.as(ctx, merger, repo)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	if !isSHA(n.Commit) || !isSHA(n.Base) {
		return "", &NoRevert{"it is no commit"}
	}
	files, err := c.reversal(ctx, repo, op, n)
	if err != nil {
		return "", err
	}
	sha, err := c.commitOn(ctx, repo, op, n.Base, n.Title+"\n\n"+n.Message, files)
	if l, _ := refusedLanding(err); l.Outcome == LandingRefused {
		return "", fmt.Errorf("%w: %s", ErrRefused, l.Message)
	}
	return sha, err
}

// reversal finds what the files that a commit changed were before it.
func (c *client) reversal(ctx context.Context, repo fleet.Repo, op string, n RevertCommit) ([]map[string]any, error) {
	commit, err := c.gitCommit(ctx, repo, op, n.Commit)
	if codeOf(err) == http.StatusNotFound {
		return nil, &NoRevert{"GitHub does not know the commit any more"}
	}
	if err != nil {
		return nil, err
	}
	if len(commit.Parents) == 0 {
		return nil, &NoRevert{"there is nothing before it"}
	}
	parent := commit.Parents[0].SHA
	changed, err := c.changed(ctx, repo, parent, n)
	if err != nil {
		return nil, err
	}
	var at [3]map[string]treeEntry // before the commit, with it, and now
	for i, sha := range []string{parent, n.Commit, n.Base} {
		if at[i], err = c.entries(ctx, repo, sha, changed); err != nil {
			return nil, err
		}
	}
	var files []map[string]any
	for _, file := range changed {
		was, is, now := at[0][file], at[1][file], at[2][file]
		switch {
		case now == was:
			continue // somebody took it back
		case now != is:
			return nil, &NoRevert{file + " was changed again since"}
		case was.mode == "":
			return nil, &NoRevert{"it is what brought " + file + " in"}
		}
		files = append(files, map[string]any{"path": file, "mode": was.mode, "type": "blob", "sha": was.sha})
	}
	if len(files) == 0 {
		return nil, &NoRevert{"somebody has taken it back already"}
	}
	return files, nil
}

// changed lists the files that a commit changed, all of which must be allowed.
func (c *client) changed(ctx context.Context, repo fleet.Repo, parent string, n RevertCommit) ([]string, error) {
	p, err := c.compare(ctx, repo, parent, n.Commit)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range p.Files {
		if file.Previous != "" || !slices.Contains(n.Files, file.Filename) {
			return nil, &NoRevert{"it changes more than the lock: " + file.Filename}
		}
		names = append(names, file.Filename)
	}
	if len(names) == 0 {
		return nil, &NoRevert{"it changes no lock"}
	}
	return names, nil
}

// ErrNoCommit says that a repository has no such commit.
var ErrNoCommit = errors.New("no such commit")

// Resolve finds the commit that a person means: by its id or the beginning of it, a
// branch or a tag.
func (f *Forge) Resolve(ctx context.Context, repo fleet.Repo, ref string) (string, error) {
	op := fmt.Sprintf("find commit %s of %s", ref, repo.FullName())
	escaped, err := filePath(ref)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, ErrNoCommit)
	}
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	where, err := repoPath(repo, "/commits/"+escaped+"?per_page=1")
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	got, err := get[struct{ SHA string }](ctx, c, op, where)
	switch code := codeOf(err); {
	case code == http.StatusNotFound, code == http.StatusUnprocessableEntity:
		return "", fmt.Errorf("%s: %w", op, ErrNoCommit)
	case err != nil:
		return "", err
	case !isSHA(got.SHA):
		return "", &Error{Op: op, Code: http.StatusOK, Message: "a commit without an id"}
	}
	return got.SHA, nil
}

// Leads reports whether one commit is another, or comes before it. Of commits that
// GitHub does not know it is ErrNoCommit.
func (f *Forge) Leads(ctx context.Context, repo fleet.Repo, from, to string) (bool, error) {
	if from == to {
		return true, nil
	}
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return false, fmt.Errorf("compare commits of %s: %w", repo.FullName(), err)
	}
	p, err := c.compare(ctx, repo, from, to)
	if codeOf(err) == http.StatusNotFound {
		return false, fmt.Errorf("compare %.7s with %.7s: %w", from, to, ErrNoCommit)
	}
	return p.Status == "ahead" || p.Status == "identical", err
}
