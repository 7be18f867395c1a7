package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/flakelock"
)

// locks is condition 4: both sides of each lock were read by SHA and parse.
func (p *proof) locks() {
	c := begin("locks", "The lock files can be read, before and after", p.s.MergeBase)
	defer func() { p.add(c) }()
	if c.Outcome == Unread {
		return
	}
	if !commitSHA.MatchString(p.s.MergeBase.Value) {
		c.Outcome, c.Found = Unread, "GitHub names no merge base."
		return
	}
	for _, path := range p.lockPaths() {
		r, asked := p.s.Locks[path]
		if !asked {
			r = Unknown[LockPair](p.s.MergeBase.Source, p.s.MergeBase.At, path+" was not read")
		}
		one := begin(c.ID, c.Title, r)
		if one.Outcome == Unread {
			c = one
			return
		}
		c.Source, c.At = one.Source, one.At
		d, err := diffLock(path, r.Value)
		if err != nil {
			c.refuse(plain(err.Error(), 500)+".", "Make the lock again with `nix flake update`.")
			return
		}
		p.diffs = append(p.diffs, d)
	}
	if len(p.diffs) == 0 {
		c.refuse("No lock file is changed.", "")
		return
	}
	c.Found = fmt.Sprintf("%s at %s and at %s.", list(p.lockPaths()), shortSHA(p.s.MergeBase.Value), shortSHA(p.pull.HeadSHA))
}

// lockPaths are the changed files that are locks by policy, sorted. Where the
// list of files is unknown, the locks that were read stand in for it.
func (p *proof) lockPaths() []string {
	var paths []string
	for _, f := range p.s.Files.Value {
		if slices.Contains(p.policy.Updates.Files, f.Path) {
			paths = append(paths, f.Path)
		}
	}
	if !p.s.Files.Known() {
		paths = slices.Collect(maps.Keys(p.s.Locks))
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

func shortSHA(sha string) string { return sha[:min(7, len(sha))] }

// inputs is condition 5: nothing but revisions moves. What concerns only the set
// of transitive inputs is a line of its own, because a person may accept it.
func (p *proof) inputs() {
	hard := p.lockCondition("inputs", "Inputs keep their sources; only revisions change")
	soft := p.lockCondition("transitive", "Inputs of inputs stay the same ones")
	soft.Soft = true
	if hard.Outcome == Passed {
		var hardFound, softFound []flakelock.Finding
		var lines []string
		for _, d := range p.diffs {
			for _, f := range d.findings {
				switch line, verdict := p.weigh(d, f); verdict {
				case weighHard:
					hardFound = append(hardFound, f)
					lines = append(lines, line)
				case weighSoft:
					softFound = append(softFound, f)
				case weighAllowed:
				}
			}
		}
		conclude(&hard, hardFound, inputsRemedy(lines), p.inputsFound())
		conclude(&soft, softFound, "Look at them; Merge & Deploy accepts them, or policy allows them: "+
			"updates.inputs allow_added, allow_removed, allow_repointed.", "No input of an input came, went or was re-pointed, other than policy allows.")
	}
	p.add(hard)
	p.add(soft)
}

func conclude(c *Condition, found []flakelock.Finding, remedy, otherwise string) {
	if len(found) == 0 {
		c.Found = otherwise
		return
	}
	c.refuse(account(found), remedy)
}

// account tells findings in one sentence. Each input is named once, and what
// follows from another finding, namely that a source that changed is no longer what
// the original asks for, is left out.
func account(found []flakelock.Finding) string {
	const most = 8
	var lines []string
	named := ""
	for _, f := range found {
		again := func(g flakelock.Finding) bool {
			return g.Kind == flakelock.IdentityChanged && g.Attribute == f.Attribute && slices.Equal(g.Input, f.Input)
		}
		if f.Kind == flakelock.Inconsistent && slices.ContainsFunc(found, again) {
			continue
		}
		name, rest, attribute := strings.Cut(f.String(), ": ")
		if attribute && name == named {
			lines = append(lines, plain(rest, 300))
		} else {
			lines = append(lines, plain(f.String(), 300))
		}
		named = name
	}
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most], fmt.Sprintf("and %d more", more))
	}
	text := strings.TrimSuffix(strings.Join(lines, "; "), ".") + "."
	return strings.ToUpper(text[:1]) + text[1:]
}

func inputsRemedy(lines []string) string {
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		if line != "" {
			return "If this source is to be trusted, add to the policy file: " + line
		}
	}
	return "NixFleet does not merge this. If it is wanted, merge it on GitHub."
}

// lockCondition is passed when the locks were understood, unknown otherwise.
func (p *proof) lockCondition(id, title string) Condition {
	locks := p.find("locks")
	c := Condition{ID: id, Title: title, Outcome: Passed, Source: locks.Source, At: locks.At}
	if locks.Outcome != Passed {
		c.Outcome, c.Found = Unread, "The lock files could not be compared."
	}
	return c
}

func (p *proof) inputsFound() string {
	n := 0
	for _, d := range p.diffs {
		n += len(d.changes)
	}
	switch n {
	case 0:
		return "No input changes."
	case 1:
		return "1 input changes."
	}
	return fmt.Sprintf("%d inputs change.", n)
}

type weight int

const (
	weighAllowed weight = iota
	weighSoft
	weighHard
)

// weigh says how much one finding matters under the policy; line is what would
// have to be added to the policy file to trust it, where that is possible.
func (p *proof) weigh(d lockDiff, f flakelock.Finding) (line string, w weight) {
	in := p.policy.Updates.Inputs
	allowed := map[flakelock.FindingKind]bool{
		flakelock.InputAdded:     in.AllowAdded,
		flakelock.InputRemoved:   in.AllowRemoved,
		flakelock.InputRepointed: in.AllowRepointed,
	}
	if ok, edge := allowed[f.Kind]; edge {
		switch {
		case ok:
			return "", weighAllowed
		case f.Root():
			return "", weighHard
		}
		return "", weighSoft
	}
	if f.Kind == flakelock.ArchiveMoved {
		at := d.after.Lookup(f.Input...)
		if at == nil || at.Node == nil || at.Node.Locked == nil {
			return "", weighHard
		}
		if trusted(in, at.Node.Locked) {
			return "", weighAllowed
		}
		return trustLine(at.Node.Locked), weighHard
	}
	return "", weighHard
}

// dates is condition 7: lastModified of every new revision is not in the future
// and is what GitHub says of the commit. For sources that GitHub can't answer
// for, policy has to vouch.
func (p *proof) dates() {
	c := p.lockCondition("dates", "Dates of new revisions are true")
	defer func() { p.add(c) }()
	if c.Outcome != Passed {
		return
	}
	checked, vouched := 0, 0
	for _, d := range p.diffs {
		for _, in := range d.fresh {
			byGitHub := p.date(&c, in)
			if c.Outcome != Passed {
				return
			}
			if byGitHub {
				checked++
			} else {
				vouched++
			}
		}
	}
	c.Found = fmt.Sprintf("%d equal the commit's date on GitHub", checked)
	if vouched > 0 {
		c.Found += fmt.Sprintf(", %d are of sources that policy trusts", vouched)
	}
	c.Found += "."
}

// date checks one new revision, and reports whether GitHub answered for it.
func (p *proof) date(c *Condition, in freshInput) (byGitHub bool) {
	name, r := plain(in.name, 200), in.ref
	if r.LastModified.After(p.now) {
		c.refuse(fmt.Sprintf("Input '%s' is dated %s, which is in the future.", name, utc(r.LastModified)), "")
		return false
	}
	vouched := trusted(p.policy.Updates.Inputs, r)
	key := commitKey(r)
	if key == "" {
		if !vouched {
			c.refuse(fmt.Sprintf("Input '%s' comes from %s, which GitHub can't answer for.", name, plain(r.Address(), 200)),
				p.trustRemedy("If this source is to be trusted", r))
		}
		return false
	}
	facts, asked := p.s.Commits[key]
	if !asked || !facts.Known() {
		if vouched {
			return false
		}
		*c = begin(c.ID, c.Title, facts)
		c.Outcome = Unread
		c.Found = fmt.Sprintf("GitHub's date of %s (input '%s') could not be read%s.", key, name, because(facts.Err))
		c.Remedy = p.trustRemedy("NixFleet tries again by itself. If it is a private repository that is to be trusted", r)
		return false
	}
	c.Source, c.At = facts.Source, facts.At
	if r.LastModified.Unix() != facts.Value.CommitterDate.Unix() {
		c.refuse(fmt.Sprintf("Input '%s' is dated %s in the lock, but its commit is of %s.", name, lockDate(r), utc(facts.Value.CommitterDate)),
			"Make the lock again with `nix flake update`.")
	}
	return true
}

// trustRemedy is the line that would make policy vouch for r. Where an input has
// already changed its source nobody is asked to trust the new one.
func (p *proof) trustRemedy(when string, r *flakelock.Ref) string {
	for _, d := range p.diffs {
		for _, f := range d.findings {
			if f.Kind == flakelock.IdentityChanged || f.Kind == flakelock.OriginalChanged {
				return ""
			}
		}
	}
	return when + ", add to the policy file: " + trustLine(r)
}

func lockDate(r *flakelock.Ref) string {
	if r.LastModified.IsZero() {
		return "not at all"
	}
	return utc(r.LastModified)
}
