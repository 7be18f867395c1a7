package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what the client reads of one answer.
const maxAnswer = 32 << 20

// ErrNoServer and ErrNoToken say that a client does not know enough to ask.
var (
	ErrNoServer = errors.New("no server to ask: set NIXFLEET_SERVER to its address, e.g. https://fleet.example.org")
	ErrNoToken  = errors.New("no token: set NIXFLEET_TOKEN to one of the server's. " +
		"An admin makes them with `nixfleet tokens create`; the first one is in the file that NIXFLEET_ADMIN_TOKEN_FILE of the server names")
)

// UnreachableError means that no answer came.
type UnreachableError struct {
	Server string
	Err    error
}

// Error says which server did not answer, and how.
func (e *UnreachableError) Error() string { return fmt.Sprintf("ask %s: %v", e.Server, e.Err) }

// Unwrap is what went wrong on the way.
func (e *UnreachableError) Unwrap() error { return e.Err }

// unsent reports whether the request never left: repeating it at once is of no use.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	return c.callWith(ctx, method, path, nil, in, out)
}

// actAttempts is how often a request that acts is sent, where no answer comes.
const actAttempts = 4

// act sends a request that acts, under a key of its own.
func (c *Client) act(ctx context.Context, path string, in, out any) error {
	return c.actAs(ctx, rand.Text(), path, in, out)
}

// actAs sends a request that acts. Where no answer comes, it is sent again: its key
// makes that the same request.
func (c *Client) actAs(ctx context.Context, key, path string, in, out any) error {
	if key == "" {
		key = rand.Text()
	}
	for attempt := 1; ; attempt++ {
		err := c.callWith(ctx, http.MethodPost, path, http.Header{keyHeader: {key}}, in, out)
		if attempt == actAttempts || ctx.Err() != nil || !worthRepeating(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt) * time.Second / 2):
		}
	}
}

// worthRepeating holds where it is not known what came of a request.
func worthRepeating(err error) bool {
	if lost, ok := errors.AsType[*UnreachableError](err); ok {
		return !unsent(lost)
	}
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Code == http.StatusConflict && p.RetryAfter > 0 // the first one is still under way
}

func (c *Client) callWith(ctx context.Context, method, path string, header http.Header, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	resp, err := c.ask(ctx, method, path, in, header)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &UnreachableError{c.Server, err}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s does not answer as NixFleet does; set NIXFLEET_SERVER to its address: %w", c.Server, err)
	}
	return nil
}

// ask returns the answer with its body unread; one that tells of a problem is an error.
func (c *Client) ask(ctx context.Context, method, path string, in any, header http.Header) (*http.Response, error) {
	if c.Server == "" {
		return nil, ErrNoServer
	}
	if c.Token == "" {
		return nil, ErrNoToken
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
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // the address is said already
		}
		return nil, &UnreachableError{c.Server, err}
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &UnreachableError{c.Server, err}
	}
	return nil, problem(resp, b)
}

// listAll reads a list page by page, at most so many entries; 0 means all.
func listAll[T any](ctx context.Context, c *Client, path string, q url.Values, field string, limit int) ([]T, error) {
	list := []T{}
	for {
		size := 1000
		if limit > 0 {
			size = min(size, limit-len(list))
		}
		q.Set("limit", strconv.Itoa(size))
		var answer map[string]json.RawMessage
		if err := c.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &answer); err != nil {
			return nil, err
		}
		var page []T
		var next string
		if err := json.Unmarshal(answer[field], &page); err != nil {
			return nil, fmt.Errorf("read the %s of %s: %w", field, c.Server, err)
		}
		if text, more := answer["next"]; more {
			if err := json.Unmarshal(text, &next); err != nil {
				return nil, fmt.Errorf("read the %s of %s: %w", field, c.Server, err)
			}
		}
		list = append(list, page...)
		if next == "" || len(page) == 0 || limit > 0 && len(list) >= limit {
			return list, nil
		}
		q.Set("cursor", next)
	}
}

// Problem is an answer that says why nothing was done.
type Problem struct {
	Code       int
	Status     string // as in the answer's first line
	Detail     string
	Errors     []FieldProblem
	Version    string        // of the server; empty where something else answered
	RetryAfter time.Duration // when to try again; zero where that was not said
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
func problem(resp *http.Response, body []byte) error {
	var p struct {
		Detail string         `json:"detail"`
		Errors []FieldProblem `json:"errors"`
	}
	if json.Unmarshal(body, &p) != nil {
		p.Detail = ""
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // may be a date, which nobody here sends
	return &Problem{
		Code: resp.StatusCode, Status: resp.Status, Detail: p.Detail, Errors: p.Errors,
		Version: resp.Header.Get(versionHeader), RetryAfter: time.Duration(seconds) * time.Second,
	}
}
