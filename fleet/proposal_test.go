package fleet

import (
	"strings"
	"testing"
	"time"
)

// goodProposal is the update of goodSnapshot, made on a host from the head of main.
func goodProposal(t testing.TB) ProposalFacts {
	t.Helper()
	s := goodSnapshot(t)
	s.Policy.Value.Updates.Strategy = "host"
	s.Pull, s.Recorded = Reading[Pull]{}, Recorded{}
	return ProposalFacts{
		Proposal: Proposal{ID: "01J", Repo: s.Repo, Host: "web1", Actor: "ada", Path: "flake.lock", BaseSHA: baseSHA},
		Snapshot: s, Head: Known(baseSHA, "GET /branches/main", noon),
	}
}

func TestAProposedLockIsJudgedByTheRulesOfLocks(t *testing.T) {
	t.Parallel()
	type bending func(*ProposalFacts)
	lock := func(change func(testing.TB, *Snapshot)) bending {
		return func(f *ProposalFacts) { change(t, &f.Snapshot) }
	}
	policy := func(change func(*UpdatePolicy)) bending {
		return func(f *ProposalFacts) { change(&f.Policy.Value.Updates) }
	}
	asPull := func(f *ProposalFacts) { f.Proposal.AsPull = true }
	both := func(list ...bending) bending {
		return func(f *ProposalFacts) {
			for _, b := range list {
				b(f)
			}
		}
	}
	moved := func(f *ProposalFacts) {
		f.Head.Value, f.Since = headSHA, Known(Lineage{Status: "ahead", Ahead: 1}, "GET /compare", noon)
	}
	added := lock(bendLock(func(n map[string]node) {
		n["nixpkgs"] = n["nixpkgs"].with("inputs", attrs{"extra": "utils"})
	}))
	back := lock(lineage("NixOS/nixpkgs@"+oldRev+"..."+newRev, "behind"))
	frozenNow := policy(func(u *UpdatePolicy) { u.Freeze = []Freeze{{From: "Wed 11:00", To: "Wed 12:10"}} })
	young := both(policy(func(u *UpdatePolicy) { u.AutoMerge.MinInputAge = time.Hour }), lock(seenInput(noon)))
	for name, c := range map[string]struct {
		bend bending
		want ProposalState
		says string
	}{
		"as it should be":                {func(*ProposalFacts) {}, ProposalProven, "it is being committed"},
		"as a pull request":              {asPull, ProposalProven, "its pull request is being opened"},
		"as a pull request, by policy":   {policy(func(u *UpdatePolicy) { u.Commit = CommitPullRequest }), ProposalProven, "its pull request is being opened"},
		"with what was asked for":        {func(f *ProposalFacts) { f.Proposal.Inputs = []string{"nixpkgs"} }, ProposalProven, "proven"},
		"with more than was asked for":   {func(f *ProposalFacts) { f.Proposal.Inputs = []string{"hm"} }, ProposalRefused, "Asked for was hm; it also changes nixpkgs."},
		"where pull requests bring them": {policy(func(u *UpdatePolicy) { u.Strategy = "github" }), ProposalRefused, "Set updates.strategy: host"},
		"under a broken policy": {func(f *ProposalFacts) { f.Policy = Unknown[Policy]("policy", noon, "nixfleet.yml:3:1: x") },
			ProposalReceived, "nixfleet.yml:3:1: x."},
		"from an older commit":           {moved, ProposalConflicted, "main is at aaaaaaa by now. Make the lock again from the new head."},
		"from an older commit, and back": {both(moved, back), ProposalRefused, "Input 'nixpkgs' goes back"},
		"from a commit of another branch": {func(f *ProposalFacts) {
			f.Head.Value, f.Since = headSHA, Known(Lineage{Status: "diverged"}, "GET /compare", noon)
		}, ProposalRefused, "It was made from bbbbbbb, which is not on main"},
		"from a commit that nobody can place": {func(f *ProposalFacts) { f.Head.Value, f.Since = headSHA, Unknown[Lineage]("compare", noon, "502") },
			ProposalReceived, "could not be read: 502."},
		"of an unread branch":         {func(f *ProposalFacts) { f.Head = Unknown[string]("branch", noon, "502") }, ProposalReceived, "could not be read: 502."},
		"of no lock file":             {func(f *ProposalFacts) { f.Proposal.Path = "flake.nix" }, ProposalRefused, "flake.nix is none of the lock files"},
		"of a file that is not there": {func(f *ProposalFacts) { f.Modes.Value = map[string]string{} }, ProposalRefused, "flake.lock does not exist"},
		"of a link":                   {func(f *ProposalFacts) { f.Modes.Value = map[string]string{"flake.lock": "120000"} }, ProposalRefused, "git mode 120000"},
		"that goes back":              {back, ProposalRefused, "Input 'nixpkgs' goes back"},
		"of another owner":            {lock(bendLock(func(n map[string]node) { n["nixpkgs"] = n["nixpkgs"].locked("owner", "mallory") })), ProposalRefused, "mallory"},
		"with an impostor":            {lock(lineage("NixOS/nixpkgs@..."+newRev, "diverged")), ProposalRefused, "may exist only in a fork"},
		"that nobody can place": {func(f *ProposalFacts) { f.Lineages = nil }, ProposalReceived,
			"Where 2222222 of NixOS/nixpkgs (input 'nixpkgs') lies could not be read"},
		"with a false date": {func(f *ProposalFacts) {
			f.Commits = map[string]Reading[CommitFacts]{"NixOS/nixpkgs@" + newRev: Known(CommitFacts{CommitterDate: noon}, "GET", noon)}
		}, ProposalRefused, "but its commit is of"},
		"that changes nothing": {func(f *ProposalFacts) {
			base := f.Locks["flake.lock"].Value.Base
			f.Locks = map[string]Reading[LockPair]{"flake.lock": Known(LockPair{base, base}, "lock", noon)}
		}, ProposalRefused, "the lock file is up to date"},
		"that is no lock": {func(f *ProposalFacts) {
			f.Locks = map[string]Reading[LockPair]{"flake.lock": Known(LockPair{f.Locks["flake.lock"].Value.Base, []byte("<<<<")}, "lock", noon)}
		}, ProposalRefused, "flake.lock at the head"},
		"with a new input of an input":                     {added, ProposalRefused, "Propose it as a pull request"},
		"with a new input of an input, as a pull request":  {both(added, asPull), ProposalProven, "pull request"},
		"inside a freeze":                                  {frozenNow, ProposalRefused, "Propose it as a pull request"},
		"inside a freeze, as a pull request":               {both(frozenNow, asPull), ProposalProven, "pull request"},
		"with a young revision":                            {young, ProposalRefused, "Propose it as a pull request"},
		"with a young revision, as a pull request":         {both(young, asPull), ProposalProven, "pull request"},
		"with a revision of no known age, as pull request": {both(policy(func(u *UpdatePolicy) { u.AutoMerge.MinInputAge = time.Hour }), asPull), ProposalReceived, "not recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := goodProposal(t)
			c.bend(&f)
			v := JudgeProposal(f, noon)
			if v.State != c.want || !strings.Contains(v.Headline, c.says) {
				t.Errorf("%s: %s\nwant %s: …%s…", v.State, v.Headline, c.want, c.says)
			}
			if again := JudgeProposal(f, noon); again.Headline != v.Headline || again.Message != v.Message {
				t.Error("the same facts lead to another verdict")
			}
		})
	}
}

func TestTheMessageOfAProposedLock(t *testing.T) {
	t.Parallel()
	f := goodProposal(t)
	f.Proposal.Reason = "weekly\n\nNixFleet-Proposal: forged"
	v := JudgeProposal(f, noon)
	const want = `Flake lock file updates:

• Updated input 'nixpkgs':
    'github:NixOS/nixpkgs/1111111111111111111111111111111111111111' (2026-02-01)
  → `
	const end = "\nMade on web1, asked for by ada. weekly  NixFleet-Proposal: forged\n\nNixFleet-Proposal: 01J\n"
	if v.Title != "flake.lock: Update" || !strings.HasPrefix(v.Message, want) || !strings.HasSuffix(v.Message, end) || v.Branch != "main" {
		t.Errorf("%s on %s\n\n%s", v.Title, v.Branch, v.Message)
	}
	if (Proposal{State: ProposalConflicted, Host: "web1"}).Again() != true || (Proposal{State: ProposalConflicted}).Again() || (Proposal{State: ProposalRefused, Host: "web1"}).Again() {
		t.Error("only a host's lock that came too late is made again")
	}
}

func TestACommitOfOurOwnIsAllowedWhereHostsMakeUpdates(t *testing.T) {
	t.Parallel()
	stranger := bendPull(func(p *Pull) { p.Author = Actor{ID: 666, Login: "nixfleet[bot]", Type: "Bot"} })
	byHosts := bendPolicy(func(p *Policy) { p.Updates.Strategy = "host" })
	proposed := func(sha string) func(testing.TB, *Snapshot) {
		return bendRecorded(func(r *Recorded) { r.Proposed = sha })
	}
	runProof(t, "author", map[string]proofCase{
		"made by us":                          {all(stranger, byHosts, proposed(headSHA)), Passed, "NixFleet made this commit itself", ""},
		"pushed onto what we made":            {all(stranger, byHosts, proposed(baseSHA)), Refused, "not among the allowed", ""},
		"not made by us":                      {all(stranger, byHosts), Refused, "not among the allowed", ""},
		"made by us, before policy took back": {all(stranger, proposed(headSHA)), Refused, "not among the allowed", ""},
	})
}
