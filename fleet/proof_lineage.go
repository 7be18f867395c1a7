package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/flakelock"
)

// step is one input of a GitHub repository that moves from one revision to another.
type step struct {
	name     string         // path from the root
	from, to *flakelock.Ref // of the same repository
}

// refName is a branch or tag that may be asked for. Git allows more; what lies
// beyond is not asked for.
var refName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/+@=-]{0,199}$`)

// noBranch are names that git also takes for a commit, or for a pull request that
// anybody may open: on such a "branch" every impostor is.
var noBranch = regexp.MustCompile(`(?i)^(.*-g)?[0-9a-f]{4,64}$|^(refs/)?pull/|\.\.`)

// branchKey names the question whether a fresh GitHub input is on the branch or
// tag that it asks for, as Snapshot.Lineages does: "owner/repo@ref...rev". Without
// a ref, and where flake.nix pins the revision itself, that is the default branch.
func branchKey(in freshInput) string {
	commit := commitKey(in.ref)
	if commit == "" {
		return ""
	}
	branch := ""
	if in.original != nil {
		branch = in.original.Ref
	}
	if branch != "" && (!refName.MatchString(branch) || noBranch.MatchString(branch)) {
		return ""
	}
	repo, rev, _ := strings.Cut(commit, "@")
	return repo + "@" + branch + "..." + rev
}

// stepKey names the question whether an input moves forward.
func stepKey(s step) string {
	from, to := commitKey(s.from), commitKey(s.to)
	if from == "" || to == "" {
		return ""
	}
	repo, old, _ := strings.Cut(from, "@")
	return repo + "@" + old + "..." + s.to.Rev
}

// LineagesToRead lists what [Snapshot.Lineages] must hold for an update of one lock
// file, each once. Locks that can't be read need none.
func LineagesToRead(base, head []byte) []string {
	d, err := diffLock("", LockPair{Base: base, Head: head})
	if err != nil {
		return nil
	}
	var keys []string
	add := func(key string) {
		if key != "" && !slices.Contains(keys, key) && len(keys) < 2*maxCommits {
			keys = append(keys, key)
		}
	}
	for _, in := range d.fresh {
		add(branchKey(in))
	}
	for _, s := range d.steps {
		add(stepKey(s))
	}
	return keys
}

// forwardSteps walks both locks side by side and lists where a GitHub input has
// another revision than before. It goes by what each input stands for, so that one
// that is merely re-pointed to an older node of the same lock is seen, too.
func forwardSteps(before, after *flakelock.Lock) []step {
	type pair struct{ a, b *flakelock.Node }
	type place struct {
		pair
		name string
	}
	var steps []step
	seen := map[pair]bool{}
	for queue := []place{{pair: pair{before.Root, after.Root}}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for i := range at.b.Inputs {
			in := &at.b.Inputs[i]
			old, is := inputNamed(at.a, in.Name), in.Target()
			if old == nil || old.Target() == nil || is == nil {
				continue
			}
			next := place{pair{old.Target(), is}, strings.TrimPrefix(at.name+"/"+in.Name, "/")}
			if seen[next.pair] {
				continue
			}
			seen[next.pair] = true
			queue = append(queue, next)
			if a, b := next.a.Locked, next.b.Locked; a != nil && b != nil && a.Rev != b.Rev && sameSource(a, b) {
				steps = append(steps, step{next.name, a, b})
			}
		}
	}
	return steps
}

func inputNamed(n *flakelock.Node, name string) *flakelock.Input {
	i := slices.IndexFunc(n.Inputs, func(in flakelock.Input) bool { return in.Name == name })
	if i < 0 {
		return nil
	}
	return &n.Inputs[i]
}

func sameSource(a, b *flakelock.Ref) bool {
	return a.Type == b.Type && a.Host == b.Host && strings.EqualFold(a.Owner, b.Owner) && strings.EqualFold(a.Repo, b.Repo)
}

// lineage is condition 6: each new revision of a GitHub input is on the branch that
// the input names, which stops commits that live only in a fork, and comes after
// the one that it replaces, which stops silent downgrades.
func (p *proof) lineage() {
	c := p.lockCondition("lineage", "New revisions are on their branch, and newer than the old ones")
	defer func() { p.add(c) }()
	if c.Outcome != Passed {
		return
	}
	onBranch, vouched := 0, 0
	for _, d := range p.diffs {
		for _, in := range d.fresh {
			switch asked := p.onBranch(&c, in); {
			case c.Outcome != Passed:
				return
			case asked:
				onBranch++
			default:
				vouched++
			}
		}
		for _, s := range d.steps {
			if p.forward(&c, s); c.Outcome != Passed {
				return
			}
		}
	}
	switch {
	case onBranch+vouched == 0:
		c.Found = "No new revision."
	case vouched == 0:
		c.Found = fmt.Sprintf("%s, by GitHub's comparison.", plural(onBranch, "new revision", "new revisions"))
	default:
		c.Found = fmt.Sprintf("%s by GitHub's comparison, %d of sources that policy trusts.", plural(onBranch, "new revision", "new revisions"), vouched)
	}
}

// onBranch checks one new revision, and reports whether GitHub answered for it.
func (p *proof) onBranch(c *Condition, in freshInput) (byGitHub bool) {
	name, key := plain(in.name, 200), branchKey(in)
	if key == "" && commitKey(in.ref) != "" && !trusted(p.policy.Updates.Inputs, in.ref) {
		c.refuse(fmt.Sprintf("Input '%s' asks for %q, which need not be a branch: git takes it for a commit or a pull request, too.", name, plain(in.original.Ref, 100)),
			p.trustRemedy("If this source is to be trusted", in.ref))
		return false
	}
	lineage, known := p.compared(c, in.name, in.ref, key)
	if !known {
		return false
	}
	branch := "the default branch"
	if in.original != nil && in.original.Ref != "" {
		branch = plain(in.original.Ref, 100)
	}
	if !lineage.OnBranch() {
		c.refuse(fmt.Sprintf("Input '%s': %s is not on %s of %s/%s (GitHub's comparison says %q). Such a commit may exist only in a fork.",
			name, shortSHA(in.ref.Rev), branch, in.ref.Owner, in.ref.Repo, plain(lineage.Status, 20)),
			"Make the lock again with `nix flake update`. If such a commit is wanted, merge it on GitHub.")
	}
	return true
}

// forward checks that one input does not go back or sideways.
func (p *proof) forward(c *Condition, s step) {
	lineage, known := p.compared(c, s.name, s.to, stepKey(s))
	if !known || lineage.Status == "ahead" {
		return
	}
	how := map[string]string{
		"behind": "goes back", "diverged": "moves to another line of history", "identical": "is said to stay where it is",
	}[lineage.Status]
	c.refuse(fmt.Sprintf("Input '%s' %s: %s does not come after %s (GitHub's comparison says %q).",
		plain(s.name, 200), orElse(how, "moves in a way that is not known"), shortSHA(s.to.Rev), shortSHA(s.from.Rev), plain(lineage.Status, 20)),
		"Make the lock again with `nix flake update`. If going back is wanted, merge it on GitHub.")
}

// compared finds the answer to one question. Where GitHub has none, policy may
// vouch for the source; otherwise the condition says why it can't be told.
func (p *proof) compared(c *Condition, input string, r *flakelock.Ref, key string) (_ Lineage, known bool) {
	name, vouched := plain(input, 200), trusted(p.policy.Updates.Inputs, r)
	if key == "" {
		if vouched {
			return Lineage{}, false
		}
		c.refuse(fmt.Sprintf("Input '%s' comes from %s, which GitHub can't answer for.", name, plain(r.Address(), 200)),
			p.trustRemedy("If this source is to be trusted", r))
		return Lineage{}, false
	}
	answer, asked := p.s.Lineages[key]
	if !asked || !answer.Known() {
		if vouched {
			return Lineage{}, false
		}
		*c = begin(c.ID, c.Title, answer)
		c.Outcome = Unread
		c.Found = fmt.Sprintf("Where %s of %s/%s (input '%s') lies could not be read%s.", shortSHA(r.Rev), r.Owner, r.Repo, name, because(answer.Err))
		c.Remedy = p.trustRemedy("NixFleet tries again by itself. If it is a private repository that is to be trusted", r)
		return Lineage{}, false
	}
	c.Source, c.At = answer.Source, answer.At
	return answer.Value, true
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
