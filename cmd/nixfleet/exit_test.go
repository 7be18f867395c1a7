package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// Scripts go by the exit code: each kind of end has its own, whatever the command.
func TestExitCodesSayWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	answers := func(status int, header http.Header) []string {
		return rolloutServerWith(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Nixfleet-Version", "9.9.9")
			for name, values := range header {
				w.Header()[name] = values
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"detail":"It says why."}`)
		})
	}
	hosts := func(flags ...string) []string { return append([]string{"hosts"}, flags...) }
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no command":         {nil, 0, ""},
		"help":               {[]string{"rollout", "--help"}, 0, ""},
		"wrong flag":         {[]string{"hosts", "--colour"}, 2, "--help"},
		"wrong command":      {[]string{"host"}, 2, "--help"},
		"wrong state":        {[]string{"updates", "--state", "loud"}, 2, "must be one of"},
		"no token":           {[]string{"hosts", "--server", "http://127.0.0.1:1", "--token", ""}, 2, "tokens create"},
		"no server":          {[]string{"hosts", "--server", "", "--token", "t"}, 2, "NIXFLEET_SERVER"},
		"nobody listens":     {[]string{"hosts", "--server", "http://127.0.0.1:1", "--token", "t"}, 3, "Is the server running?"},
		"fault":              {hosts(answers(500, nil)...), 3, "It says why."},
		"away":               {hosts(answers(503, nil)...), 3, "It says why."},
		"unknown token":      {hosts(answers(401, nil)...), 4, "NIXFLEET_TOKEN"},
		"role":               {hosts(answers(403, nil)...), 4, "Ask an admin"},
		"unknown":            {hosts(answers(404, nil)...), 4, "The server is version 9.9.9"},
		"conflict":           {append([]string{"rollout", "pause"}, answers(409, nil)...), 4, "It says why."},
		"too often":          {hosts(answers(429, http.Header{"Retry-After": {"7"}})...), 4, "Try again in 7s."},
		"another program":    {hosts(rolloutServer(t, func(*http.Request) (int, string) { return 200, "<html>" })...), 1, "does not answer as NixFleet does"},
		"failed by itself":   {[]string{"lock", "show", os.DevNull}, 1, "line 1"},
		"a wrong hold":       {[]string{"updates", "hold", "7", "--for", "1h", "--until", "2030-01-01"}, 2, "either --for or --until"},
		"a hold in the past": {[]string{"updates", "hold", "7", "--until", "2020-01-01"}, 2, "has passed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errOut, code := nixfleet(tt.args...)
			if code != tt.code || !strings.Contains(errOut, tt.says) {
				t.Errorf("exit %d, said %q; want exit %d and %q", code, errOut, tt.code, tt.says)
			}
			if code != 0 && !strings.HasPrefix(errOut, "nixfleet: ") {
				t.Errorf("said %q", errOut)
			}
		})
	}
}
