package forgetest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// token is an installation token; GitHub's expire after one hour.
type token struct {
	value       string
	inst        *installation
	permissions map[string]string
	repos       map[int64]bool // nil: all of the installation
	expires     time.Time
}

const tokenLife = time.Hour

// admit checks who calls and what they may do, and finds the repository. A nil
// answer lets the call through.
func (s *Server) admit(c *call) *reply {
	var rep *reply
	switch c.route.who {
	case appJWT:
		rep = s.admitApp(c)
	case installationToken:
		rep = s.admitToken(c)
	}
	if rep != nil {
		return rep
	}
	if owner, name := c.params["owner"], c.params["repo"]; owner != "" {
		return s.admitRepo(c, owner+"/"+name)
	}
	return nil
}

func bearer(r *http.Request) string {
	kind, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if k := strings.ToLower(kind); k != "bearer" && k != "token" {
		return ""
	}
	return strings.TrimSpace(value)
}

// admitApp verifies the App's JWT as GitHub does: RS256 with the App's key,
// issued by the App, not in the future, at most ten minutes long.
func (s *Server) admitApp(c *call) *reply {
	no := func(message string) *reply { r := refuse(http.StatusUnauthorized, message); return &r }
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	if _, err := parser.ParseWithClaims(bearer(c.http), claims, func(*jwt.Token) (any, error) { return &s.key.PublicKey, nil }); err != nil {
		return no("A JSON web token could not be decoded")
	}
	now := s.opts.AuthNow()
	exp, hasExp := claims["exp"].(float64)
	iat, hasIat := claims["iat"].(float64)
	switch iss := claims["iss"]; {
	case fmt.Sprint(iss) != fmt.Sprint(s.AppID) && iss != float64(s.AppID):
		return no("Integration not found")
	case !hasIat || time.Unix(int64(iat), 0).After(now.Add(time.Minute)):
		return no("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case !hasExp || !time.Unix(int64(exp), 0).After(now):
		return no("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case time.Unix(int64(exp), 0).After(now.Add(10*time.Minute + 5*time.Second)):
		return no("'Expiration time' claim ('exp') is too far in the future")
	}
	return nil
}

func (s *Server) admitToken(c *call) *reply {
	value := bearer(c.http)
	if c.http.Header.Get("Authorization") == "" {
		return nil // a stranger; admitRepo lets him read public repositories
	}
	if c.person = s.signIns.tokens[value]; c.person != nil {
		return nil
	}
	rep := refuse(http.StatusUnauthorized, "Bad credentials")
	t := s.tokens[value]
	if t == nil || !t.expires.After(s.opts.AuthNow()) || s.installations[t.inst.id] == nil {
		return &rep
	}
	if !t.inst.suspended.IsZero() {
		rep = refuse(http.StatusForbidden, "This installation has been suspended")
		return &rep
	}
	c.token = t
	return nil
}

// covers says whether the token reaches the repository.
func (t *token) covers(r *repository) bool {
	return t != nil && t.inst.repos[r.id] && (t.repos == nil || t.repos[r.id])
}

// admitRepo finds the repository and applies GitHub's rules: a private one
// that the caller can't reach does not exist; a public one may be read by all;
// inside an installation the permissions of the token decide.
func (s *Server) admitRepo(c *call, fullName string) *reply {
	r, err := s.find(fullName)
	if err != nil {
		return s.movedOrMissing(c, fullName)
	}
	c.repo = r
	if c.route.who != installationToken {
		return nil
	}
	if c.token.covers(r) {
		if allowed(c.token.permissions, c.route.need) {
			return nil
		}
		rep := refuse(http.StatusForbidden, "Resource not accessible by integration")
		return &rep
	}
	rep := notFound()
	switch {
	case r.private:
		return &rep
	case c.http.Method == http.MethodGet && !strings.HasPrefix(c.route.need, "administration"):
		return nil
	case c.token == nil:
		rep = refuse(http.StatusUnauthorized, "Requires authentication")
	default:
		rep = refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return &rep
}

func (s *Server) movedOrMissing(c *call, fullName string) *reply {
	rep := notFound()
	if id, was := s.moved[strings.ToLower(fullName)]; was && s.repos[id] != nil {
		tail := strings.TrimPrefix(c.http.URL.EscapedPath(), "/api/v3")
		tail = strings.Join(strings.Split(tail, "/")[4:], "/") // "", repos, owner, name, rest…
		to := s.api("/repositories/%d", id)
		if tail != "" {
			to += "/" + tail
		}
		rep = refuse(http.StatusMovedPermanently, "Moved Permanently")
		rep.body.(obj)["url"] = to
		rep.header = http.Header{"Location": {to}}
	}
	return &rep
}

// allowed compares a need such as "issues:write|pull_requests:write" with what
// was granted. Metadata is always readable.
func allowed(granted map[string]string, need string) bool {
	if need == "" {
		return true
	}
	for alternative := range strings.SplitSeq(need, "|") {
		name, level, _ := strings.Cut(alternative, ":")
		have := granted[name]
		if have == "write" || have == level || (name == "metadata" && level == "read") {
			return true
		}
	}
	return false
}

func (s *Server) createToken(c *call) reply {
	inst := s.installations[c.number("installation_id")]
	if inst == nil {
		return notFound()
	}
	if !inst.suspended.IsZero() {
		return refuse(http.StatusForbidden, "This installation has been suspended")
	}
	in, bad := decode[struct {
		RepositoryIDs []int64           `json:"repository_ids"`
		Repositories  []string          `json:"repositories"`
		Permissions   map[string]string `json:"permissions"`
	}](c)
	if bad != nil {
		return *bad
	}
	t := &token{inst: inst, permissions: maps.Clone(inst.permissions), expires: s.opts.AuthNow().Add(tokenLife)}
	if in.Permissions != nil {
		for name, level := range in.Permissions {
			if !allowed(inst.permissions, name+":"+level) {
				return unprocessable("The permissions requested are not granted to this installation.")
			}
		}
		t.permissions = in.Permissions
	}
	if rep := s.narrow(t, in.RepositoryIDs, in.Repositories); rep != nil {
		return *rep
	}
	t.value = "ghs_" + randomHex(18)
	s.tokens[t.value] = t
	body := obj{
		"token": t.value, "expires_at": stamp(t.expires), "permissions": t.permissions, "repository_selection": "selected",
	}
	if t.repos != nil {
		body["repositories"] = collect(s.reposOf(t), s.repoJSON)
	}
	return created(body)
}

// narrow limits the token to some repositories of the installation.
func (s *Server) narrow(t *token, ids []int64, names []string) *reply {
	for _, name := range names {
		r, err := s.find(t.inst.account.login + "/" + name)
		if err != nil {
			rep := unprocessable("There is at least one repository that does not exist or is not accessible to the parent installation.")
			return &rep
		}
		ids = append(ids, r.id)
	}
	for _, id := range ids {
		if !t.inst.repos[id] {
			rep := unprocessable("There is at least one repository that does not exist or is not accessible to the parent installation.")
			return &rep
		}
		if t.repos == nil {
			t.repos = map[int64]bool{}
		}
		t.repos[id] = true
	}
	return nil
}

// reposOf lists what a token reaches, oldest first.
func (s *Server) reposOf(t *token) []*repository {
	var list []*repository
	for _, id := range slices.Sorted(maps.Keys(t.inst.repos)) {
		if r := s.repos[id]; r != nil && t.covers(r) {
			list = append(list, r)
		}
	}
	return list
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
