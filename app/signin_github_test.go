package app

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// door is a server that people can sign in to with an imitated GitHub.
type door struct{ *pressing }

func newDoor(t *testing.T) *door {
	t.Helper()
	p := newWatched(t, "version: 1\n")
	p.cfg.GitHubWebURL, p.cfg.GitHubAPIURL = p.hub.URL()+"/", p.hub.APIURL()
	p.hub.SetCallbacks(p.url + "/login/github/callback")
	must(t, p.openSignIn(&credentials{clientID: p.hub.ClientID, clientSecret: p.hub.ClientSecret}))
	must(t, p.learnRepos(t.Context()))
	return &door{p}
}

// leave presses Continue with GitHub, and the button there: the address that GitHub
// sends the browser back to.
func (d *door) leave(b *browser, login, next string) string {
	d.t.Helper()
	d.hub.SignInAs(login)
	to := d.location(b, d.url+"/login/github?next="+url.QueryEscape(next))
	if !strings.HasPrefix(to, d.hub.URL()+"/login/oauth/authorize?") {
		d.t.Fatalf("the way to GitHub leads to %s", to)
	}
	back := d.location(b, to)
	if !strings.HasPrefix(back, d.url+"/login/github/callback?") {
		d.t.Fatalf("the way back leads to %s", back)
	}
	return back
}

// location is where an address sends a browser on to; empty where it does not.
func (d *door) location(b *browser, address string) string {
	d.t.Helper()
	resp, err := b.client.Get(address)
	must(d.t, err)
	_ = resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		return ""
	}
	return to.String()
}

// enters signs in with GitHub and returns the browser, and what it was told.
func (d *door) enters(login string) (b *browser, code int, page string) {
	d.t.Helper()
	b = d.browser(d.t.(*testing.T))
	resp, err := b.client.Get(d.leave(b, login, "/settings/you"))
	code, page = b.answer(resp, err)
	return b, code, page
}

func (d *door) recheck() {
	d.t.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = d.workPeople(d.t.Context())
		must(d.t, err)
	}
}

// kinds are the newest lines of the history about people, newest first.
func (d *door) kinds(n int) string {
	d.t.Helper()
	events, err := d.db.History(d.t.Context(), n)
	must(d.t, err)
	var told []string
	for _, e := range events {
		told = append(told, e.Actor+" "+e.Kind)
	}
	return strings.Join(told, ", ")
}

func TestGitHubSaysWhoComesInAndWhatTheyMay(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for permission, want := range map[string]string{
		"none": "", "read": "viewer", "triage": "viewer", "write": "operator", "maintain": "operator", "admin": "admin", "": "",
	} {
		login := "has-" + permission
		if permission != "" { // who has none may read the public repository as everybody may
			must(t, d.hub.SetPermission(pressedRepo, login, permission))
		}
		b, code, page := d.enters(login)
		if want == "" {
			if code != http.StatusForbidden || b.in() || !strings.Contains(page, login+" has no access to octo/fleet.") {
				t.Errorf("%q: %d, in: %v", permission, code, b.in())
			}
			if got := d.kinds(1); got != login+" person.refused" {
				t.Errorf("%q: the history says %s", permission, got)
			}
			continue
		}
		if code != http.StatusSeeOther || !b.in() {
			t.Errorf("%q: %d, in: %v", permission, code, b.in())
			continue
		}
		_, you := b.get("/settings/you")
		says(t, permission, you, "<strong>"+login+"</strong>, with GitHub", "<strong>"+want+"</strong>", "You have "+permission+" on octo/fleet.", "this one")
		if got := d.kinds(1); got != login+" person.signed_in" {
			t.Errorf("%q: the history says %s", permission, got)
		}
	}
}

func TestTheLeastOfAllRepositoriesCounts(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	must(t, d.hub.SetPermission(pressedRepo, "olga", "admin"))
	_, err := d.hub.AddRepo(forgetest.Repo{Name: "octo/other", Org: true})
	must(t, err)
	must(t, d.learnRepos(t.Context()))
	if _, code, page := d.enters("olga"); code != http.StatusForbidden || !strings.Contains(page, "no access to octo/other") {
		t.Errorf("admin of one, nobody at the other: %d", code)
	}
	must(t, d.hub.SetPermission("octo/other", "olga", "write"))
	b, _, _ := d.enters("olga")
	_, you := b.get("/settings/you")
	says(t, "admin of one, write at the other", you, "<strong>operator</strong>", "write on octo/other, the least of 2 repositories")
	b = d.browser(t)
	_, page := b.get("/login?next=%2Fhosts")
	says(t, "the sign-in page", page, "octo/fleet and octo/other", `href="/login/github?next=%2Fhosts"`)
}

func TestASignInIsGoodOnceInTheBrowserThatBegan(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	mine, theirs := d.browser(t), d.browser(t)
	back := d.leave(mine, "ada", "/hosts?q=a")
	refused := func(what string, b *browser, address string) {
		t.Helper()
		resp, err := b.client.Get(address)
		code, page := b.answer(resp, err)
		if code != http.StatusBadRequest || b.in() || !strings.Contains(page, "has expired, was used before, or began in another browser") {
			t.Errorf("%s: %d, in: %v", what, code, b.in())
		}
	}
	d.leave(theirs, "mallory", "/")
	refused("another's code and state in a browser that began as well", theirs, back)
	refused("and so the first browser is too late", mine, back)

	back = d.leave(mine, "ada", "//evil.example/")
	refused("a browser that never began", d.browser(t), back)
	back = d.leave(mine, "ada", "//evil.example/")
	refused("another state", mine, strings.Replace(back, "state=", "state=x", 1))
	back = d.leave(mine, "ada", "//evil.example/")
	d.clock.forward(signInTTL)
	refused("too late", mine, back)

	back = d.leave(mine, "ada", "//evil.example/")
	if to := d.location(mine, back); to != d.url+"/" || !mine.in() {
		t.Errorf("it leads to %s, in: %v", to, mine.in())
	}
	refused("the same way once more", d.browser(t), back)
	if to := d.location(mine, d.leave(mine, "ada", "/hosts?q=a")); to != d.url+"/hosts?q=a" {
		t.Errorf("it leads to %s", to)
	}
	if list, err := d.db.Sessions(t.Context(), ownerOf(fleet.Actor{ID: d.account("ada"), Login: "ada"}), d.clock.now(), sessionIdle); err != nil || len(list) != 1 {
		t.Errorf("the session before lasts on: %+v, %v", list, err)
	}
}

// account is the id of an account that has signed in.
func (d *door) account(login string) int64 {
	d.t.Helper()
	list, err := d.db.People(d.t.Context(), d.clock.now(), sessionIdle)
	must(d.t, err)
	for _, p := range list {
		if p.Login == login {
			return p.ID
		}
	}
	d.t.Fatalf("%s has not signed in", login)
	return 0
}

func TestARoleIsAskedForAgain(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b, _, _ := d.enters("ada")
	must(t, d.hub.SetPermission(pressedRepo, "ada", "admin"))
	d.recheck() // not due yet
	if !b.in() {
		t.Fatal("signed out at once")
	}
	d.clock.forward(fleet.RoleAgain)
	d.recheck()
	if code, _ := b.get("/events/"); code != http.StatusUnauthorized || b.in() {
		t.Errorf("a session goes on with another role: %d", code)
	}
	_, page := b.get("/login")
	says(t, "the sign-in page", page, "Your role is admin now: you have admin on octo/fleet.")
	if got := d.kinds(1); got != "ada person.role_changed" {
		t.Errorf("the history says %s", got)
	}

	// A rename changes nothing but the name; who has the name now is somebody else.
	b, _, _ = d.enters("ada")
	must(t, d.hub.RenameUser("ada", "lovelace"))
	d.clock.forward(fleet.RoleAgain)
	d.recheck()
	_, you := b.get("/settings/you")
	says(t, "after a rename", you, "<strong>lovelace</strong>", "<strong>admin</strong>")
	if _, code, _ := d.enters("ada"); code != http.StatusForbidden {
		t.Errorf("somebody else of the name: %d", code)
	}

	must(t, d.hub.SetPermission(pressedRepo, "lovelace", "none"))
	d.clock.forward(fleet.RoleAgain)
	d.recheck()
	_, page = b.get("/login")
	says(t, "the sign-in page", page, "Your access has ended: you have no access to octo/fleet.")
	if b.in() {
		t.Error("who was shut out is in")
	}
}

func TestARoleThatGitHubDoesNotConfirmIsNotTrustedForLong(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b, _, _ := d.enters("ada")
	d.hub.OnRequest(func(r *http.Request, _ forgetest.Phase) {
		if strings.Contains(r.URL.Path, "/collaborators/") || strings.HasPrefix(r.URL.Path, "/user") {
			panic(http.ErrAbortHandler)
		}
	})
	for range 2 {
		d.clock.forward(fleet.RoleAgain)
		d.recheck()
	}
	if _, you := b.get("/settings/you"); !strings.Contains(you, `data-role="operator"`) {
		t.Error("after twenty minutes without GitHub the role is another one")
	}
	d.clock.forward(fleet.RoleAgain)
	d.recheck()
	_, you := b.get("/settings/you")
	says(t, "half an hour without GitHub", you, `data-role="viewer"`, "GitHub does not answer. It last confirmed your role")
	if _, code, page := d.enters("bob"); code != http.StatusBadGateway || !strings.Contains(page, "GitHub did not answer") {
		t.Errorf("signing in meanwhile: %d", code)
	}
	d.hub.OnRequest(nil)
	d.clock.forward(askPersonAgain)
	d.recheck()
	if _, you := b.get("/settings/you"); !strings.Contains(you, `data-role="operator"`) {
		t.Error("GitHub is back, and the role is not")
	}
	d.log.mu.Lock()
	d.log.text.Reset() // it complained that GitHub was away
	d.log.mu.Unlock()
}

func TestSigningOutEverywhere(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	must(t, d.hub.SetPermission(pressedRepo, "root", "admin"))
	desk, _, _ := d.enters("ada")
	phone, _, _ := d.enters("ada")
	other, _, _ := d.enters("root")
	press := func(b *browser, path string, form url.Values) int {
		t.Helper()
		_, page := b.get("/settings/you")
		_, build, _ := strings.Cut(page, `data-build="`)
		build, _, _ = strings.Cut(build, `"`)
		form.Set("build", build)
		code, _ := b.post(path, form)
		return code
	}
	if code := press(phone, "/settings/you/end", url.Values{}); code != http.StatusSeeOther || desk.in() || phone.in() || !other.in() {
		t.Errorf("%d; the desk is in: %v, the phone: %v, somebody else: %v", code, desk.in(), phone.in(), other.in())
	}
	desk, _, _ = d.enters("ada")
	key := "github/" + strconv.FormatInt(d.account("ada"), 10)
	if code := press(desk, "/settings/people/end", url.Values{"person": {key}}); code != http.StatusForbidden {
		t.Errorf("an operator ends sessions: %d", code)
	}
	if code := press(other, "/settings/people/end", url.Values{"person": {key}}); code != http.StatusSeeOther || desk.in() {
		t.Errorf("an administrator ends sessions: %d, in: %v", code, desk.in())
	}
	_, page := desk.get("/login")
	says(t, "the sign-in page", page, "root ended all your sessions.")
	_, page = other.get("/settings/people")
	says(t, "the page of people", page, "ada", "write on octo/fleet", "root", "0 sessions")
	if got := d.kinds(1); got != "root session.ended" {
		t.Errorf("the history says %s", got)
	}
}
