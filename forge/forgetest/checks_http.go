package forgetest

import (
	"net/http"
	"strconv"
	"time"
)

func (s *Server) suiteJSON(r *repository, su *suite) obj {
	at := s.api("/repos/%s/check-suites/%d", r.fullName(), su.id)
	out := obj{
		"id": su.id, "node_id": nodeID("CheckSuite", su.id), "head_branch": orNull(su.branch), "head_sha": su.sha, "status": su.status,
		"conclusion": orNull(su.conclusion), "url": at, "before": orNull(su.before), "after": su.sha, "pull_requests": s.pullStubs(r, su.branch, su.sha),
		"app": s.appJSON(su.app), "created_at": stamp(su.created), "updated_at": stamp(su.updated), "repository": s.repoJSON(r),
		"latest_check_runs_count": len(r.runsOf(su)), "check_runs_url": at + "/check-runs", "rerequestable": true, "runs_rerequestable": false,
	}
	if c, err := r.git.commit(su.sha); err == nil {
		out["head_commit"] = obj{
			"id": c.sha, "tree_id": c.tree, "message": c.message, "timestamp": stamp(c.committer.at),
			"author":    obj{"name": c.author.name, "email": c.author.email},
			"committer": obj{"name": c.committer.name, "email": c.committer.email},
		}
	}
	return out
}

// pullStubs lists open pull requests by head branch. The head SHA there is the
// pull request's present one, which need not be the suite's.
func (s *Server) pullStubs(r *repository, branch, sha string) []obj {
	list := []obj{}
	stub := func(r *repository) obj {
		return obj{"id": r.id, "url": s.api("/repos/%s", r.fullName()), "name": r.name}
	}
	for _, p := range r.sortedPulls() {
		if p.state == "open" && p.head == r && (p.headRef == branch || (branch == "" && p.headSHA == sha)) {
			list = append(list, obj{
				"url": s.api("/repos/%s/pulls/%d", r.fullName(), p.number), "id": p.id, "number": p.number,
				"head": obj{"ref": p.headRef, "sha": p.headSHA, "repo": stub(p.head)},
				"base": obj{"ref": p.baseRef, "sha": p.baseSHA, "repo": stub(p.base)},
			})
		}
	}
	return list
}

func (s *Server) runJSON(r *repository, run *checkRun) obj {
	at := s.api("/repos/%s/check-runs/%d", r.fullName(), run.id)
	page := s.web("/%s/runs/%d", r.fullName(), run.id)
	details := run.details
	if details == "" {
		details = page
	}
	return obj{
		"id": run.id, "node_id": nodeID("CheckRun", run.id), "head_sha": run.sha, "external_id": run.externalID, "url": at,
		"html_url": page, "details_url": details, "status": run.status, "conclusion": orNull(run.conclusion),
		"started_at": stamp(run.started), "completed_at": stamp(run.completed), "name": run.name,
		"output": obj{
			"title": orNull(run.output.Title), "summary": orNull(run.output.Summary), "text": orNull(run.output.Text),
			"annotations_count": 0, "annotations_url": at + "/annotations",
		},
		"check_suite": obj{"id": run.suite.id}, "app": s.appJSON(run.suite.app), "pull_requests": s.pullStubs(r, run.suite.branch, run.sha),
	}
}

type runInput struct {
	Name        *string
	HeadSHA     string  `json:"head_sha"`
	DetailsURL  *string `json:"details_url"`
	ExternalID  *string `json:"external_id"`
	Status      *string
	Conclusion  *string
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *runOutput
	Actions     *[]runAction
}

func (in runInput) apply(run *checkRun) {
	set := func(to *string, v *string) {
		if v != nil {
			*to = *v
		}
	}
	set(&run.name, in.Name)
	set(&run.details, in.DetailsURL)
	set(&run.externalID, in.ExternalID)
	if in.StartedAt != nil {
		run.started = *in.StartedAt
	}
	if in.Output != nil {
		run.output = *in.Output
	}
	if in.Actions != nil {
		run.actions = *in.Actions
	}
}

// state of the run after the input; a conclusion completes it.
func (in runInput) state(run *checkRun) (runState, *reply) {
	to := runState{run.status, run.conclusion}
	if in.Status != nil {
		to.status = *in.Status
		if to.status != "completed" {
			to.conclusion = ""
		}
	}
	if in.Conclusion != nil {
		to = runState{"completed", *in.Conclusion}
	}
	if to.status == "completed" && to.conclusion == "" {
		bad := invalid("CheckRun", "conclusion", "missing_field")
		return to, &bad
	}
	return to, nil
}

// limits that the site enforces on buttons.
func (in runInput) check() *reply {
	if in.Actions == nil {
		return nil
	}
	for _, a := range *in.Actions {
		if len(*in.Actions) > 3 || len(a.Label) > 20 || len(a.Description) > 40 || len(a.Identifier) > 20 {
			bad := invalid("CheckRun", "actions", "invalid")
			return &bad
		}
	}
	return nil
}

func (s *Server) postRun(c *call) reply {
	in, bad := decode[runInput](c)
	if bad == nil {
		bad = in.check()
	}
	if bad != nil {
		return *bad
	}
	if _, found := c.repo.git.resolve(in.HeadSHA); !found || !shaPattern.MatchString(in.HeadSHA) || in.Name == nil {
		return unprocessable("No commit found for SHA: " + in.HeadSHA)
	}
	to, bad := in.state(&checkRun{status: "queued"})
	if bad != nil {
		return *bad
	}
	run := s.newRun(c.repo, s.self, *in.Name, in.HeadSHA)
	in.apply(run)
	s.advance(c.repo, run, to, true, s.bot())
	return created(s.runJSON(c.repo, run))
}

func (c *call) run() *checkRun {
	for _, run := range c.repo.runs {
		if run.id == c.number("check_run_id") {
			return run
		}
	}
	return nil
}

func (s *Server) getRun(c *call) reply {
	run := c.run()
	if run == nil {
		return notFound()
	}
	return ok(s.runJSON(c.repo, run))
}

func (s *Server) patchRun(c *call) reply {
	run := c.run()
	if run == nil {
		return notFound()
	}
	in, bad := decode[runInput](c)
	if bad == nil {
		bad = in.check()
	}
	if bad != nil {
		return *bad
	}
	if run.suite.app != s.self {
		return refuse(http.StatusForbidden, "Invalid app_id `"+strconv.FormatInt(s.AppID, 10)+"` - check run can only be modified by the GitHub App that created it.")
	}
	to, bad := in.state(run)
	if bad != nil {
		return *bad
	}
	in.apply(run)
	s.advance(c.repo, run, to, false, s.bot())
	return ok(s.runJSON(c.repo, run))
}

func (c *call) suite() *suite {
	for _, su := range c.repo.suites {
		if su.id == c.number("check_suite_id") {
			return su
		}
	}
	return nil
}

func (s *Server) getSuite(c *call) reply {
	su := c.suite()
	if su == nil {
		return notFound()
	}
	return ok(s.suiteJSON(c.repo, su))
}

// filterRuns applies the query parameters that all run lists share.
func (s *Server) filterRuns(c *call, sha string, in *suite) reply {
	list := c.repo.latestRuns(sha)
	if c.query.Get("filter") == "all" {
		list = c.repo.runs
	}
	var out []obj
	for i := len(list) - 1; i >= 0; i-- { // newest first
		run := list[i]
		app := strconv.FormatInt(run.suite.app.id, 10)
		fits := func(key, have string) bool { return !c.query.Has(key) || c.query.Get(key) == have }
		if run.sha == sha && (in == nil || run.suite == in) && fits("check_name", run.name) && fits("status", run.status) && fits("app_id", app) {
			out = append(out, s.runJSON(c.repo, run))
		}
	}
	return counted(s, c, "check_runs", out)
}

func (s *Server) suiteRuns(c *call) reply {
	su := c.suite()
	if su == nil {
		return notFound()
	}
	return s.filterRuns(c, su.sha, su)
}

func (s *Server) refRuns(c *call) reply {
	sha, found := c.repo.git.resolve(c.params["ref"])
	if !found {
		return unprocessable("No commit found for SHA: " + c.params["ref"])
	}
	return s.filterRuns(c, sha, nil)
}

func (s *Server) refSuites(c *call) reply {
	sha, found := c.repo.git.resolve(c.params["ref"])
	if !found {
		return unprocessable("No commit found for SHA: " + c.params["ref"])
	}
	var list []obj
	for _, su := range c.repo.suites {
		if su.sha != sha || (c.query.Has("app_id") && c.query.Get("app_id") != strconv.FormatInt(su.app.id, 10)) {
			continue
		}
		list = append(list, s.suiteJSON(c.repo, su))
	}
	return counted(s, c, "check_suites", list)
}
