package forgetest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

type pull struct {
	id                       int64
	number                   int
	title, body, state       string
	draft                    bool
	author                   *user
	base, head               *repository
	baseRef, headRef         string
	baseSHA, headSHA         string // as of the last push to the head
	labels                   []*label
	created, updated, closed time.Time
	merged                   time.Time
	mergedBy                 *user
	mergeSHA                 string

	mergeKey   string // heads that the background job last worked on
	nullsLeft  int    // reads to answer null before the job "finishes"
	mergeable  bool
	rebaseable bool
	testMerge  string
}

// Pull describes a pull request to open.
type Pull struct {
	// Head is a branch of the repository; HeadRepo ("owner/name") makes it a
	// branch of a fork.
	Head, HeadRepo string
	// Base is the default branch unless set.
	Base        string
	Title, Body string
	// Author is a login; default is github-actions[bot].
	Author string
	Draft  bool
	Labels []string
}

// OpenPull opens a pull request and returns its number.
func (s *Server) OpenPull(repo string, in Pull) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return 0, err
	}
	p, err := s.openPull(r, in)
	if err != nil {
		return 0, err
	}
	return p.number, nil
}

func (s *Server) openPull(r *repository, in Pull) (*pull, error) {
	head := r
	if in.HeadRepo != "" {
		var err error
		if head, err = s.find(in.HeadRepo); err != nil {
			return nil, err
		}
	}
	if in.Base == "" {
		in.Base = r.defaultBranch
	}
	if in.Author == "" {
		in.Author = "github-actions[bot]"
	}
	headSHA, baseSHA := head.git.tip(in.Head), r.git.tip(in.Base)
	if headSHA == "" || baseSHA == "" {
		return nil, fmt.Errorf("open pull request: branch %q or %q does not exist", in.Head, in.Base)
	}
	for _, p := range r.pulls {
		if p.state == "open" && p.head == head && p.headRef == in.Head && p.baseRef == in.Base {
			return nil, fmt.Errorf("open pull request: A pull request already exists for %s:%s.", head.owner.login, in.Head) //nolint:revive,staticcheck // GitHub's words
		}
	}
	r.nextNumber++
	p := &pull{
		id: s.newID(), number: r.nextNumber, title: in.Title, body: in.Body, state: "open", draft: in.Draft, author: s.person(in.Author),
		base: r, head: head, baseRef: in.Base, headRef: in.Head, baseSHA: baseSHA, headSHA: headSHA, created: s.now(), updated: s.now(),
	}
	if p.title == "" {
		c, err := r.git.commit(headSHA)
		if err != nil {
			return nil, err
		}
		p.title = c.title()
	}
	for _, name := range in.Labels {
		p.labels = append(p.labels, s.label(r, name))
	}
	r.pulls[p.number] = p
	if err := s.pinPull(p); err != nil {
		return nil, err
	}
	s.emitPull(p, "opened", p.author, nil)
	for _, l := range p.labels {
		s.emitPull(p, "labeled", p.author, obj{"label": s.labelJSON(r, l)})
	}
	return p, nil
}

// label finds or makes a label of the repository.
func (s *Server) label(r *repository, name string) *label {
	for _, l := range r.labels {
		if lower(l.name) == lower(name) {
			return l
		}
	}
	l := &label{s.newID(), name, "ededed"}
	r.labels = append(r.labels, l)
	return l
}

// editPull runs f on an open or closed pull request, under the lock.
func (s *Server) editPull(repo string, number int, f func(p *pull) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return err
	}
	p := r.pulls[number]
	if p == nil {
		return fmt.Errorf("%s has no pull request %d", repo, number)
	}
	return f(p)
}

// ClosePull closes a pull request without merging it.
func (s *Server) ClosePull(repo string, number int, by string) error {
	return s.editPull(repo, number, func(p *pull) error { s.closePull(p, s.person(by)); return nil })
}

func (s *Server) closePull(p *pull, by *user) {
	if p.state == "closed" {
		return
	}
	p.state, p.closed, p.updated = "closed", s.now(), s.now()
	s.emitPull(p, "closed", by, nil)
}

// ReopenPull reopens a pull request that was closed unmerged.
func (s *Server) ReopenPull(repo string, number int, by string) error {
	return s.editPull(repo, number, func(p *pull) error { return s.reopenPull(p, s.person(by)) })
}

func (s *Server) reopenPull(p *pull, by *user) error {
	if p.state == "open" || !p.merged.IsZero() || p.head.git.tip(p.headRef) == "" {
		return fmt.Errorf("reopen pull request %d: state cannot be changed", p.number)
	}
	p.state, p.closed, p.updated = "open", time.Time{}, s.now()
	p.headSHA, p.baseSHA = p.head.git.tip(p.headRef), p.base.git.tip(p.baseRef)
	s.emitPull(p, "reopened", by, nil)
	return s.pinPull(p)
}

// SetDraft converts a pull request to a draft or marks it ready for review.
func (s *Server) SetDraft(repo string, number int, draft bool, by string) error {
	return s.editPull(repo, number, func(p *pull) error {
		if p.draft == draft {
			return nil
		}
		p.draft, p.updated = draft, s.now()
		action := "ready_for_review"
		if draft {
			action = "converted_to_draft"
		}
		s.emitPull(p, action, s.person(by), nil)
		return nil
	})
}

// AddLabel puts a label on a pull request.
func (s *Server) AddLabel(repo string, number int, name, by string) error {
	return s.editPull(repo, number, func(p *pull) error { s.addLabel(p, name, s.person(by)); return nil })
}

func (s *Server) addLabel(p *pull, name string, by *user) {
	l := s.label(p.base, name)
	if slices.Contains(p.labels, l) {
		return
	}
	p.labels, p.updated = append(p.labels, l), s.now()
	s.emitPull(p, "labeled", by, obj{"label": s.labelJSON(p.base, l)})
}

// RemoveLabel takes a label off a pull request.
func (s *Server) RemoveLabel(repo string, number int, name, by string) error {
	return s.editPull(repo, number, func(p *pull) error {
		if !s.dropLabel(p, name, s.person(by)) {
			return fmt.Errorf("pull request %d has no label %q", number, name)
		}
		return nil
	})
}

func (s *Server) dropLabel(p *pull, name string, by *user) bool {
	at := slices.IndexFunc(p.labels, func(l *label) bool { return lower(l.name) == lower(name) })
	if at < 0 {
		return false
	}
	l := p.labels[at]
	p.labels, p.updated = slices.Delete(p.labels, at, at+1), s.now()
	s.emitPull(p, "unlabeled", by, obj{"label": s.labelJSON(p.base, l)})
	return true
}

// HoldMergeability makes the next reads of a pull request answer
// `mergeable: null`, as when GitHub's background job is slow.
func (s *Server) HoldMergeability(repo string, number, reads int) error {
	return s.editPull(repo, number, func(p *pull) error {
		s.refreshKey(p)
		p.nullsLeft = reads
		return nil
	})
}

func (s *Server) refreshKey(p *pull) {
	if key := p.headSHA + " " + p.base.git.tip(p.baseRef); key != p.mergeKey {
		p.mergeKey, p.nullsLeft, p.testMerge = key, max(0, s.opts.MergeableDelay), ""
	}
}

// judge is one look at the background job: false while it "runs".
func (s *Server) judge(p *pull) (known bool, err error) {
	s.refreshKey(p)
	if p.nullsLeft > 0 {
		p.nullsLeft--
		return false, nil
	}
	if p.testMerge != "" {
		return true, nil
	}
	g, base := p.base.git, p.base.git.tip(p.baseRef)
	tree, clean, err := g.mergeTree(base, p.headSHA)
	if err != nil {
		return false, err
	}
	p.mergeable, p.rebaseable, p.testMerge = clean, false, "none"
	if !clean {
		return true, nil
	}
	at := s.bot().ident(p.updated)
	if _, p.rebaseable, err = g.replay(base, p.headSHA, at); err != nil {
		return false, err
	}
	p.testMerge, err = g.commitTree(newCommit{
		tree: tree, message: "Merge " + p.headSHA + " into " + base, parents: []string{base, p.headSHA}, author: at, committer: at,
	})
	if err != nil {
		return false, err
	}
	_, err = g.run("update-ref", fmt.Sprintf("refs/pull/%d/merge", p.number), p.testMerge)
	return true, err
}

// mergeableState is the traffic light beside mergeable.
func (s *Server) mergeableState(p *pull, known bool) string {
	missing, failing := s.missingChecks(p)
	switch {
	case !known:
		return "unknown"
	case !p.mergeable:
		return "dirty"
	case p.draft:
		return "draft"
	case s.behind(p):
		return "behind"
	case len(missing) > 0 || s.ruleRefusal(p) != "":
		return "blocked"
	case failing:
		return "unstable"
	default:
		return "clean"
	}
}

// changes is what the pull request's page shows: from the merge base to head.
func (p *pull) changes() (fork string, list []change, err error) {
	if fork, err = p.fork(); err != nil {
		return "", nil, err
	}
	list, err = p.base.git.diff(fork, p.headSHA)
	return fork, list, err
}

// fork is the merge base with the base branch; once closed, with the base as it
// was.
func (p *pull) fork() (string, error) {
	tip := p.base.git.tip(p.baseRef)
	if p.state == "closed" {
		tip = p.baseSHA
	}
	return p.base.git.line("merge-base", tip, p.headSHA)
}

func (p *pull) commits() ([]commit, error) {
	fork, err := p.fork()
	if err != nil {
		return nil, err
	}
	return p.base.git.log("--reverse", fork+".."+p.headSHA)
}

// association is the author's relation to the repository, roughly.
func (s *Server) association(r *repository, u *user) string {
	switch perm := s.permissionOf(r, u); {
	case u == r.owner:
		return "OWNER"
	case perm == "admin" || perm == "write" || perm == "maintain":
		return "COLLABORATOR"
	case strings.HasSuffix(u.login, "[bot]"):
		return "CONTRIBUTOR"
	default:
		return "NONE"
	}
}
