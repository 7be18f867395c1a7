package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// GitHub's words for rules that we act on ourselves. About all others GitHub decides
// at the merge; they are shown.
// https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
const (
	ruleChecks     = "required_status_checks"
	ruleMergeQueue = "merge_queue"
	rulePull       = "pull_request"
	ruleLinear     = "required_linear_history"
)

// rules asks whether NixFleet can meet the rulesets of the base branch at all.
// A rule that nobody told us of must not end in a merge that is refused for ever.
func (p *proof) rules() {
	c := begin("rules", "NixFleet can meet the rules of the branch", p.s.Rules)
	defer func() { p.add(c) }()
	if c.Outcome == Unread {
		return
	}
	method := orElse(p.policy.Updates.AutoMerge.Method, "squash")
	var met, githubs []string
	for _, r := range p.s.Rules.Value {
		name := plain(r.Type, 60)
		switch r.Type {
		case ruleMergeQueue:
			c.refuse(fmt.Sprintf("%s asks for a merge queue, and NixFleet puts nothing into merge queues.", p.ruleset(r)),
				"Take the merge queue off this branch, or merge updates on GitHub.")
			return
		case ruleLinear:
			if method == "merge" {
				c.refuse(fmt.Sprintf("%s asks for a linear history, and policy merges with merge commits.", p.ruleset(r)),
					"Set updates.auto_merge.method to squash or rebase.")
				return
			}
			met = append(met, name)
		case rulePull:
			if len(r.Methods) > 0 && !slices.Contains(r.Methods, method) {
				c.refuse(fmt.Sprintf("%s allows only %s, and policy says %s.", p.ruleset(r), list(slices.Clone(r.Methods)), method),
					"Set updates.auto_merge.method to "+list(slices.Clone(r.Methods))+".")
				return
			}
			if r.Reviews > 0 {
				name += fmt.Sprintf(" (%s)", plural(r.Reviews, "approving review", "approving reviews"))
				githubs = append(githubs, name)
			} else {
				met = append(met, name)
			}
		case ruleChecks, "deletion", "non_fast_forward", "creation":
			met = append(met, name)
		default:
			githubs = append(githubs, name)
		}
	}
	switch {
	case len(p.s.Rules.Value) == 0:
		c.Found = "No ruleset is in force."
	case len(githubs) == 0:
		c.Found = "In force: " + list(unique(met)) + "."
	default:
		c.Found = "In force: " + list(unique(slices.Concat(met, githubs))) + ". GitHub itself judges " + list(unique(githubs)) + " when it is asked to merge."
	}
}

func (p *proof) ruleset(r BranchRule) string {
	return strings.TrimSpace("The ruleset " + plain(r.Ruleset, 100))
}

func unique(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// The account and the App of GitHub Actions.
const (
	actionsBot = 41898282
	actionsApp = 15368
)

// useAToken is what ends the trouble with pull requests that a workflow made with
// its own token: GitHub starts no workflows for them before a person approves.
const useAToken = "To be rid of this, give the update workflow the token of an App or a person: `token: ${{ secrets.UPDATE_TOKEN }}`."

// approval is condition 11: no workflow is parked until a person lets it run. A
// merge would end it unrun.
func (p *proof) approval() {
	c := begin("approval", "No workflow waits for approval", p.s.Suites)
	defer func() { p.add(c) }()
	if c.Outcome == Unread {
		return
	}
	for _, s := range p.s.Suites.Value {
		if s.Conclusion == "action_required" && s.AppID != p.s.OwnAppID {
			c.Outcome = Waiting
			c.Found = fmt.Sprintf("Workflows of %s wait until a person approves them.", orElse(plain(s.App, 60), "an app"))
			c.Remedy = "Press “Approve workflows to run” on the pull request. " + useAToken
			return
		}
	}
	c.Found = "None does."
}

// neverRan explains a required check of Actions that was never reported on a pull
// request that Actions itself opened.
func (p *proof) neverRan() string {
	ran := slices.ContainsFunc(p.s.Suites.Value, func(s CheckSuite) bool { return s.AppID == actionsApp && s.Runs > 0 })
	if p.pull.Author.ID == actionsBot && !ran {
		return "The pull request was made with a workflow's own token, for which GitHub starts no workflow by itself. Close and open it again. " + useAToken
	}
	return "A check that is never reported may have another name, come from another app, or not run on this pull request."
}

// slugOf finds what an App is called, as far as anything at the head SHA tells.
func (p *proof) slugOf(app int64) string {
	if app == actionsApp {
		return "github-actions"
	}
	for _, s := range p.s.Suites.Value {
		if s.AppID == app {
			return s.App
		}
	}
	for _, k := range p.s.Checks.Value {
		if k.AppID == app {
			return k.App
		}
	}
	return ""
}
