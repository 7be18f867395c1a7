package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path"
	"strings"
	"time"
)

// builder evaluates and builds with the host's Nix. Only commands and flags that
// Nix 2.8 and current Nix share are used: --json, not --print-out-paths.
type builder struct {
	nix    Nix
	stream func([]byte)
}

// flakeRef names attr at commit in the checkout. With a revision Nix reads the
// commit's tree from git's objects, so the working tree does not matter.
func flakeRef(checkout, commit, attr string) (string, error) {
	inst, err := installable(attr)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "git+file", Path: checkout, RawQuery: "rev=" + commit}
	return u.String() + "#" + inst, nil
}

// evaluate is the store path that ref would be built to.
func (b builder) evaluate(ctx context.Context, ref string, timeout time.Duration) (string, error) {
	res, err := b.run(ctx, timeout, "eval", "--raw", ref+".outPath")
	if err != nil {
		return "", fmt.Errorf("evaluate: %w", err)
	}
	return storePath(strings.TrimSpace(string(res.stdout)))
}

// build builds ref and returns its path, which root keeps from the garbage
// collector until the profile does.
func (b builder) build(ctx context.Context, ref, root string, timeout time.Duration) (string, error) {
	res, err := b.run(ctx, timeout, "build", "--json", "--print-build-logs", "--out-link", root, ref)
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	var built []struct {
		Outputs map[string]string `json:"outputs"`
	}
	if err := json.Unmarshal(res.stdout, &built); err != nil || len(built) != 1 {
		return "", fmt.Errorf("build: nix reported %d results, want one: %w", len(built), errors.Join(err))
	}
	return storePath(built[0].Outputs["out"])
}

func (b builder) run(ctx context.Context, timeout time.Duration, sub string, args ...string) (result, error) {
	argv := append(niced(), b.nix.program("nix"), "--extra-experimental-features", "nix-command flakes", sub,
		"--no-update-lock-file", "--no-write-lock-file")
	argv = append(append(argv, b.nix.Args...), args...)
	return run(ctx, command{argv: argv, env: environ(b.nix.Env...), dir: "/", timeout: timeout, stream: b.stream})
}

// niced makes way for what the host is there for, where the system can.
func niced() []string {
	if nice, err := exec.LookPath("nice"); err == nil {
		return []string{nice, "-n", "10"}
	}
	return nil
}

// storePath checks that Nix reported what looks like a path in a store.
func storePath(p string) (string, error) {
	_, name := path.Split(p)
	if !path.IsAbs(p) || path.Clean(p) != p || len(name) < 34 || name[32] != '-' {
		return "", fmt.Errorf("nix reported %q, which is not a store path", clip(p, 200))
	}
	return p, nil
}
