package forgetest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

type comment struct {
	id               int64
	number           int // of the issue or pull request
	author           *user
	body             string
	viaApp           bool
	created, updated time.Time
	reactions        []reaction
}

type reaction struct {
	id      int64
	by      *user
	content string
	at      time.Time
}

// Comment is a comment on a pull request as people see it.
type Comment struct {
	ID           int64
	Author, Body string
	// Reactions are the contents ("+1", "-1", "eyes", …) in order.
	Reactions []string
}

// AddComment comments on a pull request as a person and returns the id.
func (s *Server) AddComment(repo string, number int, body, by string) (int64, error) {
	var id int64
	err := s.editPull(repo, number, func(p *pull) error {
		id = s.addComment(p, body, s.person(by), false).id
		return nil
	})
	return id, err
}

// EditComment changes the text of a comment.
func (s *Server) EditComment(repo string, id int64, body, by string) error {
	return s.onComment(repo, id, func(r *repository, c *comment) { s.editComment(r, c, body, s.person(by)) })
}

// DeleteComment deletes a comment.
func (s *Server) DeleteComment(repo string, id int64, by string) error {
	return s.onComment(repo, id, func(r *repository, c *comment) { s.dropComment(r, c, s.person(by)) })
}

func (s *Server) onComment(name string, id int64, f func(*repository, *comment)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return err
	}
	for _, c := range r.comments {
		if c.id == id {
			f(r, c)
			return nil
		}
	}
	return fmt.Errorf("%s has no comment %d", name, id)
}

// Comments lists the comments of a pull request, oldest first.
func (s *Server) Comments(repo string, number int) []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return nil
	}
	var list []Comment
	for _, c := range r.comments {
		if c.number != number {
			continue
		}
		out := Comment{ID: c.id, Author: c.author.login, Body: c.body}
		for _, x := range c.reactions {
			out.Reactions = append(out.Reactions, x.content)
		}
		list = append(list, out)
	}
	return list
}

func (s *Server) addComment(p *pull, body string, by *user, viaApp bool) *comment {
	c := &comment{id: s.newID(), number: p.number, author: by, body: body, viaApp: viaApp, created: s.now(), updated: s.now()}
	p.base.comments = append(p.base.comments, c)
	p.updated = s.now()
	s.emitComment(p, c, "created", by, nil)
	return c
}

func (s *Server) editComment(r *repository, c *comment, body string, by *user) {
	was := c.body
	c.body, c.updated = body, s.now()
	s.emitComment(r.pulls[c.number], c, "edited", by, obj{"changes": obj{"body": obj{"from": was}}})
}

func (s *Server) dropComment(r *repository, c *comment, by *user) {
	r.comments = slices.DeleteFunc(r.comments, func(x *comment) bool { return x == c })
	s.emitComment(r.pulls[c.number], c, "deleted", by, nil)
}

func (s *Server) commentJSON(r *repository, c *comment) obj {
	at := s.api("/repos/%s/issues/comments/%d", r.fullName(), c.id)
	out := obj{
		"id": c.id, "node_id": nodeID("IssueComment", c.id), "url": at, "body": c.body, "user": s.userJSON(c.author),
		"html_url":  s.web("/%s/pull/%d#issuecomment-%d", r.fullName(), c.number, c.id),
		"issue_url": s.api("/repos/%s/issues/%d", r.fullName(), c.number), "created_at": stamp(c.created), "updated_at": stamp(c.updated),
		"author_association": s.association(r, c.author), "performed_via_github_app": nil, "reactions": rollup(at, c.reactions),
	}
	if c.viaApp {
		out["performed_via_github_app"] = s.appJSON(s.self)
	}
	return out
}

var reactionKinds = []string{"+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"}

func rollup(at string, list []reaction) obj {
	out := obj{"url": at + "/reactions", "total_count": len(list)}
	for _, kind := range reactionKinds {
		n := 0
		for _, r := range list {
			if r.content == kind {
				n++
			}
		}
		out[kind] = n
	}
	return out
}

func (s *Server) listComments(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	since, _ := time.Parse(time.RFC3339, c.query.Get("since")) // zero: all
	var list []obj
	for _, x := range c.repo.comments {
		if x.number == p.number && !x.updated.Before(since) {
			list = append(list, s.commentJSON(c.repo, x))
		}
	}
	return paged(s, c, list)
}

// maxComment is GitHub's limit of a comment, in characters.
const maxComment = 65536

func commentBody(c *call) (string, *reply) {
	in, bad := decode[struct{ Body string }](c)
	if bad == nil && in.Body == "" {
		rep := invalid("IssueComment", "body", "missing_field")
		bad = &rep
	}
	if bad == nil && len([]rune(in.Body)) > maxComment {
		rep := invalid("IssueComment", "body", "too_long")
		bad = &rep
	}
	return in.Body, bad
}

func (s *Server) postComment(c *call) reply {
	p := pullOf(c)
	if p == nil {
		return notFound()
	}
	body, bad := commentBody(c)
	if bad != nil {
		return *bad
	}
	return created(s.commentJSON(c.repo, s.addComment(p, body, s.bot(), true)))
}

func (c *call) comment() *comment {
	for _, x := range c.repo.comments {
		if x.id == c.number("comment_id") {
			return x
		}
	}
	return nil
}

func (s *Server) getComment(c *call) reply {
	x := c.comment()
	if x == nil {
		return notFound()
	}
	return ok(s.commentJSON(c.repo, x))
}

func (s *Server) patchComment(c *call) reply {
	x := c.comment()
	if x == nil {
		return notFound()
	}
	body, bad := commentBody(c)
	if bad != nil {
		return *bad
	}
	s.editComment(c.repo, x, body, s.bot())
	return ok(s.commentJSON(c.repo, x))
}

func (s *Server) deleteComment(c *call) reply {
	x := c.comment()
	if x == nil {
		return notFound()
	}
	s.dropComment(c.repo, x, s.bot())
	return reply{status: http.StatusNoContent}
}

func (s *Server) postReaction(c *call) reply {
	x := c.comment()
	if x == nil {
		return notFound()
	}
	in, bad := decode[struct{ Content string }](c)
	if bad != nil {
		return *bad
	}
	if !slices.Contains(reactionKinds, in.Content) {
		return invalid("Reaction", "content", "invalid")
	}
	show := func(r reaction) obj {
		return obj{"id": r.id, "node_id": nodeID("Reaction", r.id), "user": s.userJSON(r.by), "content": r.content, "created_at": stamp(r.at)}
	}
	for _, r := range x.reactions {
		if r.by == s.bot() && r.content == in.Content {
			return ok(show(r))
		}
	}
	r := reaction{s.newID(), s.bot(), in.Content, s.now()}
	x.reactions = append(x.reactions, r)
	return created(show(r))
}
