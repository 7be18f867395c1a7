package agent

import (
	"context"
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
	o.RunningCommit = a.commitOf(ctx, n, o.RunningPath)
	o.RebootNeeded = a.cfg.Platform.executor().boots() && kernelDiffers(o.BootedPath, o.RunningPath) ||
		n.RebootInto != "" && n.RebootInto == o.ProfilePath && o.RunningPath != o.ProfilePath
	failed := failedUnits(ctx, a.cfg.systemctl()).Failed
	o.FailedUnits = failed[:min(len(failed), maxFailedUnits)]
	observeMachine(&o)
	o.StoreFree, o.StoreTotal = diskSpace(a.cfg.Paths.Store)
	return o
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
