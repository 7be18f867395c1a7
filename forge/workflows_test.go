package forge

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// updating is a workflow that makes a new lock.
const updating = "name: Update flake.lock\non:\n  schedule: [{cron: '0 3 * * 0'}]\n  workflow_dispatch:\njobs:\n  lock:\n    steps:\n      - uses: DeterminateSystems/update-flake-lock@main\n"

func TestTheWorkflowThatUpdatesTheLockIsStarted(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{
		".github/workflows/lock.yml":     updating,
		".github/workflows/ci.yml":       "on: [push, workflow_dispatch]\njobs: {build: {steps: [{run: nix flake check}]}}\n",
		".github/workflows/disabled.yml": updating,
		".github/workflows/broken.yml":   "on: [\n",
	}})
	if err := s.DisableWorkflow(fleetRepo, ".github/workflows/disabled.yml"); err != nil {
		t.Fatal(err)
	}
	found := must(s.forge.UpdateWorkflows(s.ctx, s.repo))(t)
	if len(found) != 1 || found[0].Path != ".github/workflows/lock.yml" || found[0].Name != "Update flake.lock" {
		t.Fatalf("found %+v", found)
	}
	if err := s.forge.StartWorkflow(s.ctx, s.repo, found[0]); err != nil {
		t.Fatal(err)
	}
	want := []forgetest.Dispatch{{Path: ".github/workflows/lock.yml", Ref: "main"}}
	if diff := cmp.Diff(want, s.Dispatches(fleetRepo)); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	other := found[0]
	other.ID = 1
	if err := s.forge.StartWorkflow(s.ctx, s.repo, other); !errors.Is(err, ErrNotStarted) {
		t.Errorf("one that is not there: %v", err)
	}
	if err := s.GrantPermissions(s.repo.Installation, map[string]string{"metadata": "read", "contents": "read", "actions": "read"}); err != nil {
		t.Fatal(err)
	}
	if err := s.open(s.forge.config.Now, nil).StartWorkflow(s.ctx, s.repo, found[0]); !errors.Is(err, ErrNotStarted) {
		t.Errorf("without the permission: %v", err)
	}
	if n := len(s.Dispatches(fleetRepo)); n != 1 {
		t.Errorf("%d were started, want 1", n)
	}
}

func TestWhatAWorkflowIsFor(t *testing.T) {
	t.Parallel()
	jobs := func(step string) string { return "jobs:\n  a:\n    steps:\n      - " + step + "\n" }
	for text, want := range map[string]bool{
		updating: true,
		"on: workflow_dispatch\n" + jobs("run: nix flake update"):                                           true,
		"on: [workflow_dispatch]\n" + jobs("run: |\n          nix --log-format raw flake update --flake ."): true,
		"on: {workflow_dispatch: {inputs: {}}}\n" + jobs("run: nix flake lock --update-input nixpkgs"):      true,
		"on: workflow_dispatch\njobs: {a: {uses: org/ci/.github/workflows/update-flake-lock.yml@v1}}\n":     true,
		"on: push\n" + jobs("run: nix flake update"):                                                        false,
		"on: workflow_dispatch\n" + jobs("run: nix flake check # not nix, flake updates"):                   false,
		"on: workflow_dispatch\n" + jobs("run: nix build && echo flake update"):                             false,
		"# nix flake update\non: workflow_dispatch\n" + jobs("run: make deploy"):                            false,
		"on: 7\njobs: []\n":         false,
		"":                          false,
		strings.Repeat("[", 10_000): false,
	} {
		if got := makesLock([]byte(text)); got != want {
			t.Errorf("%.200q makes a lock: %v", text, got)
		}
	}
}
