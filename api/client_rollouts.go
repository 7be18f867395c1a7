package api

import (
	"context"
	"net/http"
	"net/url"
)

// RolloutQuery picks rollouts.
type RolloutQuery struct {
	State string
	Limit int // 0 means all
}

// Rollouts lists rollouts, newest first.
func (c *Client) Rollouts(ctx context.Context, q RolloutQuery) ([]Rollout, error) {
	v := url.Values{}
	set(v, "state", q.State)
	return listAll[Rollout](ctx, c, "/api/v1/rollouts", v, "rollouts", q.Limit)
}

// Rollout reads one rollout by its id, the beginning of it, or "latest".
func (c *Client) Rollout(ctx context.Context, id string) (Rollout, error) {
	var out Rollout
	err := c.call(ctx, http.MethodGet, rolloutPath(id), nil, &out)
	return out, err
}

// StartRollout brings a commit to hosts. Repeated under the same key, it is one wish.
func (c *Client) StartRollout(ctx context.Context, n NewRollout, key string) (Rollout, error) {
	var out Rollout
	err := c.actAs(ctx, key, "/api/v1/rollouts", n, &out)
	return out, err
}

// SteerRollout pauses, resumes, aborts or rolls back, as verb says.
func (c *Client) SteerRollout(ctx context.Context, id, verb, reason string) (Rollout, error) {
	var out Rollout
	err := c.act(ctx, rolloutPath(id)+"/"+verb, reasonBody{reason}, &out)
	return out, err
}

// RetryRollout starts a rollout of the hosts that did not get there.
func (c *Client) RetryRollout(ctx context.Context, id, reason, key string) (Rollout, error) {
	var out Rollout
	err := c.actAs(ctx, key, rolloutPath(id)+"/retry", reasonBody{reason}, &out)
	return out, err
}

// ExcludeHost takes a host out of a rollout.
func (c *Client) ExcludeHost(ctx context.Context, id, host, reason string) (Rollout, error) {
	var out Rollout
	path := rolloutPath(id) + "/hosts/" + url.PathEscape(host) + "?" + url.Values{"reason": {reason}}.Encode()
	err := c.call(ctx, http.MethodDelete, path, nil, &out)
	return out, err
}

// Quarantine lists the commits that nothing brings to further hosts by itself.
func (c *Client) Quarantine(ctx context.Context) ([]Quarantined, error) {
	var out struct {
		Commits []Quarantined `json:"commits"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/quarantine", nil, &out)
	return out.Commits, err
}

// LiftQuarantine lets a commit spread again.
func (c *Client) LiftQuarantine(ctx context.Context, commit, reason string) (Quarantined, error) {
	var out Quarantined
	path := "/api/v1/quarantine/" + url.PathEscape(commit) + "?" + url.Values{"reason": {reason}}.Encode()
	err := c.call(ctx, http.MethodDelete, path, nil, &out)
	return out, err
}

func rolloutPath(id string) string { return "/api/v1/rollouts/" + url.PathEscape(id) }
