package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/fleet"
)

// ErrInstallationGone says that the App is no longer installed, or suspended.
var ErrInstallationGone = errors.New("the App is not installed there any more, or suspended; install it again or resume it")

// RateLimited says that GitHub asks us to wait, by the primary limit, a secondary
// one, or Retry-After.
type RateLimited struct {
	Op    string
	Until time.Time
}

func (e *RateLimited) Error() string { return e.Op + ": " + e.plain() }

func (e *RateLimited) plain() string {
	return "GitHub asks to wait until " + e.Until.UTC().Format("15:04:05 UTC")
}

// Error is an answer that is not the one asked for, or that none came.
type Error struct {
	Op      string
	Code    int    // HTTP status, 0 where no answer came
	Message string // GitHub's own words, or why none came
	Err     error
}

func (e *Error) Error() string { return e.Op + ": " + e.plain() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) plain() string {
	if e.Code == 0 {
		return "no answer from GitHub: " + e.Message
	}
	return fmt.Sprintf("GitHub answered %d: %s", e.Code, e.Message)
}

// plain is an error without its operation, for a reading that names its source.
func plain(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.plain()
	}
	if e, ok := errors.AsType[*RateLimited](err); ok {
		return e.plain()
	}
	return err.Error()
}

// codeOf is the HTTP status of an error, 0 where there is none.
func codeOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// failed turns whatever go-github and the layers below it return into our errors.
// It never keeps a request, whose headers carry a token.
func (c *client) failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if e, ok := errors.AsType[*ghinstallation.HTTPError](err); ok {
		return c.noToken(op, e)
	}
	if e, ok := errors.AsType[*github.RateLimitError](err); ok {
		return c.limit(op, e.Response, e.Rate.Reset.Time)
	}
	if e, ok := errors.AsType[*github.AbuseRateLimitError](err); ok {
		var until time.Time
		if e.RetryAfter != nil {
			until = c.now().Add(*e.RetryAfter)
		}
		return c.limit(op, e.Response, until)
	}
	if e, ok := errors.AsType[*github.ErrorResponse](err); ok {
		return c.refused(op, e)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the address, which the operation names better
	}
	message := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		message = fmt.Sprintf("none within %v", callTimeout)
	}
	return &Error{Op: op, Message: message, Err: err}
}

// refused is an answer that is no success. go-github knows no 429, and only some
// spellings of the secondary limits.
func (c *client) refused(op string, e *github.ErrorResponse) error {
	message := e.Message
	for _, detail := range e.Errors {
		if detail.Message != "" {
			message += "; " + detail.Message
		}
	}
	if message == "" {
		message = http.StatusText(e.Response.StatusCode)
	}
	code := e.Response.StatusCode
	secondary := code == http.StatusForbidden && strings.Contains(strings.ToLower(message), "rate limit")
	if code == http.StatusTooManyRequests || secondary {
		return c.limit(op, e.Response, time.Time{})
	}
	if code == http.StatusForbidden && strings.Contains(message, "suspended") {
		return fmt.Errorf("%s: %w", op, ErrInstallationGone)
	}
	return &Error{Op: op, Code: code, Message: oneLine(message, 500)}
}

// noToken says why an installation got no token. ghinstallation leaves the body of
// a refusal open for us.
func (c *client) noToken(op string, e *ghinstallation.HTTPError) error {
	if e.Response == nil {
		return &notSent{c.failedToken(op, e.RootCause)}
	}
	resp := e.Response
	_ = resp.Body.Close()
	limited := resp.StatusCode == http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "" ||
		resp.StatusCode == http.StatusForbidden && resp.Header.Get("X-RateLimit-Remaining") == "0"
	if limited {
		return c.limit(op, resp, time.Time{})
	}
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity:
		// Suspended, removed, the repository taken away, or fewer permissions than we knew of.
		if c.renew != nil {
			c.renew()
		}
		return fmt.Errorf("%s: %w", op, ErrInstallationGone)
	case http.StatusUnauthorized:
		return &notSent{&Error{Op: op, Code: resp.StatusCode, Message: "it does not accept our signature; check App id, private key and the clock"}}
	}
	return &notSent{&Error{Op: op, Code: resp.StatusCode, Message: "no token for the installation"}}
}

func (c *client) failedToken(op string, cause error) *Error {
	if cause == nil {
		cause = errors.New("no reason given")
	}
	return &Error{Op: op, Message: "while fetching a token: " + oneLine(cause.Error(), 200), Err: cause}
}

// notSent marks that the call itself was never made.
type notSent struct{ cause *Error }

func (e *notSent) Error() string { return e.cause.Error() }

// Unwrap gives the cause.
func (e *notSent) Unwrap() error { return e.cause }

// limit remembers until when GitHub wants quiet. Without a time that is a minute,
// as its documentation says.
func (c *client) limit(op string, resp *http.Response, until time.Time) error {
	now := c.now()
	if resp != nil {
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
			until = now.Add(time.Duration(s) * time.Second)
		} else if reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil && resp.Header.Get("X-RateLimit-Remaining") == "0" {
			until = time.Unix(reset, 0)
		}
	}
	if !until.After(now) || until.After(now.Add(2*time.Hour)) {
		until = now.Add(time.Minute)
	}
	c.limits.quiet(until)
	c.log.Warn().Str("op", op).Time("until", until).Msg("GitHub asks us to wait")
	return &RateLimited{Op: op, Until: until}
}

// read makes a reading out of what a call returned.
func read[T any](now time.Time, source string, v T, err error) fleet.Reading[T] {
	if err != nil {
		return fleet.Unknown[T](source, now, plain(err))
	}
	return fleet.Known(v, source, now)
}
