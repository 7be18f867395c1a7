package flakelock

import (
	"fmt"
	"testing"
)

const (
	testRev  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
	testHash = "sha256-PIszzgkO2GbdTfpAKKJPDdUTQrNZbbzCzVGHg+/DJ8E="
)

// testRef builds a ref from pairs of names and values.
func testRef(t *testing.T, pairs ...any) *Ref {
	t.Helper()
	var attrs []attr
	for i := 0; i < len(pairs); i += 2 {
		a := attr{name: pairs[i].(string), kind: textAttr, value: fmt.Sprint(pairs[i+1])}
		switch pairs[i+1].(type) {
		case bool:
			a.kind = boolAttr
		case int:
			a.kind = numberAttr
		}
		attrs = append(attrs, a)
	}
	r, problem := newRef(attrs)
	if problem != "" {
		t.Fatal(problem)
	}
	return r
}

func TestFormatPrintsRefsAsNixDoes(t *testing.T) {
	t.Parallel()
	legacy, hashes := Style{Legacy: true}, Style{Hashes: true, Hosts: true}
	// The rows of the legacy style are what `nix flake metadata` of Nix 2.8 printed.
	for _, c := range []struct {
		name  string
		ref   *Ref
		style Style
		want  string
	}{
		{"git", testRef(t, "type", "git", "url", "https://example.org/r", "ref", "refs/heads/m", "rev", testRev, "narHash", testHash), legacy,
			"git+https://example.org/r?ref=refs%2fheads%2fm&rev=" + testRev},
		{"git over ssh", testRef(t, "type", "git", "url", "ssh://git@example.org/r", "ref", "master", "shallow", true, "rev", testRev), legacy,
			"git+ssh://git@example.org/r?ref=master&rev=" + testRev + "&shallow=1"},
		{"github with dir", testRef(t, "type", "github", "owner", "o", "repo", "r", "dir", "a/b", "rev", testRev, "narHash", testHash), legacy,
			"github:o/r/" + testRev + "?dir=a%2fb"},
		{"gitlab on its own host", testRef(t, "type", "gitlab", "owner", "o", "repo", "r", "host", "gl.example.org", "rev", testRev), legacy,
			"gitlab:o/r/" + testRev},
		{"sourcehut", testRef(t, "type", "sourcehut", "owner", "~o", "repo", "r", "rev", testRev), legacy, "sourcehut:~o/r/" + testRev},
		{"hg", testRef(t, "type", "hg", "url", "https://example.org/h", "ref", "default", "rev", testRev), legacy,
			"hg+https://example.org/h?ref=default&rev=" + testRev},
		{"tarball with a query", testRef(t, "type", "tarball", "url", "https://example.org/x.tar.gz?b=c+d&a=1/2", "narHash", testHash), legacy,
			"https://example.org/x.tar.gz?a=1%2f2&b=c+d&narHash=sha256-PIszzgkO2GbdTfpAKKJPDdUTQrNZbbzCzVGHg+%2fDJ8E="},

		{"git, new escapes", testRef(t, "type", "git", "url", "https://example.org/r", "ref", "refs/heads/m", "rev", testRev), Style{},
			"git+https://example.org/r?ref=refs/heads/m&rev=" + testRev},
		{"git's own protocol", testRef(t, "type", "git", "url", "git://example.org/r", "submodules", true), Style{}, "git://example.org/r?submodules=1"},
		{"github with hash", testRef(t, "type", "github", "owner", "o", "repo", "r", "rev", testRev, "narHash", testHash), hashes,
			"github:o/r/" + testRev + "?narHash=sha256-PIszzgkO2GbdTfpAKKJPDdUTQrNZbbzCzVGHg%2B/DJ8E%3D"},
		{"github, short", testRef(t, "type", "github", "owner", "o", "repo", "r", "rev", testRev, "narHash", testHash), Style{ShortRevs: true}, "github:o/r/aaaaaaa"},
		{"gitlab with host", testRef(t, "type", "gitlab", "owner", "o", "repo", "r", "host", "gl.example.org"), hashes, "gitlab:o/r?host=gl.example.org"},
		{"tarball without hash", testRef(t, "type", "tarball", "url", "https://example.org/x%2By.tar.gz", "narHash", testHash), Style{}, "https://example.org/x%2By.tar.gz"},
		{"file", testRef(t, "type", "file", "url", "https://example.org/f", "narHash", testHash), Style{}, "https://example.org/f"},
		{"path", testRef(t, "type", "path", "path", "/nix/store/x", "lastModified", 1, "narHash", testHash), Style{},
			"path:/nix/store/x?lastModified=1&narHash=sha256-PIszzgkO2GbdTfpAKKJPDdUTQrNZbbzCzVGHg%2B/DJ8E%3D"},
		{"relative path", testRef(t, "type", "path", "path", "./sub"), Style{}, "path:./sub"},
		{"indirect", testRef(t, "type", "indirect", "id", "nixpkgs", "ref", "nixos-24.05"), Style{}, "flake:nixpkgs/nixos-24.05"},
		{"original with a branch", testRef(t, "type", "github", "owner", "NixOS", "repo", "nixpkgs", "ref", "nixos-24.05"), Style{}, "github:NixOS/nixpkgs/nixos-24.05"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.ref.Format(c.style); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestUnderHoldsAtNamesOnly(t *testing.T) {
	t.Parallel()
	git := func(url string) *Ref { return testRef(t, "type", "git", "url", url, "ref", "main", "rev", testRev) }
	github := testRef(t, "type", "github", "owner", "NixOS", "repo", "nixpkgs", "rev", testRev)
	foreign := testRef(t, "type", "github", "owner", "NixOS", "repo", "nixpkgs", "host", "evil.org", "rev", testRev)
	for _, c := range []struct {
		ref    *Ref
		prefix string
		want   bool
	}{
		{git("https://git.example.org/a/b"), "git+https://git.example.org/", true},
		{git("https://git.example.org/a/b"), "git+https://git.example.org", true},
		{git("https://git.example.org/a/b"), "git+https://git.example.org/a", true},
		{git("https://git.example.org/a/b"), "git+https://git.example.org/a/b", true},
		{git("https://git.example.org/ab/c"), "git+https://git.example.org/a", false},
		{git("https://git.example.org.evil.org/a"), "git+https://git.example.org", false},
		{git("https://git.example.org@evil.org/a"), "git+https://git.example.org", false},
		{git("https://git.example.org:8443/a"), "git+https://git.example.org:", false},
		{git("https://git.example.org:8443/a"), "git+https://git.example.org", false},
		{git("https://git.example.org/a/../evil"), "git+https://git.example.org/a/", false},
		{git("https://git.example.org/a/%2e%2e/evil"), "git+https://git.example.org/a/", false},
		{git("https://git.example.org/a/%252e%252e/evil"), "git+https://git.example.org/a/", false},
		{git("https://evil.org/?x=git+https://git.example.org/"), "git+https://git.example.org/", false},
		{git("https://evil.org/"), "git+https:", false},
		{git("https://evil.org/"), "git+https://", false},
		{git("ssh://git@github.com/o/r"), "git+ssh://git@github.com/o/", true},
		{git("ssh://git@github.com/o/r"), "git+ssh://git", false},
		{github, "github:NixOS", true},
		{github, "github:NixOS/", true},
		{github, "github:", true},
		{github, "github:NixOS/nixpkgs", true},
		{github, "github:Nix", false},
		{github, "git", false},
		{github, "", false},
		{foreign, "github:NixOS", false},
		{foreign, "github+https://evil.org/NixOS", true},
	} {
		if got := c.ref.Under(c.prefix); got != c.want {
			t.Errorf("%s under %q: got %v", c.ref.Address(), c.prefix, got)
		}
	}
}
