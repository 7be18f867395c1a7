package forgetest

import (
	"fmt"
	"net/http"
	"strings"
)

// Merge is what the caller of the merge endpoint, or a person, asks for.
type Merge struct {
	// Method is merge, squash or rebase; default merge, as on the site.
	Method string
	// SHA pins the head: another head is refused with 409.
	SHA string
	// Title and Message replace the default commit text.
	Title, Message string
}

// refusal is an answer that GitHub gives instead of merging.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.status, r.message) }

func no(status int, format string, args ...any) *refusal {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// MergePull merges as a person with a browser does, under the same rules as
// the API. It returns the SHA of the merge.
func (s *Server) MergePull(repo string, number int, m Merge, by string) (string, error) {
	sha := ""
	err := s.editPull(repo, number, func(p *pull) error {
		got, refused, err := s.merge(p, m, s.person(by), true)
		if refused != nil {
			return fmt.Errorf("merge pull request %d: %w", number, refused)
		}
		sha = got
		return err
	})
	return sha, err
}

func (s *Server) putMerge(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	in, bad := decode[struct {
		CommitTitle   string `json:"commit_title"`
		CommitMessage string `json:"commit_message"`
		MergeMethod   string `json:"merge_method"`
		SHA           string `json:"sha"`
	}](c)
	if bad != nil {
		return *bad
	}
	workflows := allowed(c.token.permissions, "workflows:write")
	sha, refused, err := s.merge(p, Merge{Method: in.MergeMethod, SHA: in.SHA, Title: in.CommitTitle, Message: in.CommitMessage}, s.bot(), workflows)
	switch {
	case err != nil:
		return broken(err)
	case refused != nil && refused.status == http.StatusUnprocessableEntity:
		return unprocessable(refused.message)
	case refused != nil:
		return refuse(refused.status, refused.message)
	}
	return ok(obj{"sha": sha, "merged": true, "message": "Pull Request successfully merged"})
}

func (s *Server) isMerged(c *call) reply {
	if p := pullOf(c); p != nil && !p.merged.IsZero() {
		return reply{status: http.StatusNoContent}
	}
	return reply{status: http.StatusNotFound}
}

// merge decides in the order that github.com shows its refusals in, then does
// it in git.
func (s *Server) merge(p *pull, m Merge, by *user, workflows bool) (string, *refusal, error) {
	if m.Method == "" {
		m.Method = "merge"
	}
	if refused := s.mayMerge(p, m); refused != nil {
		return "", refused, nil
	}
	touches, err := p.touchesWorkflows()
	if err != nil {
		return "", nil, err
	}
	if touches && !workflows {
		return "", no(http.StatusForbidden, "Resource not accessible by integration"), nil
	}
	sha, refused, err := s.doMerge(p, m, by)
	if err != nil || refused != nil {
		return "", refused, err
	}
	before := p.base.git.tip(p.baseRef)
	if _, err := p.base.git.run("update-ref", "refs/heads/"+p.baseRef, sha, before); err != nil {
		return "", nil, err
	}
	p.base.pushed = s.now()
	s.markMerged(p, sha, by)
	s.emitPush(p.base, p.baseRef, before, sha, by)
	if p.base.inst != nil {
		s.queueSuite(p.base, p.baseRef, before, sha)
	}
	if err := s.followPulls(p.base, p.baseRef, before, sha, by); err != nil {
		return "", nil, err
	}
	if p.base.deleteOnMerge && p.head == p.base {
		return sha, nil, s.moveBranch(p.base, p.headRef, "", by)
	}
	return sha, nil, nil
}

// mayMerge holds the refusals that need no merge attempt.
func (s *Server) mayMerge(p *pull, m Merge) *refusal {
	method, known := map[string]string{"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}[m.Method]
	missing, _ := s.missingChecks(p)
	rule := s.ruleRefusal(p)
	switch {
	case !known:
		return no(http.StatusUnprocessableEntity, "Invalid request.\n\n%q is not a possible value. Must be one of the following: merge, squash, rebase.", m.Method)
	case p.state != "open":
		return no(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	case m.SHA != "" && m.SHA != p.headSHA:
		return no(http.StatusConflict, "Head branch was modified. Review and try the merge again.")
	case p.draft:
		return no(http.StatusMethodNotAllowed, "Pull Request is still a draft")
	case !p.base.methods[m.Method]:
		return no(http.StatusMethodNotAllowed, "%s are not allowed on this repository.", method)
	case rule != "":
		return no(http.StatusMethodNotAllowed, "Repository rule violations found\n\n%s\n\n", rule)
	case s.behind(p):
		// Strict protection says it in this odd way, however green they are.
		n := len(p.base.protection[p.baseRef].Checks)
		return no(http.StatusMethodNotAllowed, "%d of %d required status checks are expected.", n, n)
	case len(missing) == 1:
		return no(http.StatusMethodNotAllowed, "Required status check %q is %s.", missing[0].context, missing[0].why)
	case len(missing) > 1:
		return no(http.StatusMethodNotAllowed, "%d of %d required status checks %s.",
			len(missing), len(p.base.protection[p.baseRef].Checks), summarize(missing))
	}
	return nil
}

// summarize words several missing checks: "are expected", or by kind.
func summarize(missing []missingCheck) string {
	count := map[string]int{}
	for _, m := range missing {
		count[m.why]++
	}
	if len(count) == 1 {
		return "are " + missing[0].why
	}
	var parts []string
	for _, why := range []string{"expected", "in progress", "pending", "failing"} {
		if n := count[why]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, why))
		}
	}
	last := len(parts) - 1
	return "have not succeeded: " + strings.Join(parts[:last], ", ") + " and " + parts[last]
}

func (p *pull) touchesWorkflows() (bool, error) {
	_, changes, err := p.changes()
	if err != nil {
		return false, err
	}
	for _, f := range changes {
		if strings.HasPrefix(f.path, ".github/workflows/") || strings.HasPrefix(f.previous, ".github/workflows/") {
			return true, nil
		}
	}
	return false, nil
}

// doMerge writes the commit or commits; merge and squash are signed by
// web-flow, a rebase is not.
func (s *Server) doMerge(p *pull, m Merge, by *user) (string, *refusal, error) {
	g, base := p.base.git, p.base.git.tip(p.baseRef)
	github := ident{"GitHub", "noreply@github.com", s.now()}
	if m.Method == "rebase" {
		tip, clean, err := g.replay(base, p.headSHA, github)
		if err == nil && !clean {
			return "", no(http.StatusMethodNotAllowed, "This branch can't be rebased"), nil
		}
		return tip, nil, err
	}
	tree, clean, err := g.mergeTree(base, p.headSHA)
	if err != nil {
		return "", nil, err
	}
	if !clean {
		return "", no(http.StatusMethodNotAllowed, "Pull Request is not mergeable"), nil
	}
	commits, err := p.commits()
	if err != nil {
		return "", nil, err
	}
	c := newCommit{tree: tree, parents: []string{base}, author: p.author.ident(s.now()), committer: github}
	title, body := squashText(p, commits)
	if m.Method == "merge" {
		c.parents, c.author = append(c.parents, p.headSHA), by.ident(s.now())
		title, body = fmt.Sprintf("Merge pull request #%d from %s/%s", p.number, p.head.owner.login, p.headRef), p.title
	}
	if m.Title != "" {
		title = m.Title
	}
	if m.Message != "" {
		body = m.Message
	}
	c.message = strings.TrimSpace(title+"\n\n"+body) + "\n"
	sha, err := g.commitTree(c)
	p.base.verified[sha] = err == nil
	return sha, nil, err
}

// squashText is GitHub's default: the commit's own text when there is one, the
// title and a list when there are more.
func squashText(p *pull, commits []commit) (title, body string) {
	if len(commits) == 1 {
		title, body, _ = strings.Cut(commits[0].message, "\n")
		return fmt.Sprintf("%s (#%d)", title, p.number), strings.TrimSpace(body)
	}
	var b strings.Builder
	for _, c := range commits {
		fmt.Fprintf(&b, "* %s\n\n", strings.TrimSpace(c.message))
	}
	return fmt.Sprintf("%s (#%d)", p.title, p.number), strings.TrimSpace(b.String())
}

func (s *Server) markMerged(p *pull, sha string, by *user) {
	now := s.now()
	p.state, p.merged, p.closed, p.updated, p.mergedBy, p.mergeSHA = "closed", now, now, now, by, sha
	s.emitPull(p, "closed", by, nil)
}

// updateBranch merges the base into the head, as the button of that name.
func (s *Server) updateBranch(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	in, bad := decode[struct {
		Expected string `json:"expected_head_sha"`
	}](c)
	if bad != nil {
		return *bad
	}
	if in.Expected != "" && in.Expected != p.headSHA {
		return unprocessable("expected head sha didn’t match current head ref.")
	}
	base := p.base.git.tip(p.baseRef)
	if p.state != "open" || p.head != p.base || p.base.git.isAncestor(base, p.headSHA) {
		return unprocessable("There are no new commits on the base branch.")
	}
	tree, clean, err := p.base.git.mergeTree(p.headSHA, base)
	if err != nil {
		return broken(err)
	}
	if !clean {
		return unprocessable("merge conflict between base and head")
	}
	at := s.bot().ident(s.now())
	sha, err := p.base.git.commitTree(newCommit{
		tree: tree, message: "Merge branch '" + p.baseRef + "' into " + p.headRef, parents: []string{p.headSHA, base}, author: at, committer: at,
	})
	if err != nil {
		return broken(err)
	}
	p.base.verified[sha] = true
	if err := s.moveBranch(p.base, p.headRef, sha, s.bot()); err != nil {
		return broken(err)
	}
	return reply{status: http.StatusAccepted, body: obj{"message": "Updating pull request branch.", "url": s.web("/%s/pull/%d", c.repo.fullName(), p.number)}}
}
