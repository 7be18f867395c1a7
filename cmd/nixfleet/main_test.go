package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const lockText = `{
  "nodes": {
    "nixpkgs": {
      "locked": {"lastModified": 1700000000, "narHash": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "owner": "NixOS", "repo": "nixpkgs", "rev": "REV", "type": "github"},
      "original": {"owner": "NixOS", "ref": "nixos-unstable", "repo": "nixpkgs", "type": "github"}
    },
    "root": {"inputs": {"nixpkgs": "nixpkgs"}}
  },
  "root": "root",
  "version": 7
}`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func lockAt(t *testing.T, rev byte) string {
	return write(t, "flake.lock", strings.Replace(lockText, "REV", strings.Repeat(string(rev), 40), 1))
}

// nixfleet runs the program and returns what it wrote and its exit code.
func nixfleet(args ...string) (out, errOut string, code int) { return nixfleetAsked("", args...) }

// nixfleetAsked is nixfleet with a person who types lines.
func nixfleetAsked(lines string, args ...string) (out, errOut string, code int) {
	var o, e bytes.Buffer
	code = run(args, strings.NewReader(lines), &o, &e)
	return o.String(), e.String(), code
}

func TestLockDiffPrintsWhatNixPrints(t *testing.T) {
	t.Parallel()
	before, after := lockAt(t, 'a'), lockAt(t, 'b')
	out, _, code := nixfleet("lock", "diff", before, after)
	want := "• Updated input 'nixpkgs':\n" +
		"    'github:NixOS/nixpkgs/" + strings.Repeat("a", 40) + "' (2023-11-14)\n" +
		"  → 'github:NixOS/nixpkgs/" + strings.Repeat("b", 40) + "' (2023-11-14)\n"
	if code != 0 || out != want {
		t.Errorf("exit %d, printed:\n%s\nwant:\n%s", code, out, want)
	}
	out, _, _ = nixfleet("lock", "diff", "--json", before, after)
	var got struct {
		Changes []struct{ Kind, Input string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Changes) != 1 || got.Changes[0].Input != "nixpkgs" || got.Changes[0].Kind != "updated" {
		t.Errorf("--json printed %q: %v", out, err)
	}
	if out, _, code = nixfleet("lock", "diff", before, before); code != 0 || !strings.Contains(out, "same inputs") {
		t.Errorf("no difference: exit %d, printed %q", code, out)
	}
}

func TestFaultsNameTheFileAndThePlace(t *testing.T) {
	t.Parallel()
	broken := write(t, "nixfleet.yml", "version: 1\nupdates:\n  colour: red\n")
	for name, tt := range map[string]struct {
		args []string
		want string
		code int
	}{
		"broken policy":   {[]string{"policy", "check", broken}, broken + ":3:3: updates.colour: unknown key", 1},
		"not a lock":      {[]string{"lock", "show", broken}, broken + ": line 1, column 1", 1},
		"missing file":    {[]string{"lock", "show", "/does/not/exist"}, "/does/not/exist", 2},
		"unknown command": {[]string{"lock", "stir"}, "stir", 2},
		"no token":        {[]string{"hosts", "--server", "http://127.0.0.1:1", "--token", ""}, "NIXFLEET_TOKEN", 2},
		"too many hosts":  {[]string{"demo", "--hosts", "0"}, "--hosts: 0 is not between", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errOut, code := nixfleet(tt.args...)
			if code != tt.code || !strings.Contains(errOut, tt.want) {
				t.Errorf("exit %d, said %q; want exit %d and %q", code, errOut, tt.code, tt.want)
			}
		})
	}
}

func TestPolicyCheckSaysWhatAFileMeans(t *testing.T) {
	t.Parallel()
	good := write(t, "nixfleet.yml", "version: 1\nupdates:\n  auto_merge: {enabled: true, hold: 2h}\n")
	out, _, code := nixfleet("policy", "check", good)
	if code != 0 || !strings.Contains(out, "is valid") || !strings.Contains(out, "2h0m0s") {
		t.Errorf("exit %d, printed %q", code, out)
	}
}

func TestHostsAreATable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"hosts":[{"name":"web1","mode":"manual","step":"building","tags":["canary"],"agent_version":"0.1.0","running_commit":"0123456789abcdef",
			"compartments":[{"id":"git","label":"Up to date"},{"id":"lock","label":"3 days"},{"id":"system","label":"Current"}]}]}`))
	}))
	defer server.Close()
	out, _, code := nixfleet("hosts", "--server", server.URL, "--token", "secret")
	want := "HOST            GIT         LOCK    SYSTEM   RUNS     MODE    DOING     AGENT  TAGS\n" +
		"web1 (offline)  Up to date  3 days  Current  0123456  manual  building  0.1.0  canary\n"
	if code != 0 || out != want {
		t.Errorf("exit %d, printed:\n%s\nwant:\n%s", code, out, want)
	}
	if _, errOut, code := nixfleet("hosts", "--server", server.URL, "--token", "wrong"); code != 4 || !strings.Contains(errOut, "401") {
		t.Errorf("wrong token: exit %d, said %q", code, errOut)
	}
}
