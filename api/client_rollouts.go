package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Rollouts lists rollouts, newest first.
func (c *Client) Rollouts(ctx context.Context, q RolloutQuery) ([]Rollout, error) {
	v := url.Values{}
	if q.State != "" {
		v.Set("state", q.State)
	}
	if q.Before != "" {
		v.Set("before", q.Before)
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out struct {
		Rollouts []Rollout `json:"rollouts"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/rollouts?"+v.Encode(), nil, &out)
	return out.Rollouts, err
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
	err := c.callWith(ctx, http.MethodPost, "/api/v1/rollouts", keyed(key), n, &out)
	return out, err
}

// SteerRollout pauses, resumes, aborts or rolls back, as verb says.
func (c *Client) SteerRollout(ctx context.Context, id, verb, reason string) (Rollout, error) {
	var out Rollout
	err := c.call(ctx, http.MethodPost, rolloutPath(id)+"/"+verb, reasonBody{reason}, &out)
	return out, err
}

// RetryRollout starts a rollout of the hosts that did not get there.
func (c *Client) RetryRollout(ctx context.Context, id, reason, key string) (Rollout, error) {
	var out Rollout
	err := c.callWith(ctx, http.MethodPost, rolloutPath(id)+"/retry", keyed(key), reasonBody{reason}, &out)
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

// keyed is the header that names a wish.
func keyed(key string) http.Header {
	if key == "" {
		return nil
	}
	return http.Header{"Idempotency-Key": {key}}
}
