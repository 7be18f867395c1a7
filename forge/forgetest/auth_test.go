package forgetest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// ask sends one bare request.
func ask(t *testing.T, method, url, authorization string) *http.Response {
	t.Helper()
	req := must(http.NewRequestWithContext(deadline(t), method, url, nil))(t)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res := must(client.Do(req))(t)
	check(t, res.Body.Close())
	return res
}

func TestOnlyAProperJWTIsTheApp(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	key := must(jwt.ParseRSAPrivateKeyFromPEM(s.PrivateKeyPEM))(t)
	other := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	now := time.Now()
	claims := func(iss any, iat, exp time.Duration) jwt.MapClaims {
		return jwt.MapClaims{"iss": iss, "iat": now.Add(iat).Unix(), "exp": now.Add(exp).Unix()}
	}
	for name, tc := range map[string]struct {
		method jwt.SigningMethod
		key    any
		claims jwt.MapClaims
		want   int
	}{
		"proper":         {jwt.SigningMethodRS256, key, claims("424242", -time.Minute, 5*time.Minute), 200},
		"numeric issuer": {jwt.SigningMethodRS256, key, claims(424242, -time.Minute, 5*time.Minute), 200},
		"other issuer":   {jwt.SigningMethodRS256, key, claims("1", -time.Minute, 5*time.Minute), 401},
		"other key":      {jwt.SigningMethodRS256, other, claims("424242", -time.Minute, 5*time.Minute), 401},
		"expired":        {jwt.SigningMethodRS256, key, claims("424242", -time.Hour, -time.Minute), 401},
		"too long":       {jwt.SigningMethodRS256, key, claims("424242", 0, time.Hour), 401},
		"from tomorrow":  {jwt.SigningMethodRS256, key, claims("424242", 5*time.Minute, 9*time.Minute), 401},
		"no times":       {jwt.SigningMethodRS256, key, jwt.MapClaims{"iss": "424242"}, 401},
		"HMAC":           {jwt.SigningMethodHS256, []byte("x"), claims("424242", 0, time.Minute), 401},
	} {
		signed := must(jwt.NewWithClaims(tc.method, tc.claims).SignedString(tc.key))(t)
		if got := ask(t, "GET", s.APIURL()+"app", "Bearer "+signed).StatusCode; got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	if got := ask(t, "GET", s.URL()+"/app", "").StatusCode; got != 401 {
		t.Errorf("nobody: %d, want 401", got)
	}
}

func TestTokensAreNarrowedAndEnd(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	s := newSite(t, forgetest.Options{AuthNow: func() time.Time { return clock }})
	ctx := deadline(t)
	id := must(s.AddRepo(forgetest.Repo{Name: "octo/hidden", Private: true}))(t)
	tok, _, err := s.app.Apps.CreateInstallationToken(ctx, s.InstallationID(repoName), &github.InstallationTokenOptions{
		RepositoryIDs: []int64{id}, Permissions: &github.InstallationPermissions{Metadata: github.String("read"), Contents: github.String("read")},
	})
	check(t, err)
	if len(tok.Repositories) != 1 || tok.Permissions.GetContents() != "read" || tok.Permissions.PullRequests != nil {
		t.Errorf("token: %v", tok)
	}
	bearer := "Bearer " + tok.GetToken()
	for path, want := range map[string]int{
		"repos/octo/hidden": 200, "repos/octo/hidden/pulls": 403, "repos/octo/fleet": 200, "repos/octo/nothing": 404, "user": 403,
	} {
		if got := ask(t, "GET", s.APIURL()+path, bearer).StatusCode; got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	for auth, want := range map[string]int{"": 404, "token wrong": 401, "token " + tok.GetToken(): 200} {
		if got := ask(t, "GET", s.APIURL()+"repos/octo/hidden", auth).StatusCode; got != want {
			t.Errorf("hidden with %.8q: %d, want %d", auth, got, want)
		}
	}
	_, _, err = s.app.Apps.CreateInstallationToken(ctx, s.InstallationID(repoName), &github.InstallationTokenOptions{
		Permissions: &github.InstallationPermissions{Workflows: github.String("write")},
	})
	if status(err) != http.StatusUnprocessableEntity {
		t.Errorf("a permission that was not granted: %v, want 422", err)
	}
	clock = clock.Add(time.Hour + time.Second)
	if got := ask(t, "GET", s.APIURL()+"repos/octo/hidden", bearer).StatusCode; got != 401 {
		t.Errorf("after an hour: %d, want 401", got)
	}
}

func TestInstallations(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	inst := s.InstallationID(repoName)
	must(s.AddRepo(forgetest.Repo{Name: "bob/dots"}))(t)
	must(s.AddRepo(forgetest.Repo{Name: "NixOS/nixpkgs", NotInstalled: true}))(t)
	must(s.CommitFiles("NixOS/nixpkgs", forgetest.Commit{Files: map[string]string{"a": "1"}}))(t)
	list, _, err := s.app.Apps.ListInstallations(ctx, nil)
	check(t, err)
	if len(list) != 2 || list[0].GetID() != inst || list[0].GetAccount().GetType() != "Organization" {
		t.Errorf("installations: %v", list)
	}
	found, _, err := s.app.Apps.FindRepositoryInstallation(ctx, "octo", "fleet")
	check(t, err)
	if found.GetID() != inst {
		t.Errorf("of octo/fleet: %v", found)
	}
	repos, _, err := s.client.Apps.ListRepos(ctx, nil)
	check(t, err)
	if repos.GetTotalCount() != 1 || repos.Repositories[0].GetFullName() != repoName {
		t.Errorf("repositories: %v", repos)
	}
	if _, _, err = s.client.Repositories.GetBranch(ctx, "NixOS", "nixpkgs", "main", 0); err != nil {
		t.Errorf("a public repository elsewhere can't be read: %v", err)
	}
	_, _, err = s.client.Issues.CreateComment(ctx, "bob", "dots", 1, &github.IssueComment{Body: github.String("hi")})
	if status(err) != http.StatusForbidden {
		t.Errorf("writing elsewhere: %v, want 403", err)
	}
	check(t, s.Suspend(inst))
	if _, _, err = s.client.Repositories.Get(ctx, "octo", "fleet"); status(err) != http.StatusForbidden || !strings.Contains(message(err), "suspended") {
		t.Errorf("suspended: %v, want 403", err)
	}
	check(t, s.Unsuspend(inst))
	if _, _, err = s.client.Repositories.Get(ctx, "octo", "fleet"); err != nil {
		t.Errorf("unsuspended: %v", err)
	}
	check(t, s.Uninstall(inst))
	if _, _, err = s.client.Repositories.Get(ctx, "octo", "fleet"); status(err) != http.StatusUnauthorized {
		t.Errorf("uninstalled: %v, want 401", err)
	}
}

func TestARenamedRepositoryRedirects(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	n, _ := s.openUpdate("two\n")
	check(t, s.Rename(repoName, "machines", "alice"))
	pull, _, err := s.client.PullRequests.Get(ctx, "octo", "fleet", n)
	check(t, err)
	if got := pull.GetBase().GetRepo().GetFullName(); got != "octo/machines" {
		t.Errorf("through the old name: %s", got)
	}
	if got := ask(t, "GET", s.APIURL()+"repos/octo/fleet", "").StatusCode; got != http.StatusMovedPermanently {
		t.Errorf("old name: %d, want 301", got)
	}
}

func TestTheManifestFlowHandsOutTheApp(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t, forgetest.Options{}), deadline(t)
	res := ask(t, "POST", s.URL()+"/settings/apps/new?state=xyz&manifest="+
		`{"url":"http://fleet.test","redirect_url":"http://fleet.test/cb","hook_attributes":{"url":"http://fleet.test/hook"}}`, "")
	to := must(res.Location())(t)
	if to.Host != "fleet.test" || to.Query().Get("state") != "xyz" {
		t.Fatalf("redirected to %v", to)
	}
	anon := must(github.NewClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).WithEnterpriseURLs(s.APIURL(), s.APIURL()))(t)
	made, _, err := anon.Apps.CompleteAppManifest(ctx, to.Query().Get("code"))
	check(t, err)
	if diff := cmp.Diff(string(s.PrivateKeyPEM), made.GetPEM()); diff != "" || made.GetID() != s.AppID || made.GetWebhookSecret() == "" {
		t.Errorf("converted: %v %s", made, diff)
	}
	if _, _, err = anon.Apps.CompleteAppManifest(ctx, to.Query().Get("code")); status(err) != http.StatusNotFound {
		t.Errorf("second use of the code: %v, want 404", err)
	}
}
