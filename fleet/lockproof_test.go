package fleet

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/flakelock"
)

func TestCommitsToRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(map[string]node)
		want   []string
	}{
		"one moves":     {func(map[string]node) {}, []string{"NixOS/nixpkgs@" + newRev}},
		"nothing moves": {func(n map[string]node) { n["nixpkgs"] = before()["nixpkgs"] }, nil},
		"an input's input moves": {func(n map[string]node) { n["utils"] = gh("numtide", "flake-utils", newRev, newDate) },
			[]string{"NixOS/nixpkgs@" + newRev, "numtide/flake-utils@" + newRev}},
		"two inputs of one revision": {func(n map[string]node) {
			n["utils"] = gh("NixOS", "nixpkgs", newRev, newDate)
		}, []string{"NixOS/nixpkgs@" + newRev}},
		"of another forge":     {func(n map[string]node) { n["wlroots"] = n["wlroots"].locked("rev", newRev2) }, []string{"NixOS/nixpkgs@" + newRev}},
		"of another host":      {func(n map[string]node) { n["nixpkgs"] = n["nixpkgs"].locked("host", "git.example.org") }, nil},
		"an owner like a path": {func(n map[string]node) { n["nixpkgs"] = gh("..", "nixpkgs", newRev, newDate) }, nil},
		"a name like a path":   {func(n map[string]node) { n["nixpkgs"] = gh("NixOS", "..", newRev, newDate) }, nil},
		"only a date moves": {func(n map[string]node) { n["nixpkgs"] = gh("NixOS", "nixpkgs", oldRev, newDate) },
			[]string{"NixOS/nixpkgs@" + oldRev}},
	}
	for name, c := range cases {
		n := after()
		c.change(n)
		if diff := cmp.Diff(c.want, CommitsToRead(lockOf(t, before()), lockOf(t, n))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := CommitsToRead([]byte("{"), lockOf(t, after())); got != nil {
		t.Errorf("of a lock that can't be read: %v", got)
	}
}

func TestCommitsToReadAreBounded(t *testing.T) {
	t.Parallel()
	n := after()
	inputs := attrs{}
	for i := range 3 * maxCommits {
		name := fmt.Sprintf("i%d", i)
		inputs[name] = name
		n[name] = gh("acme", name, newRev, newDate)
	}
	n["root"] = node{"inputs": inputs}
	if got := len(CommitsToRead(lockOf(t, before()), lockOf(t, n))); got != maxCommits {
		t.Errorf("%d commits to read, expected no more than %d", got, maxCommits)
	}
}

func TestCompareURLs(t *testing.T) {
	t.Parallel()
	ref := func(r flakelock.Ref) (from, to *flakelock.Ref) {
		a, b := r, r
		a.Rev, b.Rev = oldRev, newRev
		return &a, &b
	}
	span := oldRev + "..." + newRev
	cases := []struct {
		ref  flakelock.Ref
		want string
	}{
		{flakelock.Ref{Type: "github", Owner: "NixOS", Repo: "nixpkgs"}, "https://github.com/NixOS/nixpkgs/compare/" + span},
		{flakelock.Ref{Type: "github", Host: "git.acme.example", Owner: "a", Repo: "b"}, "https://git.acme.example/a/b/compare/" + span},
		{flakelock.Ref{Type: "gitlab", Owner: "group%2Fsub", Repo: "x"}, "https://gitlab.com/group/sub/x/-/compare/" + span},
		{flakelock.Ref{Type: "git", URL: "https://github.com/a/b.git"}, "https://github.com/a/b/compare/" + span},
		{flakelock.Ref{Type: "git", URL: "https://codeberg.org/a/b"}, "https://codeberg.org/a/b/compare/" + span},
		{flakelock.Ref{Type: "git", URL: "https://git.example.org/a/b"}, ""},
		{flakelock.Ref{Type: "git", URL: "ssh://git@github.com/a/b"}, ""},
		{flakelock.Ref{Type: "github", Owner: "a\"onclick=", Repo: "b"}, ""},
		{flakelock.Ref{Type: "github", Host: "evil.example/x?", Owner: "a", Repo: "b"}, ""},
		{flakelock.Ref{Type: "tarball", URL: "https://example.org/x.tar.gz"}, ""},
		{flakelock.Ref{Type: "path", Path: "/nix"}, ""},
	}
	for _, c := range cases {
		from, to := ref(c.ref)
		if got := compareURL(from, to); got != c.want {
			t.Errorf("%+v: %q, expected %q", c.ref, got, c.want)
		}
		moved := *to
		moved.Owner += "x"
		if got := compareURL(from, &moved); got != "" {
			t.Errorf("%+v to another owner: %q", c.ref, got)
		}
	}
	if compareURL(nil, nil) != "" {
		t.Error("nothing compares with nothing")
	}
}

func TestInputsOfSeveralLocks(t *testing.T) {
	t.Parallel()
	s := goodSnapshot(t)
	s.Policy.Value.Updates.Files = []string{"flake.lock", "hosts/flake.lock"}
	s.Files.Value = []ChangedFile{{Path: "hosts/flake.lock", Status: "modified"}, {Path: "flake.lock", Status: "modified"}}
	s.Pull.Value.ChangedFiles = 2
	s.Modes.Value = map[string]string{"flake.lock": "100644", "hosts/flake.lock": "100644"}
	s.Locks["hosts/flake.lock"] = s.Locks["flake.lock"]
	v := Decide(s, noon)
	if v.State != UpdateMerging || len(v.Inputs) != 2 || v.Inputs[0].Path != "flake.lock: nixpkgs" || v.Inputs[1].Path != "hosts/flake.lock: nixpkgs" {
		t.Errorf("%s %q: %+v", v.State, v.Headline, v.Inputs)
	}
	delete(s.Locks, "hosts/flake.lock")
	if v := Decide(s, noon); v.State != UpdateBlocked {
		t.Errorf("one lock is not read, and it is %s", v.State)
	}
}
