package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

// unset is a server that is being set up: each look at it finds the next state.
func unset(t *testing.T, states ...api.Setup) string {
	t.Helper()
	var looks atomic.Int64
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("GET /api/v1/setup", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, states[min(int(looks.Add(1)), len(states))-1])
	})
	mux.HandleFunc("POST /api/v1/login-links", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"address": "https://fleet.example.org/login?token=once", "expires": time.Unix(1e9, 0)})
	})
	mux.HandleFunc("POST /api/v1/setup/policy", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.SetupRepo{Name: "ada/nixcfg", Policy: "proposed", URL: "https://github.com/ada/nixcfg/pull/1"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if looks.Add(1) == 1 {
			answer(w, map[string]string{"github": "there is no App yet"})
			return
		}
		answer(w, map[string]string{"database": "ok"})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestSetupLeadsFromTheTerminal(t *testing.T) {
	t.Parallel()
	app := &api.SetupApp{Slug: "nixfleet-ada", Page: "https://github.com/apps/nixfleet-ada"}
	install := app.Page + "/installations/new"
	server := unset(t, api.Setup{}, api.Setup{App: app, InstallURL: install},
		api.Setup{App: app, InstallURL: install, Repos: []api.SetupRepo{{Name: "ada/nixcfg", Policy: "none"}}})
	out, errOut, code := nixfleet("setup", "--server", server, "--token", "t", "--propose-policy")
	for _, want := range []string{
		"https://fleet.example.org/login?token=once", "nixfleet-ada is there", install, "watches ada/nixcfg", "https://github.com/ada/nixcfg/pull/1", "nixfleet doctor",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s%s", want, out, errOut)
		}
	}
	if code != 0 {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

func TestSetupWithoutATokenSaysWhereToGo(t *testing.T) {
	t.Parallel()
	out, errOut, code := nixfleet("setup", "--server", unset(t, api.Setup{}), "--token", "")
	if code != 0 || !strings.Contains(out, "/setup in a browser") || !strings.Contains(out, "is there") {
		t.Errorf("exit %d, said %q %q", code, out, errOut)
	}
	if _, errOut, code := nixfleet("setup", "--server", "http://127.0.0.1:1", "--token", ""); code != 3 || !strings.Contains(errOut, "NIXFLEET_SERVER") {
		t.Errorf("no server: exit %d, said %q", code, errOut)
	}
	if _, errOut, code := nixfleet("setup", "--server", unset(t, api.Setup{}), "--token", "t", "--wait", "10ms"); code != 1 || !strings.Contains(errOut, "in time") {
		t.Errorf("nobody came: exit %d, said %q", code, errOut)
	}
}

func TestDoctorPrintsRemediesAndFails(t *testing.T) {
	t.Parallel()
	report := api.Report{At: time.Now().Add(-time.Hour), OK: true, Findings: []api.Finding{{Check: "bus", State: "ok", Found: "NATS answers."}}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad/api/v1/doctor" {
			report := report
			report.OK = false
			report.Findings = append(report.Findings[:1:1], api.Finding{Check: "events", State: "wrong", Found: "GitHub does not tell us of push.", Remedy: "Subscribe."})
			_ = json.NewEncoder(w).Encode(report)
			return
		}
		_ = json.NewEncoder(w).Encode(report)
	}))
	t.Cleanup(server.Close)
	out, _, code := nixfleet("doctor", "--server", server.URL, "--token", "t")
	if code != 0 || !strings.Contains(out, "Nothing is wrong.") || !strings.Contains(out, "differs from the server's by 1h") {
		t.Errorf("exit %d, printed:\n%s", code, out)
	}
	out, errOut, code := nixfleet("doctor", "--server", server.URL+"/bad", "--token", "t")
	if code != 1 || !strings.Contains(out, "wrong    events") || !strings.Contains(out, "-> Subscribe.") || !strings.Contains(errOut, "wrong") {
		t.Errorf("exit %d, printed:\n%s%s", code, out, errOut)
	}
	out, _, code = nixfleet("doctor", "--server", server.URL+"/bad", "--token", "t", "--json")
	var got api.Report
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.OK || code != 1 {
		t.Errorf("--json: exit %d, printed %q: %v", code, out, err)
	}
}
