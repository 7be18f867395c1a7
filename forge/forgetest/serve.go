package forgetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request; GitHub's own limit for API bodies is near 25 MB.
const maxBody = 25 << 20

// Phase says where in a request [Server.OnRequest] is called.
type Phase int

const (
	// BeforeEffect: nothing has happened yet.
	BeforeEffect Phase = iota
	// AfterEffect: the effect is done and its webhooks are queued, but the
	// caller has no answer yet.
	AfterEffect
)

type requestInfo struct {
	request *http.Request
	phase   Phase
}

// OnRequest sets a function that is called twice for every REST request, on
// the goroutine that serves it and without locks: it may block, call any
// method of Server, or panic with http.ErrAbortHandler to cut the connection.
// The request's path has no /api/v3 prefix, and its body is had from GetBody. Nil
// removes the function.
func (s *Server) OnRequest(f func(r *http.Request, phase Phase)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRequest = nil
	if f != nil {
		s.onRequest = func(i requestInfo) { f(i.request, i.phase) }
	}
}

// Calls counts the answers given for one "METHOD /openapi/{pattern}".
type Calls struct {
	Full        int // answers that cost a point of the rate limit
	NotModified int // 304, free
}

// Calls returns the count per "METHOD /pattern" since the start or the last
// ResetCalls.
func (s *Server) Calls() map[string]Calls {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]Calls, len(s.calls))
	for k, v := range s.calls {
		out[k] = *v
	}
	return out
}

// ResetCalls sets the counts of [Server.Calls] back to nothing.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = map[string]*Calls{}
}

var restPath = regexp.MustCompile(`^/(app|app-manifests|installation|rate_limit|repos|repositories|user|users)(/|$)`)

// serve is the front door: git, web pages, or the REST API, which answers
// below /api/v3 (as GitHub Enterprise does) and at the root (as
// api.github.com does).
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, rest := strings.CutPrefix(r.URL.EscapedPath(), "/api/v3")
	switch extra := s.extraPage(path); {
	case extra != nil:
		extra.ServeHTTP(w, r)
	case rest || restPath.MatchString(path):
		s.serveREST(w, r, "/"+strings.Trim(path, "/"))
	case path == "/login/oauth/authorize" && r.Method == http.MethodGet:
		s.authorize(w, r)
	case path == "/login/oauth/access_token" && r.Method == http.MethodPost:
		s.exchangeCode(w, r)
	case strings.Contains(path, ".git/"):
		s.serveGit(w, r)
	default:
		s.servePage(w, r)
	}
}

func (s *Server) serveREST(w http.ResponseWriter, r *http.Request, path string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body too large or cut off", http.StatusRequestEntityTooLarge)
		return
	}
	seen := r.Clone(r.Context())
	seen.URL.Path, _ = url.PathUnescape(path)
	seen.URL.RawPath = path
	seen.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	fault := s.faults.take(r.Method, seen.URL.Path)
	s.callHook(seen, BeforeEffect)
	if !fault.before(r, s.closing) {
		panic(http.ErrAbortHandler)
	}
	if fault.replaces() {
		s.send(w, r, nil, fault.reply(s))
		return
	}
	c, rep := s.dispatch(r, path, body)
	s.callHook(seen, AfterEffect)
	if c != nil {
		s.opts.checks.exchange(s, c, rep)
	}
	if rep, err = fault.after(s, rep); err != nil {
		panic(http.ErrAbortHandler)
	}
	s.send(w, r, c, rep)
}

func (s *Server) callHook(r *http.Request, phase Phase) {
	s.mu.Lock()
	hook := s.onRequest
	s.mu.Unlock()
	if hook != nil {
		hook(requestInfo{r, phase})
	}
}

var byID = regexp.MustCompile(`^/repositories/(\d+)(/.*|$)`)

// dispatch runs the handler under the lock: the imitation is one big
// transaction, so a reader never sees half an effect.
func (s *Server) dispatch(r *http.Request, path string, body []byte) (*call, reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := byID.FindStringSubmatch(path); m != nil {
		id, _ := strconv.ParseInt(m[1], 10, 64)
		if repo := s.repos[id]; repo != nil {
			path = "/repos/" + repo.fullName() + m[2]
		}
	}
	rt, params, found := match(s.routes, r.Method, path)
	if !found {
		s.report("%s %s: no such endpoint in the imitation of github.com", r.Method, path)
		return nil, notFound()
	}
	c := &call{http: r, params: params, query: r.URL.Query(), body: body, route: rt}
	if rep := s.admit(c); rep != nil {
		return c, *rep
	}
	return c, rt.handle(c)
}

// send marshals, answers 304 where the caller has the same bytes already, and
// keeps the accounts of the rate limit.
func (s *Server) send(w http.ResponseWriter, r *http.Request, c *call, rep reply) {
	raw := rep.raw
	if raw == nil && rep.body != nil {
		raw = marshal(rep.body)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	h.Set("X-GitHub-Request-Id", fmt.Sprintf("FAKE:%X", sha256.Sum256(append([]byte(r.URL.String()), raw...)))[:24])
	for k, v := range rep.header {
		h[k] = v
	}
	if r.Method == http.MethodGet && rep.status == http.StatusOK {
		etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(raw))
		h.Set("ETag", etag)
		h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
		h.Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
		if r.Header.Get("If-None-Match") == etag {
			rep.status, raw = http.StatusNotModified, nil
		}
	}
	s.account(h, c, rep.status)
	if raw == nil {
		h.Del("Content-Type")
	}
	w.WriteHeader(rep.status)
	_, _ = w.Write(raw) // the caller may be gone
}

// rateLimit is the hourly budget of an installation on a small account.
const rateLimit = 5000

func (s *Server) account(h http.Header, c *call, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status != http.StatusNotModified {
		s.used = min(s.used+1, rateLimit)
	}
	if c != nil {
		key := c.route.method + " " + c.route.pattern
		n := s.calls[key]
		if n == nil {
			n = &Calls{}
			s.calls[key] = n
		}
		if status == http.StatusNotModified {
			n.NotModified++
		} else {
			n.Full++
		}
	}
	set := func(k string, v int) { h.Set("X-RateLimit-"+k, strconv.Itoa(v)) }
	set("Limit", rateLimit)
	set("Used", s.used)
	if h.Get("X-RateLimit-Remaining") == "" {
		set("Remaining", rateLimit-s.used)
		set("Reset", int(s.opts.AuthNow().Add(time.Hour).Unix()))
	}
	h.Set("X-RateLimit-Resource", "core")
}

// SpendCalls makes the hourly budget look as if so many calls had been made.
func (s *Server) SpendCalls(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = min(n, rateLimit)
}

func (s *Server) getRateLimit(*call) reply {
	one := obj{"limit": rateLimit, "used": s.used, "remaining": rateLimit - s.used, "reset": s.opts.AuthNow().Add(time.Hour).Unix()}
	return ok(obj{"rate": one, "resources": obj{"core": one, "search": one, "graphql": one}})
}

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("forgetest built something that is not JSON: %v", err))
	}
	return raw
}
