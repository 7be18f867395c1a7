package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what the client reads of one answer.
const maxAnswer = 32 << 20

// Client calls the API of a server; the command line is made of it.
type Client struct {
	Server string // address of the server, as in NIXFLEET_SERVER
	Token  string // bearer token, as in NIXFLEET_TOKEN
	HTTP   *http.Client
}

// Hosts lists all hosts.
func (c *Client) Hosts(ctx context.Context) ([]Host, error) {
	var out struct {
		Hosts []Host `json:"hosts"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/hosts", nil, &out)
	return out.Hosts, err
}

// NewHost adds a host and returns its one-time enrolment token.
func (c *Client) NewHost(ctx context.Context, h NewHost) (Enrolment, error) {
	var out Enrolment
	err := c.call(ctx, http.MethodPost, "/api/v1/hosts", h, &out)
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
	err := c.call(ctx, http.MethodPost, "/api/v1/keys", nil, &out)
	return out, err
}

// UseOrderKey has a key sign orders from now on.
func (c *Client) UseOrderKey(ctx context.Context, id string, force bool) error {
	return c.call(ctx, http.MethodPost, "/api/v1/keys/"+url.PathEscape(id)+"/use?force="+strconv.FormatBool(force), nil, nil)
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
	err := c.call(ctx, http.MethodPost, repoPath(repo)+"/locks", l, &out)
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
	err := c.call(ctx, http.MethodPost, repoPath(repo)+"/update-inputs", u, &out)
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

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	return c.callWith(ctx, method, path, nil, in, out)
}

func (c *Client) callWith(ctx context.Context, method, path string, header http.Header, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	resp, err := c.ask(ctx, method, path, in, header)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.Server, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// ask returns the answer with its body unread; one that tells of a problem is an error.
func (c *Client) ask(ctx context.Context, method, path string, in any, header http.Header) (*http.Response, error) {
	if c.Server == "" {
		return nil, errors.New("no server to ask: set NIXFLEET_SERVER to its address")
	}
	if c.Token == "" {
		return nil, fmt.Errorf("no token for %s: set NIXFLEET_TOKEN to the admin token of the server", c.Server)
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Server, "/")+path, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Content-Type", "application/json")
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.Server, err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.Server, err)
	}
	return nil, problem(resp.StatusCode, resp.Status, b)
}

// Problem is an answer that says why nothing was done.
type Problem struct {
	Code   int
	Status string // as in the answer's first line
	Detail string
	Errors []FieldProblem
}

// FieldProblem is what is wrong with one field of a request.
type FieldProblem struct {
	Message  string `json:"message"`
	Location string `json:"location"`
	Value    any    `json:"value"`
}

// Error is the sentence of the answer, and what it says of fields.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return "the server answered " + p.Status
	}
	text := p.Detail
	for i, e := range p.Errors {
		if i == maxFieldsTold {
			text += fmt.Sprintf("; and %d more", len(p.Errors)-i)
			break
		}
		text += fmt.Sprintf("; %s: %s", strings.TrimPrefix(e.Location, "body."), e.Message)
	}
	return fmt.Sprintf("the server answered %s: %s", p.Status, text)
}

// maxFieldsTold bounds a message for people; programs read all of them.
const maxFieldsTold = 10

// problem reads an error answer.
func problem(code int, status string, body []byte) error {
	var p struct {
		Detail string         `json:"detail"`
		Errors []FieldProblem `json:"errors"`
	}
	if json.Unmarshal(body, &p) != nil {
		p.Detail = ""
	}
	return &Problem{Code: code, Status: status, Detail: p.Detail, Errors: p.Errors}
}
