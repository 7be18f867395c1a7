package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A stand-in for systemd-run keeps what it was called with: every argument on a
// line of its own.
func TestSupervisorInAUnitOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const script = "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" > \"${0%/*}/calls\"\n"
	if err := os.WriteFile(filepath.Join(dir, "systemd-run"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c := Config{Tools: dir, Transient: true, Supervisor: []string{"/nix/store/old/bin/nixfleet-agent", "supervise"}}
	cmd, err := c.launch(t.Context(), jobDir("/state/switch/01ORDER"))
	if err != nil || cmd != nil {
		t.Fatal(cmd, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		dir + "/systemd-run", "--unit=nixfleet-switch-01ORDER", "--collect", "--no-ask-password", "--quiet",
		"--service-type=exec", "--description=NixFleet switch",
		"--property=KillMode=process", "--property=Restart=on-failure", "--property=RestartSec=1",
		"--property=OOMPolicy=continue", "--property=IgnoreOnIsolate=yes", "--",
		"/nix/store/old/bin/nixfleet-agent", "supervise", "/state/switch/01ORDER/job.json",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(data)), "\n")); diff != "" {
		t.Errorf("systemd-run (-want +got):\n%s", diff)
	}
}

// The supervisor is the agent's own program by its own path, whatever links lead
// there: they will name the new system's.
func TestSupervisorIsOfTheOldSystem(t *testing.T) {
	t.Parallel()
	c := Config{StateDir: t.TempDir(), Link: tappedLink{}, FreshRoundTrip: func(context.Context) error { return nil }}
	if err := c.fill(); err != nil {
		t.Fatal(err)
	}
	resolved, err := filepath.EvalSymlinks(os.Args[0])
	if err != nil || c.Supervisor[0] != resolved || c.Supervisor[1] != "supervise" {
		t.Errorf("supervisor %q, this is %q (%v)", c.Supervisor, resolved, err)
	}
}
