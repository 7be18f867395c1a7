package agent

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	systemctlTimeout = 10 * time.Second
	maxFailedUnits   = 50 // that are told; a heartbeat has its bounds
)

// observe looks at the host. What it cannot see it leaves empty; nothing is
// concluded from what commands returned earlier.
func (a *Agent) observe(ctx context.Context) agentbus.Observation {
	n := a.notes.get()
	o := agentbus.Observation{
		AgentVersion:   Version,
		Platform:       string(a.cfg.Platform),
		BootID:         a.bootID,
		CheckoutCommit: n.Git.Checkout,
		RemoteCommit:   n.Git.Remote,
		Behind:         n.Git.Behind,
		Ahead:          n.Git.Ahead,
		RunningPath:    readLink(a.cfg.Paths.Current),
		BootedPath:     readLink(a.cfg.Paths.Booted),
		ProfilePath:    readLink(a.cfg.Paths.Profile),
		ExpectedPath:   n.Expected.Path,
		ExpectedCommit: n.Expected.Commit,
		Lock:           n.Lock,
		Errors:         n.Errors,
	}
	o.RunningCommit = a.runningCommit(ctx, n, o.RunningPath)
	o.RebootNeeded = kernelDiffers(o.BootedPath, o.RunningPath) ||
		n.RebootInto != "" && n.RebootInto == o.ProfilePath && o.RunningPath != o.ProfilePath
	failed := failedUnits(ctx, a.cfg.systemctl()).Failed
	o.FailedUnits = failed[:min(len(failed), maxFailedUnits)]
	observeMachine(&o)
	o.StoreFree, o.StoreTotal = diskSpace(a.cfg.Paths.Store)
	return o
}

// runningCommit is what path was built from: as the agent noted when it built
// it, or as the system itself says.
func (a *Agent) runningCommit(ctx context.Context, n notes, path string) string {
	if commit := n.commitOf(path); commit != "" || path == "" {
		return commit
	}
	a.revision.mu.Lock()
	defer a.revision.mu.Unlock()
	if a.revision.path != path {
		a.revision.path, a.revision.commit = path, configurationRevision(ctx, path)
	}
	return a.revision.commit
}

// configurationRevision asks a system that the agent did not build for the
// commit that its configuration recorded.
func configurationRevision(ctx context.Context, system string) string {
	program := filepath.Join(system, "sw/bin/nixos-version")
	if _, err := os.Stat(program); err != nil {
		return ""
	}
	res, err := run(ctx, command{argv: []string{program, "--json"}, env: environ(), dir: "/", timeout: systemctlTimeout})
	var v struct {
		Revision string `json:"configurationRevision"`
	}
	if err != nil || json.Unmarshal(res.stdout, &v) != nil || !commitPattern.MatchString(v.Revision) {
		return ""
	}
	return v.Revision
}

// kernelDiffers reports whether the running system would boot something else
// than what was booted. The init is left out: it always differs.
func kernelDiffers(booted, running string) bool {
	if booted == "" || running == "" || booted == running {
		return false
	}
	for _, part := range []string{"initrd", "kernel", "kernel-modules"} {
		if readLink(filepath.Join(booted, part)) != readLink(filepath.Join(running, part)) {
			return true
		}
	}
	return false
}
