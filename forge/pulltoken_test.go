package forge

import (
	"net/http"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// What hosts get reads the contents of one repository, and nothing else.
func TestPullTokensReadOneRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	must(s.AddRepo(forgetest.Repo{Name: "octo/other", Org: true, Private: true}))(t)
	token, expires, err := s.forge.PullToken(s.ctx, s.repo)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(expires); left < pullLeft || left > time.Hour+time.Minute {
		t.Errorf("it lasts %v", left)
	}
	again, _, err := s.forge.PullToken(s.ctx, s.repo)
	if err != nil || again != token {
		t.Errorf("the next host costs another call: %v", err)
	}
	for path, want := range map[string]int{
		"/repos/" + s.repo.FullName() + "/contents/flake.lock": http.StatusOK,
		"/repos/" + s.repo.FullName() + "/pulls":               http.StatusForbidden,
		"/repos/octo/other/contents/flake.lock":                http.StatusNotFound,
	} {
		req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.APIURL()+path[1:], nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
}
