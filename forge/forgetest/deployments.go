package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// deployment is what GitHub keeps of one: it changes by statuses alone.
type deployment struct {
	id                                       int64
	sha, ref, task, environment, description string
	payload                                  json.RawMessage
	transient, production                    bool
	created, updated                         time.Time
	statuses                                 []deploymentStatus // oldest first
}

type deploymentStatus struct {
	id                         int64
	state, description, logURL string
	at                         time.Time
}

// Deployment is a deployment as the repository's page shows it.
type Deployment struct {
	ID                            int64
	SHA, Environment, Description string
	// States are those of its statuses, oldest first; LogURL and Said are the newest's.
	States       []string
	LogURL, Said string
}

// Deployments lists the deployments of a repository, oldest first.
func (s *Server) Deployments(repo string) []Deployment {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return nil
	}
	var list []Deployment
	for _, d := range r.deployments {
		out := Deployment{ID: d.id, SHA: d.sha, Environment: d.environment, Description: d.description}
		for _, st := range d.statuses {
			out.States = append(out.States, st.state)
			out.LogURL, out.Said = st.logURL, st.description
		}
		list = append(list, out)
	}
	return list
}

// DeleteDeployment deletes a deployment, as people may once it is inactive.
func (s *Server) DeleteDeployment(repo string, id int64) error {
	return s.onRepo(repo, func(r *repository) error {
		r.deployments = slices.DeleteFunc(r.deployments, func(d *deployment) bool { return d.id == id })
		return nil
	})
}

func (s *Server) deploymentRoutes() []route {
	get, post := "GET", "POST"
	read, write := "deployments:read", "deployments:write"
	return []route{
		{method: get, pattern: inRepo + "/deployments", need: read, handle: s.listDeployments},
		{method: post, pattern: inRepo + "/deployments", need: write, handle: s.postDeployment},
		{method: get, pattern: inRepo + "/deployments/{deployment_id}/statuses", need: read, handle: s.listDeploymentStatuses},
		{method: post, pattern: inRepo + "/deployments/{deployment_id}/statuses", need: write, handle: s.postDeploymentStatus},
	}
}

func (s *Server) deploymentJSON(r *repository, d *deployment) obj {
	at := s.api("/repos/%s/deployments/%d", r.fullName(), d.id)
	return obj{
		"id": d.id, "node_id": nodeID("Deployment", d.id), "url": at, "statuses_url": at + "/statuses",
		"repository_url": s.api("/repos/%s", r.fullName()), "sha": d.sha, "ref": d.ref, "task": d.task, "payload": d.payload,
		"environment": d.environment, "original_environment": d.environment, "description": orNull(d.description),
		"creator": s.userJSON(s.bot()), "created_at": stamp(d.created), "updated_at": stamp(d.updated),
		"transient_environment": d.transient, "production_environment": d.production, "performed_via_github_app": s.appJSON(s.self),
	}
}

// listDeployments is newest first, narrowed by whatever the query names.
func (s *Server) listDeployments(c *call) reply {
	var list []obj
	for _, d := range slices.Backward(c.repo.deployments) {
		fits := true
		for name, is := range map[string]string{"sha": d.sha, "ref": d.ref, "task": d.task, "environment": d.environment} {
			fits = fits && (!c.query.Has(name) || c.query.Get(name) == is)
		}
		if fits {
			list = append(list, s.deploymentJSON(c.repo, d))
		}
	}
	return paged(s, c, list)
}

// postDeployment knows no merge of the default branch into the ref and no wait for
// checks: a caller that asks for either, also by saying nothing, is told so.
func (s *Server) postDeployment(c *call) reply {
	in, bad := decode[struct {
		Ref, Task, Environment, Description string
		Payload                             json.RawMessage
		AutoMerge                           *bool     `json:"auto_merge"`
		RequiredContexts                    *[]string `json:"required_contexts"`
		Transient                           bool      `json:"transient_environment"`
		Production                          bool      `json:"production_environment"`
	}](c)
	if bad != nil {
		return *bad
	}
	if in.AutoMerge == nil || *in.AutoMerge || in.RequiredContexts == nil || len(*in.RequiredContexts) > 0 {
		return refuse(http.StatusConflict, "Conflict: Commit status checks failed for "+in.Ref+".")
	}
	sha, found := c.repo.git.resolve(in.Ref)
	if !found {
		return unprocessable("No ref found for: " + in.Ref)
	}
	d := &deployment{
		id: s.newID(), sha: sha, ref: in.Ref, task: in.Task, environment: in.Environment, description: in.Description,
		payload: in.Payload, transient: in.Transient, production: in.Production, created: s.now(), updated: s.now(),
	}
	if d.task == "" {
		d.task = "deploy"
	}
	if d.environment == "" {
		d.environment = "production"
	}
	if d.payload == nil {
		d.payload = json.RawMessage(`""`)
	}
	c.repo.deployments = append(c.repo.deployments, d)
	return created(s.deploymentJSON(c.repo, d))
}

func deploymentOf(c *call) *deployment {
	i := slices.IndexFunc(c.repo.deployments, func(d *deployment) bool { return d.id == c.number("deployment_id") })
	if i < 0 {
		return nil
	}
	return c.repo.deployments[i]
}

func (s *Server) deploymentStatusJSON(r *repository, d *deployment, st deploymentStatus) obj {
	at := s.api("/repos/%s/deployments/%d", r.fullName(), d.id)
	return obj{
		"id": st.id, "node_id": nodeID("DeploymentStatus", st.id), "url": fmt.Sprintf("%s/statuses/%d", at, st.id), "state": st.state,
		"creator": s.userJSON(s.bot()), "description": st.description, "environment": d.environment, "environment_url": "",
		"log_url": st.logURL, "target_url": st.logURL, "created_at": stamp(st.at), "updated_at": stamp(st.at),
		"deployment_url": at, "repository_url": s.api("/repos/%s", r.fullName()), "performed_via_github_app": s.appJSON(s.self),
	}
}

// listDeploymentStatuses is newest first.
func (s *Server) listDeploymentStatuses(c *call) reply {
	d := deploymentOf(c)
	if d == nil {
		return notFound()
	}
	var list []obj
	for _, st := range slices.Backward(d.statuses) {
		list = append(list, s.deploymentStatusJSON(c.repo, d, st))
	}
	return paged(s, c, list)
}

// postDeploymentStatus does what GitHub does upon a success, too: it marks the
// earlier successes of the environment inactive, unless it is told not to, or they
// are of a production environment.
func (s *Server) postDeploymentStatus(c *call) reply {
	d := deploymentOf(c)
	if d == nil {
		return notFound()
	}
	in, bad := decode[struct {
		State, Description string
		LogURL             string `json:"log_url"`
		AutoInactive       *bool  `json:"auto_inactive"`
	}](c)
	if bad != nil {
		return *bad
	}
	if len([]rune(in.Description)) > 140 {
		return invalid("DeploymentStatus", "description", "too_long")
	}
	st := deploymentStatus{s.newID(), in.State, in.Description, in.LogURL, s.now()}
	d.statuses, d.updated = append(d.statuses, st), s.now()
	if in.State == "success" && (in.AutoInactive == nil || *in.AutoInactive) {
		for _, other := range c.repo.deployments {
			n := len(other.statuses)
			if other != d && other.environment == d.environment && !other.production && !other.transient && n > 0 && other.statuses[n-1].state == "success" {
				other.statuses = append(other.statuses, deploymentStatus{id: s.newID(), state: "inactive", at: s.now()})
			}
		}
	}
	return created(s.deploymentStatusJSON(c.repo, d, st))
}
