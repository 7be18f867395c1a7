package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const shownUpdate = `{"id":1,"repo":"octo/fleet","number":42,"title":"flake.lock: Update\u001b[2J","url":"https://github.com/octo/fleet/pull/42",
	"head":"0123456789abcdef0123456789abcdef01234567","state":"holding","headline":"Merges at 14:20 UTC if nothing changes.","first_seen":"2026-11-26T06:00:00Z",
	"hold":{"by":"ada","at":"2026-11-26T07:00:00Z","until":"2026-11-28T07:00:00Z"},"requested":{"by":"bob","at":"2026-11-26T08:00:00Z","head":"0123456","deploy":false},
	"conditions":[{"id":"open","title":"Open","outcome":"passed","found":"Open."}],
	"inputs":[{"path":"nixpkgs","kind":"updated","from_rev":"aaaaaaaaaa","to_rev":"bbbbbbbbbb","from_date":"2026-11-20T00:00:00Z","to_date":"2026-11-25T00:00:00Z","commits":120,"compare_url":"https://github.com/NixOS/nixpkgs/compare/a...b"}]}`

// updateServer knows update 42 of octo/fleet, and keeps what it is told.
func updateServer(t *testing.T) (sent func() []string, flags []string) {
	t.Helper()
	var mu sync.Mutex
	var told []string
	flags = rolloutServer(t, func(r *http.Request) (int, string) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			told = append(told, strings.TrimPrefix(r.URL.Path, "/api/v1/repos/octo/fleet/updates/")+" "+string(body))
			return 202, shownUpdate
		}
		switch r.URL.Path {
		case "/api/v1/repos":
			return 200, `{"repos":[{"repo":"octo/fleet"}]}`
		case "/api/v1/updates":
			told = append(told, r.URL.RawQuery)
			return 200, `{"updates":[` + shownUpdate + `]}`
		case "/api/v1/repos/octo/fleet/updates/42":
			return 200, shownUpdate
		}
		return 404, `{"detail":"Not found."}`
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return told
	}, flags
}

func TestUpdatesAreShown(t *testing.T) {
	t.Parallel()
	sent, flags := updateServer(t)
	out, errOut, code := nixfleet(append([]string{"updates"}, flags...)...)
	want := `REPOSITORY  PR   STATE    HEAD     SEEN              TITLE                   SAYS
octo/fleet  #42  holding  0123456  2026-11-26 06:00  flake.lock: Update [2J  Merges at 14:20 UTC if nothing changes.
`
	if code != 0 || out != want {
		t.Errorf("exit %d (%s), printed:\n%s\nwant:\n%s", code, errOut, out, want)
	}
	nixfleet(append([]string{"updates", "--state", "all", "--repo", "octo/fleet", "--limit", "5"}, flags...)...)
	if got := strings.Join(sent(), " "); got != "limit=50&state=open limit=5&repo=octo%2Ffleet" {
		t.Errorf("asked for %s", got)
	}
	out, errOut, code = nixfleet(append([]string{"updates", "show", "42"}, flags...)...)
	want = `octo/fleet#42 flake.lock: Update [2J
https://github.com/octo/fleet/pull/42
holding, head 0123456
  Merges at 14:20 UTC if nothing changes.
  Held by ada since 2026-11-26 07:00 UTC, until 2026-11-28 07:00 UTC.
  bob asked at 2026-11-26 08:00 UTC to merge only head 0123456.

INPUT    FROM                TO                  COMMITS  COMPARE
nixpkgs  aaaaaaa 2026-11-20  bbbbbbb 2026-11-25  120      https://github.com/NixOS/nixpkgs/compare/a...b

✓ Open
    Open.

✓ holds   … waits   ✗ does not hold   ? could not be read   · does not apply
`
	if code != 0 || out != want {
		t.Errorf("exit %d (%s), printed:\n%s\nwant:\n%s", code, errOut, out, want)
	}
}

func TestUpdatesArePressed(t *testing.T) {
	t.Parallel()
	const head = "0123456789abcdef0123456789abcdef01234567"
	for name, tt := range map[string]struct {
		args  []string
		typed string
		sent  string
		says  string
		code  int
	}{
		"merge, asked":    {[]string{"merge", "42"}, "y\n", `42/merge {"deploy":true,"head":"` + head + `"}`, "Merge and deploy head 0123456 of octo/fleet#42? [y/N]", 0},
		"merge, nobody":   {[]string{"merge", "42"}, "", "", "add --yes", 2},
		"merge only":      {[]string{"merge", "octo/fleet#42", "--only", "--yes"}, "", `42/merge {"deploy":false,"head":"` + head + `"}`, "is asked for.", 0},
		"another head":    {[]string{"merge", "42", "--head", "fff", "-y"}, "", "", "look again", 2},
		"merge as JSON":   {[]string{"merge", "42", "--json"}, "", `42/merge {"deploy":true,"head":"` + head + `"}`, `"state":"holding"`, 0},
		"hold":            {[]string{"hold", "42"}, "", "42/hold {}", "updates release 42", 0},
		"hold until":      {[]string{"hold", "42", "--until", "2126-12-01"}, "", `42/hold {"until":"2126-12-01T00:00:00Z"}`, "until 2126-12-01 00:00 UTC", 0},
		"release":         {[]string{"release", "https://github.com/octo/fleet/pull/42"}, "", "42/release ", "Nobody holds octo/fleet#42 now.", 0},
		"look":            {[]string{"look", "42"}, "", "42/look ", "looked at within seconds", 0},
		"unknown":         {[]string{"show", "7"}, "", "", "Not found.", 4},
		"no pull request": {[]string{"show", "x"}, "", "", "names no pull request", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, flags := updateServer(t)
			out, errOut, code := nixfleetAsked(tt.typed, append(append([]string{"updates"}, tt.args...), flags...)...)
			if code != tt.code || !strings.Contains(out+errOut, tt.says) {
				t.Errorf("exit %d, printed %s%s; want %d and %q", code, out, errOut, tt.code, tt.says)
			}
			if got := strings.Join(sent(), "\n"); got != tt.sent {
				t.Errorf("sent %s, want %s", got, tt.sent)
			}
		})
	}
}

// A list that is watched changes when the server says that something did.
func TestAListIsWatched(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	hosts, wake := `{"hosts":[{"name":"web1","mode":"fleet","compartments":[]}]}`, make(chan struct{})
	flags := rolloutServerWith(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/events" {
			mu.Lock()
			defer mu.Unlock()
			_, _ = io.WriteString(w, hosts)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, "event: hello\ndata: {\"resumed\":false}\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-wake:
			_, _ = fmt.Fprint(w, "event: host\ndata: {\"kind\":\"host\",\"id\":\"web1\"}\n\n")
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	read, write := io.Pipe()
	c := hostsListCmd{serverFlags: serverFlags{Server: flags[1], Token: "t", JSON: true}, Watch: true}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(&env{ctx: ctx, out: write}) }()
	lines := json.NewDecoder(read)
	next := func() (name string) {
		t.Helper()
		var list struct{ Hosts []struct{ Name, Mode string } }
		if err := lines.Decode(&list); err != nil {
			t.Fatal(err)
		}
		return list.Hosts[0].Name + " " + list.Hosts[0].Mode
	}
	if got := next(); got != "web1 fleet" {
		t.Errorf("first %s", got)
	}
	mu.Lock()
	hosts = strings.Replace(hosts, "fleet", "manual", 1)
	mu.Unlock()
	close(wake)
	if got := next(); got != "web1 manual" {
		t.Errorf("then %s", got)
	}
	cancel()
	if err := <-ended; exitCode(ctx, err) != exitInterrupted {
		t.Errorf("ended with %v", err)
	}
}

// Elsewhere than on a terminal only what changed is said again.
func TestWhatIsWatchedIntoAFileIsSaidOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newScreen(&env{out: &out})
	for _, text := range []string{"HOST\na 1\nb 1\n", "HOST\na 1\nb 2\n", "HOST\na 1\nb 2\n", "HOST\na 2\nb 2\n"} {
		if err := s.show(text); err != nil {
			t.Fatal(err)
		}
	}
	if want := "HOST\na 1\nb 1\nb 2\na 2\n"; out.String() != want {
		t.Errorf("said %q, want %q", out.String(), want)
	}
}
