package fleet

import "fmt"

// Progress counts a rollout's hosts: done runs the commit, failed did not get
// there (or rolled itself back), skipped is passed over for now or for good.
func Progress(r Rollout) (done, failed, skipped, total int) {
	for _, p := range r.Hosts {
		switch p.State {
		case HostHealthy:
			done++
		case HostFailed, HostReverted:
			failed++
		case HostOffline, HostDeferred, HostExcluded, HostCancelled:
			skipped++
		case HostWaiting, HostOrdered, HostReceived, HostFetching, HostBuilding, HostSwitching, HostVerifying:
		}
	}
	return done, failed, skipped, len(r.Hosts)
}

// headline is a rollout in one sentence.
func headline(r Rollout) string {
	done, failed, skipped, total := Progress(r)
	of := fmt.Sprintf("%d/%d hosts", done, total)
	tail := ""
	if failed > 0 {
		tail += fmt.Sprintf(", %d failed", failed)
	}
	if skipped > 0 {
		tail += fmt.Sprintf(", %d skipped", skipped)
	}
	switch r.State {
	case RolloutPlanned:
		if total == 0 {
			return "Planned."
		}
		return fmt.Sprintf("Planned for %s.", count(total, "host"))
	case RolloutRunning:
		if tail != "" {
			return "Deploying " + of + "… (" + tail[2:] + ")"
		}
		return "Deploying " + of + "…"
	case RolloutSucceeded:
		if total == 0 {
			return "Nothing to deploy: no host takes part."
		}
		if n := catchingUp(r); n > 0 {
			return fmt.Sprintf("Deployed %s, %d will catch up%s.", of, n, failedTail(failed))
		}
		return "Deployed " + of + tail + "."
	case RolloutPaused:
		return "Paused at " + of + tail + "."
	case RolloutHalted:
		return "Halted at " + of + tail + "."
	case RolloutRollingBack:
		return "Rolling back…"
	case RolloutRolledBack:
		return "Rolled back."
	case RolloutFailed:
		return "Failed: deployed " + of + tail + "."
	case RolloutAborted:
		return "Aborted at " + of + tail + "."
	case RolloutSuperseded:
		return "Superseded by a newer rollout at " + of + "."
	}
	return of + tail
}

func failedTail(failed int) string {
	if failed == 0 {
		return ""
	}
	return fmt.Sprintf(", %d failed", failed)
}

func catchingUp(r Rollout) int {
	n := 0
	for _, p := range r.Hosts {
		if p.State == HostOffline || p.State == HostDeferred {
			n++
		}
	}
	return n
}
