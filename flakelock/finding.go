package flakelock

import "strings"

// FindingKind is what a finding is about. Policy decides by it.
type FindingKind string

// The kinds of findings. "Root" and "transitive" are told apart by [Finding.Root].
const (
	// InputAdded, InputRemoved and InputRepointed: an input came, went, or now follows
	// another input than before (or none, or no longer none).
	InputAdded     FindingKind = "input_added"
	InputRemoved   FindingKind = "input_removed"
	InputRepointed FindingKind = "input_repointed"

	// OriginalChanged: what flake.nix is said to ask for differs.
	OriginalChanged FindingKind = "original_changed"
	// IdentityChanged: the locked source is another one: type, host, owner, repo, url,
	// dir, path or id.
	IdentityChanged FindingKind = "identity_changed"
	// ArchiveMoved: the locked URL of a tarball or file differs, on the same host. It is
	// how lockable archives work (each version has its own address), so policy may
	// trust the prefix of the new address; see [Ref.Under].
	ArchiveMoved FindingKind = "archive_moved"
	// RefChanged: the locked branch of a git input is another one.
	RefChanged FindingKind = "ref_changed"
	// FetchChanged: the same source is fetched in another way, e.g. with submodules.
	FetchChanged FindingKind = "fetch_changed"
	// Inconsistent: a changed or new "locked" is not what its "original" asks for. Nix
	// does not check this.
	Inconsistent FindingKind = "inconsistent_with_original"
	// HashChanged: the hash of the tree differs though the revision is the same.
	HashChanged FindingKind = "hash_changed"
	// HashRemoved: the lock no longer pins the tree's hash.
	HashRemoved FindingKind = "hash_removed"
	// FlakeFlagChanged: the input is, or is no longer, read as a flake.
	FlakeFlagChanged FindingKind = "flake_flag_changed"
	// ParentChanged: a relative path is relative to another input.
	ParentChanged FindingKind = "parent_changed"
	// UnknownChanged: something that this program does not know differs.
	UnknownChanged FindingKind = "unknown_changed"
	// DanglingFollows: the input follows one that does not exist.
	DanglingFollows FindingKind = "dangling_follows"
	// Unreached: a node that no input leads to came or went.
	Unreached FindingKind = "unreached_node"
	// FormatChanged: the version or layout of the lock file is another one.
	FormatChanged FindingKind = "format_changed"
	// TooTangled: inputs share nodes in so many ways that not all could be compared.
	TooTangled FindingKind = "too_tangled"
)

// Finding is one thing beside a new revision that differs between two locks.
type Finding struct {
	Kind      FindingKind `json:"kind"`
	Input     Path        `json:"input"`               // empty: the lock as a whole
	Attribute string      `json:"attribute,omitempty"` // name in the file
	From      string      `json:"from,omitempty"`      // empty: not there
	To        string      `json:"to,omitempty"`
}

// Root reports whether the finding is about an input of the flake itself, or about
// the lock as a whole, and not about a transitive input.
func (f Finding) Root() bool { return len(f.Input) <= 1 }

// String is the finding in plain words, for people.
func (f Finding) String() string {
	name := "the lock"
	if len(f.Input) > 0 {
		name = "input '" + clip(f.Input.String()) + "'"
	}
	from, to := orNothing(f.From), orNothing(f.To)
	switch f.Kind {
	case InputAdded:
		return name + " was added: " + to
	case InputRemoved:
		return name + " was removed: " + from
	case InputRepointed:
		return name + " was re-pointed from " + from + " to " + to
	case Inconsistent:
		return name + ": locked " + f.Attribute + " is " + to + ", but the original asks for " + from
	case HashChanged:
		return name + ": the tree's hash changed from " + from + " to " + to + " though the revision is the same"
	case HashRemoved:
		return name + " no longer has a hash of its tree; it was " + from
	case DanglingFollows:
		return name + " follows " + to + ", which does not exist"
	case Unreached:
		return "no input leads to the node " + orNothing(f.From+f.To)
	case TooTangled:
		return "the inputs share nodes in more ways than can be compared"
	case OriginalChanged:
		return name + ": original " + f.Attribute + " changed from " + from + " to " + to
	case IdentityChanged, ArchiveMoved, RefChanged, FetchChanged:
		return name + ": locked " + f.Attribute + " changed from " + from + " to " + to
	}
	return name + ": " + f.Attribute + " changed from " + from + " to " + to
}

func orNothing(s string) string {
	switch {
	case s == "":
		return "nothing"
	case strings.HasPrefix(s, "'") || strings.HasPrefix(s, "follows '"):
		return clip(s)
	}
	return "'" + clip(s) + "'"
}
