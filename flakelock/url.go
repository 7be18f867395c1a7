package flakelock

import (
	"slices"
	"strings"
)

// Style is how a flake reference is printed. Nix changed it several times, so an
// account can only be compared with one of the same style. The zero Style has full
// revisions and neither hashes nor hosts, as Nix printed around 2.18.
type Style struct {
	ShortRevs bool // seven digits of a revision, as Nix does since early 2026
	Hashes    bool // ?narHash= behind forges and archives, as Nix did from 2024 on
	Hosts     bool // ?host= behind forges that have a host of their own, as recent Nix
	Legacy    bool // escapes as Nix 2.8: %2f in queries; and always the hash of archives
}

// String prints the ref in the zero [Style].
func (r *Ref) String() string { return r.Format(Style{}) }

// Format prints the ref as Nix does, e.g. github:NixOS/nixpkgs/<rev>?dir=lib.
func (r *Ref) Format(s Style) string {
	rev := r.Rev
	if s.ShortRevs && len(rev) > 7 {
		rev = rev[:7]
	}
	var base string
	var q query
	switch r.Type {
	case "github", "gitlab", "sourcehut":
		base = r.Type + ":" + join(r.Owner, r.Repo, r.Ref, rev)
		q.setIf(s.Hosts, "host", r.Host)
		q.setIf(s.Hashes, "narHash", r.NarHash)
	case "git", "hg", "mercurial":
		base = q.take(r.URL)
		prefix := map[string]string{"git": "git", "hg": "hg", "mercurial": "hg"}[r.Type]
		if !strings.HasPrefix(base, prefix+":") && !strings.HasPrefix(base, prefix+"+") {
			base = prefix + "+" + base
		}
		q.set("ref", r.Ref)
		q.set("rev", rev)
		for _, name := range []string{"shallow", "lfs", "submodules", "exportIgnore", "verifyCommit"} {
			q.setIf(r.flag(name), name, "1")
		}
		for _, name := range []string{"keytype", "publicKey", "publicKeys"} {
			v, _ := r.Attr(name)
			q.set(name, v)
		}
	case "tarball", "file":
		base = q.take(r.URL)
		q.setIf(s.Hashes || s.Legacy, "narHash", r.NarHash)
	case "path":
		base = "path:" + r.Path
		for _, a := range r.attrs {
			if a.name != "path" && a.name != "type" && a.name != "dir" && a.name != "__final" {
				q.set(a.name, a.value)
			}
		}
	default:
		base = "flake:" + join(r.ID, r.Ref, rev)
	}
	q.set("dir", r.Dir)
	return base + q.encode(s.Legacy)
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "/")
}

// query is a URL's query, kept sorted by name like Nix's map.
type query []struct{ name, value string }

func (q *query) set(name, value string) { q.setIf(true, name, value) }

// setIf sets a value that is not empty.
func (q *query) setIf(cond bool, name, value string) {
	if !cond || value == "" {
		return
	}
	i, found := slices.BinarySearchFunc(*q, name, func(e struct{ name, value string }, name string) int {
		return strings.Compare(e.name, name)
	})
	if found {
		(*q)[i].value = value
		return
	}
	*q = slices.Insert(*q, i, struct{ name, value string }{name, value})
}

// take moves the query of a URL into q and returns the rest.
func (q *query) take(url string) string {
	base, rest, _ := strings.Cut(url, "?")
	for pair := range strings.SplitSeq(rest, "&") {
		name, value, _ := strings.Cut(pair, "=")
		q.set(decode(name), decode(value))
	}
	return base
}

func (q query) encode(legacy bool) string {
	var b strings.Builder
	for i, e := range q {
		b.WriteByte("?&"[min(i, 1)])
		escape(&b, e.name, legacy)
		b.WriteByte('=')
		escape(&b, e.value, legacy)
	}
	return b.String()
}

// escape percent-encodes all but what Nix keeps in a query (libutil/url.cc).
func escape(b *strings.Builder, s string, legacy bool) {
	keep, digits := ":@/?", "0123456789ABCDEF"
	if legacy {
		keep, digits = "!$'()*+,;=:@", "0123456789abcdef"
	}
	for i := range len(s) {
		c := s[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
		if plain || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
}

// decode undoes percent-encoding; what is none stays as it is. A plus stays a plus.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hexDigits, lower(s[i+1])), strings.IndexByte(hexDigits, lower(s[i+2]))
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

func lower(c byte) byte {
	if c >= 'A' && c <= 'F' {
		return c - 'A' + 'a'
	}
	return c
}

// Address is where the ref lives, without revision and query: what a policy trusts.
// A forge on a host of its own shows it, e.g. gitlab+https://gitlab.gnome.org/o/r.
func (r *Ref) Address() string {
	switch r.Type {
	case "github", "gitlab", "sourcehut":
		if r.Host != "" {
			return r.Type + "+https://" + r.Host + "/" + join(r.Owner, r.Repo)
		}
		return r.Type + ":" + join(r.Owner, r.Repo)
	case "indirect":
		return "flake:" + r.ID
	}
	address, _, _ := strings.Cut(r.String(), "?")
	return address
}

// Under reports whether the ref's [Ref.Address] lies under a URL prefix from a
// policy, e.g. git+https://git.example.org/ or github:NixOS. The prefix ends where a
// name ends: github:Nix does not cover github:NixOS. A ref that climbs out of its
// prefix with .. lies under nothing.
func (r *Ref) Under(prefix string) bool {
	address := r.Address()
	rest, ok := strings.CutPrefix(address, prefix)
	if !ok || prefix == "" {
		return false
	}
	if _, web, ok := strings.Cut(address, "://"); ok {
		host, _, _ := strings.Cut(web, "/")
		if len(rest) > len(web)-len(host) {
			return false // the prefix ends before the host does
		}
	}
	for name := range strings.SplitSeq(decode(decode(rest)), "/") {
		if name == ".." || name == "." || strings.Contains(name, "\\") {
			return false
		}
	}
	return rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/") || strings.HasSuffix(prefix, ":")
}
