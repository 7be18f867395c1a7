package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fakeServer answers what the policy commands ask, and remembers the last query.
func fakeServer(t *testing.T) (address string, asked *string) {
	t.Helper()
	asked = new(string)
	mux := http.NewServeMux()
	answer := func(pattern, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			*asked = r.Method + " " + r.URL.String()
			_, _ = w.Write([]byte(body))
		})
	}
	answer("GET /api/v1/repos", `{"repos":[{"repo":"octo/fleet"}]}`)
	answer("GET /api/v1/repos/octo/fleet/policy", `{"repo":"octo/fleet","source":"settings","settings":"version: 1\n","changed_by":"ada","changed_at":"2026-11-23T10:00:00Z"}`)
	answer("PUT /api/v1/repos/octo/fleet/policy", `{"repo":"octo/fleet","source":"built-in"}`)
	answer("GET /api/v1/repos/octo/fleet/updates/12/explain", `{"repo":"octo/fleet","number":12,"title":"flake.lock: Update\u001b[2J","url":"https://github.com/octo/fleet/pull/12","what_if":true,
		"verdict":{"state":"checks","headline":"Waits for checks.","conditions":[
		{"id":"open","title":"Open","outcome":"passed","found":"Open.","source":"GET /repos/octo/fleet/pulls/12","at":"2026-11-23T10:00:00Z"},
		{"id":"checks","title":"Required checks passed","outcome":"waiting","found":"build of github-actions was never reported, which is a sentence that is so long that no terminal of the usual kind could show it in one line.","remedy":"Start it."}]}}`)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestExplainTellsEveryConditionAndFits(t *testing.T) {
	t.Parallel()
	address, asked := fakeServer(t)
	out, _, code := nixfleet("policy", "explain", "--server", address, "--token", "t", "12", "--check", "build (a, b):success", "--merge", "--at", "2026-12-24T18:00:00+01:00", "--hold", "off")
	want := `octo/fleet#12 flake.lock: Update [2J
https://github.com/octo/fleet/pull/12

Supposed, nothing was stored or done:

checks: Waits for checks.

✓ Open
    Open.
    (GET /repos/octo/fleet/pulls/12, 10:00:00 UTC)
… Required checks passed
    build of github-actions was never reported, which is a sentence that is so long that no terminal
    of the usual kind could show it in one line.
    → Start it.

✓ holds   … waits   ✗ does not hold   ? could not be read   · does not apply
`
	if code != 0 || out != want {
		t.Errorf("exit %d, printed:\n%s\nwant:\n%s", code, out, want)
	}
	if want := "GET /api/v1/repos/octo/fleet/updates/12/explain?at=2026-12-24T17%3A00%3A00Z&check=build+%28a%2C+b%29%3Asuccess&hold=off&merge=true"; *asked != want {
		t.Errorf("asked\n%s\nwant\n%s", *asked, want)
	}
}

func TestPullRequestsAreNamedAsPeopleDo(t *testing.T) {
	t.Parallel()
	for give, want := range map[string]string{
		"12": "#12", "#12": "#12", "octo/fleet#12": "octo/fleet#12", "https://github.com/octo/fleet/pull/12": "octo/fleet#12",
		"https://git.example.org/octo/fleet/pull/12/files": "octo/fleet#12",
	} {
		repo, number, err := pullOf(give)
		if err != nil || number != 12 || repo+"#12" != want {
			t.Errorf("%s = %s#%d, %v; want %s", give, repo, number, err, want)
		}
	}
	for _, give := range []string{"", "abc", "octo/fleet", "-1", "../x#12", "octo/fleet/issues/12", "99999999999"} {
		if repo, number, err := pullOf(give); err == nil {
			t.Errorf("%q = %s#%d, want an error", give, repo, number)
		}
	}
}

func TestPolicyOfAServer(t *testing.T) {
	t.Parallel()
	address, asked := fakeServer(t)
	out, _, code := nixfleet("policy", "get", "--server", address, "--token", "t")
	if want := "octo/fleet: There is no policy file; settings by ada of 2026-11-23 10:00 UTC rule.\n\nversion: 1\n"; code != 0 || out != want {
		t.Errorf("exit %d, printed %q, want %q", code, out, want)
	}
	out, _, code = nixfleet("policy", "set", "--server", address, "--token", "t", "octo/fleet", "--clear")
	if code != 0 || !strings.Contains(out, "the built-in policy rules") || !strings.HasPrefix(*asked, "PUT ") {
		t.Errorf("clear: exit %d, printed %q after %q", code, out, *asked)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
		code int
	}{
		"neither":       {[]string{"set", "octo/fleet"}, "either a file or --clear", 2},
		"both":          {[]string{"set", "octo/fleet", "x", "--clear"}, "either a file or --clear", 2},
		"no such file":  {[]string{"set", "octo/fleet", "/nowhere"}, "/nowhere", 1},
		"an empty file": {[]string{"set", "octo/fleet", write(t, "empty.yml", "\n")}, "use --clear", 2},
		"a bad time":    {[]string{"explain", "12", "--at", "soon"}, "write one like", 2},
	} {
		_, errOut, code := nixfleet(append([]string{"policy", tt.args[0], "--server", address, "--token", "t"}, tt.args[1:]...)...)
		if code != tt.code || !strings.Contains(errOut, tt.want) {
			t.Errorf("%s: exit %d, said %q, want %q", name, code, errOut, tt.want)
		}
	}
}
