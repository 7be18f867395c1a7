package fleet

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// Revisions of the fixture. The dates are those that GitHub would tell.
const (
	oldRev  = "1111111111111111111111111111111111111111"
	newRev  = "2222222222222222222222222222222222222222"
	newRev2 = "3333333333333333333333333333333333333333"
	headSHA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	baseSHA = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var (
	oldDate = time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	newDate = time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC)
)

// node is one entry of a lock file under "nodes".
type node map[string]any

type attrs map[string]any

// lockOf makes a lock file of named nodes; "root" comes with them.
// restedHead is how long an update rests whose head was first seen two hours ago, as
// it was in the fixture: a quarter of that.
const restedHead = 30 * time.Minute

func lockOf(t testing.TB, nodes map[string]node) []byte {
	t.Helper()
	data, err := json.MarshalIndent(map[string]any{"nodes": nodes, "root": "root", "version": 7}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// gh is a GitHub input at a revision.
func gh(owner, repo, rev string, at time.Time) node {
	return node{
		"locked":   attrs{"type": "github", "owner": owner, "repo": repo, "rev": rev, "lastModified": at.Unix(), "narHash": hashOf(rev)},
		"original": attrs{"type": "github", "owner": owner, "repo": repo},
	}
}

// hashOf is a well-formed hash that goes with a revision.
func hashOf(rev string) string {
	sum := sha256.Sum256([]byte(rev))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (n node) with(key string, v any) node {
	out := node{}
	for k, old := range n {
		out[k] = old
	}
	out[key] = v
	return out
}

func (n node) locked(key string, v any) node {
	locked := attrs{}
	for k, old := range n["locked"].(attrs) {
		locked[k] = old
	}
	locked[key] = v
	return n.with("locked", locked)
}

// before is the lock at the merge base: two GitHub inputs, one with an input of
// its own, and one of another forge.
func before() map[string]node {
	return map[string]node{
		"root":    {"inputs": attrs{"nixpkgs": "nixpkgs", "hm": "hm", "wlroots": "wlroots"}},
		"nixpkgs": gh("NixOS", "nixpkgs", oldRev, oldDate),
		"hm":      gh("nix-community", "home-manager", oldRev, oldDate).with("inputs", attrs{"nixpkgs": []string{"nixpkgs"}, "utils": "utils"}),
		"utils":   gh("numtide", "flake-utils", oldRev, oldDate),
		"wlroots": {
			"locked":   attrs{"type": "gitlab", "owner": "wlroots", "repo": "wlroots", "rev": oldRev, "lastModified": oldDate.Unix(), "narHash": hashOf(oldRev)},
			"original": attrs{"type": "gitlab", "owner": "wlroots", "repo": "wlroots"},
		},
	}
}

// after is an ordinary update of it: nixpkgs moves.
func after() map[string]node {
	n := before()
	n["nixpkgs"] = gh("NixOS", "nixpkgs", newRev, newDate)
	return n
}

// goodSnapshot is an update that merges: proven, green, past its hold.
func goodSnapshot(t testing.TB) Snapshot {
	t.Helper()
	read := noon.Add(-time.Minute)
	policy := DefaultPolicy()
	policy.Updates.RequiredChecks = []RequiredCheck{{Name: "build", App: "github-actions", From: "policy"}}
	yes := true
	bot := Actor{ID: 41898282, Login: "github-actions[bot]", Type: "Bot"}
	return Snapshot{
		Repo:   Repo{ID: 7, Installation: 1, Owner: "acme", Name: "fleet", DefaultBranch: "main"},
		Number: 42,
		Policy: Known(policy, "GET /contents/.github/nixfleet.yml", read),
		Pull: Known(Pull{
			Title: "flake.lock: Update", URL: "https://github.com/acme/fleet/pull/42", State: "open", Author: bot,
			BaseRef: "main", BaseSHA: baseSHA, BaseRepoID: 7, HeadRef: "update_flake_lock_action", HeadSHA: headSHA, HeadRepoID: 7,
			ChangedFiles: 1, Mergeable: &yes, CreatedAt: noon.Add(-3 * time.Hour),
		}, "GET /pulls/42", read),
		Files:     Known([]ChangedFile{{Path: "flake.lock", Status: "modified"}}, "GET /pulls/42/files", read),
		Modes:     Known(map[string]string{"flake.lock": "100644"}, "GET /git/trees", read),
		MergeBase: Known(baseSHA, "GET /compare", read),
		Locks:     map[string]Reading[LockPair]{"flake.lock": Known(LockPair{lockOf(t, before()), lockOf(t, after())}, "GET /contents/flake.lock", read)},
		Required:  Known([]RequiredCheck{}, "GET /branches/main/protection", read),
		Checks:    Known([]Check{{Name: "build", Kind: "run", AppID: 15368, App: "github-actions", State: "completed", Conclusion: "success"}}, "GET /check-runs", read),
		Authors:   Known(map[string]Actor{"github-actions[bot]": bot}, "GET /users", read),
		Commits:   map[string]Reading[CommitFacts]{"NixOS/nixpkgs@" + newRev: Known(CommitFacts{CommitterDate: newDate}, "GET /commits", read)},
		Lineages: map[string]Reading[Lineage]{
			"NixOS/nixpkgs@..." + newRev:               Known(Lineage{Status: "behind"}, "GET /compare", read),
			"NixOS/nixpkgs@" + oldRev + "..." + newRev: Known(Lineage{Status: "ahead", Ahead: 17}, "GET /compare", read),
		},
		Rules:    Known([]BranchRule{}, "GET /rules", read),
		Suites:   Known([]CheckSuite{}, "GET /check-suites", read),
		OwnAppID: 99,
		Recorded: Recorded{FirstSeen: noon.Add(-3 * time.Hour), HeadSeen: noon.Add(-2 * time.Hour), ChecksPassed: noon.Add(-90 * time.Minute)},
	}
}

// The ways in which tests bend a snapshot. Each copies what it changes.

func bendPull(change func(*Pull)) func(testing.TB, *Snapshot) {
	return func(_ testing.TB, s *Snapshot) { change(&s.Pull.Value) }
}

func bendPolicy(change func(*Policy)) func(testing.TB, *Snapshot) {
	return func(_ testing.TB, s *Snapshot) { change(&s.Policy.Value) }
}

func bendRecorded(change func(*Recorded)) func(testing.TB, *Snapshot) {
	return func(_ testing.TB, s *Snapshot) { change(&s.Recorded) }
}

// bendLock replaces the lock at the head.
func bendLock(change func(map[string]node)) func(testing.TB, *Snapshot) {
	return func(t testing.TB, s *Snapshot) {
		n := after()
		change(n)
		r := s.Locks["flake.lock"]
		s.Locks = map[string]Reading[LockPair]{"flake.lock": Known(LockPair{r.Value.Base, lockOf(t, n)}, r.Source, r.At)}
	}
}

func bendChecks(checks ...Check) func(testing.TB, *Snapshot) {
	return func(_ testing.TB, s *Snapshot) { s.Checks.Value = checks }
}

func bend(change func(*Snapshot)) func(testing.TB, *Snapshot) {
	return func(_ testing.TB, s *Snapshot) { change(s) }
}

func all(changes ...func(testing.TB, *Snapshot)) func(testing.TB, *Snapshot) {
	return func(t testing.TB, s *Snapshot) {
		for _, c := range changes {
			c(t, s)
		}
	}
}

// asked is a person's Merge & Deploy for the head SHA.
func asked(sha string) func(testing.TB, *Snapshot) {
	return bendRecorded(func(r *Recorded) {
		r.Request = &MergeRequest{By: Actor{ID: 5, Login: "alice", Type: "User"}, HeadSHA: sha, At: noon, Deploy: true}
	})
}
