package flakelock

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ref says where an input comes from: a flake reference with its attributes spread
// out. In "original" it is what flake.nix asks for, in "locked" what was found.
// Attributes that don't apply are empty.
type Ref struct {
	Type    string // github, gitlab, sourcehut, git, hg, mercurial, tarball, file, path, indirect
	Host    string // only where it is not the forge's usual one
	Owner   string
	Repo    string
	URL     string // of git, hg, tarball and file inputs, without what Nix adds
	Path    string // of path inputs; relative ones start at the parent input
	ID      string // of indirect inputs: a name in a registry
	Dir     string // directory of flake.nix inside the source
	Ref     string // branch or tag
	Rev     string // commit
	NarHash string // sha256-…: hash of the tree

	LastModified time.Time // UTC, of the commit or archive; zero when the lock has none

	attrs []attr // every attribute, sorted by name: what equality rests on
}

// Attr returns any attribute by its name in the file, as text. Numbers are decimal,
// booleans "true" or "false".
func (r *Ref) Attr(name string) (string, bool) {
	if a, ok := find(r.attrs, name); ok {
		return a.value, true
	}
	return "", false
}

// Equal reports whether both refs have the same attributes with the same values. It
// is Nix's own notion of equality, and decides what Nix prints as updated.
func (r *Ref) Equal(other *Ref) bool {
	if r == nil || other == nil {
		return r == other
	}
	return slices.Equal(r.attrs, other.attrs)
}

// relative reports whether the ref is a path inside its parent input.
func (r *Ref) relative() bool { return r.Type == "path" && !strings.HasPrefix(r.Path, "/") }

func (r *Ref) flag(name string) bool {
	v, _ := r.Attr(name)
	return v == "true"
}

type attrKind uint8

const (
	textAttr attrKind = iota + 1
	numberAttr
	boolAttr
	rawAttr // JSON as it stands, for members of nodes that are not ours
)

// attr is one attribute. The value is text for every kind, so that attrs compare
// with ==.
type attr struct {
	name  string
	kind  attrKind
	value string
}

func find(attrs []attr, name string) (attr, bool) {
	for _, a := range attrs {
		if a.name == name {
			return a, true
		}
	}
	return attr{}, false
}

func sortAttrs(attrs []attr) {
	byName := func(a, b attr) int { return strings.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(attrs, byName) {
		slices.SortFunc(attrs, byName)
	}
}

// attrKinds are the attributes that Nix's fetchers define, with the kind of their
// values (libfetchers/*.cc, allowedAttrs, of Nix 2.4 to 2.3x).
var attrKinds = map[string]attrKind{
	"type": textAttr, "host": textAttr, "owner": textAttr, "repo": textAttr, "url": textAttr, "path": textAttr,
	"id": textAttr, "dir": textAttr, "ref": textAttr, "rev": textAttr, "narHash": textAttr, "name": textAttr,
	"lastModified": numberAttr, "revCount": numberAttr, "lastModifiedDate": textAttr, "treeHash": textAttr,
	"shallow": boolAttr, "submodules": boolAttr, "lfs": boolAttr, "exportIgnore": boolAttr, "allRefs": boolAttr,
	"unpack": boolAttr, "verifyCommit": boolAttr, "keytype": textAttr, "publicKey": textAttr, "publicKeys": textAttr,
}

// volatile are the locked attributes that a new revision changes.
func volatile(name string) bool {
	switch name {
	case "rev", "narHash", "lastModified", "lastModifiedDate", "revCount":
		return true
	}
	return false
}

// required are the attributes without which a ref of a type means nothing.
var required = map[string][]string{
	"github": {"owner", "repo"}, "gitlab": {"owner", "repo"}, "sourcehut": {"owner", "repo"},
	"git": {"url"}, "hg": {"url"}, "mercurial": {"url"}, "tarball": {"url"}, "file": {"url"},
	"path": {"path"}, "indirect": {"id"},
}

// maxLastModified is the end of the year 9999.
const maxLastModified = 253402300799

// newRef checks attributes and spreads them out. The problem is empty when all is
// well, else it names the attribute first.
func newRef(attrs []attr) (_ *Ref, problem string) {
	sortAttrs(attrs)
	r := &Ref{attrs: attrs}
	for _, a := range attrs {
		if want, known := attrKinds[a.name]; known && a.kind != want {
			return nil, a.name + " has the wrong kind of value"
		}
		switch a.name {
		case "type":
			r.Type = a.value
		case "host":
			r.Host = a.value
		case "owner":
			r.Owner = a.value
		case "repo":
			r.Repo = a.value
		case "url":
			r.URL = a.value
		case "path":
			r.Path = a.value
		case "id":
			r.ID = a.value
		case "dir":
			r.Dir = a.value
		case "ref":
			r.Ref = a.value
		case "rev":
			r.Rev = a.value
		case "narHash":
			r.NarHash = a.value
		case "lastModified":
			n, err := strconv.ParseInt(a.value, 10, 64)
			if err != nil || n > maxLastModified {
				return nil, "lastModified is beyond the year 9999"
			}
			r.LastModified = time.Unix(n, 0).UTC()
		}
	}
	need, known := required[r.Type]
	if !known {
		return nil, "type " + strconv.Quote(clip(r.Type)) + " is not one that this program knows"
	}
	for _, name := range need {
		if v, _ := r.Attr(name); v == "" {
			return nil, name + " is missing, and a " + r.Type + " input needs it"
		}
	}
	return r, r.badIdentity()
}

// badIdentity refuses values that would print like another source.
func (r *Ref) badIdentity() string {
	for _, f := range []struct{ name, value, never string }{
		{"owner", r.Owner, "/?#@:\\ "}, {"repo", r.Repo, "/?#@:\\ "}, {"host", r.Host, "/?#@\\ "},
		{"id", r.ID, "/?#@:\\ "}, {"ref", r.Ref, "?#\\ "}, {"url", r.URL, "\\ #"},
	} {
		if i := strings.IndexAny(f.value, f.never); i >= 0 {
			return f.name + " holds the character " + strconv.QuoteRune(rune(f.value[i]))
		}
	}
	return ""
}

// unlocked says why a ref does not pin one tree, or returns nothing.
func (r *Ref) unlocked() string {
	if r.Rev != "" && !isRev(r.Rev) {
		return "rev is not a commit of 40 or 64 lower-case hex digits"
	}
	if r.NarHash != "" && !isNarHash(r.NarHash) {
		return "narHash is not sha256- with the base64 of 32 bytes"
	}
	switch r.Type {
	case "tarball", "file":
		if r.NarHash == "" {
			return "narHash is missing: the input is not locked"
		}
	case "path":
		if r.NarHash == "" && !r.relative() {
			return "narHash is missing: the input is not locked"
		}
	default:
		if r.Rev == "" {
			return "rev is missing: the input is not locked"
		}
	}
	return ""
}

func isRev(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isNarHash(s string) bool {
	digest, ok := strings.CutPrefix(s, "sha256-")
	if !ok || len(digest) != 44 {
		return false
	}
	var sum [33]byte
	n, err := base64.StdEncoding.Strict().Decode(sum[:], []byte(digest))
	return err == nil && n == 32
}
