package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/nixfleet/nixfleet/fleet"
)

// ErrNoAccount says that GitHub has no account with that id any more.
var ErrNoAccount = errors.New("there is no such account any more")

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
	c, path, err := f.collaborator(ctx, op, repo, who)
	if err != nil {
		return "", err
	}
	return permission(ctx, c, op, path, who)
}

// Access is Permission for who may come in: public repositories can be read by
// everybody, but only collaborators count, so the others have none. Neither has
// somebody whose account is gone.
func (f *Forge) Access(ctx context.Context, repo fleet.Repo, who fleet.Actor) (role string, err error) {
	op := fmt.Sprintf("read access of %s to %s", oneLine(who.Login, maxValue), repo.FullName())
	c, path, err := f.collaborator(ctx, op, repo, who)
	if err != nil {
		return "", err
	}
	role, err = permission(ctx, c, op, path, who)
	if codeOf(err) == http.StatusNotFound {
		return "none", nil
	}
	if err != nil || role != "read" {
		return role, err
	}
	switch _, err = c.do(ctx, call{op: op, path: path}); {
	case codeOf(err) == http.StatusNotFound:
		return "none", nil
	case err != nil:
		return "", err
	}
	return role, nil
}

// Account is the account with an id as it is named now; repo says whose installation
// asks. One that is gone is ErrNoAccount.
func (f *Forge) Account(ctx context.Context, repo fleet.Repo, id int64) (fleet.Actor, error) {
	op := fmt.Sprintf("read account %d", id)
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return fleet.Actor{}, fmt.Errorf("%s: %w", op, err)
	}
	u, err := get[userPayload](ctx, c, op, fmt.Sprintf("user/%d", id))
	switch {
	case codeOf(err) == http.StatusNotFound:
		return fleet.Actor{}, fmt.Errorf("%s: %w", op, ErrNoAccount)
	case err != nil:
		return fleet.Actor{}, err
	case u.ID != id:
		return fleet.Actor{}, &Error{Op: op, Code: http.StatusOK, Message: fmt.Sprintf("account %d", u.ID)}
	}
	return u.domain(), nil
}

// collaborator is the address of a person as a collaborator, and who asks for it. An
// error means that it can't be asked.
func (f *Forge) collaborator(ctx context.Context, op string, repo fleet.Repo, who fleet.Actor) (*client, string, error) {
	if !namePattern.MatchString(who.Login) || who.ID <= 0 {
		return nil, "", fmt.Errorf("%s: no login and id that GitHub allows", op)
	}
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", op, err)
	}
	state, err := c.repository(ctx, repo)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", op, err)
	}
	path, err := repoPath(state.Repo, "/collaborators/"+url.PathEscape(who.Login))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", op, err)
	}
	return c, path, nil
}

func permission(ctx context.Context, c *client, op, path string, who fleet.Actor) (role string, err error) {
	p, err := get[struct {
		Permission string      `json:"permission"` // four levels, also for custom roles
		RoleName   string      `json:"role_name"`
		User       userPayload `json:"user"`
	}](ctx, c, op, path+"/permission")
	switch {
	case err != nil:
		return "", err
	case p.User.ID != who.ID:
		return "", &Error{Op: op, Code: http.StatusOK, Message: fmt.Sprintf("account %d, want %d", p.User.ID, who.ID)}
	case slices.Contains(roles, p.RoleName):
		return p.RoleName, nil
	case slices.Contains(roles, p.Permission):
		return p.Permission, nil
	}
	return "", &Error{Op: op, Code: http.StatusOK, Message: "a role that is not documented"}
}
