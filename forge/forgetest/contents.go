package forgetest

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"path"
	"strings"
)

// maxInline is the largest file whose content is part of the JSON.
const maxInline = 1 << 20

func (s *Server) getContents(c *call) reply {
	ref := c.query.Get("ref")
	if ref == "" {
		ref = c.repo.defaultBranch
	}
	sha, found := c.repo.git.resolve(ref)
	if !found {
		return refuse(http.StatusNotFound, "No commit found for the ref "+ref)
	}
	at := strings.Trim(c.params["path"], "/")
	e, found := c.repo.git.lookup(sha, at)
	if !found {
		return notFound()
	}
	if e.kind == "tree" {
		return s.directory(c, sha, ref, at)
	}
	content := []byte(nil)
	if e.kind == "blob" {
		var err error
		if content, err = c.repo.git.blob(e.sha); err != nil {
			return broken(err)
		}
	}
	if strings.Contains(c.http.Header.Get("Accept"), "raw") {
		return reply{status: http.StatusOK, raw: append([]byte{}, content...), header: http.Header{
			"Content-Type": {"application/vnd.github.raw; charset=utf-8"}}}
	}
	body := s.contentJSON(c.repo, e, at, ref)
	switch e.mode {
	case "160000":
		body["type"], body["submodule_git_url"] = "submodule", ""
	case "120000":
		body["type"], body["target"] = "symlink", string(content)
	default:
		body["encoding"], body["content"] = "base64", base64Lines(content)
		if len(content) > maxInline {
			body["encoding"], body["content"] = "none", ""
		}
	}
	return ok(body)
}

// base64Lines breaks lines at 60 characters, as GitHub does.
func base64Lines(content []byte) string {
	plain := base64.StdEncoding.EncodeToString(content)
	var b bytes.Buffer
	for len(plain) > 60 {
		b.WriteString(plain[:60] + "\n")
		plain = plain[60:]
	}
	if plain != "" {
		b.WriteString(plain + "\n")
	}
	return b.String()
}

func (s *Server) contentJSON(r *repository, e entry, at, ref string) obj {
	full := r.fullName()
	url := s.api("/repos/%s/contents/%s?ref=%s", full, escapePath(at), ref)
	page := s.web("/%s/blob/%s/%s", full, ref, escapePath(at))
	git := s.api("/repos/%s/git/blobs/%s", full, e.sha)
	kind := "file"
	if e.kind == "tree" {
		kind, git = "dir", s.api("/repos/%s/git/trees/%s", full, e.sha)
	}
	return obj{
		"name": path.Base(at), "path": at, "sha": e.sha, "size": e.size, "type": kind, "url": url, "html_url": page, "git_url": git,
		"download_url": s.web("/%s/raw/%s/%s", full, ref, escapePath(at)),
		"_links":       obj{"self": url, "git": git, "html": page},
	}
}

func (s *Server) directory(c *call, sha, ref, at string) reply {
	treeish := sha
	if at != "" {
		treeish = sha + ":" + at
	}
	entries, err := c.repo.git.lsTree(treeish, false)
	if err != nil {
		return broken(err)
	}
	list := collect(entries, func(e entry) obj {
		return s.contentJSON(c.repo, e, strings.TrimPrefix(at+"/"+e.path, "/"), ref)
	})
	return ok(list)
}

// putContents is the one-file commit of the API.
func (s *Server) putContents(c *call) reply {
	in, bad := decode[struct{ Message, Content, SHA, Branch string }](c)
	if bad != nil {
		return *bad
	}
	content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(in.Content, "\n", ""))
	if err != nil {
		return unprocessable("content is not valid Base64")
	}
	branch, at := in.Branch, c.params["path"]
	if branch == "" {
		branch = c.repo.defaultBranch
	}
	tip := c.repo.git.tip(branch)
	if tip == "" {
		return refuse(http.StatusNotFound, "Branch "+branch+" not found")
	}
	old, exists := c.repo.git.lookup(tip, at)
	status := http.StatusCreated
	if exists {
		status = http.StatusOK
		if in.SHA == "" {
			return unprocessable("Invalid request.\n\n\"sha\" wasn't supplied.")
		}
		if in.SHA != old.sha {
			return refuse(http.StatusConflict, at+" does not match "+in.SHA)
		}
	}
	sha, err := s.commitFiles(c.repo, Commit{Branch: branch, Message: in.Message, Files: map[string]string{at: string(content)}, Author: s.bot().login, Verified: true})
	if err != nil {
		return broken(err)
	}
	made, err := c.repo.git.commit(sha)
	if err != nil {
		return broken(err)
	}
	e, _ := c.repo.git.lookup(sha, at)
	return reply{status: status, body: obj{"content": s.contentJSON(c.repo, e, at, branch), "commit": s.gitCommitJSON(c.repo, made)}}
}
