package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// scenario is one kind of pull request that may be opened on the imitated
// github.com at any time.
type scenario struct {
	id, title, expect string
	// prepare changes the world before the update workflow runs.
	prepare func(*world) error
	// tamper changes the checkout after `nix flake update`, before the push.
	tamper     func(*world, string) error
	conclusion string // of the CI check; success unless set, "none" for a CI that never starts
}

var scenarios = []scenario{
	{
		id: "update", title: "A good update",
		expect: "It is proven, held, merged and deployed in three waves.",
	},
	{
		id: "owner", title: "An input moved to another owner",
		expect: "It is refused: the lock names a repository that the flake does not ask for.",
		tamper: func(_ *world, dir string) error {
			return rewrite(filepath.Join(dir, "flake.lock"), "/demo/motd.git", "/mallory/motd.git")
		},
	},
	{
		id: "extra-file", title: "A second file beside the lock",
		expect: "It is refused: an update changes the lock and nothing else.",
		tamper: func(_ *world, dir string) error {
			return rewrite(filepath.Join(dir, "build.sh"), "set -eu", "set -eu\n# one more line")
		},
	},
	{
		id: "failing-check", title: "A check that fails",
		expect:     "It waits: the required check failed at this head SHA.",
		conclusion: "failure",
	},
	{
		id: "missing-check", title: "A check that never starts",
		expect:     "It waits: a check that was never reported is missing, not passed.",
		conclusion: "none",
	},
	{
		id: "failing-switch", title: "A service that does not start",
		expect: "It is merged, but the first canary fails to switch, goes back by itself, and the rollout halts.",
		prepare: func(w *world) error {
			return w.bumpInputs(w.machines[0].name, w.opts.Now())
		},
	},
}

// openUpdate plays the update workflow of GitHub Actions: a real `nix flake update` in a
// fresh clone, pushed with force to a branch, and a pull request by the robot. CI
// then turns green, or not. It returns the number of the pull request.
func (w *world) openUpdate(ctx context.Context, id string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range scenarios {
		if s.id == id {
			return w.play(ctx, s)
		}
	}
	return 0, fmt.Errorf("the demo has no scenario %q", id)
}

func (w *world) play(ctx context.Context, s scenario) (int, error) {
	prepare := s.prepare
	if prepare == nil {
		prepare = func(w *world) error { return w.bumpInputs("", w.opts.Now()) }
	}
	if err := prepare(w); err != nil {
		return 0, fmt.Errorf("prepare scenario %s: %w", s.id, err)
	}
	w.opened++
	dir := filepath.Join(w.dir, "work", fmt.Sprintf("%s-%d", s.id, w.opened))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return 0, err
	}
	if err := git(ctx, filepath.Dir(dir), "clone", "-q", w.hub.CloneURL(fleetRepo), dir); err != nil {
		return 0, err
	}
	if err := w.nix.flake(ctx, dir, "update"); err != nil {
		return 0, err
	}
	if s.tamper != nil {
		if err := s.tamper(w, dir); err != nil {
			return 0, err
		}
	}
	branch := updateBranch // one branch for all good updates, pushed with force, as the action does
	if s.id != "update" {
		branch = fmt.Sprintf("%s-%d", s.id, w.opened)
	}
	if err := w.push(ctx, push{dir: dir, branch: branch, message: "flake.lock: Update", as: robot}); err != nil {
		return 0, err
	}
	number, err := w.pull(branch)
	if err != nil {
		return 0, err
	}
	w.branches[number] = branch
	return number, w.runCI(ctx, branch, s.conclusion)
}

// pull opens a pull request for a branch; a push to one that is open keeps it.
func (w *world) pull(branch string) (int, error) {
	if number := w.hub.OpenPullOf(fleetRepo, branch); number != 0 {
		return number, nil
	}
	return w.hub.OpenPull(fleetRepo, forgetest.Pull{
		Title: "flake.lock: Update", Head: branch, Author: robot, Labels: []string{"dependencies", "automated"},
		Body: "Automated changes by the update workflow of this imitated github.com.",
	})
}

// runCI plays the CI workflow of the head commit.
func (w *world) runCI(ctx context.Context, branch, conclusion string) error {
	switch conclusion {
	case "":
		conclusion = "success"
	case "none":
		return nil
	}
	run := forgetest.Check{SHA: w.hub.Head(fleetRepo, branch), Name: "build", Status: "in_progress"}
	if _, err := w.hub.SetCheck(fleetRepo, run); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(w.opts.CITime):
	}
	run.Status, run.Conclusion = "completed", conclusion
	_, err := w.hub.SetCheck(fleetRepo, run)
	return err
}

func rewrite(file, old, replacement string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(b), old, replacement)
	if text == string(b) {
		return fmt.Errorf("%s: %q not found, the scenario would change nothing", filepath.Base(file), old)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
