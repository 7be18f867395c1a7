package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// proof collects the conditions of one look at one update (SPEC 5).
type proof struct {
	s          Snapshot
	now        time.Time
	policy     Policy
	pull       Pull
	diffs      []lockDiff
	conditions []Condition
	again      time.Time // the earliest time at which a waiting condition may change
}

// settled reports whether c does not stand in the way of a merge.
func (c Condition) settled() bool {
	return c.Outcome == Passed || c.Outcome == Off || c.Overridden
}

// add takes a condition into the account. A person's request for exactly this
// head SHA overrides a soft one that was read; what is unknown never merges.
func (p *proof) add(c Condition) {
	open := c.Outcome == Waiting || c.Outcome == Refused
	c.Overridden = c.Soft && open && p.request() != nil
	p.conditions = append(p.conditions, c)
}

// request is a person's wish to merge this head SHA, nil when there is none.
func (p *proof) request() *MergeRequest {
	r := p.s.Recorded.Request
	if r == nil || r.HeadSHA == "" || r.HeadSHA != p.pull.HeadSHA {
		return nil
	}
	return r
}

// wake asks for another look no later than t.
func (p *proof) wake(t time.Time) {
	if t.After(p.now) && (p.again.IsZero() || t.Before(p.again)) {
		p.again = t
	}
}

// find returns the condition of that id, the zero one where it was not asked.
func (p *proof) find(id string) Condition {
	for _, c := range p.conditions {
		if c.ID == id {
			return c
		}
	}
	return Condition{}
}

// begin makes a condition out of a reading: unknown if that failed, passed until
// something else is found.
func begin[T any](id, title string, r Reading[T]) Condition {
	c := Condition{ID: id, Title: title, Outcome: Passed, Source: r.Source, At: r.At}
	if !r.Known() {
		c.Outcome = Unread
		c.Found = orElse(nouns[id], "It") + " could not be read" + because(r.Err) + "."
		c.Remedy = "NixFleet tries again by itself."
	}
	return c
}

// nouns are what a condition reads, for the sentence that says it could not.
var nouns = map[string]string{
	"policy":   "The policy",
	"open":     "The pull request",
	"author":   "Who the allowed authors are",
	"files":    "The list or the modes of the changed files",
	"locks":    "The lock files",
	"required": "What branch protection requires",
	"checks":   "The checks of the head commit",
	"rules":    "The rulesets of the branch",
	"approval": "The check suites of the head commit",
}

func because(err string) string {
	if err == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(plain(err, 500), ".")
}

func (c *Condition) refuse(found, remedy string) {
	c.Outcome, c.Found, c.Remedy = Refused, found, remedy
}

// plain makes hostile text fit for one line: no control characters, no line
// breaks, at most limit characters.
func plain(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			return b.String() + "…"
		}
		if r < ' ' || (r >= 0x7f && r <= 0x9f) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// list joins words for a sentence: the first few, and how many more there are.
func list(words []string) string {
	const most = 8
	for i, w := range words {
		if i == most {
			return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
		}
		words[i] = plain(w, 200)
	}
	return strings.Join(words, ", ")
}

// open is condition 1: open, not a draft, onto the default branch, from the
// repository itself.
func (p *proof) open() {
	c := begin("open", "Open, not a draft, from this repository onto its default branch", p.s.Pull)
	defer func() { p.add(c) }()
	repo, pull := p.s.Repo, p.pull
	switch {
	case pull.State != "open":
		c.refuse(fmt.Sprintf("The pull request is %q.", plain(pull.State, 20)), "")
	case !commitSHA.MatchString(pull.HeadSHA) || repo.DefaultBranch == "" || repo.ID == 0:
		c.Outcome = Unread
		c.Found = "GitHub's account of the pull request is incomplete: its head or the default branch is missing."
	case pull.Draft:
		c.refuse("It is a draft.", "Mark the pull request as ready for review.")
	case pull.BaseRef != repo.DefaultBranch:
		c.refuse(fmt.Sprintf("It merges into %q, the default branch is %q.", plain(pull.BaseRef, 100), plain(repo.DefaultBranch, 100)),
			"Change the base branch of the pull request.")
	case pull.BaseRepoID != repo.ID:
		c.refuse("It merges into another repository.", "")
	case pull.HeadRepoID == 0:
		c.refuse("The repository that it comes from no longer exists.", "Open it again from a branch of "+repo.FullName()+".")
	case pull.HeadRepoID != repo.ID:
		c.refuse("It comes from a fork.", "Open it again from a branch of "+repo.FullName()+".")
	default:
		c.Found = fmt.Sprintf("Open, %s onto %s.", plain(pull.HeadRef, 100), plain(pull.BaseRef, 100))
	}
}

// author is condition 2: the author's numeric id and type are allowed.
func (p *proof) author() {
	c := begin("author", "The author may bring updates", p.s.Authors)
	defer func() { p.add(c) }()
	if c.Outcome == Unread {
		return
	}
	if made := p.s.Recorded.Proposed; made != "" && made == p.pull.HeadSHA && p.policy.Updates.Strategy == "host" {
		c.Found, c.Source = "NixFleet made this commit itself, from a lock that it was sent.", "locks proposed to NixFleet"
		return
	}
	if name, ok := p.allowedAuthor(); ok {
		c.Found = fmt.Sprintf("%s (id %d, %s).", plain(name, 100), p.pull.Author.ID, plain(p.pull.Author.Type, 20))
		return
	}
	c.refuse(
		fmt.Sprintf("%s (id %d, %s) is not among the allowed authors: %s.", plain(p.pull.Author.Login, 100), p.pull.Author.ID,
			plain(p.pull.Author.Type, 20), orElse(list(slices.Clone(p.policy.Updates.Authors)), "none")),
		fmt.Sprintf("To allow it, add %q to updates.authors of the policy file.", plain(p.pull.Author.Login, 100)))
}

// allowedAuthor finds the author by id and type; names are never compared.
func (p *proof) allowedAuthor() (string, bool) {
	return allowedAuthor(p.policy, p.s.Authors, p.pull.Author)
}

func allowedAuthor(policy Policy, resolved Reading[map[string]Actor], author Actor) (string, bool) {
	if !resolved.Known() || author.ID == 0 || author.Type == "" {
		return "", false
	}
	for _, name := range policy.Updates.Authors {
		a, ok := resolved.Value[name]
		if ok && a.ID == author.ID && a.Type == author.Type {
			return name, true
		}
	}
	return "", false
}

// files is condition 3: nothing but the policy's lock files, modified, plain
// files, and GitHub lists as many as it counts.
func (p *proof) files() {
	c := begin("files", "Only lock files are changed", p.s.Files)
	defer func() { p.add(c) }()
	if c.Outcome == Unread {
		return
	}
	files := p.s.Files.Value
	var names, extra []string
	for _, f := range files {
		names = append(names, f.Path)
		if !slices.Contains(p.policy.Updates.Files, f.Path) {
			extra = append(extra, f.Path)
		}
	}
	switch {
	case len(extra) > 0:
		c.refuse(fmt.Sprintf("Also changed: %s.", list(extra)), "Take these files out of the pull request.")
	case len(files) != p.pull.ChangedFiles:
		c.refuse(fmt.Sprintf("GitHub counts %d changed files but lists %d.", p.pull.ChangedFiles, len(files)), "")
	case len(files) == 0:
		c.refuse("No file is changed.", "")
	default:
		p.shape(&c, files)
	}
	if c.Outcome == Passed {
		c.Found = list(names) + "."
	}
}

// shape checks status and git mode of the changed lock files.
func (p *proof) shape(c *Condition, files []ChangedFile) {
	for i, f := range files {
		if slices.ContainsFunc(files[:i], func(g ChangedFile) bool { return g.Path == f.Path }) {
			c.refuse(fmt.Sprintf("GitHub lists %s twice.", plain(f.Path, 200)), "")
			return
		}
		if f.Status != "modified" {
			c.refuse(fmt.Sprintf("%s is %s, not modified.", plain(f.Path, 200), plain(f.Status, 20)),
				"An update only modifies existing lock files.")
			return
		}
	}
	if !p.s.Modes.Known() {
		*c = begin(c.ID, c.Title, p.s.Modes)
		return
	}
	for _, f := range files {
		if mode := p.s.Modes.Value[f.Path]; mode != "100644" {
			c.refuse(fmt.Sprintf("%s has git mode %s, a plain file has 100644.", plain(f.Path, 200), orElse(plain(mode, 20), "unknown")),
				"A lock file is no link, no program and no submodule.")
			return
		}
	}
}
