package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheckUpdatesTellsWhatWasStarted(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/check-updates", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"repos":[{"repo":"octo/fleet","started":["lock.yml"],"found":"Started lock.yml\u001b[2J on main."},{"repo":"octo/other","found":"No workflow is started."}]}`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	out, errOut, code := nixfleet("check-updates", "--server", server.URL, "--token", "t")
	if want := "octo/fleet: looked at again. Started lock.yml [2J on main.\nocto/other: looked at again. No workflow is started.\n"; code != 0 || out != want {
		t.Errorf("exit %d, %q %q; want %q", code, out, errOut, want)
	}
	out, _, code = nixfleet("check-updates", "--json", "--server", server.URL, "--token", "t", "octo/fleet")
	if code != 0 || !strings.HasPrefix(out, `{"repos":[{"repo":"octo/fleet","started":["lock.yml"]`) {
		t.Errorf("exit %d, %q", code, out)
	}
}
