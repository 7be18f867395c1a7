package forgetest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault describes what goes wrong with some REST requests.
type Fault struct {
	// Method and Path select requests; "" is any. In Path a * stands for any
	// run of characters: "/repos/*/pulls/*/merge".
	Method, Path string
	// Skip lets that many matching requests through first.
	Skip int
	// Times is how many requests are hit: 0 means one, negative means all.
	Times int

	// Wait delays the request before its effect, Until holds it until the
	// channel is closed. Both end when the caller goes away.
	Wait  time.Duration
	Until <-chan struct{}
	// Drop cuts the connection instead of answering.
	Drop bool
	// Status, Message and Header replace the answer. A 5xx is sent as HTML,
	// the way GitHub's front end does.
	Status  int
	Message string
	Header  http.Header
	docs    string // documentation_url, which clients recognize some errors by
	// Body replaces the body: wrong JSON, half an answer.
	Body []byte
	// AfterEffect lets the effect happen first: Drop, Status and Body then
	// make an answer that lies about it.
	AfterEffect bool
}

// TooManyRequests is the fault of the primary rate limit (429). It leaves out
// X-RateLimit-Reset, so that a client library's own memory of the limit does
// not swallow the requests that follow.
func TooManyRequests(retryAfter time.Duration) Fault {
	return Fault{
		Status: http.StatusTooManyRequests, Message: "API rate limit exceeded for installation ID 1.",
		Header: http.Header{"Retry-After": {seconds(retryAfter)}, "X-Ratelimit-Remaining": {"0"}},
	}
}

// SecondaryLimit is the fault of GitHub's abuse protection (403).
func SecondaryLimit(retryAfter time.Duration) Fault {
	return Fault{
		Status:  http.StatusForbidden,
		Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
		Header:  http.Header{"Retry-After": {seconds(retryAfter)}},
		docs:    "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits",
	}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

type faultSet struct {
	mu   sync.Mutex
	list []*Fault
}

// Inject makes matching requests go wrong until the count is used up or the
// returned function is called. The first fault that matches wins.
func (s *Server) Inject(f Fault) (remove func()) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = append(s.faults.list, &f)
	return func() {
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		f.Times = 0
	}
}

func (set *faultSet) take(method, path string) *Fault {
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, f := range set.list {
		if f.Times == 0 || (f.Method != "" && f.Method != method) || (f.Path != "" && !glob(f.Path, path)) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		hit := *f
		return &hit
	}
	return nil
}

// glob matches with * for any run of characters.
func glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	for ; ok; s = s[1:] {
		if glob(rest, s) {
			return true
		}
		if s == "" {
			return false
		}
	}
	return false
}

// before waits as asked; false means the connection must be cut now.
func (f *Fault) before(r *http.Request, closing <-chan struct{}) bool {
	if f == nil {
		return true
	}
	var timer <-chan time.Time
	if f.Wait > 0 {
		t := time.NewTimer(f.Wait)
		defer t.Stop()
		timer = t.C
	}
	for _, wait := range []func() bool{
		func() bool { return timer == nil || !done(timer, r, closing) },
		func() bool { return f.Until == nil || !done(f.Until, r, closing) },
	} {
		if !wait() {
			return false
		}
	}
	return !f.Drop || f.AfterEffect
}

// done waits; true means that the caller went away or the server closes.
func done[T any](event <-chan T, r *http.Request, closing <-chan struct{}) bool {
	select {
	case <-event:
		return false
	case <-r.Context().Done():
		return true
	case <-closing:
		return true
	}
}

func (f *Fault) replaces() bool {
	return f != nil && !f.AfterEffect && (f.Status != 0 || f.Body != nil)
}

func (f *Fault) reply(*Server) reply {
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	rep := refuse(status, f.Message)
	if f.docs != "" {
		rep.body.(obj)["documentation_url"] = f.docs
	}
	rep.header = f.Header.Clone()
	if rep.header == nil {
		rep.header = http.Header{}
	}
	if status >= http.StatusInternalServerError {
		rep.raw = []byte("<html><body><h1>" + http.StatusText(status) + "</h1></body></html>")
		rep.header.Set("Content-Type", "text/html")
	}
	if f.Body != nil {
		rep.raw = f.Body
	}
	return rep
}

var errCut = errors.New("cut the connection")

// after turns the true answer into the one that the caller gets.
func (f *Fault) after(s *Server, honest reply) (reply, error) {
	switch {
	case f == nil || !f.AfterEffect:
		return honest, nil
	case f.Drop:
		return honest, errCut
	case f.Status != 0 || f.Body != nil:
		return f.reply(s), nil
	default:
		return honest, nil
	}
}

// HookAction is what happens to a webhook.
type HookAction int

const (
	// HookDrop loses it; the delivery log shows a failure.
	HookDrop HookAction = iota + 1
	// HookDuplicate sends it twice under one GUID.
	HookDuplicate
	// HookSwap sends it after the one that follows it.
	HookSwap
	// HookHold keeps it back until ReleaseHeld.
	HookHold
)

// HookFault selects webhooks that go wrong.
type HookFault struct {
	// Event is "push", "pull_request.opened" or "" for any.
	Event string
	// Times is how many are hit: 0 means one, negative means all.
	Times int
	Do    HookAction
}

// InjectHook makes matching webhooks go wrong.
func (s *Server) InjectHook(f HookFault) (remove func()) {
	if f.Times == 0 {
		f.Times = 1
	}
	q := s.hooks
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = append(q.faults, &f)
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		f.Times = 0
	}
}

func (q *hookQueue) fault(d *delivery) HookAction {
	if d.faultFree {
		return 0
	}
	for _, f := range q.faults {
		if f.Times == 0 || (f.Event != "" && f.Event != d.event && f.Event != d.event+"."+d.action) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f.Do
	}
	return 0
}

// ReleaseHeld sends what HookHold kept back, last first when reverse is set.
func (s *Server) ReleaseHeld(reverse bool) {
	q := s.hooks
	q.mu.Lock()
	held := q.held
	q.held = nil
	q.mu.Unlock()
	if reverse {
		for i, j := 0, len(held)-1; i < j; i, j = i+1, j-1 {
			held[i], held[j] = held[j], held[i]
		}
	}
	for _, d := range held {
		d.faultFree = true
	}
	q.push(held...)
}
