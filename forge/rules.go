package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// rulePages bounds the rules of one branch.
const rulePages = 10

// rulePayload is one rule. Its parameters are read only for the types that we know:
// go-github's own decoder fails on a list that has a type it does not.
type rulePayload struct {
	Type       string          `json:"type"`
	Source     string          `json:"ruleset_source"`
	RulesetID  int64           `json:"ruleset_id"`
	Parameters json.RawMessage `json:"parameters"`
}

func (r rulePayload) domain() (fleet.BranchRule, error) {
	rule := fleet.BranchRule{Type: r.Type, Ruleset: fmt.Sprintf("%d of %s", r.RulesetID, r.Source)}
	var p struct {
		Checks []struct {
			Context     string `json:"context"`
			Integration *int64 `json:"integration_id"` // absent, null or -1: any source
		} `json:"required_status_checks"`
		Reviews int      `json:"required_approving_review_count"`
		Methods []string `json:"allowed_merge_methods"`
	}
	switch r.Type {
	case "required_status_checks", "pull_request":
		if err := json.Unmarshal(r.Parameters, &p); err != nil {
			return rule, fmt.Errorf("the rule %s of ruleset %s can't be understood", r.Type, rule.Ruleset)
		}
	}
	rule.Reviews, rule.Methods = p.Reviews, p.Methods
	for _, c := range p.Checks {
		check := fleet.RequiredCheck{Name: c.Context, From: "ruleset " + rule.Ruleset}
		if c.Integration != nil && *c.Integration > 0 {
			check.AppID = *c.Integration
		}
		rule.Checks = append(rule.Checks, check)
	}
	return rule, nil
}

// readRules reads the rulesets that are in force on the default branch. They come
// on top of classic protection, which does not mention them.
func (l *look) readRules(ctx context.Context) {
	rest := "/rules/branches/" + url.PathEscape(l.repo.DefaultBranch)
	rules, err := l.rules(ctx, rest)
	l.s.Rules = reading(l, "GET /repos/"+l.repo.FullName()+rest, rules, err)
}

func (l *look) rules(ctx context.Context, rest string) ([]fleet.BranchRule, error) {
	path, err := repoPath(l.repo, rest)
	if err != nil {
		return nil, err
	}
	lists, err := pages[[]rulePayload](ctx, l.client, "read rulesets of "+l.repo.FullName(), path, rulePages)
	switch {
	case codeOf(err) == http.StatusForbidden && strings.Contains(err.Error(), "Upgrade to GitHub"):
		return []fleet.BranchRule{}, nil // a free private repository has none
	case err != nil:
		return nil, err
	}
	all := []fleet.BranchRule{}
	for _, r := range slices.Concat(lists...) {
		rule, err := r.domain()
		if err != nil {
			return nil, err
		}
		all = append(all, rule)
	}
	return all, nil
}
