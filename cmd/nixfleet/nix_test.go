package main

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/app"
)

// Each setting of the server has its option in the NixOS module, and each option
// its setting. The module sets the data directory itself.
func TestTheNixModuleKnowsEverySetting(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]bool{}
	add := func(flags []*kong.Flag) {
		for _, f := range flags {
			for _, env := range f.Envs {
				settings[env] = true
			}
		}
	}
	add(parser.Model.Flags)
	for _, c := range parser.Model.Children {
		if c.Name == "serve" {
			add(c.Flags)
		}
	}
	delete(settings, "NIXFLEET_DATA_DIR")

	out, err := exec.Command("nix-instantiate", "--store", "dummy://", "--eval", "-E",
		`builtins.concatStringsSep " " (builtins.attrNames (import ../../nix/settings/server.nix))`).Output()
	if err != nil {
		t.Skipf("nix is not installed: %v", err)
	}
	table := strings.Fields(strings.Trim(strings.TrimSpace(string(out)), `"`))
	if d := cmp.Diff(slices.Sorted(maps.Keys(settings)), table); d != "" {
		t.Errorf("settings of the server (-) and nix/settings/server.nix (+):\n%s", d)
	}
}

func TestNixBuildsTheVersionThatTheProgramSays(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../nix/version")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(b)); got != app.Version {
		t.Errorf("nix/version is %s, app.Version is %s", got, app.Version)
	}
}
