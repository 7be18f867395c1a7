package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ProposalFacts is everything that JudgeProposal may know.
type ProposalFacts struct {
	Proposal Proposal
	// Snapshot is what a look at an update would hold of the lock: policy, modes,
	// both sides of the lock, commits, lineages. Its base is the commit that the
	// lock was made from, its head the lock that was made.
	Snapshot
	Head  Reading[string]  // of the default branch
	Since Reading[Lineage] // how that head lies to the commit that the lock was made from; asked only where they differ
}

// ProposalVerdict is the result of JudgeProposal.
type ProposalVerdict struct {
	State      ProposalState `json:"state"` // received: something could not be read
	Headline   string        `json:"headline"`
	Conditions []Condition   `json:"conditions"`
	Inputs     []InputChange `json:"inputs,omitempty"`
	AsPull     bool          `json:"as_pull"` // it is to become a pull request
	Title      string        `json:"title"`   // of the commit
	Message    string        `json:"message"` // of the commit, without the title
	Branch     string        `json:"branch"`  // the default branch that it was proven against
}

// JudgeProposal applies the rules of locks (SPEC 5, 3 to 9) to a lock that was made
// outside of GitHub. It is a pure function. What could not be read leaves the state
// as it is, and is never passed over. A pull request goes through the whole proof
// again before it merges, so there the soft conditions are left to that.
func JudgeProposal(f ProposalFacts, now time.Time) ProposalVerdict {
	p := &proof{s: f.Snapshot, now: now}
	v := ProposalVerdict{AsPull: f.Proposal.AsPull, Branch: f.Repo.DefaultBranch}
	policy := begin("policy", "The policy can be read", f.Policy)
	if policy.Outcome == Unread {
		policy.Remedy = "While the policy file is broken nothing is committed. Correct it on the default branch."
		p.add(policy)
		return p.proposed(v, false)
	}
	policy.Found = "Yes."
	p.add(policy)
	p.policy = f.Policy.Value
	v.AsPull = v.AsPull || p.policy.Updates.Commit == CommitPullRequest
	p.strategy()
	moved := p.basis(f)
	p.place(f.Proposal)
	p.locks()
	if c := &p.conditions[len(p.conditions)-1]; c.Outcome == Passed {
		c.Title, c.Found = "The lock can be read, before and after", fmt.Sprintf("%s at %s, and as it was made.", list(p.lockPaths()), shortSHA(f.Proposal.BaseSHA))
	}
	p.inputs()
	p.asked(f.Proposal)
	p.lineage()
	p.dates()
	p.hashes()
	p.age()
	if len(p.policy.Updates.Freeze) > 0 {
		p.freeze()
	}
	return p.proposed(v, moved).worded(f.Proposal)
}

// strategy asks whether policy wants locks from hosts at all.
func (p *proof) strategy() {
	c := begin("strategy", "Policy has hosts make updates", p.s.Policy)
	c.Found = "Yes."
	if s := p.policy.Updates.Strategy; s != "host" {
		c.refuse(fmt.Sprintf("It says updates.strategy: %s.", plain(s, 20)), "Set updates.strategy: host, or open a pull request.")
	}
	p.add(c)
}

// basis asks whether the lock was made from what the default branch is now, and
// reports whether that was so when it was made.
func (p *proof) basis(f ProposalFacts) (moved bool) {
	const title = "It was made from the head of the default branch"
	c := begin("base", title, f.Head)
	defer func() { p.add(c) }()
	base, branch := shortSHA(f.Proposal.BaseSHA), plain(f.Repo.DefaultBranch, 100)
	switch {
	case c.Outcome == Unread:
	case f.Head.Value == f.Proposal.BaseSHA:
		c.Found = fmt.Sprintf("%s is the head of %s.", base, branch)
	case f.Since.Known() && f.Since.Value.Status == "ahead":
		moved = true
		c.refuse(fmt.Sprintf("It was made from %s; %s is at %s by now.", base, branch, shortSHA(f.Head.Value)),
			"Make the lock again from the new head.")
	case f.Since.Known():
		c.refuse(fmt.Sprintf("It was made from %s, which is not on %s (GitHub's comparison says %q).", base, branch, plain(f.Since.Value.Status, 20)),
			"Make the lock in a checkout of "+branch+".")
	default:
		c = begin("base", title, f.Since)
		c.Outcome = Unread
	}
	return moved
}

// place is condition 3: a lock file of the policy, which is there already.
func (p *proof) place(of Proposal) {
	c := begin("files", "Only a lock file is changed", p.s.Modes)
	defer func() { p.add(c) }()
	path := plain(of.Path, 200)
	switch mode := p.s.Modes.Value[of.Path]; {
	case !slices.Contains(p.policy.Updates.Files, of.Path):
		c.refuse(fmt.Sprintf("%s is none of the lock files of the policy: %s.", path, list(slices.Clone(p.policy.Updates.Files))),
			"Add it to updates.files of the policy file.")
	case c.Outcome == Unread:
	case mode == "":
		c.refuse(path+" does not exist in the repository.", "An update only modifies existing lock files; commit a first one yourself.")
	case mode != "100644":
		c.refuse(fmt.Sprintf("%s has git mode %s, a plain file has 100644.", path, plain(mode, 20)), "A lock file is no link, no program and no submodule.")
	default:
		c.Found = path + "."
	}
}

// asked asks that the lock changes something, and nothing but what it was made for.
func (p *proof) asked(of Proposal) {
	c := p.lockCondition("asked", "It changes the inputs that were asked for")
	defer func() { p.add(c) }()
	if c.Outcome != Passed {
		return
	}
	var other []string
	n := 0
	for _, d := range p.diffs {
		for _, change := range d.changes {
			n++
			if len(of.Inputs) > 0 && (len(change.Input) == 0 || !slices.Contains(of.Inputs, change.Input[0])) {
				other = append(other, change.Input.String())
			}
		}
	}
	switch {
	case n == 0:
		c.refuse("It changes no input: the lock file is up to date.", "")
	case len(other) > 0:
		c.refuse(fmt.Sprintf("Asked for was %s; it also changes %s.", list(slices.Clone(of.Inputs)), list(other)), "Ask for all inputs, or make the lock again.")
	case len(of.Inputs) == 0:
		c.Found = "All inputs were asked for."
	default:
		c.Found = list(slices.Clone(of.Inputs)) + "."
	}
}

// proposed finds the state that the conditions amount to. A rule that is broken comes
// first: a new lock of that kind would be refused, too.
func (p *proof) proposed(v ProposalVerdict, moved bool) ProposalVerdict {
	v.Conditions = p.conditions
	for _, d := range p.diffs {
		v.Inputs = append(v.Inputs, inputChanges(d, p.s.Lineages, false)...)
	}
	soft, unread := Condition{}, Condition{}
	for _, c := range p.conditions {
		switch {
		case c.Outcome == Unread:
			unread = c
		case c.Outcome != Refused && c.Outcome != Waiting, c.Soft && v.AsPull, c.ID == "base" && moved:
		case c.Soft:
			soft = c
		default:
			v.State, v.Headline = ProposalRefused, sentence("Refused: "+c.Found, c.Remedy)
			return v
		}
	}
	switch {
	case moved:
		c := p.find("base")
		v.State, v.Headline = ProposalConflicted, sentence(c.Found, c.Remedy)
	case unread.ID != "":
		v.State, v.Headline = ProposalReceived, sentence("Not committed: "+unread.Found, unread.Remedy)
	case soft.ID != "":
		v.State, v.Headline = ProposalRefused, sentence("Refused: "+soft.Found, "Propose it as a pull request: there a person may accept it, or time settles it.")
	case v.AsPull:
		v.State, v.Headline = ProposalProven, "The lock is proven; its pull request is being opened."
	default:
		v.State, v.Headline = ProposalProven, "The lock is proven; it is being committed."
	}
	return v
}

func sentence(found, remedy string) string { return strings.TrimSpace(found + " " + remedy) }

// worded adds the commit's message: Nix's account of the inputs, who made it, and the
// trailer that names the proposal.
func (v ProposalVerdict) worded(of Proposal) ProposalVerdict {
	const most = 60
	v.Title = plain(of.Path, 100) + ": Update"
	var b strings.Builder
	b.WriteString("Flake lock file updates:\n\n")
	for i, in := range v.Inputs {
		if i == most {
			fmt.Fprintf(&b, "• and %d more\n", len(v.Inputs)-most)
			break
		}
		fmt.Fprintf(&b, "• %s input '%s':\n", strings.ToUpper(in.Kind[:1])+in.Kind[1:], plain(in.Path, 200))
		switch from, to := plain(in.From, 300), plain(in.To, 300); {
		case from == "":
			fmt.Fprintf(&b, "    %s\n", to)
		case to == "":
			fmt.Fprintf(&b, "    %s\n", from)
		default:
			fmt.Fprintf(&b, "    %s\n  → %s\n", from, to)
		}
	}
	b.WriteString("\n")
	if of.Host != "" {
		fmt.Fprintf(&b, "Made on %s, ", plain(of.Host, 63))
	}
	fmt.Fprintf(&b, "asked for by %s.", plain(of.Actor, 100))
	if of.Reason != "" {
		b.WriteString(" " + plain(of.Reason, 300))
	}
	fmt.Fprintf(&b, "\n\n%s: %s\n", ProposalTrailer, of.ID)
	v.Message = b.String()
	return v
}

// ProposalTrailer names a proposal in the message of its commit.
const ProposalTrailer = "NixFleet-Proposal"

// GivenUp is the verdict once what could not be read has stayed so: unknown is not safe.
func (v ProposalVerdict) GivenUp() ProposalVerdict {
	for _, c := range v.Conditions {
		if c.Outcome == Unread {
			remedy := strings.TrimSpace(strings.TrimPrefix(c.Remedy, "NixFleet tries again by itself."))
			v.State, v.Headline = ProposalRefused, sentence("Refused, for what is not known is not safe: "+c.Found, orElse(remedy, "Make the lock again once it can be read."))
		}
	}
	return v
}
