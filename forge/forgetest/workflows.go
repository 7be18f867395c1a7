package forgetest

import (
	"net/http"
	"regexp"
	"strings"
)

// Dispatch is a workflow that was started by hand.
type Dispatch struct{ Path, Ref string }

// Dispatches lists the workflows of a repository that were started by hand, oldest
// first. They are started and nothing more: what they would do is up to the test.
func (s *Server) Dispatches(repo string) []Dispatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return nil
	}
	return append([]Dispatch(nil), r.dispatches...)
}

// DisableWorkflow is the button on the page of a workflow.
func (s *Server) DisableWorkflow(repo, path string) error {
	return s.onRepo(repo, func(r *repository) error {
		s.flow(r, path).state = "disabled_manually"
		return nil
	})
}

// flow is a workflow as GitHub keeps it: its id stays, whatever becomes of the file.
type flow struct {
	id          int64
	path, state string
}

func (s *Server) flow(r *repository, path string) *flow {
	for _, f := range r.flows {
		if f.path == path {
			return f
		}
	}
	f := &flow{id: s.newID(), path: path, state: "active"}
	r.flows = append(r.flows, f)
	return f
}

func (s *Server) workflowRoutes() []route {
	return []route{
		{method: "GET", pattern: inRepo + "/actions/workflows", need: "actions:read", handle: s.listWorkflows},
		{method: "POST", pattern: inRepo + "/actions/workflows/{workflow_id}/dispatches", need: "actions:write", handle: s.dispatchWorkflow},
	}
}

// workflowText is the file of a workflow on the default branch.
func workflowText(r *repository, path string) string {
	e, found := r.git.lookup("refs/heads/"+r.defaultBranch, path)
	if !found {
		return ""
	}
	text, err := r.git.blob(e.sha)
	if err != nil {
		return ""
	}
	return string(text)
}

var workflowName = regexp.MustCompile(`(?m)^name: *(.+)$`)

// listWorkflows finds new files of the default branch. Those that were deleted since
// are still listed, as GitHub does for a while.
func (s *Server) listWorkflows(c *call) reply {
	files, err := c.repo.git.lsTree("refs/heads/"+c.repo.defaultBranch, true, ".github/workflows")
	if err != nil {
		return broken(err)
	}
	for _, e := range files {
		if e.kind == "blob" {
			s.flow(c.repo, e.path)
		}
	}
	return counted(s, c, "workflows", collect(c.repo.flows, func(f *flow) obj {
		name := f.path
		if m := workflowName.FindStringSubmatch(workflowText(c.repo, f.path)); m != nil {
			name = m[1]
		}
		return obj{
			"id": f.id, "node_id": nodeID("Workflow", f.id), "name": name, "path": f.path, "state": f.state,
			"created_at": stamp(c.repo.created), "updated_at": stamp(c.repo.created),
			"url":       s.api("/repos/%s/actions/workflows/%d", c.repo.fullName(), f.id),
			"html_url":  s.web("/%s/blob/%s/%s", c.repo.fullName(), c.repo.defaultBranch, f.path),
			"badge_url": s.web("/%s/workflows/%s/badge.svg", c.repo.fullName(), name),
		}
	}))
}

// dispatchWorkflow goes by the file of the ref, as GitHub does.
func (s *Server) dispatchWorkflow(c *call) reply {
	in, bad := decode[struct{ Ref string }](c)
	if bad != nil {
		return *bad
	}
	for _, f := range c.repo.flows {
		if f.id != c.number("workflow_id") {
			continue
		}
		switch {
		case c.repo.git.tip(in.Ref) == "":
			return unprocessable("No ref found for: " + in.Ref)
		case f.state != "active":
			return unprocessable("Cannot trigger a 'workflow_dispatch' on a disabled workflow")
		case !strings.Contains(workflowText(c.repo, f.path), "workflow_dispatch"):
			return unprocessable("Workflow does not have 'workflow_dispatch' trigger")
		}
		c.repo.dispatches = append(c.repo.dispatches, Dispatch{Path: f.path, Ref: in.Ref})
		return reply{status: http.StatusNoContent}
	}
	return notFound()
}
