package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// branch is one branch as GitHub tells it.
type branch struct {
	Commit struct {
		SHA string `json:"sha"`
	} `json:"commit"`
	Protection struct {
		Enabled              bool            `json:"enabled"`
		RequiredStatusChecks requiredPayload `json:"required_status_checks"`
	} `json:"protection"`

	err error // why it could not be read
}

func (b branch) required() []fleet.RequiredCheck {
	if !b.Protection.Enabled {
		return nil
	}
	return b.Protection.RequiredStatusChecks.domain()
}

func (c *client) branch(ctx context.Context, repo fleet.Repo, name string) (branch, error) {
	op := fmt.Sprintf("read branch %s of %s", name, repo.FullName())
	path, err := repoPath(repo, "/branches/"+url.PathEscape(name))
	if err != nil || name == "" || name == "." || name == ".." {
		return branch{}, fmt.Errorf("%s: no name that GitHub allows", op)
	}
	b, err := get[branch](ctx, c, op, path)
	if err == nil && !isSHA(b.Commit.SHA) {
		err = &Error{Op: op, Code: http.StatusOK, Message: "a branch without a commit"}
	}
	return b, err
}

// BranchState is the default branch of a repository, and its policy.
type BranchState struct {
	Repo     fleet.Repo // with its present name
	Archived bool       // takes no merges
	HeadSHA  string
	Policy   fleet.Reading[fleet.Policy]

	PolicyFile bool // there is a file at that commit, though it may be broken or unreadable
}

// Branch reads the default branch's head, and the policy at that commit, or the
// kept settings where there is no policy file.
func (f *Forge) Branch(ctx context.Context, repo fleet.Repo, kept Kept) (BranchState, error) {
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return BranchState{}, fmt.Errorf("read repository %s: %w", repo.FullName(), err)
	}
	state, err := c.repository(ctx, repo)
	if err != nil {
		return BranchState{}, err
	}
	b, err := c.branch(ctx, state.Repo, state.Repo.DefaultBranch)
	if err != nil {
		return BranchState{}, err
	}
	state.HeadSHA = b.Commit.SHA
	p, err := c.policy(ctx, state.Repo, b.Commit.SHA, kept.Settings)
	state.Policy = read(c.now(), policySource(state.Repo, b.Commit.SHA), p, err)
	_, absent := c.noPolicy.get(policyKey(state.Repo, b.Commit.SHA), c.now())
	state.PolicyFile = !absent
	return state, nil
}

// repository finds out what a repository is called now.
func (c *client) repository(ctx context.Context, repo fleet.Repo) (BranchState, error) {
	op := "read repository " + repo.FullName()
	path, err := repoPath(repo, "")
	if err != nil {
		return BranchState{}, fmt.Errorf("%s: %w", op, err)
	}
	p, err := get[repoPayload](ctx, c, op, path)
	if err != nil {
		return BranchState{}, err
	}
	if p.ID != repo.ID {
		return BranchState{}, &Error{Op: op, Code: http.StatusOK, Message: fmt.Sprintf("repository %d, but it was repository %d", p.ID, repo.ID)}
	}
	return BranchState{Repo: p.domain(repo.Installation), Archived: p.Archived}, nil
}

// DeleteBranch deletes a branch that still points to sha. One that is gone, or has
// moved on, is left alone without an error.
func (f *Forge) DeleteBranch(ctx context.Context, repo fleet.Repo, name, sha string) error {
	op := fmt.Sprintf("delete branch %s of %s", name, repo.FullName())
	c, err := f.as(ctx, merger, repo)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	b, err := c.branch(ctx, repo, name)
	if codeOf(err) == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if b.Commit.SHA != sha {
		return nil
	}
	ref, err := filePath("heads/" + name)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = c.write(ctx, repo, call{op: op, method: http.MethodDelete}, "/git/refs/"+ref)
	if codeOf(err) == http.StatusUnprocessableEntity && strings.Contains(err.Error(), "does not exist") {
		return nil
	}
	return err
}
