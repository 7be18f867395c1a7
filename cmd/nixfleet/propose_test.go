package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
)

func TestProposeSendsALockAndTellsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "flake.lock")
	if err := os.WriteFile(file, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := strings.Repeat("a", 40)
	for state, c := range map[string]struct {
		code int
		want string
	}{
		"committed":  {0, "01J is committed: What it says [2J.\n"},
		"conflicted": {1, "the lock is conflicted: What it says"},
		"refused":    {1, "the lock is refused: What it says"},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			var sent api.NewLock
			mux := http.NewServeMux()
			mux.HandleFunc("POST /api/v1/repos/octo/fleet/locks", func(w http.ResponseWriter, r *http.Request) {
				_ = json.NewDecoder(r.Body).Decode(&sent)
				_, _ = w.Write([]byte(`{"id":"01J","state":"received"}`))
			})
			mux.HandleFunc("GET /api/v1/repos/octo/fleet/locks/01J", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"id":"01J","state":"` + state + `","ended":true,"found":"What it says\u001b[2J."}`))
			})
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			out, errOut, code := nixfleet("lock", "propose", "--server", server.URL, "--token", "t", "octo/fleet", file, "--base", base, "--as-pr", "--input", "nixpkgs")
			if code != c.code || !strings.Contains(out+errOut, c.want) {
				t.Errorf("exit %d, %q %q; want %d and %q", code, out, errOut, c.code, c.want)
			}
			if sent.Base != base || sent.Path != "flake.lock" || sent.Lock != "{}\n" || !sent.AsPull || len(sent.Inputs) != 1 {
				t.Errorf("sent %+v", sent)
			}
		})
	}
}
