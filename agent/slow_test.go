package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// slow is a task on a host with an answer of the bus that takes as long as it may.
func slow(t *testing.T, fresh func(context.Context) error) *task {
	t.Helper()
	logs, err := openLogbook(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log, err := logs.open("o1")
	if err != nil {
		t.Fatal(err)
	}
	return &task{Agent: &Agent{cfg: Config{FreshRoundTrip: fresh, Now: time.Now, Tools: t.TempDir()}, notes: &notebook{}}, log: log}
}

// A bus that answers at the last moment, as after a storm of connections, leaves
// the time to see that all else is well.
func TestSlowBusLeavesTimeForTheOtherChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tk := slow(t, func(ctx context.Context) error { <-ctx.Done(); return nil })
		tk.order.Policy.Health = []agentbus.HealthCheck{{Command: []string{"/bin/sh", "-c", "exit 0"}}}
		dir := t.TempDir()
		j := job{Target: dir, Paths: Paths{Profile: dir, Current: dir}}
		if bad := tk.look(t.Context(), j, activated{Ran: true}); bad != nil {
			t.Errorf("%s: %v", bad.code, bad.err)
		}
		if err := tk.unwell(t.Context()); err != nil {
			t.Errorf("after a reboot: %v", err)
		}
	})
}

// Thousands of machines may come up before the server does.
func TestRebootedHostAsksForTheBusOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		tk := slow(t, func(context.Context) error { tries++; return errors.New("refused") })
		_, err := tk.back(t.Context(), "")
		if most := int(returnTimeout/time.Second) + 2; err == nil || tries > most || tries < most/2 {
			t.Errorf("%d tries in %s: %v", tries, returnTimeout, err)
		}
	})
}

// Units that had failed before the switch are not held against it because systemd
// did not answer at the first time of asking.
func TestUnitsBeforeASwitchAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, p := range []Platform{NixOS, Home} {
		tk := slow(t, nil)
		tk.cfg.Platform = p
		script := `#!/bin/sh
echo "$*" >> ${0%/*}/asked; [ $(wc -l < ${0%/*}/asked) -gt 1 ] || exit 1
case "$*" in *--user) echo mine.service;; *) echo old.service;; esac
`
		if err := os.WriteFile(filepath.Join(tk.cfg.Tools, "systemctl"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		want := map[Platform]string{NixOS: "old.service", Home: "mine.service"}[p]
		if u := tk.unitsBefore(t.Context()); !u.Known || !slices.Equal(u.Failed, []string{want}) {
			t.Errorf("%s: %+v", p, u)
		}
	}
}

// What a switch, a build or a log was just made for stays, even if a wrong clock has
// dated the others into the future.
func TestPruneKeepsWhatWasJustMade(t *testing.T) {
	t.Parallel()
	dir, future := t.TempDir(), time.Now().Add(time.Hour)
	for _, name := range []string{"a", "b", "c", "new", "new.log"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if len(name) == 1 {
			if err := os.Chtimes(path, future, future.Add(time.Duration(name[0])*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	prune(dir, 2, "new")
	var left []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"b", "c", "new", "new.log"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}
