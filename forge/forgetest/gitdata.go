package forgetest

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

func (s *Server) getTree(c *call) reply {
	sha, err := c.repo.git.treeOf(c.params["tree_sha"])
	if err != nil {
		return notFound()
	}
	entries, err := c.repo.git.lsTree(sha, c.query.Has("recursive"))
	if err != nil {
		return broken(err)
	}
	return ok(s.treeJSON(c.repo, sha, entries))
}

// treeOf accepts a tree, a commit or a branch.
func (g gitDir) treeOf(name string) (string, error) {
	if commit, found := g.resolve(name); found {
		name = commit
	} else if !shaPattern.MatchString(name) {
		return "", &gitError{args: []string{"rev-parse"}, code: 128, stderr: "not a tree"}
	}
	return g.line("rev-parse", "--verify", "--quiet", name+"^{tree}")
}

func (s *Server) treeJSON(r *repository, sha string, entries []entry) obj {
	at := s.api("/repos/%s/git", r.fullName())
	list := collect(entries, func(e entry) obj {
		out := obj{"path": e.path, "mode": e.mode, "type": e.kind, "sha": e.sha}
		switch e.kind {
		case "blob":
			out["size"], out["url"] = e.size, at+"/blobs/"+e.sha
		case "tree":
			out["url"] = at + "/trees/" + e.sha
		}
		return out
	})
	return obj{"sha": sha, "url": at + "/trees/" + sha, "tree": list, "truncated": false}
}

func (s *Server) postTree(c *call) reply {
	in, bad := decode[struct {
		BaseTree string `json:"base_tree"`
		Tree     []struct {
			Path, Mode, Type string
			SHA              *string
			Content          *string
		}
	}](c)
	if bad != nil {
		return *bad
	}
	base := in.BaseTree
	if base != "" {
		var err error
		if base, err = c.repo.git.treeOf(base); err != nil {
			return unprocessable("base_tree is not a valid tree oid")
		}
	}
	var edits []treeEdit
	for _, e := range in.Tree {
		edit := treeEdit{mode: e.Mode, path: e.Path}
		switch {
		case e.Content != nil:
			sha, err := c.repo.git.writeBlob([]byte(*e.Content))
			if err != nil {
				return broken(err)
			}
			edit.sha = sha
		case e.SHA != nil:
			edit.sha = *e.SHA
		}
		edits = append(edits, edit)
	}
	sha, err := c.repo.git.editTree(base, edits)
	if err != nil {
		return unprocessable("tree.sha is not a valid blob: " + err.Error())
	}
	entries, err := c.repo.git.lsTree(sha, false)
	if err != nil {
		return broken(err)
	}
	return created(s.treeJSON(c.repo, sha, entries))
}

func (s *Server) getBlob(c *call) reply {
	sha := c.params["file_sha"]
	if !shaPattern.MatchString(sha) {
		return unprocessable("The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
	}
	content, err := c.repo.git.blob(sha)
	if err != nil {
		return notFound()
	}
	body := s.blobJSON(c.repo, sha)
	body["size"], body["encoding"], body["content"] = len(content), "base64", base64Lines(content)
	return ok(body)
}

func (s *Server) blobJSON(r *repository, sha string) obj {
	return obj{"sha": sha, "node_id": nodeID("Blob", sha), "url": s.api("/repos/%s/git/blobs/%s", r.fullName(), sha)}
}

func (s *Server) postBlob(c *call) reply {
	in, bad := decode[struct{ Content, Encoding string }](c)
	if bad != nil {
		return *bad
	}
	content := []byte(in.Content)
	if in.Encoding == "base64" {
		var err error
		if content, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(in.Content, "\n", "")); err != nil {
			return unprocessable("content is not valid Base64")
		}
	}
	sha, err := c.repo.git.writeBlob(content)
	if err != nil {
		return broken(err)
	}
	return created(s.blobJSON(c.repo, sha))
}

func (s *Server) gitCommitJSON(r *repository, c commit) obj {
	at := s.api("/repos/%s/git", r.fullName())
	return obj{
		"sha": c.sha, "node_id": nodeID("Commit", c.sha), "url": at + "/commits/" + c.sha,
		"html_url": s.web("/%s/commit/%s", r.fullName(), c.sha), "message": c.message,
		"author": s.identJSON(c.author), "committer": s.identJSON(c.committer), "tree": obj{"sha": c.tree, "url": at + "/trees/" + c.tree},
		"parents": collect(c.parents, func(p string) obj {
			return obj{"sha": p, "url": at + "/commits/" + p, "html_url": s.web("/%s/commit/%s", r.fullName(), p)}
		}),
		"verification": s.verification(r, c.sha),
	}
}

func (s *Server) getGitCommit(c *call) reply {
	if !shaPattern.MatchString(c.params["commit_sha"]) {
		return notFound()
	}
	got, err := c.repo.git.commit(c.params["commit_sha"])
	if err != nil {
		return notFound()
	}
	return ok(s.gitCommitJSON(c.repo, got))
}

func (s *Server) postGitCommit(c *call) reply {
	type who struct {
		Name, Email string
		Date        time.Time
	}
	in, bad := decode[struct {
		Message, Tree     string
		Parents           []string
		Author, Committer *who
	}](c)
	if bad != nil {
		return *bad
	}
	// Without an author GitHub takes the App and signs the commit.
	as := func(w *who) ident {
		if w == nil {
			return s.bot().ident(s.now())
		}
		if w.Date.IsZero() {
			w.Date = s.now()
		}
		return ident{w.Name, w.Email, w.Date}
	}
	author := as(in.Author)
	committer := author
	if in.Committer != nil {
		committer = as(in.Committer)
	}
	sha, err := c.repo.git.commitTree(newCommit{tree: in.Tree, message: in.Message, parents: in.Parents, author: author, committer: committer})
	if err != nil {
		return unprocessable("Tree SHA or parent does not exist")
	}
	if in.Author == nil && in.Committer == nil {
		c.repo.verified[sha] = true
	}
	made, err := c.repo.git.commit(sha)
	if err != nil {
		return broken(err)
	}
	return created(s.gitCommitJSON(c.repo, made))
}

func (s *Server) refJSON(r *repository, ref, sha string) obj {
	at := s.api("/repos/%s/git", r.fullName())
	return obj{
		"ref": ref, "node_id": nodeID("Ref", ref), "url": at + "/" + ref,
		"object": obj{"type": "commit", "sha": sha, "url": at + "/commits/" + sha},
	}
}

func (s *Server) getRef(c *call) reply {
	ref := "refs/" + c.params["ref"]
	sha, err := c.repo.git.line("rev-parse", "--verify", "--quiet", ref+"^{commit}")
	if err != nil {
		return notFound()
	}
	return ok(s.refJSON(c.repo, ref, sha))
}

func (s *Server) postRef(c *call) reply {
	in, bad := decode[struct{ Ref, SHA string }](c)
	if bad != nil {
		return *bad
	}
	branch, isBranch := strings.CutPrefix(in.Ref, "refs/heads/")
	if _, found := c.repo.git.resolve(in.SHA); !found || !isBranch || !refPattern.MatchString(branch) {
		return unprocessable("Object does not exist")
	}
	if c.repo.git.tip(branch) != "" {
		return unprocessable("Reference already exists")
	}
	if err := s.moveBranch(c.repo, branch, in.SHA, s.bot()); err != nil {
		return broken(err)
	}
	return created(s.refJSON(c.repo, in.Ref, in.SHA))
}

func (s *Server) patchRef(c *call) reply {
	in, bad := decode[struct {
		SHA   string
		Force bool
	}](c)
	if bad != nil {
		return *bad
	}
	branch := strings.TrimPrefix(c.params["ref"], "heads/")
	tip := c.repo.git.tip(branch)
	if _, found := c.repo.git.resolve(in.SHA); !found || tip == "" {
		return unprocessable("Reference does not exist")
	}
	if !in.Force && !c.repo.git.isAncestor(tip, in.SHA) {
		return unprocessable("Update is not a fast forward")
	}
	if why := c.repo.guards(branch); why != "" {
		return unprocessable(why)
	}
	if err := s.moveBranch(c.repo, branch, in.SHA, s.bot()); err != nil {
		return broken(err)
	}
	return ok(s.refJSON(c.repo, "refs/heads/"+branch, in.SHA))
}

// guards is why a branch takes no commit but by a pull request, empty where it does.
// That a required check already passed on the very commit is not looked for.
func (r *repository) guards(branch string) string {
	for _, rule := range r.rules[branch] {
		if rule.Type == "pull_request" {
			return "Repository rule violations found\n\nChanges must be made through a pull request.\n\n"
		}
	}
	for _, check := range r.protection[branch].Checks {
		return "Required status check \"" + check.Context + "\" is expected."
	}
	return ""
}

func (s *Server) deleteRef(c *call) reply {
	branch := strings.TrimPrefix(c.params["ref"], "heads/")
	if c.repo.git.tip(branch) == "" {
		return unprocessable("Reference does not exist")
	}
	if err := s.moveBranch(c.repo, branch, "", s.bot()); err != nil {
		return broken(err)
	}
	return reply{status: http.StatusNoContent}
}
