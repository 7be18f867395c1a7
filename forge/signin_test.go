package forge

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const callback = "https://fleet.example.org/login/github/callback"

func (s *site) signIn(change func(*SignInConfig)) *SignIn {
	s.t.Helper()
	s.SetCallbacks(callback)
	c := SignInConfig{Config: s.forge.config, WebURL: s.URL() + "/", ClientID: s.ClientID, ClientSecret: s.ClientSecret, Callback: callback}
	if change != nil {
		change(&c)
	}
	return must(NewSignIn(c))(s.t)
}

// press is the person's press on GitHub's page: it returns the code and the state
// that GitHub sends the browser back with.
func (s *site) press(address string) (code, state string) {
	s.t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp := must(browser.Get(address))(s.t)
	_ = resp.Body.Close()
	to := must(resp.Location())(s.t)
	if got := to.Scheme + "://" + to.Host + to.Path; got != callback {
		s.t.Errorf("GitHub sends people to %s", got)
	}
	return to.Query().Get("code"), to.Query().Get("state")
}

func TestSigningInTellsTheAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	s.SignInAs("ada")
	in, verifier := s.signIn(nil), Verifier()
	address := in.Address("the state", verifier)
	if strings.Contains(address, verifier) {
		t.Error("the secret of the browser goes to GitHub before its time")
	}
	code, state := s.press(address)
	if state != "the state" {
		t.Errorf("state %q came back", state)
	}
	who, err := in.Person(s.ctx, code, verifier)
	if want := s.account("ada"); err != nil || who != want {
		t.Errorf("got %+v, %v; want %+v", who, err, want)
	}
	if _, err := in.Person(s.ctx, code, verifier); !errors.Is(err, ErrSignInCode) {
		t.Errorf("the code once more: %v", err)
	}
	must(0, s.RenameUser("ada", "lovelace"))(t)
	now, err := s.forge.Account(s.ctx, s.repo, who.ID)
	if err != nil || now.Login != "lovelace" {
		t.Errorf("after a rename: %+v, %v", now, err)
	}
	if _, err := s.forge.Account(s.ctx, s.repo, 5); !errors.Is(err, ErrNoAccount) {
		t.Errorf("no such account: %v", err)
	}
	if err := in.Examine(s.ctx); err != nil {
		t.Errorf("the doctor finds %v", err)
	}
}

func TestSigningInFailsClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	s.SignInAs("ada")
	good := s.signIn(nil)
	elsewhere := s.signIn(func(c *SignInConfig) { c.Callback = "https://evil.example/" })
	for name, c := range map[string]struct {
		in     *SignIn
		code   string // of a fresh visit where it is empty
		stolen bool   // without the secret of the browser
		want   error
		status int // of the answer; -1: none came
	}{
		"a stolen code":       {in: good, stolen: true, want: ErrSignInCode},
		"a made-up code":      {in: good, code: "0123456789abcdef", want: ErrSignInCode},
		"a hostile code":      {in: good, code: "../../x?a=b&c", want: ErrSignInCode},
		"no code":             {in: good, code: " ", want: ErrSignInCode},
		"another secret":      {in: s.signIn(func(c *SignInConfig) { c.ClientSecret = "other" }), status: http.StatusUnauthorized},
		"another callback":    {in: elsewhere, code: "0123456789abcdef", status: http.StatusBadRequest},
		"GitHub is not there": {in: s.signIn(func(c *SignInConfig) { c.WebURL = "http://127.0.0.1:1" }), code: "0123456789abcdef", status: -1},
	} {
		verifier := Verifier()
		code := c.code
		if code == "" {
			code, _ = s.press(good.Address("s", verifier))
		}
		if c.stolen {
			verifier = Verifier()
		}
		who, err := c.in.Person(s.ctx, strings.TrimSpace(code), verifier)
		var e *Error
		switch {
		case err == nil || who.ID != 0:
			t.Errorf("%s: let in %+v", name, who)
		case c.want != nil && !errors.Is(err, c.want), c.status > 0 && CodeOf(err) != c.status, c.status < 0 && (!errors.As(err, &e) || e.Code != 0):
			t.Errorf("%s: %v", name, err)
		case strings.Contains(err.Error(), verifier) || c.code == "" && strings.Contains(err.Error(), code):
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
	if err := s.signIn(func(c *SignInConfig) { c.ClientSecret = "other" }).Examine(s.ctx); CodeOf(err) != http.StatusUnauthorized {
		t.Errorf("the doctor with another secret: %v", err)
	}
	if _, err := NewSignIn(SignInConfig{Config: s.forge.config, ClientID: "x"}); err == nil {
		t.Error("signing in without a client secret")
	}
}

func TestOnlyCollaboratorsHaveAccess(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	for role, want := range map[string]string{
		"none": "none", "read": "read", "triage": "triage", "write": "write", "maintain": "maintain", "admin": "admin",
		"": "none", // may read, as everybody may on a public repository
	} {
		login := "b-" + role
		if role == "" {
			login = "stranger"
			must(s.CommitFiles(fleetRepo, forgetest.Commit{Branch: "theirs", Author: login, Files: map[string]string{"a": "1"}}))(t)
		} else {
			must(0, s.SetPermission(fleetRepo, login, role))(t)
		}
		if got, err := s.forge.Access(s.ctx, s.repo, s.account(login)); err != nil || got != want {
			t.Errorf("%s has %q, %v; want %q", login, got, err, want)
		}
	}
	ada := s.account("b-write")
	gone := ada
	gone.Login = "nobody-by-that-name"
	if got, err := s.forge.Access(s.ctx, s.repo, gone); err != nil || got != "none" {
		t.Errorf("an account that is gone has %q, %v", got, err)
	}
	elsewhere := s.repo
	elsewhere.Owner, elsewhere.Name = "octo", "nowhere"
	if got, err := s.forge.Access(s.ctx, elsewhere, ada); err == nil {
		t.Errorf("a repository that can't be read gives %q", got)
	}
	ada.ID++
	if got, err := s.forge.Access(s.ctx, s.repo, ada); err == nil {
		t.Errorf("somebody else of the same name has %q", got)
	}
}
