package forgetest

import (
	"fmt"
	"slices"
	"time"
)

// suite is what one App reports about one commit.
type suite struct {
	id                  int64
	app                 *app
	branch, sha, before string
	status, conclusion  string
	created, updated    time.Time
	forced              bool // status set by a workflow, not by runs
}

type checkRun struct {
	id                             int64
	suite                          *suite
	name, sha, externalID, details string
	status, conclusion             string
	started, completed             time.Time
	output                         runOutput
	actions                        []runAction
}

type runOutput struct {
	Title, Summary, Text string
}

type runAction struct {
	Label, Description, Identifier string
}

// word is "" for a passing run, else how GitHub words it in a refusal.
func (c *checkRun) word() string {
	switch {
	case c.status != "completed":
		return "in progress"
	case c.conclusion == "success" || c.conclusion == "neutral" || c.conclusion == "skipped":
		return ""
	default:
		return "failing"
	}
}

// latestRuns is the newest run per App and name at a commit.
func (r *repository) latestRuns(sha string) []*checkRun {
	type key struct {
		app  int64
		name string
	}
	newest := map[key]*checkRun{}
	for _, run := range r.runs {
		if run.sha == sha {
			newest[key{run.suite.app.id, run.name}] = run
		}
	}
	var list []*checkRun
	for _, run := range r.runs {
		if newest[key{run.suite.app.id, run.name}] == run {
			list = append(list, run)
		}
	}
	return list
}

func (r *repository) runsOf(su *suite) []*checkRun {
	var list []*checkRun
	for _, run := range r.latestRuns(su.sha) {
		if run.suite == su {
			list = append(list, run)
		}
	}
	return list
}

// suite finds or makes the App's suite at a commit.
func (s *Server) suite(r *repository, a *app, branch, before, sha string) *suite {
	for _, su := range r.suites {
		if su.app == a && su.sha == sha {
			return su
		}
	}
	if branch == "" {
		for _, p := range r.sortedPulls() {
			if p.headSHA == sha && p.head == r {
				branch = p.headRef
			}
		}
	}
	if before == "" {
		before = zeroSHA
		for _, su := range r.suites {
			if su.sha == sha {
				before = su.before
			}
		}
	}
	su := &suite{id: s.newID(), app: a, branch: branch, sha: sha, before: before, status: "queued", created: s.now(), updated: s.now()}
	r.suites = append(r.suites, su)
	return su
}

// queueSuite is what happens to every App with checks:write on every push: an
// empty suite that stays queued until the App reports.
func (s *Server) queueSuite(r *repository, branch, before, sha string) {
	for _, su := range r.suites {
		if su.app == s.self && su.sha == sha {
			return
		}
	}
	s.emitSuite(r, s.suite(r, s.self, branch, before, sha), "requested", r.owner)
}

// settle derives the suite from its runs and tells when it has just ended.
func (s *Server) settle(r *repository, su *suite, by *user) {
	runs := r.runsOf(su)
	status, conclusion := "completed", "success"
	if su.forced {
		status, conclusion = su.status, su.conclusion
	}
	for _, run := range runs {
		switch {
		case su.forced:
		case run.status != "completed":
			status, conclusion = "in_progress", ""
		case status == "completed" && run.word() != "":
			conclusion = run.conclusion
		}
	}
	ended := status == "completed" && (su.status != "completed" || su.conclusion != conclusion)
	su.status, su.conclusion, su.updated = status, conclusion, s.now()
	if ended || (su.forced && status == "completed") {
		s.emitSuite(r, su, "completed", by)
	}
}

// Check is what an App reports about a commit.
type Check struct {
	SHA, Name string
	// App is the slug of the reporting App; default github-actions.
	App string
	// Status is queued, in_progress or completed; default completed when
	// there is a Conclusion.
	Status     string
	Conclusion string
	// Again makes a new run of the same name (a re-run) instead of changing
	// the present one.
	Again                bool
	Title, Summary, Text string
}

// SetCheck reports a check run as some App and returns its id.
func (s *Server) SetCheck(repo string, c Check) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return 0, err
	}
	if _, found := r.git.resolve(c.SHA); !found {
		return 0, fmt.Errorf("report check %q: no commit %s in %s", c.Name, c.SHA, repo)
	}
	if c.App == "" {
		c.App = "github-actions"
	}
	if c.Status == "" {
		c.Status = "queued"
		if c.Conclusion != "" {
			c.Status = "completed"
		}
	}
	a := s.appBySlug(c.App)
	by := s.person(c.App + "[bot]")
	list := r.latestRuns(c.SHA)
	at := slices.IndexFunc(list, func(x *checkRun) bool { return x.suite.app == a && x.name == c.Name })
	var run *checkRun
	isNew := at < 0 || c.Again
	if isNew {
		run = s.newRun(r, a, c.Name, c.SHA)
	} else {
		run = list[at]
	}
	run.output = runOutput{c.Title, c.Summary, c.Text}
	s.advance(r, run, runState{c.Status, c.Conclusion}, isNew, by)
	return run.id, nil
}

func (s *Server) newRun(r *repository, a *app, name, sha string) *checkRun {
	run := &checkRun{id: s.newID(), suite: s.suite(r, a, "", "", sha), name: name, sha: sha, status: "queued", started: s.now()}
	r.runs = append(r.runs, run)
	return run
}

type runState struct{ status, conclusion string }

// advance moves a run and sends created and completed as they happen.
func (s *Server) advance(r *repository, run *checkRun, to runState, isNew bool, by *user) {
	done := to.status == "completed"
	newlyDone := done && (isNew || run.status != "completed" || run.conclusion != to.conclusion)
	run.status, run.conclusion, run.completed = to.status, to.conclusion, time.Time{}
	if done {
		run.completed = s.now()
	}
	if isNew {
		s.emitRun(r, run, "created", by, nil)
	}
	if newlyDone {
		s.emitRun(r, run, "completed", by, nil)
	}
	s.settle(r, run.suite, by)
}

// Click presses a button of one of our check runs.
func (s *Server) Click(repo string, runID int64, identifier, by string) error {
	return s.onRun(repo, runID, func(r *repository, run *checkRun) error {
		if !slices.ContainsFunc(run.actions, func(a runAction) bool { return a.Identifier == identifier }) {
			return fmt.Errorf("check run %d has no button %q", runID, identifier)
		}
		s.emitRun(r, run, "requested_action", s.person(by), obj{"requested_action": obj{"identifier": identifier}})
		return nil
	})
}

// Rerun presses "Re-run" on one of our check runs.
func (s *Server) Rerun(repo string, runID int64, by string) error {
	return s.onRun(repo, runID, func(r *repository, run *checkRun) error {
		s.emitRun(r, run, "rerequested", s.person(by), nil)
		return nil
	})
}

func (s *Server) onRun(name string, id int64, f func(*repository, *checkRun) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(name)
	if err != nil {
		return err
	}
	for _, run := range r.runs {
		if run.id == id {
			return f(r, run)
		}
	}
	return fmt.Errorf("%s has no check run %d", name, id)
}

// CheckRun is a check run as people see it.
type CheckRun struct {
	ID                   int64
	Name, SHA, App       string
	Status, Conclusion   string
	Title, Summary, Text string
	Buttons              []string // identifiers
}

// CheckRuns lists the latest run per App and name at a commit.
func (s *Server) CheckRuns(repo, sha string) []CheckRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return nil
	}
	var list []CheckRun
	for _, run := range r.latestRuns(sha) {
		c := CheckRun{
			ID: run.id, Name: run.name, SHA: run.sha, App: run.suite.app.slug, Status: run.status, Conclusion: run.conclusion,
			Title: run.output.Title, Summary: run.output.Summary, Text: run.output.Text,
		}
		for _, a := range run.actions {
			c.Buttons = append(c.Buttons, a.Identifier)
		}
		list = append(list, c)
	}
	return list
}
