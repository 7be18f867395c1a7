package fleet

import "time"

// Fact is a hint that came from outside: "look at this again". Facts carry no
// truth about a pull request; they only say which row has become due. Each is
// stored before it is answered, and recording one twice changes nothing.
type Fact interface{ fact() }

// Repo names a repository. ID is GitHub's and survives renames; Owner and Name
// are only as good as the last event.
type Repo struct {
	ID            int64
	Installation  int64 // id of the App installation that may read it
	Owner         string
	Name          string
	DefaultBranch string
}

// FullName is owner/name, as GitHub writes it.
func (r Repo) FullName() string { return r.Owner + "/" + r.Name }

// PullTouched says that something about one pull request may have changed.
type PullTouched struct {
	Repo   Repo
	Number int
	Cause  string // event and action, e.g. "pull_request.synchronize"
}

// CommitTouched says that checks or statuses of one commit may have changed. It
// wakes every open update whose head it is.
type CommitTouched struct {
	Repo  Repo
	SHA   string
	Cause string
}

// BranchMoved says that a branch points elsewhere. On the default branch it wakes
// every open update and may start a rollout.
type BranchMoved struct {
	Repo   Repo
	Branch string
	SHA    string // the new head; empty when the branch was deleted
	Cause  string
}

// InstallationChanged says that an installation of the App, or what it may see,
// has changed. Removed and Suspended installations are no longer acted for.
type InstallationChanged struct {
	ID        int64
	Account   string
	Removed   bool
	Suspended bool
	Added     []Repo
	Dropped   []Repo
	Cause     string
}

// RepositoryChanged says that a repository was renamed, transferred, archived or
// deleted.
type RepositoryChanged struct {
	Repo    Repo
	Removed bool
	Cause   string
}

// Pressed says that a person pressed a button of our check run or asked for it to
// be run again. Action is the identifier of the button, or "rerun".
type Pressed struct {
	Repo    Repo
	Numbers []int
	SHA     string
	Action  string
	By      Actor
	Cause   string
}

// Commented says that a person wrote a comment on a pull request.
type Commented struct {
	Repo    Repo
	Number  int
	Comment int64
	By      Actor
	Cause   string
}

func (PullTouched) fact()         {}
func (CommitTouched) fact()       {}
func (BranchMoved) fact()         {}
func (InstallationChanged) fact() {}
func (RepositoryChanged) fact()   {}
func (Pressed) fact()             {}
func (Commented) fact()           {}

// Actor is who did something. ID and Type are GitHub's ("User", "Bot"); a person
// who signed in locally has ID 0 and Type "local".
type Actor struct {
	ID    int64  `json:"id,omitempty"`
	Login string `json:"login"`
	Type  string `json:"type,omitempty"`
}

// Reading is a value that was read from somewhere, or the reason why it could
// not be. The zero Reading is unknown.
type Reading[T any] struct {
	Value  T         `json:"value"`
	Source string    `json:"source,omitempty"` // the endpoint or table, for people
	At     time.Time `json:"at"`               // when it was read; zero means never
	Err    string    `json:"err,omitempty"`    // why it could not be read, in plain words
}

// Known reports whether the value may be relied on.
func (r Reading[T]) Known() bool { return r.Err == "" && !r.At.IsZero() }

// Known makes a Reading that succeeded.
func Known[T any](v T, source string, at time.Time) Reading[T] {
	return Reading[T]{Value: v, Source: source, At: at}
}

// Unknown makes a Reading that failed, with the reason in plain words.
func Unknown[T any](source string, at time.Time, why string) Reading[T] {
	return Reading[T]{Source: source, At: at, Err: why}
}
