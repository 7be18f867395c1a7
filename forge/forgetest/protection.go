package forgetest

import (
	"net/http"
	"strings"
)

// RequiredCheck is one line of "Require status checks to pass".
type RequiredCheck struct {
	// Context is the name of a check run or the context of a status.
	Context string
	// App is the slug of the only App whose word counts; "" is any source.
	App string
}

// Protection is the classic branch protection, as far as it matters here.
type Protection struct {
	Checks []RequiredCheck
	// Strict also requires that the head is up to date with the base.
	Strict bool
	appID  map[string]int64
}

func (p Protection) lists() (contexts []string, checks []obj) {
	contexts, checks = []string{}, []obj{}
	for _, c := range p.Checks {
		contexts = append(contexts, c.Context)
		var id any
		if c.App != "" {
			id = p.appID[c.App]
		}
		checks = append(checks, obj{"context": c.Context, "app_id": id})
	}
	return contexts, checks
}

// Rule is one rule of the rulesets that apply to a branch.
type Rule struct {
	// Type is GitHub's word: required_status_checks, merge_queue,
	// pull_request, deletion, … Only the first three refuse merges here.
	Type       string
	Parameters map[string]any
}

// SetProtection protects a branch; nil takes the protection away.
func (s *Server) SetProtection(repo, branch string, p *Protection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return err
	}
	if p == nil {
		delete(r.protection, branch)
		return nil
	}
	set := *p
	set.appID = map[string]int64{}
	for _, c := range p.Checks {
		if c.App != "" {
			set.appID[c.App] = s.appBySlug(c.App).id
		}
	}
	r.protection[branch] = set
	return nil
}

// SetRules replaces the rules of a branch. Parameters are sent as they are.
func (s *Server) SetRules(repo, branch string, rules ...Rule) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(repo)
	if err != nil {
		return err
	}
	r.rules[branch] = rules
	return nil
}

// AppIDOf is the id of an App by its slug ("github-actions" is 15368, unknown
// ones are made up), for rules with an integration_id.
func (s *Server) AppIDOf(slug string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appBySlug(slug).id
}

func (s *Server) getRequiredChecks(c *call) reply {
	branch := c.params["branch"]
	if c.repo.noProtectionPlan {
		return refuse(http.StatusForbidden, "Upgrade to GitHub Pro or make this repository public to enable this feature.")
	}
	p, protected := c.repo.protection[branch]
	if c.repo.git.tip(branch) == "" {
		return refuse(http.StatusNotFound, "Branch not found")
	}
	if !protected {
		return refuse(http.StatusNotFound, "Branch not protected")
	}
	if len(p.Checks) == 0 {
		return refuse(http.StatusNotFound, "Required status checks not enabled")
	}
	at := s.api("/repos/%s/branches/%s/protection/required_status_checks", c.repo.fullName(), escapePath(branch))
	contexts, checks := p.lists()
	return ok(obj{"url": at, "contexts_url": at + "/contexts", "strict": p.Strict, "contexts": contexts, "checks": checks})
}

func (s *Server) getRules(c *call) reply {
	return paged(s, c, collect(c.repo.rules[c.params["branch"]], func(r Rule) obj {
		out := obj{"type": r.Type, "ruleset_source_type": "Repository", "ruleset_source": c.repo.fullName(), "ruleset_id": 42}
		if r.Parameters != nil {
			out["parameters"] = r.Parameters
		}
		return out
	}))
}

// missingCheck is a required check that does not pass, in GitHub's words.
type missingCheck struct{ context, why string }

// missingChecks judges the required checks at the head; failing says whether
// anything at all, required or not, is red or still running.
func (s *Server) missingChecks(p *pull) (missing []missingCheck, failing bool) {
	protection := p.base.protection[p.baseRef]
	for _, c := range protection.Checks {
		if why := s.checkState(p.base, p.headSHA, c.Context, protection.appID[c.App]); why != "" {
			missing = append(missing, missingCheck{c.Context, why})
		}
	}
	for _, run := range p.base.latestRuns(p.headSHA) {
		failing = failing || run.word() != ""
	}
	for _, st := range p.base.latestStatuses(p.headSHA) {
		failing = failing || st.state != "success"
	}
	return missing, failing
}

// checkState is "" when the check passes: both a run and a status of that name
// must, where both exist. App 0 is any.
func (s *Server) checkState(r *repository, sha, context string, appID int64) string {
	seen, why := false, ""
	for _, run := range r.latestRuns(sha) {
		if run.name == context && (appID == 0 || run.suite.app.id == appID) {
			seen = true
			if w := run.word(); w != "" {
				why = w
			}
		}
	}
	for _, st := range r.latestStatuses(sha) {
		if st.context == context && appID == 0 {
			seen = true
			switch st.state {
			case "pending":
				why = "pending"
			case "error", "failure":
				why = "failing"
			}
		}
	}
	if !seen {
		return "expected"
	}
	return why
}

func (s *Server) behind(p *pull) bool {
	protection := p.base.protection[p.baseRef]
	return protection.Strict && len(protection.Checks) > 0 && !p.base.git.isAncestor(p.base.git.tip(p.baseRef), p.headSHA)
}

// ruleRefusal is the sentence of the first ruleset rule that forbids a merge.
func (s *Server) ruleRefusal(p *pull) string {
	var sentences []string
	for _, rule := range p.base.rules[p.baseRef] {
		switch rule.Type {
		case "merge_queue":
			sentences = append(sentences, "Changes must be made through the merge queue")
		case "required_status_checks":
			for _, c := range ruleChecks(rule) {
				if why := s.checkState(p.base, p.headSHA, c.context, c.appID); why != "" {
					sentences = append(sentences, `Required status check "`+c.context+`" is `+why+".")
				}
			}
		case "pull_request":
			if n := number(rule.Parameters["required_approving_review_count"]); n > 0 {
				sentences = append(sentences, "At least 1 approving review is required by reviewers with write access.")
			}
		}
	}
	return strings.Join(sentences, "\n")
}

type ruleCheck struct {
	context string
	appID   int64
}

// ruleChecks reads the parameters whichever Go shape they were given in.
func ruleChecks(rule Rule) []ruleCheck {
	var list []ruleCheck
	add := func(m map[string]any) {
		context, _ := m["context"].(string)
		list = append(list, ruleCheck{context, number(m["integration_id"])})
	}
	switch checks := rule.Parameters["required_status_checks"].(type) {
	case []map[string]any:
		for _, m := range checks {
			add(m)
		}
	case []any:
		for _, v := range checks {
			if m, ok := v.(map[string]any); ok {
				add(m)
			}
		}
	}
	return list
}

func number(v any) int64 {
	switch n := v.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}
