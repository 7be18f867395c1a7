package forgetest

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Repo describes a repository to add.
type Repo struct {
	// Name is "owner/name".
	Name string
	// Org makes a new owner an organization; otherwise it is a user.
	Org bool
	// Private hides it from everyone whom the App's installation or a
	// permission does not let in.
	Private bool
	// NotInstalled keeps the App away from it.
	NotInstalled bool
	// DefaultBranch is "main" unless set.
	DefaultBranch string
	// Methods that pull requests may be merged with; default is all of merge,
	// squash and rebase.
	Methods []string
	// NoProtectionPlan makes branch protection answer 403 "Upgrade to GitHub
	// Pro…", as for free private repositories.
	NoProtectionPlan bool
	// DeleteBranchOnMerge is the setting of that name.
	DeleteBranchOnMerge bool
	// ForkOf is the "owner/name" that it is forked from, branches included.
	ForkOf string
}

// AddRepo creates a repository, empty unless it is a fork, and installs the
// App on it, which sends installation.created or installation_repositories.
// It returns the repository's id.
func (s *Server) AddRepo(spec Repo) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, name, okName := strings.Cut(spec.Name, "/")
	if _, err := s.find(spec.Name); err == nil || !okName || owner == "" || name == "" {
		return 0, fmt.Errorf("add repository %q: the name is taken or not owner/name", spec.Name)
	}
	kind := "User"
	if spec.Org {
		kind = "Organization"
	}
	r := &repository{
		id: s.newID(), owner: s.addUser(owner, kind, 0, s.now()), name: name, private: spec.Private, defaultBranch: spec.DefaultBranch,
		created: s.now(), pushed: s.now(), methods: map[string]bool{}, deleteOnMerge: spec.DeleteBranchOnMerge,
		noProtectionPlan: spec.NoProtectionPlan, pulls: map[int]*pull{}, protection: map[string]Protection{},
		rules: map[string][]Rule{}, permissions: map[string]string{}, verified: map[string]bool{},
	}
	if r.defaultBranch == "" {
		r.defaultBranch = "main"
	}
	if spec.Methods == nil {
		spec.Methods = []string{"merge", "squash", "rebase"}
	}
	for _, m := range spec.Methods {
		r.methods[m] = true
	}
	var err error
	if r.git, err = initGit(filepath.Join(s.opts.Dir, strconv.FormatInt(r.id, 10)+".git"), r.defaultBranch); err != nil {
		return 0, fmt.Errorf("add repository %q: %w", spec.Name, err)
	}
	if spec.ForkOf != "" {
		if r.parent, err = s.find(spec.ForkOf); err != nil {
			return 0, fmt.Errorf("fork %q: %w", spec.Name, err)
		}
		if _, err := r.git.run("fetch", "-q", string(r.parent.git), "+refs/heads/*:refs/heads/*"); err != nil {
			return 0, fmt.Errorf("fork %q: %w", spec.Name, err)
		}
	}
	s.repos[r.id], s.byName[lower(spec.Name)] = r, r.id
	if !spec.NotInstalled {
		s.install(r)
	}
	return r.id, nil
}

// RenameUser gives an account another login. The old one is free from then on: who
// is first mentioned by it is somebody else.
func (s *Server) RenameUser(login, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[lower(login)]
	if _, taken := s.users[lower(to)]; u == nil || taken {
		return fmt.Errorf("rename account %q to %q: there is none, or the name is taken", login, to)
	}
	delete(s.users, lower(login))
	u.login, s.users[lower(to)] = to, u
	for _, r := range s.repos { // what somebody may do goes with the account
		if role, named := r.permissions[lower(login)]; named {
			delete(r.permissions, lower(login))
			r.permissions[lower(to)] = role
		}
	}
	return nil
}

// Commit is a commit to make on a branch.
type Commit struct {
	// Branch is created if missing, from the default branch's tip.
	Branch string
	// Parent is the commit to build on; default is the branch's tip. Another
	// one makes it a force-push.
	Parent string
	// Files are the new contents by path, mode 100644 unless in Modes.
	Files map[string]string
	// Modes are git modes by path: 100755, 120000 (content is the target),
	// 160000 (content is the commit's SHA).
	Modes map[string]string
	// Remove lists paths to delete.
	Remove  []string
	Message string
	// Author is the login that commits and pushes; default is the owner.
	Author string
	// Date is Options.Now unless set.
	Date time.Time
	// Verified marks the commit as signed by a key that GitHub knows.
	Verified bool
}

// CommitFiles makes a commit and pushes it, with all that follows from a push:
// push event, synchronized pull requests, a queued check suite. It returns the
// SHA.
func (s *Server) CommitFiles(repo string, c Commit) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return "", err
	}
	return s.commitFiles(r, c)
}

func (s *Server) commitFiles(r *repository, c Commit) (string, error) {
	if c.Author == "" {
		c.Author = r.owner.login
	}
	if c.Branch == "" {
		c.Branch = r.defaultBranch
	}
	if c.Parent == "" {
		if c.Parent = r.git.tip(c.Branch); c.Parent == "" {
			c.Parent = r.git.tip(r.defaultBranch)
		}
	}
	if c.Message == "" {
		c.Message = "Change " + strings.Join(slices.Sorted(maps.Keys(c.Files)), ", ")
	}
	if c.Date.IsZero() {
		c.Date = s.now()
	}
	var edits []treeEdit
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		edit := treeEdit{mode: c.Modes[path], path: path, sha: c.Files[path]}
		if edit.mode == "" {
			edit.mode = "100644"
		}
		if edit.mode != "160000" {
			sha, err := r.git.writeBlob([]byte(c.Files[path]))
			if err != nil {
				return "", fmt.Errorf("commit to %s: %w", r.fullName(), err)
			}
			edit.sha = sha
		}
		edits = append(edits, edit)
	}
	for _, path := range c.Remove {
		edits = append(edits, treeEdit{path: path})
	}
	tree, err := r.git.editTree(c.Parent, edits)
	if err != nil {
		return "", fmt.Errorf("commit to %s: %w", r.fullName(), err)
	}
	author := s.person(c.Author)
	made := newCommit{tree: tree, message: c.Message, author: author.ident(c.Date), committer: author.ident(c.Date)}
	if c.Parent != "" {
		made.parents = []string{c.Parent}
	}
	sha, err := r.git.commitTree(made)
	if err != nil {
		return "", fmt.Errorf("commit to %s: %w", r.fullName(), err)
	}
	r.verified[sha] = c.Verified
	return sha, s.moveBranch(r, c.Branch, sha, author)
}

// Import describes a push of real git history.
type Import struct {
	// Dir is a local repository; Ref names a commit in it (default HEAD).
	Dir, Ref string
	// Branch is where it goes; default is the default branch. It is forced.
	Branch string
	// Pusher is a login; default is the owner.
	Pusher string
}

// ImportBranch pushes a commit and its history from a local repository, as
// `git push --force` by a person would. It returns the SHA.
func (s *Server) ImportBranch(repo string, in Import) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return "", err
	}
	if in.Ref == "" {
		in.Ref = "HEAD"
	}
	if in.Branch == "" {
		in.Branch = r.defaultBranch
	}
	if in.Pusher == "" {
		in.Pusher = r.owner.login
	}
	dir, err := filepath.Abs(in.Dir)
	if err != nil {
		return "", fmt.Errorf("import into %s: %w", repo, err)
	}
	sha, err := gitDir(dir).line("rev-parse", "--verify", in.Ref+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("import into %s: %w", repo, err)
	}
	if _, err := r.git.run("fetch", "-q", dir, "+"+in.Ref+":refs/network/import"); err != nil {
		return "", fmt.Errorf("import into %s: %w", repo, err)
	}
	return sha, s.moveBranch(r, in.Branch, sha, s.person(in.Pusher))
}

// DeleteBranch deletes a branch; open pull requests from it are closed.
func (s *Server) DeleteBranch(repo, branch, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return err
	}
	if r.git.tip(branch) == "" {
		return errors.New("delete branch " + branch + ": it does not exist")
	}
	return s.moveBranch(r, branch, "", s.person(by))
}

// Head is the commit at the tip of a branch, "" if there is none.
func (s *Server) Head(repo, branch string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return ""
	}
	return r.git.tip(branch)
}

// GitDir is the path of the bare repository on disk, to look at with git.
func (s *Server) GitDir(repo string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return ""
	}
	return string(r.git)
}
