package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const rolloutText = `{"id":"01RA","kind":"deploy","repo":"octo/fleet","commit":"0123456789abcdef","state":"%s","ended":%t,"headline":"%s",
	"reason":"pull request #7 was merged","actor":"ada","done":1,"total":2,"started_at":"2026-11-26T06:00:00Z",
	"revert":{"number":9,"found":"Pull request #9 takes 0123456 back."},
	"waves":[{"name":"canary","hosts":["web1"]},{"name":"rest","hosts":["web2"]}],
	"hosts":[{"host":"web1","wave":1,"state":"healthy","since":"2026-11-26T06:05:00Z"},
		{"host":"web2","wave":2,"state":"failed","failure":{"step":"verifying","message":"web.service failed \u001b[31m","exit_code":3}}]}`

// rolloutServer answers as a server with one rollout, and keeps what it was asked.
func rolloutServer(t *testing.T, answer func(r *http.Request) (status int, body string)) []string {
	t.Helper()
	return rolloutServerWith(t, func(w http.ResponseWriter, r *http.Request) {
		status, body := answer(r)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

func rolloutServerWith(t *testing.T, answer http.HandlerFunc) []string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return []string{"--server", server.URL, "--token", "secret"}
}

func TestARolloutIsShownSoThatItFits(t *testing.T) {
	t.Parallel()
	rollout := fmt.Sprintf(rolloutText, "halted", false, "Halted at 1/2 hosts, 1 failed.")
	flags := rolloutServer(t, func(r *http.Request) (int, string) {
		switch r.URL.Path {
		case "/api/v1/rollouts/latest":
			return 200, rollout
		case "/api/v1/rollouts":
			return 200, `{"rollouts":[` + rollout + `]}`
		case "/api/v1/quarantine":
			return 200, `{"commits":[{"repo":"octo/fleet","commit":"0123456789abcdef","rollout":"01RA","reason":"1 host failed","at":"2026-11-26T06:05:00Z"}]}`
		}
		return 404, `{"detail":"There is no rollout."}`
	})
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"show": {[]string{"rollout", "show"}, `Rollout 01RA of 0123456 (octo/fleet): halted.
  Halted at 1/2 hosts, 1 failed.
  Started by ada: pull request #7 was merged
  Pull request #9 takes 0123456 back.

HOST  WAVE    STATE    SINCE             SAYS
web1  canary  healthy  2026-11-26 06:05
web2  rest    failed                     verifying: web.service failed  [31m (exit code 3)
`},
		"list": {[]string{"rollouts"}, `ROLLOUT  COMMIT   STATE   HOSTS  STARTED           BY   SAYS
01RA     0123456  halted  1/2    2026-11-26 06:00  ada  Halted at 1/2 hosts, 1 failed.
`},
		"quarantine": {[]string{"quarantine"}, `COMMIT   REPOSITORY  SINCE             ROLLOUT  WHY
0123456  octo/fleet  2026-11-26 06:05  01RA     1 host failed
`},
	} {
		if out, errOut, code := nixfleet(append(tt.args, flags...)...); code != 0 || out != tt.want {
			t.Errorf("%s: exit %d (%s), printed:\n%s\nwant:\n%s", name, code, errOut, out, tt.want)
		}
		out, _, code := nixfleet(append(append(tt.args, flags...), "--json")...)
		if code != 0 || !json.Valid([]byte(out)) {
			t.Errorf("%s --json: exit %d, printed %s", name, code, out)
		}
	}
	if _, errOut, code := nixfleet(append([]string{"rollout", "show", "01X"}, flags...)...); code != 4 || !strings.Contains(errOut, "There is no rollout.") {
		t.Errorf("an unknown one: exit %d, said %s", code, errOut)
	}
}

func TestWatchFollowsARolloutToItsEnd(t *testing.T) {
	t.Parallel()
	for end, tt := range map[string]struct {
		code  int
		ended bool
		want  string
	}{
		"succeeded": {0, true, "Deploying…\n  web1 healthy\n  web2 failed: verifying: web.service failed  [31m (exit code 3)\nIt is succeeded.\n"},
		"halted":    {1, false, "Deploying…\n  web1 healthy\n  web2 failed: verifying: web.service failed  [31m (exit code 3)\nIt is halted.\n"},
	} {
		var asked atomic.Int32
		flags := rolloutServer(t, func(r *http.Request) (int, string) {
			if r.URL.Path == "/api/v1/events" {
				return 200, "event: hello\ndata: {}\n\n" // and the line breaks
			}
			if asked.Add(1) < 2 {
				return 200, fmt.Sprintf(rolloutText, "running", false, "Deploying…")
			}
			return 200, fmt.Sprintf(rolloutText, end, tt.ended, "It is "+end+".")
		})
		out, errOut, code := nixfleet(append([]string{"rollout", "watch", "01RA"}, flags...)...)
		if code != tt.code || out != tt.want {
			t.Errorf("%s: exit %d (%s), printed:\n%s\nwant:\n%s", end, code, errOut, out, tt.want)
		}
	}
}

func TestAWishWhoseAnswerIsLostIsTheSameWish(t *testing.T) {
	t.Parallel()
	var keys []string
	rollout := fmt.Sprintf(rolloutText, "planned", false, "Planned.")
	flags := rolloutServer(t, func(r *http.Request) (int, string) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			panic(http.ErrAbortHandler)
		}
		return 201, rollout
	})
	out, errOut, code := nixfleet(append([]string{"deploy", "tag:canary", "--commit", "main", "--reason", "now"}, flags...)...)
	if code != 0 || !strings.Contains(out, "Rollout 01RA") || len(keys) != 2 || keys[0] != keys[1] || keys[0] == "" {
		t.Errorf("exit %d (%s), keys %q, printed:\n%s", code, errOut, keys, out)
	}
}
