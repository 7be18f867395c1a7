package forgetest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

func (s *Server) sideJSON(r *repository, ref, sha string) obj {
	return obj{"label": r.owner.login + ":" + ref, "ref": ref, "sha": sha, "user": s.userJSON(r.owner), "repo": s.repoJSON(r)}
}

func (s *Server) labelJSON(r *repository, l *label) obj {
	return obj{
		"id": l.id, "node_id": nodeID("Label", l.id), "url": s.api("/repos/%s/labels/%s", r.fullName(), escapePath(l.name)),
		"name": l.name, "color": l.color, "default": false, "description": "",
	}
}

func (s *Server) labelsJSON(p *pull) []obj {
	return collect(p.labels, func(l *label) obj { return s.labelJSON(p.base, l) })
}

// pullSimple is a pull request as lists show it.
func (s *Server) pullSimple(p *pull) obj {
	at, page := s.api("/repos/%s/pulls/%d", p.base.fullName(), p.number), s.web("/%s/pull/%d", p.base.fullName(), p.number)
	issue := s.api("/repos/%s/issues/%d", p.base.fullName(), p.number)
	statuses := s.api("/repos/%s/statuses/%s", p.base.fullName(), p.headSHA)
	link := func(to string) obj { return obj{"href": to} }
	mergeSHA := p.mergeSHA
	if mergeSHA == "" && p.testMerge != "none" {
		mergeSHA = p.testMerge
	}
	return obj{
		"id": p.id, "node_id": nodeID("PullRequest", p.id), "number": p.number, "state": p.state, "locked": false, "title": p.title,
		"body": orNull(p.body), "user": s.userJSON(p.author), "draft": p.draft, "labels": s.labelsJSON(p),
		"url": at, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch", "issue_url": issue,
		"commits_url": at + "/commits", "review_comments_url": at + "/comments", "comments_url": issue + "/comments",
		"review_comment_url": s.api("/repos/%s/pulls/comments{/number}", p.base.fullName()), "statuses_url": statuses,
		"created_at": stamp(p.created), "updated_at": stamp(p.updated), "closed_at": stamp(p.closed), "merged_at": stamp(p.merged),
		"merge_commit_sha": orNull(mergeSHA), "assignee": nil, "assignees": []obj{}, "requested_reviewers": []obj{},
		"requested_teams": []obj{}, "milestone": nil, "auto_merge": nil, "active_lock_reason": nil,
		"head": s.sideJSON(p.head, p.headRef, p.headSHA), "base": s.sideJSON(p.base, p.baseRef, p.baseSHA),
		"author_association": s.association(p.base, p.author),
		"_links": obj{
			"self": link(at), "html": link(page), "issue": link(issue), "comments": link(issue + "/comments"),
			"review_comments": link(at + "/comments"), "commits": link(at + "/commits"), "statuses": link(statuses),
			"review_comment": link(s.api("/repos/%s/pulls/comments{/number}", p.base.fullName())),
		},
	}
}

// pullJSON is the whole pull request. The background job is looked at by GET
// only; events and other answers say null until then.
func (s *Server) pullJSON(p *pull, known bool) (obj, error) {
	_, changes, err := p.changes()
	if err != nil {
		return nil, err
	}
	commits, err := p.commits()
	if err != nil {
		return nil, err
	}
	added, deleted := total(changes)
	talk := 0
	for _, c := range p.base.comments {
		if c.number == p.number {
			talk++
		}
	}
	out := s.pullSimple(p)
	out["merged"], out["merged_by"] = !p.merged.IsZero(), s.userOrNull(p.mergedBy)
	out["mergeable"], out["rebaseable"], out["mergeable_state"] = any(nil), any(nil), "unknown"
	if known && p.state == "open" {
		out["mergeable"], out["rebaseable"], out["mergeable_state"] = p.mergeable, p.rebaseable, s.mergeableState(p, true)
	}
	out["comments"], out["review_comments"], out["maintainer_can_modify"] = talk, 0, false
	out["commits"], out["additions"], out["deletions"], out["changed_files"] = len(commits), added, deleted, len(changes)
	return out, nil
}

// pullOf finds the pull request of a call; nil when there is none.
func pullOf(c *call) *pull {
	n := c.number("pull_number")
	if n == 0 {
		n = c.number("issue_number")
	}
	return c.repo.pulls[int(n)]
}

func (s *Server) getPull(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	known := false
	if p.state == "open" {
		var err error
		if known, err = s.judge(p); err != nil {
			return broken(err)
		}
	}
	return s.pullReply(p, known, http.StatusOK)
}

func (s *Server) pullReply(p *pull, known bool, status int) reply {
	body, err := s.pullJSON(p, known)
	if err != nil {
		return broken(err)
	}
	return reply{status: status, body: body}
}

func (s *Server) listPulls(c *call) reply {
	state := cmp.Or(c.query.Get("state"), "open")
	owner, branch, _ := strings.Cut(c.query.Get("head"), ":")
	var list []*pull
	for _, p := range c.repo.sortedPulls() {
		fits := state == "all" || p.state == state
		if branch != "" {
			fits = fits && lower(p.head.owner.login) == lower(owner) && p.headRef == branch
		}
		if base := c.query.Get("base"); base != "" {
			fits = fits && p.baseRef == base
		}
		if fits {
			list = append(list, p)
		}
	}
	by := func(a, b *pull) int { return a.created.Compare(b.created) }
	if c.query.Get("sort") == "updated" {
		by = func(a, b *pull) int { return a.updated.Compare(b.updated) }
	}
	slices.SortStableFunc(list, by)
	// Newest first is the default only when sorted by creation.
	down := c.query.Get("direction") == "desc" || (c.query.Get("direction") == "" && cmp.Or(c.query.Get("sort"), "created") == "created")
	if down {
		slices.Reverse(list)
	}
	return paged(s, c, collect(list, s.pullSimple))
}

func (s *Server) postPull(c *call) reply {
	in, bad := decode[struct {
		Title, Body, Head, Base string
		Draft                   bool
	}](c)
	if bad != nil {
		return *bad
	}
	head := in.Head
	if _, branch, ok := strings.Cut(in.Head, ":"); ok {
		head = branch
	}
	p, err := s.openPull(c.repo, Pull{Head: head, Base: in.Base, Title: in.Title, Body: in.Body, Draft: in.Draft, Author: s.bot().login})
	if err != nil {
		rep := invalid("PullRequest", "head", "custom")
		rep.body.(obj)["errors"] = []obj{{"resource": "PullRequest", "code": "custom", "message": strings.TrimPrefix(err.Error(), "open pull request: ")}}
		return rep
	}
	return s.pullReply(p, false, http.StatusCreated)
}

func (s *Server) patchPull(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	in, bad := decode[struct{ Title, Body, State, Base *string }](c)
	if bad != nil {
		return *bad
	}
	if in.Title != nil {
		p.title = *in.Title
	}
	if in.Body != nil {
		p.body = *in.Body
	}
	if in.Base != nil {
		if p.base.git.tip(*in.Base) == "" {
			return invalid("PullRequest", "base", "invalid")
		}
		p.baseRef, p.baseSHA = *in.Base, p.base.git.tip(*in.Base)
	}
	p.updated = s.now()
	if in.State != nil && *in.State == "closed" {
		s.closePull(p, s.bot())
	}
	if in.State != nil && *in.State == "open" && p.state == "closed" {
		if err := s.reopenPull(p, s.bot()); err != nil {
			return invalid("PullRequest", "state", "invalid")
		}
	}
	return s.pullReply(p, false, http.StatusOK)
}

func (s *Server) pullCommits(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	commits, err := p.commits()
	if err != nil {
		return broken(err)
	}
	// GitHub shows at most 250 commits of a pull request.
	return paged(s, c, collect(commits[:min(len(commits), 250)], func(x commit) obj { return s.commitJSON(c.repo, x) }))
}

// maxPullFiles is GitHub's limit of this list.
const maxPullFiles = 3000

func (s *Server) pullFiles(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	fork, changes, err := p.changes()
	if err != nil {
		return broken(err)
	}
	cut, header := page(s, c, changes[:min(len(changes), maxPullFiles)])
	return reply{status: http.StatusOK, body: s.filesJSON(c.repo, fork, p.headSHA, cut), header: header}
}

func (s *Server) pullReviews(c *call) reply {
	if pullOf(c) == nil {
		return notFound()
	}
	return ok([]obj{})
}

// pullsOfCommit lists pull requests that contain the commit, also merged ones.
func (s *Server) pullsOfCommit(c *call) reply {
	sha, found := c.repo.git.resolve(c.params["commit_sha"])
	if !found {
		return unprocessable("No commit found for SHA: " + c.params["commit_sha"])
	}
	var list []*pull
	for _, p := range c.repo.sortedPulls() {
		commits, err := p.commits()
		if err != nil {
			return broken(err)
		}
		if p.mergeSHA == sha || slices.ContainsFunc(commits, func(x commit) bool { return x.sha == sha }) {
			list = append(list, p)
		}
	}
	return paged(s, c, collect(list, s.pullSimple))
}
