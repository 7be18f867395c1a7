package forgetest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// status is a commit status: anyone with write access may set any context.
type status struct {
	id                                       int64
	sha, context, state, description, target string
	creator                                  *user
	created                                  time.Time
}

// Status is a commit status to set.
type Status struct {
	SHA, Context string
	// State is success, failure, error or pending.
	State       string
	Description string
	TargetURL   string
	// Creator is a login; default is the owner.
	Creator string
}

// SetStatus sets a commit status as some account.
func (s *Server) SetStatus(repo string, in Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return err
	}
	if _, found := r.git.resolve(in.SHA); !found {
		return fmt.Errorf("set status %q: no commit %s in %s", in.Context, in.SHA, repo)
	}
	if in.Creator == "" {
		in.Creator = r.owner.login
	}
	st := &status{s.newID(), in.SHA, in.Context, in.State, in.Description, in.TargetURL, s.person(in.Creator), s.now()}
	r.statuses = append(r.statuses, st)
	s.emitStatus(r, st)
	return nil
}

// latestStatuses is the newest status per context at a commit.
func (r *repository) latestStatuses(sha string) []*status {
	var list []*status
	for _, st := range slices.Backward(r.statuses) {
		if st.sha == sha && !slices.ContainsFunc(list, func(x *status) bool { return x.context == st.context }) {
			list = append(list, st)
		}
	}
	return list
}

func (s *Server) statusJSON(r *repository, st *status) obj {
	return obj{
		"id": st.id, "node_id": nodeID("StatusContext", st.id), "url": s.api("/repos/%s/statuses/%s", r.fullName(), st.sha),
		"avatar_url": s.web("/avatars/u/%d", st.creator.id), "state": st.state, "description": orNull(st.description),
		"target_url": orNull(st.target), "context": st.context, "created_at": stamp(st.created), "updated_at": stamp(st.created),
	}
}

// combinedStatus has no creators and is pending when there is nothing.
func (s *Server) combinedStatus(c *call) reply {
	sha, found := c.repo.git.resolve(c.params["ref"])
	if !found {
		return notFound()
	}
	latest := c.repo.latestStatuses(sha)
	state := "success"
	for _, st := range latest {
		switch {
		case st.state == "failure" || st.state == "error":
			state = "failure"
		case st.state == "pending" && state == "success":
			state = "pending"
		}
	}
	if len(latest) == 0 {
		state = "pending"
	}
	cut, header := page(s, c, latest)
	at := s.api("/repos/%s/commits/%s", c.repo.fullName(), sha)
	return reply{status: http.StatusOK, header: header, body: obj{
		"state": state, "sha": sha, "total_count": len(latest), "repository": s.repoJSON(c.repo), "commit_url": at, "url": at + "/status",
		"statuses": collect(cut, func(st *status) obj { return s.statusJSON(c.repo, st) }),
	}}
}

// listStatuses is the history, newest first, with creators.
func (s *Server) listStatuses(c *call) reply {
	sha, found := c.repo.git.resolve(c.params["ref"])
	if !found {
		return notFound()
	}
	var list []obj
	for _, st := range slices.Backward(c.repo.statuses) {
		if st.sha == sha {
			out := s.statusJSON(c.repo, st)
			out["creator"] = s.userJSON(st.creator)
			list = append(list, out)
		}
	}
	return paged(s, c, list)
}

func (s *Server) emitStatus(r *repository, st *status) {
	c, err := r.git.commit(st.sha)
	if err != nil {
		s.report("status event: %v", err)
		return
	}
	branches := []obj{}
	if name, err := r.git.line("for-each-ref", "--count=1", "--format=%(refname:short)", "--contains="+st.sha, "refs/heads"); err == nil && name != "" {
		tip := r.git.tip(name)
		_, protected := r.protection[name]
		branches = append(branches, obj{
			"name": name, "protected": protected,
			"commit": obj{"sha": tip, "url": s.api("/repos/%s/commits/%s", r.fullName(), tip)},
		})
	}
	s.emit(r, "status", obj{
		"id": st.id, "sha": st.sha, "name": r.fullName(), "target_url": orNull(st.target), "context": st.context,
		"description": orNull(st.description), "state": st.state, "commit": s.commitJSON(r, c), "branches": branches,
		"avatar_url": s.web("/avatars/u/%d", st.creator.id),
		"created_at": stamp(st.created), "updated_at": stamp(st.created), "repository": s.repoJSON(r),
	}, st.creator)
}
