package agent

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	systemctlTimeout = 10 * time.Second
	maxFailedUnits   = 50 // that are told; a heartbeat has its bounds
)

// unitsPause is how long a heartbeat goes by what systemd last said: asking it is
// by far the dearest part of a look, and idling should cost next to nothing.
const unitsPause = time.Minute

// unitLook is what systemd last said about failed units.
type unitLook struct {
	mu     sync.Mutex
	at     time.Time
	failed []string
}

// unitsFailed asks systemd, unless it was asked less than age ago.
func (a *Agent) unitsFailed(ctx context.Context, age time.Duration) []string {
	a.units.mu.Lock()
	defer a.units.mu.Unlock()
	if age == 0 || a.units.at.IsZero() || time.Since(a.units.at) >= age {
		failed := failedUnits(ctx, a.cfg.systemctl(), a.cfg.Platform).Failed
		a.units.failed, a.units.at = failed[:min(len(failed), maxFailedUnits)], time.Now()
	}
	return a.units.failed
}

// observe looks at the host, at its units only when the last look at them is older
// than age. What it cannot see it leaves empty; nothing is concluded from what
// commands returned earlier.
func (a *Agent) observe(ctx context.Context, age time.Duration) agentbus.Observation {
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
	o.FailedUnits = a.unitsFailed(ctx, age)
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
