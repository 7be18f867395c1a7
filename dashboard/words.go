package dashboard

import (
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// look is how a state appears: a tone for colour, an icon, and a word. Colour is
// never alone.
type look struct{ tone, icon, word string }

func updateLook(s fleet.UpdateState) look {
	switch s {
	case fleet.UpdateObserved:
		return look{"working", "working", "Looking"}
	case fleet.UpdateChecks:
		return look{"working", "working", "Checks running"}
	case fleet.UpdateHolding:
		return look{"working", "clock", "Holding"}
	case fleet.UpdateReady:
		return look{"ok", "ok", "Ready"}
	case fleet.UpdateMerging:
		return look{"working", "working", "Merging"}
	case fleet.UpdateMerged:
		return look{"ok", "ok", "Merged"}
	case fleet.UpdateFailing:
		return look{"error", "error", "Checks failed"}
	case fleet.UpdateBlocked:
		return look{"error", "blocked", "Blocked"}
	case fleet.UpdateConflict:
		return look{"error", "error", "Conflict"}
	case fleet.UpdateClosed:
		return look{"unknown", "blocked", "Closed"}
	case fleet.UpdateSuperseded:
		return look{"unknown", "ok", "Superseded"}
	}
	return look{"unknown", "unknown", "Unknown"}
}

func rolloutLook(k fleet.RolloutKind, s fleet.RolloutState) look {
	switch {
	case k == fleet.RolloutRestore && s == fleet.RolloutRunning:
		s = fleet.RolloutRollingBack
	case k == fleet.RolloutRestore && s == fleet.RolloutSucceeded:
		s = fleet.RolloutRolledBack
	}
	switch s {
	case fleet.RolloutPlanned:
		return look{"working", "clock", "Planned"}
	case fleet.RolloutRunning:
		return look{"working", "working", "Deploying"}
	case fleet.RolloutSucceeded:
		return look{"ok", "ok", "Deployed"}
	case fleet.RolloutPaused:
		return look{"stale", "pause", "Paused"}
	case fleet.RolloutHalted:
		return look{"error", "blocked", "Halted"}
	case fleet.RolloutRollingBack:
		return look{"working", "back", "Rolling back"}
	case fleet.RolloutRolledBack:
		return look{"stale", "back", "Rolled back"}
	case fleet.RolloutFailed:
		return look{"error", "error", "Failed"}
	case fleet.RolloutAborted:
		return look{"unknown", "blocked", "Aborted"}
	case fleet.RolloutSuperseded:
		return look{"unknown", "ok", "Superseded"}
	}
	return look{"unknown", "unknown", "Unknown"}
}

func hostLook(s fleet.HostState) look {
	switch s {
	case fleet.HostWaiting:
		return look{"idle", "clock", "Waiting"}
	case fleet.HostOrdered:
		return look{"working", "working", "Order sent"}
	case fleet.HostReceived:
		return look{"working", "working", "Received"}
	case fleet.HostFetching:
		return look{"working", "working", "Fetching"}
	case fleet.HostBuilding:
		return look{"working", "working", "Building"}
	case fleet.HostSwitching:
		return look{"working", "working", "Switching"}
	case fleet.HostVerifying:
		return look{"working", "working", "Verifying"}
	case fleet.HostHealthy:
		return look{"ok", "ok", "Healthy"}
	case fleet.HostFailed:
		return look{"error", "error", "Failed"}
	case fleet.HostReverted:
		return look{"error", "back", "Reverted itself"}
	case fleet.HostOffline:
		return look{"idle", "offline", "Offline, catches up"}
	case fleet.HostDeferred:
		return look{"stale", "clock", "Deferred"}
	case fleet.HostExcluded:
		return look{"idle", "blocked", "Excluded"}
	case fleet.HostCancelled:
		return look{"idle", "blocked", "Cancelled"}
	}
	return look{"unknown", "unknown", "Unknown"}
}

func lightLook(l fleet.Light) look {
	switch l {
	case fleet.LightOK:
		return look{"ok", "ok", "ok"}
	case fleet.LightStale:
		return look{"stale", "stale", "attention"}
	case fleet.LightError:
		return look{"error", "error", "error"}
	case fleet.LightWorking:
		return look{"working", "working", "working"}
	}
	return look{"unknown", "unknown", "unknown"}
}

func outcomeLook(c fleet.Condition) look {
	if c.Overridden {
		return look{"stale", "stale", "overridden"}
	}
	switch c.Outcome {
	case fleet.Passed:
		return look{"ok", "ok", "passed"}
	case fleet.Waiting:
		return look{"working", "clock", "waiting"}
	case fleet.Refused:
		return look{"error", "error", "refused"}
	case fleet.Off:
		return look{"idle", "blocked", "does not apply"}
	}
	return look{"unknown", "unknown", "unknown"}
}

// short is a commit as people write it.
func short(sha string) string { return sha[:min(7, len(sha))] }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// title is s with a capital letter.
func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// stamp is a moment for machines, clock and full for people without script.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
func clock(t time.Time) string { return t.UTC().Format("15:04 UTC") }
func full(t time.Time) string  { return t.UTC().Format("Mon 2 Jan 2006, 15:04:05 UTC") }

// isRule reports whether a line of a tooltip is a rule.
func isRule(line string) bool {
	return line != "" && strings.Trim(line, "─") == ""
}

// mark splits a line of a tooltip into the mark that begins it and the rest.
func mark(line string) (tone, icon, rest string) {
	for _, m := range []struct{ sign, tone, icon string }{
		{"✓", "ok", "ok"}, {"✗", "error", "error"}, {"▲", "stale", "stale"},
		{"⚠", "stale", "stale"}, {"?", "unknown", "unknown"}, {"◌", "working", "working"},
	} {
		if rest, ok := strings.CutPrefix(line, m.sign+" "); ok {
			return m.tone, m.icon, rest
		}
	}
	return "", "", line
}

// pair splits a line like "Installed: 2.0.0", so that values stand below each
// other. Only a single word counts as a key.
func pair(line string) (key, value string) {
	key, value, ok := strings.Cut(line, ": ")
	if !ok || strings.ContainsAny(key, " `") {
		return "", ""
	}
	return key, strings.TrimSpace(value)
}

// lower is s with a small letter, for within a sentence.
func lower(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToLower(s[:1]) + s[1:]
}
