package policyfile

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Ranges of durations. A hold of more than a month is a mistake, and so is a build
// that may run for days.
const (
	day        = 24 * time.Hour
	maxHold    = 30 * day
	maxAge     = 365 * day
	maxTimeout = day
)

func readPolicy(v value, p *fleet.Policy) {
	version := 0
	v.object(map[string]func(value){
		"version": func(v value) { v.whole(&version, 1, 1) },
		"updates": func(v value) { readUpdates(v, &p.Updates) },
		"deploy":  func(v value) { readDeploy(v, &p.Deploy) },
		"notify": func(v value) {
			p.Notify = nil
			v.list(maxList, func(v value) { p.Notify = append(p.Notify, readNotify(v)) })
		},
	})
	if version == 0 && len(v.r.problems) == 0 {
		v.r.problems = append(v.r.problems, Problem{Line: 1, Column: 1, Field: "version", Found: "it is missing", Allowed: `"version: 1"`})
	}
}

func readUpdates(v value, u *fleet.UpdatePolicy) {
	v.object(map[string]func(value){
		"strategy":       func(v value) { v.oneOf(&u.Strategy, "github", "host") },
		"commit":         func(v value) { v.oneOf(&u.Commit, fleet.CommitDirect, fleet.CommitPullRequest) },
		"files":          func(v value) { v.texts(&u.Files, "a path inside the repository, like hosts/flake.lock", isPath) },
		"authors":        func(v value) { v.texts(&u.Authors, "a GitHub login, like renovate[bot]", loginForm.MatchString) },
		"auto_merge":     func(v value) { readAutoMerge(v, &u.AutoMerge) },
		"require_checks": func(v value) { v.boolean(&u.RequireChecks) },
		"required_checks": func(v value) {
			u.RequiredChecks = nil
			v.list(maxList, func(v value) { u.RequiredChecks = append(u.RequiredChecks, readCheck(v)) })
		},
		"inputs": func(v value) { readInputs(v, &u.Inputs) },
		"freeze": func(v value) { u.Freeze = readWindows(v) },
	})
	if len(u.Files) == 0 {
		v.refuse("updates.files names no file", "at least one lock file")
	}
}

var (
	loginForm = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98})(?:\[bot\])?$`)
	slugForm  = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98})(?:\[bot\])?$`)
	wordForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$`)
	unitForm  = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]{1,255}\.[a-z]{4,9}$`)
	httpForm  = regexp.MustCompile(`^https?://[^\s/?#@]+[^\s]*$`)
	trustForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:(?://[^\s/@?#]+/)?[^\s/?#][^\s?#]*$|^[a-z][a-z0-9+.-]*://[^\s/@?#]+/$`)
)

// isPath reports whether s is a clean relative path that stays inside.
func isPath(s string) bool {
	return s != "" && len(s) <= 500 && !strings.ContainsAny(s, "\\\x00\n\r") &&
		!path.IsAbs(s) && path.Clean(s) == s && s != "." && s != ".." && !strings.HasPrefix(s, "../")
}

// isLine reports whether s is one line of text that is not blank.
func isLine(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= 300 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func readAutoMerge(v value, a *fleet.AutoMerge) {
	v.object(map[string]func(value){
		"enabled":       func(v value) { v.boolean(&a.Enabled) },
		"hold":          func(v value) { v.duration(&a.Hold, 0, maxHold) },
		"hold_from":     func(v value) { v.oneOf(&a.HoldFrom, "opened", "checks") },
		"method":        func(v value) { v.oneOf(&a.Method, "squash", "merge", "rebase") },
		"delete_branch": func(v value) { v.boolean(&a.DeleteBranch) },
		"min_input_age": func(v value) { v.duration(&a.MinInputAge, 0, maxAge) },
		"overlap":       func(v value) { v.boolean(&a.Overlap) },
	})
}

func readCheck(v value) fleet.RequiredCheck {
	c := fleet.RequiredCheck{From: "policy"}
	v.object(map[string]func(value){
		"name": func(v value) { v.text(&c.Name, "the name of a check", isLine) },
		"app":  func(v value) { v.text(&c.App, "the slug of a GitHub App, like github-actions", slugForm.MatchString) },
	})
	v.needs("name", c.Name)
	return c
}

// needs reports a key that has to be there. An entry with another problem is not
// blamed twice.
func (v value) needs(key, got string) {
	if got != "" {
		return
	}
	prefix := v.path + "."
	if !slices.ContainsFunc(v.r.problems, func(p Problem) bool { return p.Field == v.path || strings.HasPrefix(p.Field, prefix) }) {
		v.refuse(key+" is missing", "it to be given")
	}
}

func readInputs(v value, p *fleet.InputPolicy) {
	v.object(map[string]func(value){
		"allow_added":     func(v value) { v.boolean(&p.AllowAdded) },
		"allow_removed":   func(v value) { v.boolean(&p.AllowRemoved) },
		"allow_repointed": func(v value) { v.boolean(&p.AllowRepointed) },
		"trust": func(v value) {
			v.texts(&p.Trust, `the beginning of an input's URL with its host or owner, like "git+https://git.example.org/" or "gitlab:group/project/"`,
				trustForm.MatchString)
		},
	})
}

func readWindows(v value) []fleet.Freeze {
	var all []fleet.Freeze
	v.list(maxList, func(v value) {
		var f fleet.Freeze
		before := len(v.r.problems)
		v.object(map[string]func(value){
			"from":   func(v value) { v.text(&f.From, `a weekday and a time like "Fri 18:00"`, isLine) },
			"to":     func(v value) { v.text(&f.To, `a weekday and a time like "Mon 06:00"`, isLine) },
			"tz":     func(v value) { v.text(&f.TZ, `a time zone like "Europe/Vienna"`, isLine) },
			"reason": func(v value) { v.text(&f.Reason, "a line of text", isLine) },
		})
		v.needs("from", f.From)
		v.needs("to", f.To)
		if err := f.Validate(); err != nil && len(v.r.problems) == before {
			v.refuse(err.Error(), "")
		}
		all = append(all, f)
	})
	return all
}

func readNotify(v value) fleet.NotifyRule {
	var n fleet.NotifyRule
	events := fleet.NoticeWords()
	v.object(map[string]func(value){
		"to": func(v value) { v.text(&n.To, "the name of a receiver", wordForm.MatchString) },
		"on": func(v value) {
			v.texts(&n.On, strings.Join(events, ", "), func(s string) bool { return slices.Contains(events, s) })
		},
	})
	v.needs("to", n.To)
	return n
}
