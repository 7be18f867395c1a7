package forgetest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

func (s *Server) identJSON(i ident) obj {
	return obj{"name": i.name, "email": i.email, "date": stamp(i.at)}
}

func (s *Server) verification(r *repository, sha string) obj {
	if r.verified[sha] {
		return obj{
			"verified": true, "reason": "valid", "signature": "-----BEGIN PGP SIGNATURE-----\nimitated\n-----END PGP SIGNATURE-----",
			"payload": "imitated", "verified_at": stamp(s.now()),
		}
	}
	return obj{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}
}

// accountOf finds the account that an author's address belongs to, as the site
// does; nil shows a plain name.
func (s *Server) accountOf(i ident) *user {
	if i.email == "noreply@github.com" {
		return s.users["web-flow"]
	}
	local, domain, _ := strings.Cut(i.email, "@")
	if domain != "users.noreply.github.com" {
		return nil
	}
	if _, login, ok := strings.Cut(local, "+"); ok {
		local = login
	}
	return s.users[lower(local)]
}

// commitJSON is a commit as lists show it; without stats and files.
func (s *Server) commitJSON(r *repository, c commit) obj {
	at := s.api("/repos/%s", r.fullName())
	parents := collect(c.parents, func(sha string) obj {
		return obj{"sha": sha, "url": at + "/commits/" + sha, "html_url": s.web("/%s/commit/%s", r.fullName(), sha)}
	})
	return obj{
		"sha": c.sha, "node_id": nodeID("Commit", c.sha), "url": at + "/commits/" + c.sha,
		"html_url": s.web("/%s/commit/%s", r.fullName(), c.sha), "comments_url": at + "/commits/" + c.sha + "/comments",
		"commit": obj{
			"author": s.identJSON(c.author), "committer": s.identJSON(c.committer), "message": c.message,
			"tree": obj{"sha": c.tree, "url": at + "/git/trees/" + c.tree},
			"url":  at + "/git/commits/" + c.sha, "comment_count": 0, "verification": s.verification(r, c.sha),
		},
		"author": s.userOrNull(s.accountOf(c.author)), "committer": s.userOrNull(s.accountOf(c.committer)), "parents": parents,
	}
}

func (s *Server) getCommit(c *call) reply {
	ref := c.params["ref"]
	sha, found := c.repo.git.resolve(ref)
	if !found {
		return unprocessable("No commit found for SHA: " + ref)
	}
	if strings.Contains(c.http.Header.Get("Accept"), "vnd.github.sha") {
		return reply{status: http.StatusOK, raw: []byte(sha), header: http.Header{"Content-Type": {"application/vnd.github.sha; charset=utf-8"}}}
	}
	got, err := c.repo.git.commit(sha)
	if err != nil {
		return broken(err)
	}
	body := s.commitJSON(c.repo, got)
	parent := emptyTree
	if len(got.parents) > 0 {
		parent = got.parents[0]
	}
	changes, err := c.repo.git.diff(parent, sha)
	if err != nil {
		return broken(err)
	}
	files, header := page(s, c, changes)
	added, deleted := total(changes)
	body["stats"] = obj{"additions": added, "deletions": deleted, "total": added + deleted}
	body["files"] = s.filesJSON(c.repo, parent, sha, files)
	return reply{status: http.StatusOK, body: body, header: header}
}

// emptyTree is git's well-known object.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

func total(changes []change) (added, deleted int) {
	for _, f := range changes {
		added += f.additions
		deleted += f.deletions
	}
	return added, deleted
}

func escapePath(p string) string { return (&url.URL{Path: p}).EscapedPath() }

func (s *Server) filesJSON(r *repository, base, head string, changes []change) []obj {
	return collect(changes, func(f change) obj {
		path := escapePath(f.path)
		out := obj{
			"sha": f.sha, "filename": f.path, "status": f.status, "additions": f.additions, "deletions": f.deletions,
			"changes": f.additions + f.deletions, "blob_url": s.web("/%s/blob/%s/%s", r.fullName(), head, path),
			"raw_url":      s.web("/%s/raw/%s/%s", r.fullName(), head, path),
			"contents_url": s.api("/repos/%s/contents/%s?ref=%s", r.fullName(), path, head),
		}
		if patch := r.git.patch(base, head, f); patch != "" {
			out["patch"] = patch
		}
		if f.previous != "" {
			out["previous_filename"] = f.previous
		}
		return out
	})
}

// maxCompareFiles is GitHub's limit of files in a comparison.
const maxCompareFiles = 300

func (s *Server) compare(c *call) reply {
	baseRef, headRef, three := strings.Cut(c.params["basehead"], "...")
	base, okBase := s.resolveAcross(c.repo, baseRef)
	head, okHead := s.resolveAcross(c.repo, headRef)
	if !three || !okBase || !okHead {
		return notFound()
	}
	g := c.repo.git
	fork, err := g.line("merge-base", base, head)
	if err != nil {
		return refuse(http.StatusNotFound, "No common ancestor between "+baseRef+" and "+headRef+".")
	}
	count := func(a, b string) int {
		n, _ := g.line("rev-list", "--count", a+".."+b)
		i, _ := strconv.Atoi(n)
		return i
	}
	ahead, behind := count(base, head), count(head, base)
	status := "identical"
	switch {
	case ahead > 0 && behind > 0:
		status = "diverged"
	case ahead > 0:
		status = "ahead"
	case behind > 0:
		status = "behind"
	}
	commits, err := g.log("--reverse", base+".."+head)
	if err != nil {
		return broken(err)
	}
	baseCommit, err := g.commit(base)
	if err != nil {
		return broken(err)
	}
	forkCommit, err := g.commit(fork)
	if err != nil {
		return broken(err)
	}
	changes, err := g.diff(fork, head)
	if err != nil {
		return broken(err)
	}
	if !c.query.Has("per_page") && !c.query.Has("page") {
		c.query.Set("per_page", "100") // the default of this endpoint is larger than of lists
	}
	cut, header := page(s, c, commits)
	body := s.compareLinks(c.repo, baseRef+"..."+headRef)
	body["status"], body["ahead_by"], body["behind_by"], body["total_commits"] = status, ahead, behind, ahead
	body["base_commit"], body["merge_base_commit"] = s.commitJSON(c.repo, baseCommit), s.commitJSON(c.repo, forkCommit)
	body["commits"] = collect(cut, func(x commit) obj { return s.commitJSON(c.repo, x) })
	if p := c.query.Get("page"); p == "" || p == "1" { // files are on the first page only
		body["files"] = s.filesJSON(c.repo, fork, head, changes[:min(len(changes), maxCompareFiles)])
	}
	return reply{status: http.StatusOK, body: body, header: header}
}

func (s *Server) compareLinks(r *repository, basehead string) obj {
	page := s.web("/%s/compare/%s", r.fullName(), escapePath(basehead))
	return obj{
		"url": s.api("/repos/%s/compare/%s", r.fullName(), escapePath(basehead)), "html_url": page,
		"permalink_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch",
	}
}

// resolveAcross also understands "owner:branch" of a fork.
func (s *Server) resolveAcross(r *repository, ref string) (string, bool) {
	owner, branch, ok := strings.Cut(ref, ":")
	if ref == "HEAD" {
		return r.git.resolve(r.defaultBranch)
	}
	if !ok {
		return r.git.resolve(ref)
	}
	other, err := s.find(owner + "/" + r.name)
	if err != nil {
		return "", false
	}
	sha, found := other.git.resolve(branch)
	if !found {
		return "", false
	}
	_, shared := r.git.resolve(sha) // forks share objects
	return sha, shared
}

func (s *Server) getBranch(c *call) reply {
	name := c.params["branch"]
	tip := c.repo.git.tip(name)
	if tip == "" {
		return refuse(http.StatusNotFound, "Branch not found")
	}
	got, err := c.repo.git.commit(tip)
	if err != nil {
		return broken(err)
	}
	at := s.api("/repos/%s/branches/%s", c.repo.fullName(), escapePath(name))
	p, protected := c.repo.protection[name]
	level := "off"
	if protected {
		level = "non_admins"
	}
	contexts, checks := p.lists()
	return ok(obj{
		"name": name, "commit": s.commitJSON(c.repo, got), "protected": protected || len(c.repo.rules[name]) > 0,
		"_links":         obj{"self": at, "html": s.web("/%s/tree/%s", c.repo.fullName(), escapePath(name))},
		"protection_url": at + "/protection",
		"protection": obj{"enabled": protected, "required_status_checks": obj{
			"enforcement_level": level, "contexts": contexts, "checks": checks,
		}},
	})
}
