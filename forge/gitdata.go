package forge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// ErrRefused says that GitHub will not take a commit, now or later: the App may not
// write, or what the commit is made of is gone.
var ErrRefused = errors.New("GitHub does not take the commit")

// FileCommit is one commit that changes one file.
type FileCommit struct {
	Parent  string // commit that it is made on
	Path    string
	Content []byte
	Title   string
	Message string // below the title
}

// MakeCommit makes a commit as the App, which GitHub signs. No branch points to it
// yet, so a second one made after a crash does no harm; what matters is that its id
// is kept before a branch is moved to it. What will never do is ErrRefused.
func (f *Forge) MakeCommit(ctx context.Context, repo fleet.Repo, n FileCommit) (string, error) {
	sha, err := f.makeCommit(ctx, repo, n)
	if l, _ := refusedLanding(err); l.Outcome == LandingRefused {
		return "", fmt.Errorf("%w: %s", ErrRefused, l.Message)
	}
	return sha, err
}

func (f *Forge) makeCommit(ctx context.Context, repo fleet.Repo, n FileCommit) (string, error) {
	op := fmt.Sprintf("commit %s to %s", n.Path, repo.FullName())
	if _, err := filePath(n.Path); err != nil || !isSHA(n.Parent) {
		return "", fmt.Errorf("%s: no commit to make it on, or no path", op)
	}
	c, err := f.as(ctx, merger, repo)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	blob, err := c.object(ctx, repo, op, "blobs", map[string]any{
		"content": base64.StdEncoding.EncodeToString(n.Content), "encoding": "base64",
	})
	if err != nil {
		return "", err
	}
	return c.commitOn(ctx, repo, op, n.Parent, n.Title+"\n\n"+n.Message, []map[string]any{
		{"path": n.Path, "mode": "100644", "type": "blob", "sha": blob},
	})
}

// gitCommit is a commit with what it was made on.
type gitCommit struct {
	SHA     string
	Tree    struct{ SHA string }
	Parents []struct{ SHA string }
}

func (c *client) gitCommit(ctx context.Context, repo fleet.Repo, op, sha string) (gitCommit, error) {
	path, err := repoPath(repo, "/git/commits/"+sha)
	if err != nil {
		return gitCommit{}, fmt.Errorf("%s: %w", op, err)
	}
	got, err := get[gitCommit](ctx, c, op, path)
	if err == nil && (got.SHA != sha || !isSHA(got.Tree.SHA)) {
		err = &Error{Op: op, Code: http.StatusOK, Message: "another commit, or one without a tree"}
	}
	return got, err
}

// commitOn makes a commit that changes files of the parent's tree.
func (c *client) commitOn(ctx context.Context, repo fleet.Repo, op, parent, message string, files []map[string]any) (string, error) {
	on, err := c.gitCommit(ctx, repo, op, parent)
	if err != nil {
		return "", err
	}
	tree, err := c.object(ctx, repo, op, "trees", map[string]any{"base_tree": on.Tree.SHA, "tree": files})
	if err != nil {
		return "", err
	}
	return c.object(ctx, repo, op, "commits", map[string]any{"message": message, "tree": tree, "parents": []string{parent}})
}

// object makes one git object and returns its id.
func (c *client) object(ctx context.Context, repo fleet.Repo, op, kind string, in any) (string, error) {
	a, err := c.write(ctx, repo, call{op: op, method: http.MethodPost, in: in}, "/git/"+kind)
	if err != nil {
		return "", err
	}
	var made struct{ SHA string }
	if err := decode(op, a, &made); err != nil {
		return "", err
	}
	if !isSHA(made.SHA) {
		return "", &Error{Op: op, Code: a.code, Message: "an object of " + kind + " without an id"}
	}
	return made.SHA, nil
}

// LandingOutcome is how bringing a commit to a repository ended.
type LandingOutcome string

// The outcomes of a landing.
const (
	Landed         LandingOutcome = "landed"
	LandingMoved   LandingOutcome = "moved"   // the branch is no longer where the commit was made from
	LandingRefused LandingOutcome = "refused" // GitHub takes it not, now or later; Message is its own
)

// Landing is what became of a commit. An error beside it means that it is not known:
// ask again, which finds what happened.
type Landing struct {
	Outcome LandingOutcome
	Message string // verbatim, for people
	Number  int    // of the pull request
}

// Land moves branch from parent to sha, whose parent that is, and never by force. A
// branch that contains sha already is a landing, too: an earlier attempt succeeded and
// its answer was lost, whatever was pushed since.
func (f *Forge) Land(ctx context.Context, repo fleet.Repo, branch, parent, sha string) (Landing, error) {
	op := fmt.Sprintf("move %s of %s to %.7s", branch, repo.FullName(), sha)
	c, err := f.as(ctx, merger, repo)
	if err != nil {
		return Landing{}, fmt.Errorf("%s: %w", op, err)
	}
	at, contains, err := c.contains(ctx, repo, branch, parent, sha)
	switch {
	case err != nil:
		return Landing{}, fmt.Errorf("%s: %w", op, err)
	case contains:
		return Landing{Outcome: Landed}, nil
	case at != parent:
		return Landing{Outcome: LandingMoved, Message: fmt.Sprintf("%s is at %.7s", branch, at)}, nil
	}
	ref, err := filePath("heads/" + branch)
	if err != nil {
		return Landing{}, fmt.Errorf("%s: %w", op, err)
	}
	_, err = c.write(ctx, repo, call{op: op, method: http.MethodPatch, in: map[string]any{"sha": sha, "force": false}}, "/git/refs/"+ref)
	if err == nil {
		return Landing{Outcome: Landed}, nil
	}
	if codeOf(err) == http.StatusUnprocessableEntity && strings.Contains(strings.ToLower(err.Error()), "fast forward") {
		return Landing{Outcome: LandingMoved, Message: plain(err)}, nil
	}
	return refusedLanding(err)
}

// contains finds where a branch is, and whether that is sha or comes after it. A
// branch that is where the commit was made from needs no comparison.
func (c *client) contains(ctx context.Context, repo fleet.Repo, name, parent, sha string) (head string, yes bool, err error) {
	b, err := c.branch(ctx, repo, name)
	if err != nil {
		return "", false, err
	}
	head = b.Commit.SHA
	if head == sha || head == parent {
		return head, head == sha, nil
	}
	p, err := c.compare(ctx, repo, sha, head)
	return head, p.Status == "ahead" || p.Status == "identical", err
}

// refusedLanding tells apart what GitHub will not take from what may yet do.
func refusedLanding(err error) (Landing, error) {
	switch codeOf(err) {
	case http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
		return Landing{Outcome: LandingRefused, Message: plain(err)}, nil
	}
	return Landing{}, err
}

// NewPull is a pull request of the App's own.
type NewPull struct {
	Branch string // to make, or made by an earlier attempt
	Base   string // branch
	Parent string // of SHA: the base branch must be there while Branch does not exist
	SHA    string
	Title  string
	Body   string // Markdown
}

// OpenPull makes a branch and a pull request from it, or finds what earlier attempts
// made. A branch of that name that is elsewhere is left alone.
func (f *Forge) OpenPull(ctx context.Context, repo fleet.Repo, n NewPull) (Landing, error) {
	op := fmt.Sprintf("open a pull request from %s of %s", n.Branch, repo.FullName())
	c, err := f.as(ctx, merger, repo)
	if err != nil {
		return Landing{}, fmt.Errorf("%s: %w", op, err)
	}
	state, err := c.repository(ctx, repo) // pull requests are found by the present owner's name
	if err != nil {
		return Landing{}, err
	}
	repo = state.Repo
	if number, err := c.pullFrom(ctx, repo, op, n); err != nil || number > 0 {
		return Landing{Outcome: Landed, Number: number}, err
	}
	l, err := c.makeBranch(ctx, repo, op, n)
	if err != nil || l.Outcome != Landed {
		return l, err
	}
	a, err := c.write(ctx, repo, call{op: op, method: http.MethodPost, in: map[string]any{
		"title": n.Title, "body": cut(n.Body, maxComment), "head": n.Branch, "base": n.Base, "maintainer_can_modify": false,
	}}, "/pulls")
	if err != nil {
		return refusedLanding(err)
	}
	var made struct{ Number int }
	if err := decode(op, a, &made); err != nil {
		return Landing{}, err
	}
	if made.Number <= 0 {
		return Landing{}, &Error{Op: op, Code: a.code, Message: "a pull request without a number"}
	}
	return Landing{Outcome: Landed, Number: made.Number}, nil
}

// pullFrom finds the pull request that an earlier attempt opened, 0 where none did.
func (c *client) pullFrom(ctx context.Context, repo fleet.Repo, op string, n NewPull) (int, error) {
	path, err := repoPath(repo, "/pulls?state=all&per_page=20&head="+url.QueryEscape(repo.Owner+":"+n.Branch))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	list, err := get[[]pullPayload](ctx, c, op, path)
	if err != nil {
		return 0, err
	}
	for _, p := range list {
		if p.Head.Ref == n.Branch && p.Head.Repo != nil && p.Head.Repo.ID == repo.ID && p.Base.Ref == n.Base {
			return p.Number, nil
		}
	}
	return 0, nil
}

// makeBranch makes the branch of a pull request at its commit. Before it does, the
// base has to be where the commit was made from; afterwards the pull request's own
// proof sees to that.
func (c *client) makeBranch(ctx context.Context, repo fleet.Repo, op string, n NewPull) (Landing, error) {
	there := func() (Landing, bool, error) {
		b, err := c.branch(ctx, repo, n.Branch)
		switch {
		case codeOf(err) == http.StatusNotFound:
			return Landing{}, false, nil
		case err != nil:
			return Landing{}, false, fmt.Errorf("%s: %w", op, err)
		case b.Commit.SHA == n.SHA:
			return Landing{Outcome: Landed}, true, nil
		}
		return Landing{Outcome: LandingRefused, Message: fmt.Sprintf("the branch %s exists, at another commit (%.7s)", n.Branch, b.Commit.SHA)}, true, nil
	}
	if l, exists, err := there(); exists || err != nil {
		return l, err
	}
	base, err := c.branch(ctx, repo, n.Base)
	if err != nil {
		return Landing{}, fmt.Errorf("%s: %w", op, err)
	}
	if base.Commit.SHA != n.Parent {
		return Landing{Outcome: LandingMoved, Message: fmt.Sprintf("%s is at %.7s", n.Base, base.Commit.SHA)}, nil
	}
	_, err = c.write(ctx, repo, call{op: op, method: http.MethodPost, in: map[string]string{"ref": "refs/heads/" + n.Branch, "sha": n.SHA}}, "/git/refs")
	if err == nil {
		return Landing{Outcome: Landed}, nil
	}
	if l, exists, lookErr := there(); exists && lookErr == nil {
		return l, nil
	}
	return refusedLanding(err)
}
