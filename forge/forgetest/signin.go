package forgetest

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signInCodeLife is how long GitHub's codes of a sign-in are good for. They are good once.
const signInCodeLife = 10 * time.Minute

// signIns is what people who sign in through the App leave behind.
type signIns struct {
	callbacks []string // of the App
	as        string   // who presses the button at once; empty: people choose
	codes     map[string]signInCode
	tokens    map[string]*user // "ghu_…"
}

type signInCode struct {
	user                *user
	callback, challenge string
	made                time.Time
}

// SetCallbacks changes the App's callback URLs, as its settings page does.
func (s *Server) SetCallbacks(urls ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signIns.callbacks = urls
}

// AddPerson makes an account, which has no more access than everybody.
func (s *Server) AddPerson(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person(login)
}

// SignInAs has an account press the button of the page that asks who signs in,
// without the page. An empty login brings the page back.
func (s *Server) SignInAs(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signIns.as = login
}

// authorize is the page that asks whether an App may know who somebody is. Nobody has
// a password here: it lists the people there are, and one presses who one is.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case q.Get("client_id") != s.ClientID:
		http.Error(w, "There is no App with this client id.", http.StatusNotFound)
		return
	case err != nil || !slices.Contains(s.signIns.callbacks, q.Get("redirect_uri")):
		http.Error(w, "The redirect_uri is not associated with this application.", http.StatusBadRequest)
		return
	case q.Get("state") == "" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		s.report("a sign-in began without state, or without a challenge by S256")
	}
	answer := url.Values{"state": {q.Get("state")}}
	as := cmp.Or(q.Get("as"), s.signIns.as)
	switch {
	case q.Get("cancel") != "":
		answer.Set("error", "access_denied")
		answer.Set("error_description", "The user has denied your application access.")
	case as == "":
		s.showPeople(w, q)
		return
	default:
		code := randomHex(10)
		s.signIns.codes[code] = signInCode{s.person(as), q.Get("redirect_uri"), q.Get("code_challenge"), s.opts.AuthNow()}
		answer.Set("code", code)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// exchangeCode makes a token of a code. As GitHub does, it refuses with 200.
func (s *Server) exchangeCode(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	form := func(name string) string { return r.PostFormValue(name) }
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := url.Values{}
	code, known := s.signIns.codes[form("code")]
	sum := sha256.Sum256([]byte(form("code_verifier")))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case form("client_id") != s.ClientID || subtle.ConstantTimeCompare([]byte(form("client_secret")), []byte(s.ClientSecret)) != 1:
		answer.Set("error", "incorrect_client_credentials")
	case !slices.Contains(s.signIns.callbacks, form("redirect_uri")):
		answer.Set("error", "redirect_uri_mismatch")
	case !known || code.callback != form("redirect_uri") || code.challenge != challenge || s.opts.AuthNow().Sub(code.made) > signInCodeLife:
		answer.Set("error", "bad_verification_code")
		delete(s.signIns.codes, form("code"))
	default:
		delete(s.signIns.codes, form("code"))
		token := "ghu_" + randomHex(18)
		s.signIns.tokens[token] = code.user
		answer = url.Values{"access_token": {token}, "token_type": {"bearer"}, "scope": {""}, "expires_in": {"28800"}}
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(answer.Encode()))
}

// getSelf is for people, by the token of a sign-in.
func (s *Server) getSelf(c *call) reply {
	switch {
	case c.person != nil:
		return ok(s.publicJSON(c.person))
	case c.token == nil:
		return refuse(http.StatusUnauthorized, "Requires authentication")
	}
	return refuse(http.StatusForbidden, "Resource not accessible by integration")
}

// getCollaborator answers whether somebody was let in, which on a public repository
// not everybody is who may read it.
func (s *Server) getCollaborator(c *call) reply {
	u := s.users[lower(c.params["username"])]
	if u == nil {
		return notFound()
	}
	if role, named := c.repo.permissions[lower(u.login)]; u == c.repo.owner || named && role != "none" {
		return reply{status: http.StatusNoContent}
	}
	return notFound()
}

func (s *Server) getUserByID(c *call) reply {
	for _, u := range s.users {
		if u.id == c.number("account_id") {
			return ok(s.publicJSON(u))
		}
	}
	return notFound()
}

var peoplePage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in to {{.App}}</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem}
.note{border:1px solid #8886;padding:.3rem .8rem;border-radius:.4rem}ul{list-style:none;padding:0}li{margin:.5rem 0}
a{display:block;border:1px solid #8886;border-radius:.5rem;padding:.6rem .9rem;color:inherit;text-decoration:none}a:hover{background:#8882}
small{display:block;opacity:.75}</style>
<p class="note">Imitated github.com: nothing here is on the internet, and nobody has a password.</p>
<h1>Sign in to {{.App}}</h1><p>Who are you?</p>
<ul>{{range .People}}<li><a href="{{.Address}}" id="as-{{.Login}}"><strong>{{.Login}}</strong><small>{{.Roles}}</small></a>{{end}}
<li><a href="{{.Cancel}}" id="cancel">Cancel</a></ul></html>`))

type chosen struct{ Login, Roles, Address string }

// showPeople lists who may press the button.
func (s *Server) showPeople(w http.ResponseWriter, q url.Values) {
	with := func(name, value string) string {
		next := maps.Clone(q)
		next.Set(name, value)
		return "/login/oauth/authorize?" + next.Encode()
	}
	var people []chosen
	for _, u := range s.users {
		if u.kind == "User" && u.id != webFlowID && !strings.HasSuffix(u.login, "-maker") {
			people = append(people, chosen{u.login, s.rolesOf(u), with("as", u.login)})
		}
	}
	slices.SortFunc(people, func(a, b chosen) int { return cmp.Compare(a.Login, b.Login) })
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = peoplePage.Execute(w, map[string]any{"App": s.self.name, "People": people, "Cancel": with("cancel", "1")}) // the reader may be gone
}

// rolesOf says what an account is where the App is installed.
func (s *Server) rolesOf(u *user) string {
	var roles []string
	for _, id := range slices.Sorted(maps.Keys(s.repos)) {
		r := s.repos[id]
		if r.inst == nil {
			continue
		}
		role := s.permissionOf(r, u)
		if _, named := r.permissions[lower(u.login)]; !named && u != r.owner {
			role = "no collaborator"
		}
		roles = append(roles, fmt.Sprintf("%s on %s", role, r.fullName()))
	}
	return strings.Join(roles, ", ")
}
