package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/fleet"
)

const (
	acceptJSON = "application/vnd.github+json"
	acceptRaw  = "application/vnd.github.raw+json"
)

// client is the App, or one installation of it.
type client struct {
	// gh makes a client for one call. Kept longer, it would remember rate limits and
	// refuse calls by itself, which is for limits to say: those know a merge from the
	// rest, and what time it is.
	gh    func() *github.Client
	now   func() time.Time
	slots chan struct{}
	log   zerolog.Logger

	*shared

	enterprise bool // see Config

	granted map[string]string // what the tokens were made for
	renew   func()            // called when GitHub gives no token; may be nil
	urgent  bool              // all its calls are
}

// call is one request. Op says what for, in words for an error.
type call struct {
	op     string
	method string // GET where empty
	path   string // below the REST root, with its query
	accept string
	in     any
	urgent bool // may use the reserve: a merge, and what it rests on
}

// answer is a success, read to its end.
type answer struct {
	code int
	body []byte
	next int // the next page, 0 for the last

	cursor string // the next page of lists that go by cursors, empty for the last
}

// do makes one call. Errors are *Error, *RateLimited, or wrap
// ErrInstallationGone or the context's error; all say the operation.
func (c *client) do(ctx context.Context, k call) (answer, error) {
	if err := c.wait(ctx, k); err != nil {
		return answer{}, err
	}
	defer func() { <-c.slots }()
	gh := c.gh()
	req, err := request(gh, k)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", k.op, err)
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := gh.BareDo(limited, req)
	if resp != nil {
		c.limits.saw(resp.Rate)
		count(k, resp)
	}
	if err != nil {
		return answer{}, c.failed(ctx, k.op, err)
	}
	defer func() { _ = resp.Body.Close() }()
	// To the end: the cache keeps only what was read to the end, and go-github's
	// own decoding stops at the last brace.
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, c.failed(ctx, k.op, err)
	}
	return answer{code: resp.StatusCode, body: body, next: resp.NextPage, cursor: resp.Cursor}, nil
}

// wait takes a slot, unless GitHub asked us to be quiet.
func (c *client) wait(ctx context.Context, k call) error {
	op := k.op
	if until := c.limits.closed(c.now(), k.urgent || c.urgent); !until.IsZero() {
		return &RateLimited{Op: op, Until: until}
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
}

func request(gh *github.Client, k call) (*http.Request, error) {
	if k.method == "" {
		k.method = http.MethodGet
	}
	if k.accept == "" {
		k.accept = acceptJSON
	}
	req, err := gh.NewRequest(k.method, k.path, k.in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", k.accept)
	return req, nil
}

// get reads one JSON answer.
func get[T any](ctx context.Context, c *client, op, path string) (T, error) {
	v, _, err := getPage[T](ctx, c, op, path)
	return v, err
}

func getPage[T any](ctx context.Context, c *client, op, path string) (T, int, error) {
	var v T
	a, err := c.do(ctx, call{op: op, path: path})
	if err != nil {
		return v, 0, err
	}
	if err := decode(op, a, &v); err != nil {
		c.forget(path)
		return v, 0, err
	}
	return v, a.next, nil
}

// forget takes an answer that can't be right out of the cache, which would not ask
// again for what can't change.
func (c *client) forget(path string) {
	if u, err := c.gh().BaseURL.Parse(path); err == nil {
		c.cache.Delete(u.String())
	}
}

func decode(op string, a answer, v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return &Error{Op: op, Code: a.code, Message: "an answer that is not the JSON it documents", Err: err}
	}
	return nil
}

// pageSize is the most that GitHub lists on one page.
const pageSize = 100

var errPages = errors.New("GitHub lists more than can be read")

// pages reads a list to its end, which must come within most pages.
func pages[T any](ctx context.Context, c *client, op, path string, most int) ([]T, error) {
	var all []T
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for page := 1; page > 0; {
		if page > most {
			return nil, fmt.Errorf("%s: %w (%d pages)", op, errPages, most)
		}
		v, next, err := getPage[T](ctx, c, op, fmt.Sprintf("%s%sper_page=%d&page=%d", path, sep, pageSize, page))
		if err != nil {
			return nil, err
		}
		all = append(all, v)
		if next != 0 && next <= page {
			return nil, &Error{Op: op, Code: http.StatusOK, Message: "pages in circles"}
		}
		page = next
	}
	return all, nil
}

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	shaPattern  = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

func isSHA(s string) bool { return shaPattern.MatchString(s) }

// repoPath is "repos/owner/name" and what follows. Names that GitHub would not
// allow could lead to another endpoint, so they are refused before a call.
func repoPath(r fleet.Repo, rest string) (string, error) {
	for _, s := range []string{r.Owner, r.Name} {
		if !namePattern.MatchString(s) || strings.Trim(s, ".") == "" {
			return "", fmt.Errorf("%q is no name that GitHub allows", s)
		}
	}
	return "repos/" + r.Owner + "/" + r.Name + rest, nil
}

// filePath escapes the path of a file for an address, segment by segment.
func filePath(path string) (string, error) {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if p == "" || p == "." || p == ".." {
			return "", fmt.Errorf("%q is no path of a file in a repository", path)
		}
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/"), nil
}
