package forgetest

import "time"

// emit sends an event about a repository to the App, if it is installed there
// and not suspended.
func (s *Server) emit(r *repository, event string, payload obj, sender *user) {
	if r.inst == nil || !r.inst.suspended.IsZero() {
		return
	}
	if payload["repository"] == nil {
		payload["repository"] = s.repoJSON(r)
	}
	payload["sender"] = s.userJSON(sender)
	payload["installation"] = obj{"id": r.inst.id, "node_id": nodeID("IntegrationInstallation", r.inst.id)}
	if r.owner.kind == "Organization" {
		payload["organization"] = s.orgJSON(r.owner)
	}
	s.queueHook(event, payload, r.inst.id, r.id)
}

func with(payload, more obj) obj {
	for k, v := range more {
		payload[k] = v
	}
	return payload
}

func (s *Server) emitPull(p *pull, action string, by *user, more obj) {
	body, err := s.pullJSON(p, false)
	if err != nil {
		s.report("pull_request event: %v", err)
		return
	}
	s.emit(p.base, "pull_request", with(obj{"action": action, "number": p.number, "pull_request": body}, more), by)
}

// emitSuite: requested and rerequested go to the suite's own App only.
func (s *Server) emitSuite(r *repository, su *suite, action string, by *user) {
	if action != "completed" && su.app != s.self {
		return
	}
	s.emit(r, "check_suite", obj{"action": action, "check_suite": s.suiteJSON(r, su)}, by)
}

func (s *Server) emitRun(r *repository, run *checkRun, action string, by *user, more obj) {
	if (action == "rerequested" || action == "requested_action") && run.suite.app != s.self {
		return
	}
	body := s.runJSON(r, run)
	body["check_suite"] = s.suiteJSON(r, run.suite)
	s.emit(r, "check_run", with(obj{"action": action, "check_run": body}, more), by)
}

func (s *Server) emitComment(p *pull, c *comment, action string, by *user, more obj) {
	s.emit(p.base, "issue_comment", with(obj{
		"action": action, "issue": s.issueJSON(p), "comment": s.commentJSON(p.base, c),
	}, more), by)
}

// issueJSON is a pull request seen as an issue.
func (s *Server) issueJSON(p *pull) obj {
	at, page := s.api("/repos/%s/issues/%d", p.base.fullName(), p.number), s.web("/%s/pull/%d", p.base.fullName(), p.number)
	talk := 0
	for _, c := range p.base.comments {
		if c.number == p.number {
			talk++
		}
	}
	return obj{
		"url": at, "repository_url": s.api("/repos/%s", p.base.fullName()), "labels_url": at + "/labels{/name}",
		"comments_url": at + "/comments", "events_url": at + "/events", "html_url": page, "id": p.id, "node_id": nodeID("PullRequest", p.id),
		"number": p.number, "title": p.title, "user": s.userJSON(p.author), "labels": s.labelsJSON(p), "state": p.state, "locked": false,
		"assignee": nil, "assignees": []obj{}, "milestone": nil, "comments": talk, "created_at": stamp(p.created),
		"updated_at": stamp(p.updated), "closed_at": stamp(p.closed), "author_association": s.association(p.base, p.author),
		"active_lock_reason": nil, "draft": p.draft, "body": orNull(p.body), "reactions": rollup(at, nil),
		"performed_via_github_app": nil, "state_reason": nil,
		"pull_request": obj{
			"url": s.api("/repos/%s/pulls/%d", p.base.fullName(), p.number), "html_url": page, "diff_url": page + ".diff",
			"patch_url": page + ".patch", "merged_at": stamp(p.merged),
		},
	}
}

type workflowRun struct {
	id                       int64
	suite                    *suite
	name, status, conclusion string
	created, updated         time.Time
	number                   int
}

// Workflow is a run of GitHub Actions.
type Workflow struct {
	SHA, Branch, Name string
	// Status is queued, in_progress or completed; Conclusion may be
	// action_required: the run waits for somebody's approval.
	Status, Conclusion string
}

// SetWorkflow starts or changes a workflow run, with its check suite. It sends
// workflow_run.requested and, when completed, workflow_run.completed.
func (s *Server) SetWorkflow(repo string, w Workflow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return err
	}
	su := s.suite(r, s.apps["github-actions"], w.Branch, "", w.SHA)
	by := s.person("github-actions[bot]")
	var run *workflowRun
	for _, x := range r.workflows {
		if x.suite == su && x.name == w.Name {
			run = x
		}
	}
	isNew := run == nil
	if isNew {
		run = &workflowRun{id: s.newID(), suite: su, name: w.Name, created: s.now(), number: len(r.workflows) + 1}
		r.workflows = append(r.workflows, run)
	}
	run.status, run.conclusion, run.updated = w.Status, w.Conclusion, s.now()
	su.forced, su.status, su.conclusion = true, w.Status, w.Conclusion
	if isNew {
		s.emitWorkflow(r, run, "requested", by)
	}
	if w.Status == "completed" {
		s.emitWorkflow(r, run, "completed", by)
	}
	s.settle(r, su, by)
	return nil
}

func (s *Server) emitWorkflow(r *repository, w *workflowRun, action string, by *user) {
	at, page := s.api("/repos/%s/actions/runs/%d", r.fullName(), w.id), s.web("/%s/actions/runs/%d", r.fullName(), w.id)
	flow := s.api("/repos/%s/actions/workflows/%d", r.fullName(), r.id)
	suite := s.suiteJSON(r, w.suite)
	path := ".github/workflows/" + lower(w.name) + ".yml"
	s.emit(r, "workflow_run", obj{"action": action,
		"workflow": obj{
			"id": r.id, "node_id": nodeID("Workflow", r.id), "name": w.name, "path": path, "state": "active", "created_at": stamp(r.created),
			"updated_at": stamp(r.created), "url": flow, "html_url": s.web("/%s/blob/%s/%s", r.fullName(), r.defaultBranch, path),
			"badge_url": s.web("/%s/workflows/%s/badge.svg", r.fullName(), w.name),
		},
		"workflow_run": obj{
			"id": w.id, "node_id": nodeID("WorkflowRun", w.id), "name": w.name, "path": path, "display_title": w.name,
			"head_branch": orNull(w.suite.branch), "head_sha": w.suite.sha, "run_number": w.number, "event": "pull_request",
			"status": w.status, "conclusion": orNull(w.conclusion), "workflow_id": r.id, "check_suite_id": w.suite.id,
			"check_suite_node_id": suite["node_id"], "check_suite_url": suite["url"], "url": at, "html_url": page,
			"pull_requests": suite["pull_requests"], "created_at": stamp(w.created), "updated_at": stamp(w.updated),
			"actor": s.userJSON(by), "triggering_actor": s.userJSON(by), "run_attempt": 1, "run_started_at": stamp(w.created),
			"jobs_url": at + "/jobs", "logs_url": at + "/logs", "artifacts_url": at + "/artifacts", "cancel_url": at + "/cancel",
			"rerun_url": at + "/rerun", "previous_attempt_url": nil, "workflow_url": flow, "head_commit": suite["head_commit"],
			"repository": s.repoJSON(r), "head_repository": s.repoJSON(r),
		},
	}, by)
}
