package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(&cli{}, os.Stdout, os.Stderr, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

// The page is made of the program; `go run ./cmd/nixfleet reference >docs/cli.md` makes it
// anew.
func TestTheReferenceIsOfThisProgram(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if out, _, code := nixfleet("reference"); code != 0 || out != string(page) {
		t.Error("docs/cli.md is of another program: go run ./cmd/nixfleet reference >docs/cli.md")
	}
}

// A command that nobody finds, or that does not say what it does, is not there.
func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	m := model(t)
	keys := map[string]bool{}
	for _, g := range groups {
		keys[g.Key] = true
	}
	for _, n := range leavesOf(m.Node) {
		name := usageOf(n)
		if !keys[topicOf(n)] {
			t.Errorf("%s is in no group of cli.go", name)
		}
		if !strings.HasSuffix(n.Help, ".") && !strings.HasSuffix(n.Help, "?") {
			t.Errorf("%s: its help is no sentence: %q", name, n.Help)
		}
		for _, f := range n.Flags {
			if !f.Hidden && f.Help == "" {
				t.Errorf("%s: --%s is not explained", name, f.Name)
			}
		}
		for _, p := range n.Positional {
			if p.Help == "" {
				t.Errorf("%s: %s is not explained", name, p.Name)
			}
		}
	}
}

// Every command that asks a server can print JSON.
func TestEveryAnswerCanBeJSON(t *testing.T) {
	t.Parallel()
	for _, n := range leavesOf(model(t).Node) {
		asks, prints := false, false
		for _, f := range n.Flags {
			asks, prints = asks || f.Name == "token", prints || f.Name == "json"
		}
		if asks && !prints {
			t.Errorf("%s has no --json", usageOf(n))
		}
	}
}

func TestTheManualIsOne(t *testing.T) {
	t.Parallel()
	page, _, code := nixfleet("man")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, want := range []string{".TH NIXFLEET 1", ".SH EXIT STATUS", ".SH ENVIRONMENT", `.SS nixfleet rollout watch [<id>]`, `.B \-w, \-\-watch`} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not in it", want)
		}
	}
	known := regexp.MustCompile(`^\.(TH|SH|SS|TP|B|I|BR) `)
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, ".") && !known.MatchString(line) && line != ".TP\n" {
			t.Errorf("what is no order to roff looks like one: %s", line)
		}
	}
	if path, err := exec.LookPath("mandoc"); err == nil {
		lint := exec.Command(path, "-T", "lint", "-W", "error")
		lint.Stdin = strings.NewReader(page)
		if out, err := lint.CombinedOutput(); err != nil {
			t.Errorf("mandoc: %v\n%s", err, out)
		}
	}
}

// The shells ask the program itself what may come next.
func TestTabCompletesCommandsFlagsAndWhatTheServerKnows(t *testing.T) {
	flags := rolloutServer(t, func(r *http.Request) (int, string) {
		switch r.URL.Path {
		case "/api/v1/hosts":
			return 200, manyHosts
		case "/api/v1/rollouts":
			return 200, `{"rollouts":[{"id":"01RA"}]}`
		case "/api/v1/updates":
			return 200, `{"updates":[{"repo":"octo/fleet","number":42}]}`
		}
		return 404, `{}`
	})
	t.Setenv("NIXFLEET_SERVER", flags[1])
	t.Setenv("NIXFLEET_TOKEN", "t")
	for line, want := range map[string]string{
		"nixfleet rollo":               "rollout rollouts",
		"nixfleet updates ":            "hold list look merge release show",
		"nixfleet rollout watch --js":  "--json",
		"nixfleet host show w":         "web1",
		"nixfleet logs a-":             "a-host-with-a-long-name",
		"nixfleet deploy tag:":         "tag:canary tag:edge tag:web",
		"nixfleet rollout pause 0":     "01RA",
		"nixfleet updates merge octo/": "octo/fleet#42",
		"nixfleet hosts list --state ": "attention offline online working",
	} {
		t.Setenv("COMP_LINE", line)
		var out bytes.Buffer
		if code := run(nil, strings.NewReader(""), &out, &out); code != 0 {
			t.Errorf("%q: exit %d", line, code)
		}
		got := strings.Fields(out.String())
		for _, word := range strings.Fields(want) {
			if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+word+" ") {
				t.Errorf("%q completes to %q, want %s in it", line, got, word)
			}
		}
	}
	// Without a server to ask nothing is completed, and nobody waits.
	t.Setenv("NIXFLEET_SERVER", "http://127.0.0.1:1")
	t.Setenv("COMP_LINE", "nixfleet host show ")
	var out bytes.Buffer
	if code := run(nil, strings.NewReader(""), &out, &out); code != 0 || strings.TrimSpace(out.String()) != "" {
		t.Errorf("exit %d, printed %q", code, out.String())
	}
}

func TestEachShellIsToldHow(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, errOut, code := nixfleet("completion", shell); code != 0 || !strings.Contains(out, "completion -c "+shell) {
			t.Errorf("%s: exit %d, printed %q %q", shell, code, out, errOut)
		}
		if out, _, code := nixfleet("completion", "-c", shell); code != 0 || !strings.Contains(out, "complete ") {
			t.Errorf("%s: exit %d, printed %q", shell, code, out)
		}
	}
}
