package agent

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// standIn puts an executable at path that records its call in calls, as it was
// called, and ends with the exit status in the file beside it, if there is one.
// At a link it also does what the real program does: point it at target.
func standIn(t *testing.T, path, calls, link, target string) {
	t.Helper()
	script := "#!/bin/sh\necho \"$0${*:+ $*}\" >> '" + calls + "'\n"
	if link != "" {
		script += "ln -sfn '" + target + "' '" + link + "'\n"
	}
	script += "[ -e \"$0.exit\" ] && exit \"$(cat \"$0.exit\")\"\nexit 0\n"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestExactCommands carries out a switch, and one that is undone, on each
// platform with programs that record how they are called.
func TestExactCommands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		platform Platform
		action   action
		program  string // of a closure, that activates it
		there    string
		back     string
	}{
		{
			"nixos switch", NixOS, actSwitch, "bin/switch-to-configuration",
			"nix-env -p PROFILE --set NEW | NEW/bin/switch-to-configuration switch",
			"nix-env -p PROFILE --set OLD | OLD/bin/switch-to-configuration switch",
		},
		{"nixos before there was an action", NixOS, "", "bin/switch-to-configuration",
			"nix-env -p PROFILE --set NEW | NEW/bin/switch-to-configuration switch",
			"nix-env -p PROFILE --set OLD | OLD/bin/switch-to-configuration switch"},
		{
			"nixos test", NixOS, actTest, "bin/switch-to-configuration",
			"NEW/bin/switch-to-configuration test", "OLD/bin/switch-to-configuration test",
		},
		{
			"nixos boot", NixOS, actBoot, "bin/switch-to-configuration",
			"nix-env -p PROFILE --set NEW | NEW/bin/switch-to-configuration boot",
			"nix-env -p PROFILE --set OLD | OLD/bin/switch-to-configuration boot",
		},
		{
			"nix-darwin", Darwin, actSwitch, "activate",
			"nix-env -p PROFILE --set NEW | NEW/activate", "nix-env -p PROFILE --set OLD | OLD/activate",
		},
		{"home-manager", Home, actSwitch, "activate", "NEW/activate", "OLD/activate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at := func(elem ...string) string { return filepath.Join(append([]string{dir}, elem...)...) }
			current := at("current")
			for _, closure := range []string{"OLD", "NEW"} {
				standIn(t, at(closure, tt.program), at("calls"), current, at(closure))
			}
			standIn(t, at("nix-env"), at("calls"), "", "")
			j := job{
				Order: "o", Platform: tt.platform, Action: tt.action, Target: at("NEW"), Previous: at("OLD"),
				Paths: Paths{Profile: at("PROFILE"), Current: current}, NixEnv: at("nix-env"), Env: os.Environ(),
				SwitchTimeout: defaultSwitchTimeout, VerifyTimeout: defaultVerifyTimeout,
			}
			if err := os.Symlink(at("OLD"), current); err != nil {
				t.Fatal(err)
			}
			want := tt.there
			for _, undone := range []bool{false, true} {
				if undone {
					want += " | " + tt.there + " | " + tt.back
					if err := os.WriteFile(at("NEW", tt.program+".exit"), []byte("2"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				d := jobDir(at("job", map[bool]string{false: "kept", true: "undone"}[undone]))
				if err := os.MkdirAll(string(d), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := writeJSON(d.path(jobFile), j); err != nil {
					t.Fatal(err)
				}
				go keepSwitch(t.Context(), d)
				if err := Supervise(t.Context(), d.path(jobFile)); err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(at("calls"))
				if err != nil {
					t.Fatal(err)
				}
				got := strings.ReplaceAll(strings.Join(strings.Split(strings.TrimSpace(string(data)), "\n"), " | "), dir+"/", "")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("undone %v: commands (-want +got):\n%s", undone, diff)
				}
			}
		})
	}
}

// keepSwitch is the agent's word that all is well, once the activation has ended.
func keepSwitch(ctx context.Context, d jobDir) {
	for ctx.Err() == nil && !d.has(outcomeFile) {
		if d.has(activatedFile) {
			var act activated
			if ok, err := d.read(activatedFile, &act); ok && err == nil && act.ok() {
				_, _ = d.decide(verdict{Keep: true})
				return
			}
		}
		pause(ctx, switchPoll/10)
	}
}

func TestExecutorsOfEachPlatform(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		e               executor
		test, boot      bool
		boots           bool
		restart, reboot string
	}{
		{"nixos", NixOS.executor(), true, true, true, "systemctl --no-block restart nixfleet-agent.service", "systemctl --no-block reboot"},
		{"darwin", Darwin.executor(), false, false, false, "launchctl kickstart -k system/org.nixfleet.agent", "/sbin/shutdown -r now"},
		{"home on Linux", home{}, false, false, false, "systemctl --user --no-block restart nixfleet-agent.service", ""},
		{"home on macOS", home{macOS: true}, false, false, false, "launchctl kickstart -k gui/UID/org.nixfleet.agent", ""},
	} {
		restart := strings.ReplaceAll(strings.Join(tt.e.restart(""), " "), "/"+strconv.Itoa(os.Getuid())+"/", "/UID/")
		if restart != tt.restart || strings.Join(tt.e.reboot(), " ") != tt.reboot {
			t.Errorf("%s: restart %q, reboot %q", tt.name, restart, tt.e.reboot())
		}
		if tt.e.boots() != tt.boots {
			t.Errorf("%s knows what it booted: %v", tt.name, tt.e.boots())
		}
		if tt.e.knows(actTest) != tt.test || tt.e.knows(actBoot) != tt.boot || !tt.e.knows(actSwitch) {
			t.Errorf("%s knows test %v, boot %v", tt.name, tt.e.knows(actTest), tt.e.knows(actBoot))
		}
	}
}

func TestClosureThatCannotBeActivated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(path, text string) string {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	empty := t.TempDir()
	old := put("old/activate", "")
	put("old/activate-user", "#!/bin/sh\necho once\n")
	stub := put("stub/activate", "")
	put("stub/activate-user", "#!/bin/sh\n"+activateUserMark+"\n")
	for _, tt := range []struct {
		name     string
		platform Platform
		path     string
		want     string
	}{
		{"no system", NixOS, empty, "holds nothing to activate"},
		{"no nix-darwin", Darwin, empty, "holds nothing to activate"},
		{"no home", Home, empty, "holds nothing to activate"},
		{"nix-darwin that activates as a person", Darwin, old, "update nix-darwin"},
		{"nix-darwin that says it no longer does", Darwin, stub, ""},
		{"home with whatever else", Home, old, ""},
	} {
		err := tt.platform.executor().fits(tt.path)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
