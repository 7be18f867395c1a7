package forge

import (
	"context"
	"fmt"
	"net/http"

	"github.com/nixfleet/nixfleet/fleet"
)

// write makes a call that changes something in a repository. GitHub redirects
// calls for a renamed one without doing anything; they are then made once more
// under its present name, after checking that it is the same repository.
func (c *client) write(ctx context.Context, repo fleet.Repo, k call, rest string) (answer, error) {
	var err error
	if k.path, err = repoPath(repo, rest); err != nil {
		return answer{}, fmt.Errorf("%s: %w", k.op, err)
	}
	a, err := c.do(ctx, k)
	switch codeOf(err) {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return a, err
	}
	state, lookErr := c.repository(ctx, repo)
	if lookErr != nil {
		return answer{}, &notSent{&Error{Op: k.op, Message: "the repository was renamed, and its present name could not be read", Err: lookErr}}
	}
	if k.path, err = repoPath(state.Repo, rest); err != nil {
		return answer{}, fmt.Errorf("%s: %w", k.op, err)
	}
	return c.do(ctx, k)
}
