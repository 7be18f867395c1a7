package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/nixfleet/nixfleet/api"
)

// onTerminal runs the program on a terminal of so many columns, and returns what that
// received.
func onTerminal(t *testing.T, columns uint16, args ...string) string {
	t.Helper()
	screen, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(screen, &pty.Winsize{Cols: columns, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(&got, screen) }() // ends with an error once the program's end is closed
	run(args, strings.NewReader(""), program, program)
	if err := program.Close(); err != nil {
		t.Error(err)
	}
	<-read
	_ = screen.Close()
	return strings.ReplaceAll(got.String(), "\r\n", "\n")
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

const manyHosts = `{"hosts":[
	{"name":"a-host-with-a-long-name","online":true,"mode":"fleet","step":"building","tags":["canary","web","edge"],"agent_version":"0.1.0","running_commit":"0123456789abcdef",
	"compartments":[{"id":"git","light":"ok","label":"Up to date"},{"id":"lock","light":"stale","label":"23 days"},{"id":"system","light":"error","label":"Build failed"}]},
	{"name":"web1","mode":"manual","tags":[],"compartments":[{"id":"git","light":"unknown","label":"Not known"},{"id":"lock","light":"unknown","label":"?"},{"id":"system","light":"working","label":"Switching"}]}]}`

func TestATableFitsItsTerminal(t *testing.T) {
	flags := rolloutServer(t, func(*http.Request) (int, string) { return 200, manyHosts })
	for columns, want := range map[uint16]string{
		80: `HOST                     GIT           LOCK       SYSTEM          DOING
a-host-with-a-long-name  ✓ Up to date  ▲ 23 days  ✗ Build failed  building
web1 (offline)           ? Not known   ? ?        ◌ Switching
`,
		64: `HOST                     GIT           LOCK       SYSTEM
a-host-with-a-long-name  ✓ Up to date  ▲ 23 days  ✗ Build failed
web1 (offline)           ? Not known   ? ?        ◌ Switching
`,
		44: `HOST                  GIT     LOCK    SYSTEM
a-host-with-a-long-…  ✓ Up …  ▲ 23 …  ✗ Bui…
web1 (offline)        ? Not…  ? ?     ◌ Swi…
`,
	} {
		got := onTerminal(t, columns, append([]string{"hosts"}, flags...)...)
		if !strings.Contains(got, "\x1b[32m✓ Up") {
			t.Errorf("%d columns: no colours in\n%q", columns, got)
		}
		text := escape.ReplaceAllString(got, "")
		for line := range strings.Lines(text) {
			if n := cells(strings.TrimSuffix(line, "\n")); n > int(columns) {
				t.Errorf("%d columns: a line of %d: %s", columns, n, line)
			}
		}
		if text != want {
			t.Errorf("%d columns:\n%s\nwant:\n%s", columns, text, want)
		}
	}
	t.Setenv("NO_COLOR", "1")
	if got := onTerminal(t, 80, append([]string{"hosts"}, flags...)...); strings.Contains(got, "\x1b") || !strings.Contains(got, "✓ Up to date") {
		t.Errorf("NO_COLOR: %q", got)
	}
	t.Setenv("NO_COLOR", "")
	// Elsewhere nothing is left out, and there is no colour or icon, unless they are wanted.
	out, _, _ := nixfleet(append([]string{"hosts"}, flags...)...)
	if !strings.Contains(out, "canary web edge") || strings.ContainsAny(out, "\x1b✓") {
		t.Errorf("piped: %q", out)
	}
	t.Setenv("FORCE_COLOR", "1")
	if out, _, _ := nixfleet(append([]string{"hosts"}, flags...)...); !strings.Contains(out, "\x1b[1mHOST") {
		t.Errorf("FORCE_COLOR: %q", out)
	}
}

func TestARolloutIsWatchedOnATerminal(t *testing.T) {
	t.Parallel()
	var asked int
	flags := rolloutServer(t, func(r *http.Request) (int, string) {
		if r.URL.Path == "/api/v1/events" {
			return 404, `{}`
		}
		if asked++; asked == 1 {
			return 200, fmt.Sprintf(rolloutText, "running", false, "Deploying 1/2 hosts…")
		}
		return 200, fmt.Sprintf(rolloutText, "halted", true, "Halted at 1/2 hosts, 1 failed.")
	})
	got := onTerminal(t, 60, append([]string{"rollout", "watch", "latest"}, flags...)...)
	last := got[strings.LastIndex(got, "A\r")+2:]
	text := strings.ReplaceAll(escape.ReplaceAllString(last, ""), "\r", "")
	for _, want := range []string{
		"Rollout 01RA of 0123456 (octo/fleet)\n✗ halted: Halted at 1/2 hosts, 1 failed.\nby ada, ",
		"  canary ████████████████████████ 1/1\n  rest   ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ 0/1\n",
		"  ✓ web1  healthy", "  ✗ web2  failed      verifying: web.service failed", "nixfleet: rollout 01RA is halted\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("drew\n%s\nwant in it\n%s", text, want)
		}
	}
	for line := range strings.Lines(text) {
		if cells(strings.TrimSuffix(line, "\n")) > 60 {
			t.Errorf("too wide: %s", line)
		}
	}
}

// What is under way, or failed, is seen, however many hosts there are.
func TestAPictureOfManyHostsShowsThoseThatMatter(t *testing.T) {
	t.Parallel()
	r := api.Rollout{ID: "01R", State: "running", Waves: []api.RolloutWave{{Name: "all"}}}
	for i := range 200 {
		h := api.RolloutHost{Host: fmt.Sprintf("h%03d", i), Wave: 1, State: "healthy"}
		switch i {
		case 7:
			h.State, h.Failure = "failed", nil
		case 150:
			h.State, h.Since = "building", time.Unix(1000, 0)
		}
		r.Hosts = append(r.Hosts, h)
	}
	e := &env{ctx: context.Background(), out: io.Discard}
	text := e.drawRollout(r, 80, 20, time.Unix(1070, 0))
	for _, want := range []string{"h007  failed", "h150  building    1m10s", "hosts more"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "\n"); n > 20 {
		t.Errorf("%d lines on a screen of 20:\n%s", n, text)
	}
}

func TestAScreenIsNeverLargerThanItsTerminal(t *testing.T) {
	t.Parallel()
	screen, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Close() }()
	if err := pty.Setsize(screen, &pty.Winsize{Cols: 40, Rows: 10}); err != nil {
		t.Fatal(err)
	}
	s := newScreen(&env{out: program})
	var got bytes.Buffer
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(&got, screen) }()
	for range 2 {
		if err := s.show(strings.Repeat("a line that is much longer than forty columns are\n", 50)); err != nil {
			t.Fatal(err)
		}
	}
	_ = program.Close()
	<-read
	if !strings.Contains(got.String(), "\x1b[9A") || strings.Count(got.String(), "\n") != 18 || !strings.Contains(got.String(), "… and 42 more lines") {
		t.Errorf("drew %q", got.String())
	}
}
