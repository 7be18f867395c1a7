package fleet

import (
	"fmt"
	"time"
)

// The roles, in rising order of what they may do.
const (
	RoleNone     = "none"     // may not come in
	RoleViewer   = "viewer"   // sees everything, changes nothing
	RoleOperator = "operator" // merges and deploys
	RoleAdmin    = "admin"    // also changes settings
)

var roleRanks = map[string]int{RoleViewer: 1, RoleOperator: 2, RoleAdmin: 3}

// RoleCovers reports whether a role includes another. What is no role includes none,
// and is included by none.
func RoleCovers(have, want string) bool {
	return roleRanks[want] > 0 && roleRanks[have] >= roleRanks[want]
}

// LesserRole is the one of two roles that may do less; what is no role counts as none.
func LesserRole(a, b string) string {
	switch {
	case roleRanks[a] == 0 || roleRanks[b] == 0:
		return RoleNone
	case roleRanks[a] < roleRanks[b]:
		return a
	}
	return b
}

// rolesOnGitHub is what a permission on a repository makes of somebody.
var rolesOnGitHub = map[string]string{
	"read": RoleViewer, "triage": RoleViewer, "write": RoleOperator, "maintain": RoleOperator, "admin": RoleAdmin,
}

// Grant is what GitHub lets somebody do on a repository.
type Grant struct {
	Repo       string // owner/name
	Permission string // none, read, triage, write, maintain or admin
}

// RoleBy is the role of somebody with a grant on every repository that is watched, and
// why: the least of them, for a role holds for the whole fleet, and whoever may deploy
// from one repository must not reach the hosts of another. Without a repository nobody
// has a role by GitHub.
func RoleBy(grants []Grant) (role, because string) {
	if len(grants) == 0 {
		return RoleNone, "no role, since no repository is watched"
	}
	role = RoleAdmin
	for i, g := range grants {
		on := rolesOnGitHub[g.Permission]
		if on == "" {
			return RoleNone, "no access to " + g.Repo
		}
		if i == 0 || !RoleCovers(on, role) {
			role, because = on, g.Permission+" on "+g.Repo
		}
	}
	if len(grants) > 1 && role != RoleAdmin {
		because = fmt.Sprintf("%s, the least of %d repositories", because, len(grants))
	}
	return role, because
}

// How long GitHub's word on a role is good for. After RoleAgain it is asked anew; as
// long as it does not answer, the role stands until RoleTrust is over. From then on one
// may look, and change nothing.
const (
	RoleAgain = 10 * time.Minute
	RoleTrust = 30 * time.Minute
)

// RoleNow is what a session or token with a role lets one do whose owner's own role
// GitHub told at a time; confirmed is false where it is only less because GitHub has
// not confirmed it for too long.
func RoleNow(role, own string, told, now time.Time) (may string, confirmed bool) {
	may = LesserRole(role, own)
	if now.Sub(told) < RoleTrust || !RoleCovers(may, RoleOperator) {
		return may, true
	}
	return RoleViewer, false
}

// SessionView is a session as its person sees it.
type SessionView struct {
	ID      string
	This    bool // the one that asks
	Address string
	Browser string
	Began   time.Time
	Seen    time.Time
	Expires time.Time
}

// PersonView is somebody who has signed in.
type PersonView struct {
	ID       int64 // of the account on GitHub; 0 for a name given on the server's own machine
	Login    string
	Role     string
	Because  string // what GitHub said, such as: write on aurora/nixcfg
	Checked  time.Time
	Problem  string // why GitHub could not be asked the last time
	SignedIn time.Time
	Seen     time.Time
	Sessions int
	Tokens   int
}

// Local reports whether it is nobody on GitHub.
func (p PersonView) Local() bool { return p.ID == 0 }

// TokenView is a token of a program, without the token.
type TokenView struct {
	ID      string
	Name    string
	Role    string // at most
	May     string // what it may do now; none where its owner may nothing any more
	Owner   string
	Mine    bool // of who asks
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // zero: never
	From    string    // the address that it was last used from
	Revoked time.Time // zero: it is not
	By      string    // who revoked it
}

// Works reports whether the token lets anybody in.
func (t TokenView) Works(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || t.Expires.After(now)) && t.May != RoleNone
}
