package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
)

func TestUpdateInputsTellsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  string
		code int
		want string
	}{
		"committed":  {`"state":"healthy","found":"It is commit abc [2J.","lock":{"state":"committed","ended":true}`, 0, "01K on web1 is committed: It is commit abc  [2J.\n"},
		"current":    {`"state":"healthy","found":"all inputs are current"`, 0, "01K on web1 is healthy: all inputs are current\n"},
		"conflicted": {`"state":"healthy","found":"The branch has moved.","lock":{"state":"conflicted","ended":true}`, 1, "on web1 is conflicted: The branch has moved."},
		"unusable":   {`"state":"healthy","found":"the lock can't be read"`, 1, "can't be read"},
		"failed":     {`"state":"failed","found":"update_failed: no network"`, 1, "on web1 is failed: update_failed: no network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent api.UpdateInputs
			mux := http.NewServeMux()
			mux.HandleFunc("GET /api/v1/repos", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"repos":[{"repo":"octo/fleet"}]}`))
			})
			mux.HandleFunc("POST /api/v1/repos/octo/fleet/update-inputs", func(w http.ResponseWriter, r *http.Request) {
				_ = json.NewDecoder(r.Body).Decode(&sent)
				_, _ = w.Write([]byte(`{"id":"01K","host":"web1","state":"ordered"}`))
			})
			mux.HandleFunc("GET /api/v1/repos/octo/fleet/update-inputs/01K", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"id":"01K","host":"web1","ended":true,` + strings.ReplaceAll(c.end, " [2J", ` \u001b[2J`) + `}`))
			})
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			out, errOut, code := nixfleet("update-inputs", "--server", server.URL, "--token", "t", "--host", "web1", "--inputs", "nixpkgs,home-manager", "--pull-request")
			if code != c.code || !strings.Contains(out+errOut, c.want) {
				t.Errorf("exit %d, %q %q; want %d and %q", code, out, errOut, c.code, c.want)
			}
			if sent.Host != "web1" || !sent.AsPull || len(sent.Inputs) != 2 {
				t.Errorf("sent %+v", sent)
			}
		})
	}
}
