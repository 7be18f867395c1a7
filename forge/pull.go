package forge

import (
	"context"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// pullPayload is what we read of a pull request.
type pullPayload struct {
	Number       int         `json:"number"`
	Title        string      `json:"title"`
	HTMLURL      string      `json:"html_url"`
	State        string      `json:"state"`
	Draft        bool        `json:"draft"`
	Merged       bool        `json:"merged"`
	Mergeable    *bool       `json:"mergeable"`
	MergeSHA     string      `json:"merge_commit_sha"`
	MergedBy     userPayload `json:"merged_by"`
	User         userPayload `json:"user"`
	ChangedFiles int         `json:"changed_files"`
	CreatedAt    time.Time   `json:"created_at"`
	UpdatedAt    string      `json:"updated_at"`
	Labels       []struct {
		Name string `json:"name"`
	} `json:"labels"`
	Base refPayload `json:"base"`
	Head refPayload `json:"head"`
}

type refPayload struct {
	Ref  string       `json:"ref"`
	SHA  string       `json:"sha"`
	Repo *repoPayload `json:"repo"` // null where the fork is gone
}

type userPayload struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Type  string `json:"type"`
}

func (u userPayload) domain() fleet.Actor {
	return fleet.Actor{ID: u.ID, Login: u.Login, Type: u.Type}
}

type repoPayload struct {
	ID            int64       `json:"id"`
	Name          string      `json:"name"`
	Owner         userPayload `json:"owner"`
	DefaultBranch string      `json:"default_branch"`
	Archived      bool        `json:"archived"`
}

func (r *repoPayload) domain(installation int64) fleet.Repo {
	return fleet.Repo{ID: r.ID, Installation: installation, Owner: r.Owner.Login, Name: r.Name, DefaultBranch: r.DefaultBranch}
}

func (p pullPayload) domain() fleet.Pull {
	d := fleet.Pull{
		Title: p.Title, URL: p.HTMLURL, State: p.State, Draft: p.Draft, Merged: p.Merged,
		MergedBy: p.MergedBy.domain(), Author: p.User.domain(),
		BaseRef: p.Base.Ref, BaseSHA: p.Base.SHA, HeadRef: p.Head.Ref, HeadSHA: p.Head.SHA,
		ChangedFiles: p.ChangedFiles, Mergeable: p.Mergeable, CreatedAt: p.CreatedAt,
	}
	if p.Merged {
		d.MergeCommitSHA = p.MergeSHA // before that it names a trial merge
	}
	if p.Base.Repo != nil {
		d.BaseRepoID = p.Base.Repo.ID
	}
	if p.Head.Repo != nil {
		d.HeadRepoID = p.Head.Repo.ID
	}
	for _, l := range p.Labels {
		d.Labels = append(d.Labels, l.Name)
	}
	return d
}

func pullSource(repo fleet.Repo, number int) string {
	return fmt.Sprintf("GET /repos/%s/pulls/%d", repo.FullName(), number)
}

// Pull reads a pull request alone. After a merge whose answer was lost it is what
// has to be asked first.
func (f *Forge) Pull(ctx context.Context, repo fleet.Repo, number int) fleet.Reading[fleet.Pull] {
	var p pullPayload
	c, err := f.as(ctx, reader, repo)
	if err == nil {
		urgent := *c
		urgent.urgent = true // a merge waits for it
		p, err = urgent.pull(ctx, repo, number)
	}
	return read(f.config.Now(), pullSource(repo, number), p.domain(), err)
}

// pull reads a pull request, and checks that it is the one that was asked for: a
// name that was renamed away may belong to another repository by now.
func (c *client) pull(ctx context.Context, repo fleet.Repo, number int) (pullPayload, error) {
	op := fmt.Sprintf("read pull request %d of %s", number, repo.FullName())
	path, err := repoPath(repo, fmt.Sprintf("/pulls/%d", number))
	if err != nil {
		return pullPayload{}, fmt.Errorf("%s: %w", op, err)
	}
	p, err := get[pullPayload](ctx, c, op, path)
	if err != nil {
		return pullPayload{}, err
	}
	switch {
	case p.Number != number || p.Base.Repo == nil || !isSHA(p.Head.SHA):
		return pullPayload{}, &Error{Op: op, Code: 200, Message: "an incomplete pull request"}
	case p.Base.Repo.ID != repo.ID:
		return pullPayload{}, &Error{Op: op, Code: 200, Message: fmt.Sprintf("repository %d, but %s was repository %d", p.Base.Repo.ID, repo.FullName(), repo.ID)}
	}
	return p, nil
}

// filePages is where GitHub stops listing the files of a pull request (3000).
const filePages = 30

// files lists all changed files.
func (c *client) files(ctx context.Context, repo fleet.Repo, number int) ([]fleet.ChangedFile, error) {
	op := fmt.Sprintf("list files of pull request %d of %s", number, repo.FullName())
	path, err := repoPath(repo, fmt.Sprintf("/pulls/%d/files", number))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := pages[[]filePayload](ctx, c, op, path, filePages)
	if err != nil {
		return nil, err
	}
	var all []fleet.ChangedFile
	for _, list := range lists {
		for _, f := range list {
			all = append(all, fleet.ChangedFile{Path: f.Filename, Status: f.Status, Previous: f.Previous})
		}
	}
	if len(all) >= filePages*pageSize {
		return nil, fmt.Errorf("%s: %w (%d files)", op, errPages, len(all))
	}
	return all, nil
}

type filePayload struct {
	Filename string `json:"filename"`
	Status   string `json:"status"`
	Previous string `json:"previous_filename"`
}

// OpenPulls lists the open pull requests onto the default branch. It asks the list,
// not the search, whose index can be wrong.
func (f *Forge) OpenPulls(ctx context.Context, repo fleet.Repo) ([]fleet.OpenPull, error) {
	op := "list open pull requests of " + repo.FullName()
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	path, err := repoPath(repo, "/pulls?state=open")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := pages[[]pullPayload](ctx, c, op, path, 20)
	if err != nil {
		return nil, err
	}
	open := []fleet.OpenPull{} // not nil: they were listed
	for _, list := range lists {
		for _, p := range list {
			if p.Base.Repo != nil && p.Base.Repo.ID == repo.ID && p.Base.Ref == p.Base.Repo.DefaultBranch {
				open = append(open, fleet.OpenPull{Number: p.Number, Version: p.Head.SHA + "@" + p.UpdatedAt})
			}
		}
	}
	return open, nil
}
