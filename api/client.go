package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// Client calls the API of a server; the command line is made of it.
type Client struct {
	Server string // address of the server, as in NIXFLEET_SERVER
	Token  string // bearer token, as in NIXFLEET_TOKEN
	HTTP   *http.Client
}

// Hosts lists hosts by name.
func (c *Client) Hosts(ctx context.Context, f fleet.HostFilter) ([]Host, error) {
	q := url.Values{"tag": f.Tags}
	set(q, "q", f.Query)
	set(q, "state", f.State)
	set(q, "os", f.OS)
	return listAll[Host](ctx, c, "/api/v1/hosts", q, "hosts", 0)
}

// NewHost adds a host and returns its one-time enrolment token.
func (c *Client) NewHost(ctx context.Context, h NewHost) (Enrolment, error) {
	var out Enrolment
	err := c.act(ctx, "/api/v1/hosts", h, &out)
	return out, err
}

// RevokeHost takes a host's credential away and cuts its connection.
func (c *Client) RevokeHost(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/hosts/"+url.PathEscape(name), nil, nil)
}

// OrderKeys lists the keys that sign orders.
func (c *Client) OrderKeys(ctx context.Context) ([]OrderKey, error) {
	var out struct {
		Keys []OrderKey `json:"keys"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/keys", nil, &out)
	return out.Keys, err
}

// AddOrderKey makes a key that can sign orders.
func (c *Client) AddOrderKey(ctx context.Context) (OrderKey, error) {
	var out OrderKey
	err := c.act(ctx, "/api/v1/keys", nil, &out)
	return out, err
}

// UseOrderKey has a key sign orders from now on.
func (c *Client) UseOrderKey(ctx context.Context, id string, force bool) error {
	return c.act(ctx, "/api/v1/keys/"+url.PathEscape(id)+"/use?force="+strconv.FormatBool(force), nil, nil)
}

// RetireOrderKey forgets a key.
func (c *Client) RetireOrderKey(ctx context.Context, id string, force bool) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/keys/"+url.PathEscape(id)+"?force="+strconv.FormatBool(force), nil, nil)
}

// Repos lists the watched repositories.
func (c *Client) Repos(ctx context.Context) ([]Repo, error) {
	var out struct {
		Repos []Repo `json:"repos"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/repos", nil, &out)
	return out.Repos, err
}

// Policy tells what holds for a repository, named owner/name.
func (c *Client) Policy(ctx context.Context, repo string) (Policy, error) {
	var out Policy
	err := c.call(ctx, http.MethodGet, repoPath(repo)+"/policy", nil, &out)
	return out, err
}

// SetPolicy changes the settings of a repository without a policy file.
func (c *Client) SetPolicy(ctx context.Context, repo, settings string) (Policy, error) {
	var out Policy
	err := c.call(ctx, http.MethodPut, repoPath(repo)+"/policy", map[string]string{"settings": settings}, &out)
	return out, err
}

// Explain asks for every condition of an update. The suppositions are the query
// parameters of the endpoint.
func (c *Client) Explain(ctx context.Context, repo string, number int, suppose url.Values) (Explanation, error) {
	var out Explanation
	err := c.call(ctx, http.MethodGet, fmt.Sprintf("%s/updates/%d/explain?%s", repoPath(repo), number, suppose.Encode()), nil, &out)
	return out, err
}

// ProposeLock sends a lock for a repository, named owner/name.
func (c *Client) ProposeLock(ctx context.Context, repo string, l NewLock) (Lock, error) {
	var out Lock
	err := c.act(ctx, repoPath(repo)+"/locks", l, &out)
	return out, err
}

// Lock asks what became of a lock that was sent.
func (c *Client) Lock(ctx context.Context, repo, id string) (Lock, error) {
	var out Lock
	err := c.call(ctx, http.MethodGet, repoPath(repo)+"/locks/"+url.PathEscape(id), nil, &out)
	return out, err
}

// UpdateInputs has a host make a newer lock for a repository, named owner/name.
func (c *Client) UpdateInputs(ctx context.Context, repo string, u UpdateInputs) (InputsUpdate, error) {
	var out InputsUpdate
	err := c.act(ctx, repoPath(repo)+"/update-inputs", u, &out)
	return out, err
}

// InputsUpdate asks what became of an order for a newer lock.
func (c *Client) InputsUpdate(ctx context.Context, repo, id string) (InputsUpdate, error) {
	var out InputsUpdate
	err := c.call(ctx, http.MethodGet, repoPath(repo)+"/update-inputs/"+url.PathEscape(id), nil, &out)
	return out, err
}

func repoPath(repo string) string {
	owner, name, _ := strings.Cut(repo, "/")
	return "/api/v1/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name)
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
