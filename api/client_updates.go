package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Updates lists updates, newest first, at most so many; 0 means all.
func (c *Client) Updates(ctx context.Context, state, repo string, limit int) ([]Update, error) {
	q := url.Values{}
	set(q, "state", state)
	set(q, "repo", repo)
	return listAll[Update](ctx, c, "/api/v1/updates", q, "updates", limit)
}

// Update tells all that is known of an update of a repository, named owner/name.
func (c *Client) Update(ctx context.Context, repo string, number int) (UpdateDetail, error) {
	var out UpdateDetail
	err := c.call(ctx, http.MethodGet, updateAt(repo, number), nil, &out)
	return out, err
}

// MergeUpdate asks to merge the head that was looked at, and to deploy it or not.
func (c *Client) MergeUpdate(ctx context.Context, repo string, number int, head string, deploy bool) (UpdateDetail, error) {
	return c.actOnUpdate(ctx, repo, number, "merge", map[string]any{"head": head, "deploy": deploy})
}

// HoldUpdate keeps an update from merging by itself; a zero time means until released.
func (c *Client) HoldUpdate(ctx context.Context, repo string, number int, until time.Time) (UpdateDetail, error) {
	body := map[string]any{}
	if !until.IsZero() {
		body["until"] = until
	}
	return c.actOnUpdate(ctx, repo, number, "hold", body)
}

// ReleaseUpdate ends the hold of an update.
func (c *Client) ReleaseUpdate(ctx context.Context, repo string, number int) (UpdateDetail, error) {
	return c.actOnUpdate(ctx, repo, number, "release", nil)
}

// LookAtUpdate has an update looked at again now.
func (c *Client) LookAtUpdate(ctx context.Context, repo string, number int) (UpdateDetail, error) {
	return c.actOnUpdate(ctx, repo, number, "look", nil)
}

func (c *Client) actOnUpdate(ctx context.Context, repo string, number int, verb string, body any) (UpdateDetail, error) {
	var out UpdateDetail
	err := c.act(ctx, updateAt(repo, number)+"/"+verb, body, &out)
	return out, err
}

func updateAt(repo string, number int) string {
	return fmt.Sprintf("%s/updates/%d", repoPath(repo), number)
}

// CheckForUpdates has GitHub read again at once, for one repository or, with an empty
// name, for all.
func (c *Client) CheckForUpdates(ctx context.Context, repo string) ([]fleet.Checked, error) {
	var out struct {
		Repos []fleet.Checked `json:"repos"`
	}
	body := map[string]string{}
	if repo != "" {
		body["repo"] = repo
	}
	err := c.act(ctx, "/api/v1/check-updates", body, &out)
	return out.Repos, err
}
