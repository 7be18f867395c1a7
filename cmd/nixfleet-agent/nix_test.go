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

	"github.com/nixfleet/nixfleet/agent"
)

// Each setting of the running agent has its option in the Nix modules, and each
// option its setting. Platform and state directory are the modules' own affair.
func TestTheNixModulesKnowEverySetting(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]bool{}
	for _, c := range parser.Model.Children {
		if c.Name != "run" {
			continue
		}
		for _, f := range c.Flags {
			for _, env := range f.Envs {
				settings[env] = true
			}
		}
	}
	delete(settings, "NIXFLEET_PLATFORM")

	out, err := exec.Command("nix-instantiate", "--store", "dummy://", "--eval", "-E",
		`builtins.concatStringsSep " " (builtins.attrNames (import ../../nix/settings/agent.nix))`).Output()
	if err != nil {
		t.Skipf("nix is not installed: %v", err)
	}
	table := strings.Fields(strings.Trim(strings.TrimSpace(string(out)), `"`))
	if d := cmp.Diff(slices.Sorted(maps.Keys(settings)), table); d != "" {
		t.Errorf("settings of the agent (-) and nix/settings/agent.nix (+):\n%s", d)
	}
}

func TestNixBuildsTheVersionThatTheAgentSays(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../nix/version")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(b)); got != agent.Version {
		t.Errorf("nix/version is %s, agent.Version is %s", got, agent.Version)
	}
}
