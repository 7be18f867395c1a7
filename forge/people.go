package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/nixfleet/nixfleet/fleet"
)

// roles are GitHub's own, from the least to the most.
var roles = []string{"none", "read", "triage", "write", "maintain", "admin"}

// MayWrite reports whether a role of Permission lets a person merge.
func MayWrite(role string) bool { return slices.Index(roles, role) >= slices.Index(roles, "write") }

// Permission reads what a person may do on a repository: none, read, triage, write,
// maintain or admin; a role of an organization's own counts as the one that it
// builds on. Both are compared by id: a name may be somebody else's by now. An error
// means that it is not known.
func (f *Forge) Permission(ctx context.Context, repo fleet.Repo, who fleet.Actor) (role string, err error) {
	op := fmt.Sprintf("read permission of %s on %s", oneLine(who.Login, maxValue), repo.FullName())
	if !namePattern.MatchString(who.Login) || who.ID <= 0 {
		return "", fmt.Errorf("%s: no login and id that GitHub allows", op)
	}
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	state, err := c.repository(ctx, repo)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	path, err := repoPath(state.Repo, "/collaborators/"+url.PathEscape(who.Login)+"/permission")
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	p, err := get[struct {
		Permission string      `json:"permission"` // four levels, also for custom roles
		RoleName   string      `json:"role_name"`
		User       userPayload `json:"user"`
	}](ctx, c, op, path)
	switch {
	case err != nil:
		return "", err
	case p.User.ID != who.ID:
		return "", &Error{Op: op, Code: http.StatusOK, Message: fmt.Sprintf("account %d, but %d pressed the button", p.User.ID, who.ID)}
	case slices.Contains(roles, p.RoleName):
		return p.RoleName, nil
	case slices.Contains(roles, p.Permission):
		return p.Permission, nil
	}
	return "", &Error{Op: op, Code: http.StatusOK, Message: "a role that is not documented"}
}
