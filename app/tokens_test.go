package app

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func (d *door) with(token string) *api.Client { return &api.Client{Server: d.url, Token: token} }

func TestATokenMayNoMoreThanItsOwner(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.enters("ada")
	ada := fleet.Actor{ID: d.account("ada"), Login: "ada", Type: "User"}
	s := service{d.App}
	text, made, err := s.NewToken(t.Context(), ada, fleet.RoleOperator, api.NewToken{Name: "ci", Role: "operator", Days: 90})
	must(t, err)
	if !regexp.MustCompile(`^nxf_[0-9a-f]{48}$`).MatchString(text) || !made.Works(d.clock.now()) {
		t.Errorf("made %q, %+v", text, made)
	}
	may := func() string {
		t.Helper()
		by, role, err := s.Authenticate(t.Context(), text)
		if err != nil {
			return err.Error()
		}
		if by.ID != ada.ID || by.Login != "ada (token ci)" || by.Type != "token" {
			t.Errorf("the token is %+v", by)
		}
		return role
	}
	if got := may(); got != "operator" {
		t.Errorf("it may %s", got)
	}
	for name, tt := range map[string]struct {
		by   fleet.Actor
		role string
		n    api.NewToken
		want error
	}{
		"more than one's own":     {ada, "operator", api.NewToken{Name: "x", Role: "admin", Days: 1}, api.ErrForbidden},
		"by a token":              {fleet.Actor{ID: ada.ID, Login: "ada (token ci)", Type: "token"}, "operator", api.NewToken{Name: "x", Role: "viewer", Days: 1}, api.ErrForbidden},
		"a name twice":            {ada, "operator", api.NewToken{Name: "ci", Role: "viewer", Days: 1}, api.ErrInvalid},
		"a name with a bracket":   {ada, "operator", api.NewToken{Name: "x (local)", Role: "viewer", Days: 1}, api.ErrInvalid},
		"for longer than a year":  {ada, "operator", api.NewToken{Name: "x", Role: "viewer", Days: 366}, api.ErrInvalid},
		"for no time":             {ada, "operator", api.NewToken{Name: "x", Role: "viewer"}, api.ErrInvalid},
		"a role that there isn't": {ada, "operator", api.NewToken{Name: "x", Role: "root", Days: 1}, api.ErrInvalid},
	} {
		if text, _, err := s.NewToken(t.Context(), tt.by, tt.role, tt.n); !errors.Is(err, tt.want) || text != "" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}

	must(t, d.hub.SetPermission(pressedRepo, "ada", "read"))
	d.clock.forward(fleet.RoleAgain)
	d.recheck()
	if got := may(); got != "viewer" {
		t.Errorf("once its owner is a viewer it may %s", got)
	}
	must(t, d.hub.SetPermission(pressedRepo, "ada", "none"))
	d.clock.forward(fleet.RoleAgain)
	d.recheck()
	if got := may(); got != api.ErrToken.Error() {
		t.Errorf("once its owner has no access it may %s", got)
	}
	must(t, d.hub.SetPermission(pressedRepo, "ada", "admin"))
	d.clock.forward(fleet.RoleAgain)
	d.recheck()
	if got := may(); got != "operator" {
		t.Errorf("once its owner is an administrator it may %s", got)
	}
	d.clock.forward(fleet.RoleTrust) // nobody asks GitHub
	if got := may(); got != "viewer" {
		t.Errorf("unconfirmed it may %s", got)
	}
	list, err := d.with(adminSecret).Tokens(t.Context())
	if err != nil || len(list) != 1 || list[0].Owner != "ada" || list[0].From != "" && list[0].From != "127.0.0.1" || list[0].Used == nil {
		t.Errorf("listed %+v, %v", list, err)
	}
	must(t, d.with(adminSecret).RevokeToken(t.Context(), list[0].ID))
	if got := d.kinds(1); got != "admin (local) token.revoked" {
		t.Errorf("the history says %s", got)
	}
	if got := may(); got != api.ErrToken.Error() {
		t.Errorf("revoked it may %s", got)
	}
}

func TestATokenActsUnderItsOwnName(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	made, err := d.with(adminSecret).NewToken(t.Context(), api.NewToken{Name: "robot", Role: "admin"})
	must(t, err)
	if made.Owner != "admin (local)" || made.Expires == nil {
		t.Errorf("made %+v", made)
	}
	robot := d.with(made.Text)
	if _, err := robot.NewHost(t.Context(), api.NewHost{Name: "web1", Attr: "nixosConfigurations.web1"}); err != nil {
		t.Error(err)
	}
	if got := d.kinds(1); got != "admin (local, token robot) host.added" {
		t.Errorf("the history says %s", got)
	}
	for what, err := range map[string]error{
		"a token": second(robot.NewToken(t.Context(), api.NewToken{Name: "more", Role: "viewer"})),
		"a link":  third(robot.LoginLink(t.Context(), "eve", "admin")),
	} {
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("a token makes %s: %v", what, err)
		}
	}
	link, _, err := d.with(adminSecret).LoginLink(t.Context(), "eve", "viewer")
	must(t, err)
	_, token, _ := strings.Cut(link, "token=")
	b := d.browser(t)
	if code := b.login(token); code != http.StatusSeeOther {
		t.Errorf("the link: %d", code)
	}
	_, you := b.get("/settings/you")
	says(t, "the page of who came by a link", you, "<strong>eve (local)</strong>, past GitHub", "<strong>viewer</strong>")
	if got := d.kinds(2); got != "eve (local) person.signed_in, admin (local) login.created" {
		t.Errorf("the history says %s", got)
	}
	for _, wrong := range [][2]string{{"a b", "admin"}, {"eve", "root"}, {"eve (local)", "admin"}} {
		if _, _, err := d.with(adminSecret).LoginLink(t.Context(), wrong[0], wrong[1]); err == nil {
			t.Errorf("a link for %v", wrong)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	made, err := d.with(adminSecret).NewToken(t.Context(), api.NewToken{Name: "robot", Role: "viewer"})
	must(t, err)
	b := d.browser(t)
	for range guessesAtOnce {
		if code := b.login("wrong"); code != http.StatusUnauthorized {
			t.Errorf("a wrong token: %d", code)
		}
	}
	code, page := b.post("/login", map[string][]string{"token": {adminSecret}})
	if code != http.StatusTooManyRequests || !strings.Contains(page, "Wait 6 seconds") && !strings.Contains(page, "Wait 7 seconds") {
		t.Errorf("after too many wrong ones: %d", code)
	}
	if _, err := d.with(adminSecret).Tokens(t.Context()); err == nil || !strings.Contains(err.Error(), "429") {
		t.Errorf("the same over the API: %v", err)
	}
	if _, err := d.with(made.Text).Tokens(t.Context()); err != nil {
		t.Errorf("a right token suffers from wrong ones: %v", err)
	}
	d.clock.forward(guessEvery)
	if code := b.login(adminSecret); code != http.StatusSeeOther {
		t.Errorf("after waiting: %d", code)
	}
	for range visitsAtOnce {
		if to := d.location(b, d.url+"/login/github"); to == "" {
			t.Error("a visit to GitHub is refused too early")
		}
	}
	if to := d.location(b, d.url+"/login/github"); to != "" {
		t.Error("anybody may fill the table of visits")
	}
}

func TestWhereARequestComesFrom(t *testing.T) {
	t.Parallel()
	trusted, err := proxies("10.0.0.0/8, 192.0.2.1,::1")
	must(t, err)
	for name, tt := range map[string]struct {
		peer      string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		"nobody is trusted":             {"10.0.0.1:5", []string{"1.2.3.4"}, nil, "10.0.0.1"},
		"a stranger is not":             {"8.8.8.8:5", []string{"1.2.3.4"}, trusted, "8.8.8.8"},
		"a proxy is":                    {"10.0.0.1:5", []string{"1.2.3.4"}, trusted, "1.2.3.4"},
		"two proxies":                   {"10.0.0.1:5", []string{"1.2.3.4, 192.0.2.1"}, trusted, "1.2.3.4"},
		"what the client made up":       {"10.0.0.1:5", []string{"127.0.0.1, 10.9.9.9, 1.2.3.4"}, trusted, "1.2.3.4"},
		"in two lines":                  {"10.0.0.1:5", []string{"6.6.6.6", "1.2.3.4"}, trusted, "1.2.3.4"},
		"nonsense":                      {"10.0.0.1:5", []string{"1.2.3.4, <b>"}, trusted, "10.0.0.1"},
		"no word of it":                 {"[::1]:5", nil, trusted, "::1"},
		"a mapped address is its IPv4":  {"[::ffff:10.0.0.1]:5", []string{"::ffff:1.2.3.4"}, trusted, "1.2.3.4"},
		"everybody on the way is known": {"10.0.0.1:5", []string{"10.0.0.2"}, trusted, "10.0.0.2"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.peer, tt.forwarded
		if got := clientAddress(r, tt.trusted); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if _, err := proxies("10.0.0.0/8,proxy.example"); err == nil {
		t.Error("a name is taken for an address")
	}
	if a, b := limitOf("2001:db8::1"), limitOf("2001:db8::2"); a != b || limitOf("10.0.0.1") == limitOf("10.0.0.2") {
		t.Errorf("limits count %s and %s", a, b)
	}
}
