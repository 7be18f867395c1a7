package forgetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const zeroSHA = "0000000000000000000000000000000000000000"

// moveBranch sets, creates or (sha "") deletes a branch and lets everything
// happen that a push sets off on the site.
func (s *Server) moveBranch(r *repository, branch, sha string, by *user) error {
	if !refPattern.MatchString(branch) {
		return fmt.Errorf("push to %s: %q is not a branch name", r.fullName(), branch)
	}
	before := r.git.tip(branch)
	if before == sha {
		return nil
	}
	args := []string{"update-ref", "refs/heads/" + branch, sha}
	if sha == "" {
		args = []string{"update-ref", "-d", "refs/heads/" + branch}
	}
	if _, err := r.git.run(args...); err != nil {
		return fmt.Errorf("push to %s: %w", r.fullName(), err)
	}
	r.pushed = s.now()
	if err := s.shareObjects(r, branch, sha); err != nil {
		return err
	}
	s.emitPush(r, branch, before, sha, by)
	if sha != "" && r.inst != nil {
		s.queueSuite(r, branch, before, sha)
	}
	return s.followPulls(r, branch, before, sha, by)
}

// shareObjects makes a fork's commits readable by SHA in its parent: on
// github.com all forks share one object store, which is how impostor commits
// come to be.
func (s *Server) shareObjects(r *repository, branch, sha string) error {
	if r.parent == nil || sha == "" {
		return nil
	}
	spec := fmt.Sprintf("+refs/heads/%s:refs/network/%d/%s", branch, r.id, branch)
	if _, err := r.parent.git.run("fetch", "-q", string(r.git), spec); err != nil {
		return fmt.Errorf("share objects of %s: %w", r.fullName(), err)
	}
	return nil
}

// followPulls updates pull requests whose head or base moved.
func (s *Server) followPulls(r *repository, branch, before, sha string, by *user) error {
	for _, id := range slices.Sorted(maps.Keys(s.repos)) {
		for _, p := range s.repos[id].sortedPulls() {
			if p.state != "open" {
				continue
			}
			if p.head == r && p.headRef == branch {
				if err := s.headMoved(p, before, sha, by); err != nil {
					return err
				}
			}
			if p.base == r && p.baseRef == branch && sha != "" && p.state == "open" && r.git.isAncestor(p.headSHA, sha) {
				s.markMerged(p, sha, by) // someone pushed the merge by hand
			}
		}
	}
	return nil
}

func (s *Server) headMoved(p *pull, before, sha string, by *user) error {
	if sha == "" {
		s.closePull(p, by)
		return nil
	}
	p.headSHA, p.baseSHA, p.updated = sha, p.base.git.tip(p.baseRef), s.now()
	if err := s.pinPull(p); err != nil {
		return err
	}
	s.emitPull(p, "synchronize", by, obj{"before": before, "after": sha})
	return nil
}

// pinPull keeps refs/pull/N/head, which also brings a fork's objects.
func (s *Server) pinPull(p *pull) error {
	ref := fmt.Sprintf("refs/pull/%d/head", p.number)
	if p.head != nil && p.head != p.base {
		if _, err := p.base.git.run("fetch", "-q", string(p.head.git), fmt.Sprintf("+refs/heads/%s:%s", p.headRef, ref)); err != nil {
			return fmt.Errorf("fetch head of pull request %d: %w", p.number, err)
		}
		return nil
	}
	if _, err := p.base.git.run("update-ref", ref, p.headSHA); err != nil {
		return fmt.Errorf("record head of pull request %d: %w", p.number, err)
	}
	return nil
}

func (r *repository) sortedPulls() []*pull {
	list := make([]*pull, 0, len(r.pulls))
	for _, p := range r.pulls {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pull) int { return a.number - b.number })
	return list
}

// emitPush sends the push event, which has an older look than all others.
func (s *Server) emitPush(r *repository, branch, before, after string, by *user) {
	if before == "" {
		before = zeroSHA
	}
	deleted := after == ""
	if deleted {
		after = zeroSHA
	}
	forced := before != zeroSHA && !deleted && !r.git.isAncestor(before, after)
	commits := []obj{}
	var head any
	if !deleted {
		from := []string{after, "^" + before}
		if before == zeroSHA {
			from = []string{after, "--not", "--exclude=" + branch, "--branches"}
		}
		// GitHub lists at most 2048 commits.
		list, _ := r.git.log(append([]string{"--reverse", "-n", "2048"}, from...)...)
		commits = collect(list, func(c commit) obj { return s.pushCommit(r, c) })
		if tip, err := r.git.commit(after); err == nil {
			head = s.pushCommit(r, tip)
		}
	}
	s.emit(r, "push", obj{
		"ref": "refs/heads/" + branch, "before": before, "after": after, "created": before == zeroSHA, "deleted": deleted,
		"forced": forced, "base_ref": nil, "compare": s.web("/%s/compare/%.12s...%.12s", r.fullName(), before, after),
		"commits": commits, "head_commit": head, "pusher": obj{"name": by.login, "email": by.email()},
		"repository": s.pushRepo(r),
	}, by)
}

func (s *Server) pushCommit(r *repository, c commit) obj {
	parent := emptyTree
	if len(c.parents) > 0 {
		parent = c.parents[0]
	}
	lists := map[string][]string{"added": {}, "removed": {}, "modified": {}}
	changes, _ := r.git.diff(parent, c.sha)
	for _, f := range changes {
		switch f.status {
		case "added", "removed":
			lists[f.status] = append(lists[f.status], f.path)
		case "renamed":
			lists["removed"] = append(lists["removed"], f.previous)
			lists["added"] = append(lists["added"], f.path)
		default:
			lists["modified"] = append(lists["modified"], f.path)
		}
	}
	return obj{
		"id": c.sha, "tree_id": c.tree, "distinct": true, "message": c.message, "timestamp": stamp(c.committer.at),
		"url": s.web("/%s/commit/%s", r.fullName(), c.sha), "author": s.pushIdent(c.author), "committer": s.pushIdent(c.committer),
		"added": lists["added"], "removed": lists["removed"], "modified": lists["modified"],
	}
}

func (s *Server) pushIdent(i ident) obj {
	out := obj{"name": i.name, "email": i.email, "username": strings.ReplaceAll(i.name, " ", "")}
	if u := s.accountOf(i); u != nil {
		out["username"] = u.login
	}
	return out
}

// pushRepo is the repository of a push event: times are numbers, url is the
// page, and a few fields exist nowhere else.
func (s *Server) pushRepo(r *repository) obj {
	out := s.repoJSON(r)
	out["url"] = s.web("/%s", r.fullName())
	out["created_at"], out["pushed_at"] = r.created.Unix(), r.pushed.Unix()
	out["stargazers"], out["master_branch"] = 0, r.defaultBranch
	owner := s.userJSON(r.owner)
	owner["name"], owner["email"] = r.owner.login, r.owner.email()
	out["owner"] = owner
	return out
}
