package forgetest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

var gitPath = regexp.MustCompile(`^/([^/]+/[^/]+)\.git/(HEAD|info/refs|git-upload-pack)$`)

// httpBackend is git's own server program.
var httpBackend = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), err
})

// serveGit serves fetches, also of objects by SHA. Pushes are deeds of people:
// see ImportBranch.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	m := gitPath.FindStringSubmatch(r.URL.Path)
	if m == nil || r.URL.Query().Get("service") == "git-receive-pack" {
		http.Error(w, "not found (the imitated github.com takes no pushes over HTTP)", http.StatusNotFound)
		return
	}
	dir, status := s.gitAccess(m[1], r)
	if status != http.StatusOK {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	backend, err := httpBackend()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request too large", http.StatusRequestEntityTooLarge)
		return
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	r.URL.Path = "/" + filepath.Base(string(dir)) + "/" + m[2]
	handler := &cgi.Handler{
		Path: backend, Dir: s.opts.Dir, Stderr: io.Discard,
		Env: append(gitEnv(), "GIT_PROJECT_ROOT="+s.opts.Dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_PROTOCOL="+r.Header.Get("Git-Protocol")),
	}
	handler.ServeHTTP(w, r)
}

// gitAccess finds the repository: public ones are open, private ones need an
// installation token that may read contents.
func (s *Server) gitAccess(name string, r *http.Request) (gitDir, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.find(name)
	if err != nil {
		id, moved := s.moved[lower(name)]
		if found = s.repos[id]; !moved || found == nil {
			return "", http.StatusNotFound
		}
	}
	if !found.private {
		return found.git, http.StatusOK
	}
	_, password, _ := r.BasicAuth()
	t := s.tokens[password]
	switch {
	case t == nil || !t.expires.After(s.opts.AuthNow()):
		return "", http.StatusUnauthorized
	case !t.covers(found) || !allowed(t.permissions, "contents:read"):
		return "", http.StatusForbidden
	}
	return found.git, http.StatusOK
}

// Token mints an installation token without a JWT, for tests that need one
// beside the client's own.
func (s *Server) Token(repo string) (string, error) {
	var value string
	err := s.onRepo(repo, func(r *repository) error {
		if r.inst == nil {
			return os.ErrNotExist
		}
		t := &token{inst: r.inst, permissions: r.inst.permissions, expires: s.opts.AuthNow().Add(tokenLife)}
		t.value = "ghs_" + randomHex(18)
		s.tokens[t.value] = t
		value = t.value
		return nil
	})
	return value, err
}

// ExpireTokens ends the life of every token now.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}
