package forge

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/nixfleet/nixfleet/fleet"
)

// Proposal is a pull request that brings one file on a branch of ours.
type Proposal struct {
	Number int
	URL    string // its page
	State  string // open, closed or merged
}

// NewFile is what to propose.
type NewFile struct {
	Branch      string // of ours, e.g. nixfleet/policy
	Path        string
	Content     []byte
	Title, Body string // of the pull request; the title is also the commit's message
}

// Proposed finds the newest pull request from a branch of the repository itself,
// whatever became of it; nil where there never was one.
func (f *Forge) Proposed(ctx context.Context, repo fleet.Repo, branch string) (*Proposal, error) {
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return nil, fmt.Errorf("look for the pull request of %s: %w", branch, err)
	}
	return c.proposed(ctx, repo, branch)
}

func (c *client) proposed(ctx context.Context, repo fleet.Repo, branch string) (*Proposal, error) {
	op := fmt.Sprintf("look for the pull request of %s in %s", branch, repo.FullName())
	path, err := repoPath(repo, "/pulls?state=all&sort=created&direction=desc&per_page=10&head="+url.QueryEscape(repo.Owner+":"+branch))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	list, err := get[[]proposalPayload](ctx, c, op, path)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		if p.Head.Ref == branch && p.Head.Repo != nil && p.Head.Repo.ID == repo.ID {
			found := p.domain()
			return &found, nil
		}
	}
	return nil, nil
}

type proposalPayload struct {
	Number   int     `json:"number"`
	HTMLURL  string  `json:"html_url"`
	State    string  `json:"state"`
	MergedAt *string `json:"merged_at"`
	Head     struct {
		Ref  string       `json:"ref"`
		Repo *repoPayload `json:"repo"`
	} `json:"head"`
}

func (p proposalPayload) domain() Proposal {
	if p.MergedAt != nil {
		p.State = "merged"
	}
	return Proposal{p.Number, p.HTMLURL, p.State}
}

// Propose opens a pull request with a new file against the default branch, as the
// App. Each step looks before it acts, so that one that was cut off is finished by the
// next: a pull request that was ever opened from the branch is returned as it is, and
// a branch or a file that is there already is left alone.
func (f *Forge) Propose(ctx context.Context, repo fleet.Repo, n NewFile) (Proposal, error) {
	op := fmt.Sprintf("propose %s to %s", n.Path, repo.FullName())
	c, err := f.as(ctx, merger, repo)
	if err != nil {
		return Proposal{}, fmt.Errorf("%s: %w", op, err)
	}
	present, err := c.repository(ctx, repo)
	if err != nil {
		return Proposal{}, err
	}
	repo = present.Repo
	found, err := c.proposed(ctx, repo, n.Branch)
	if err != nil {
		return Proposal{}, err
	}
	if found != nil {
		return *found, nil
	}
	tip, err := c.ensureBranch(ctx, repo, n.Branch)
	if err != nil {
		return Proposal{}, err
	}
	if err := c.ensureFile(ctx, repo, n, tip); err != nil {
		return Proposal{}, err
	}
	a, err := c.write(ctx, repo, call{
		op: op, method: http.MethodPost,
		in: map[string]string{"title": n.Title, "body": n.Body, "head": n.Branch, "base": repo.DefaultBranch},
	}, "/pulls")
	if codeOf(err) == http.StatusUnprocessableEntity { // somebody was faster
		if found, lookErr := c.proposed(ctx, repo, n.Branch); lookErr == nil && found != nil {
			return *found, nil
		}
	}
	if err != nil {
		return Proposal{}, err
	}
	var p proposalPayload
	if err := decode(op, a, &p); err != nil {
		return Proposal{}, err
	}
	return p.domain(), nil
}

// ensureBranch returns the tip of a branch, which is made from the default branch
// where it is not there.
func (c *client) ensureBranch(ctx context.Context, repo fleet.Repo, name string) (string, error) {
	at, err := c.branch(ctx, repo, name)
	if codeOf(err) != http.StatusNotFound {
		return at.Commit.SHA, err
	}
	base, err := c.branch(ctx, repo, repo.DefaultBranch)
	if err != nil {
		return "", err
	}
	_, err = c.write(ctx, repo, call{
		op: fmt.Sprintf("make branch %s of %s", name, repo.FullName()), method: http.MethodPost,
		in: map[string]string{"ref": "refs/heads/" + name, "sha": base.Commit.SHA},
	}, "/git/refs")
	if codeOf(err) == http.StatusUnprocessableEntity { // it is there by now
		at, err = c.branch(ctx, repo, name)
		return at.Commit.SHA, err
	}
	return base.Commit.SHA, err
}

// ensureFile commits a file to a branch unless it is there.
func (c *client) ensureFile(ctx context.Context, repo fleet.Repo, n NewFile, tip string) error {
	modes, err := c.modes(ctx, repo, tip, []string{n.Path})
	if err != nil || modes[n.Path] != "" {
		return err
	}
	path, err := filePath(n.Path)
	if err != nil {
		return err
	}
	_, err = c.write(ctx, repo, call{
		op: fmt.Sprintf("commit %s to %s of %s", n.Path, n.Branch, repo.FullName()), method: http.MethodPut,
		in: map[string]string{"message": n.Title, "content": base64.StdEncoding.EncodeToString(n.Content), "branch": n.Branch},
	}, "/contents/"+path)
	if slices.Contains([]int{http.StatusConflict, http.StatusUnprocessableEntity}, codeOf(err)) {
		// Somebody else committed it meanwhile, or else the pull request will say what is wrong.
		return nil
	}
	return err
}
