package agent

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Bounds of asking a system which commit it was built from.
const (
	revisionTimeout = 10 * time.Second
	maxRevisions    = 2 * maxGenerations
)

// revisions remembers the commits of systems that the agent did not build. A
// system never changes what it says.
type revisions struct {
	mu sync.Mutex
	of map[string]string // by path
}

// commitOf is what the system at path was built from: as the agent noted when it
// built it, or as the system itself says.
func (a *Agent) commitOf(ctx context.Context, n notes, path string) string {
	if commit := n.commitOf(path); commit != "" || path == "" {
		return commit
	}
	a.revisions.mu.Lock()
	defer a.revisions.mu.Unlock()
	commit, known := a.revisions.of[path]
	if !known {
		commit = configurationRevision(ctx, path)
		if len(a.revisions.of) >= maxRevisions || a.revisions.of == nil {
			a.revisions.of = map[string]string{}
		}
		if ctx.Err() == nil {
			a.revisions.of[path] = commit
		}
	}
	return commit
}

// configurationRevision asks a system that the agent did not build for the commit
// that its configuration recorded: NixOS has a program for it, nix-darwin a file.
func configurationRevision(ctx context.Context, system string) string {
	var v struct {
		Revision string `json:"configurationRevision"`
	}
	program := filepath.Join(system, "sw/bin/nixos-version")
	if _, err := os.Stat(program); err == nil {
		res, err := run(ctx, command{argv: []string{program, "--json"}, env: environ(), dir: "/", timeout: revisionTimeout})
		if err != nil || json.Unmarshal(res.stdout, &v) != nil {
			return ""
		}
	} else if readJSON(filepath.Join(system, "darwin-version.json"), &v) != nil {
		return ""
	}
	if !commitPattern.MatchString(v.Revision) {
		return ""
	}
	return v.Revision
}
