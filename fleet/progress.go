package fleet

import (
	"fmt"
	"slices"
	"time"
)

// Progress counts a rollout's hosts: done runs what it is to run, failed did not get
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

// kindWords are how headlines speak of a rollout of one kind.
type kindWords struct {
	planned, doing, done string // Planned, Deploying, Deployed
	before               string // before Paused, Failed and the like; with a space
	nothing              string // what a success of no hosts is
}

func wordsOf(k RolloutKind) kindWords {
	switch k {
	case RolloutBackward:
		return kindWords{"Planned", "Taking back", "Took back", "", "Nothing to take back: no host takes part."}
	case RolloutRestore:
		return kindWords{"Rollback planned", "Rolling back", "Rolled back", "Rollback ", "Nothing to roll back: no host takes part."}
	case RolloutDeploy:
	}
	return kindWords{"Planned", "Deploying", "Deployed", "", "Nothing to deploy: no host takes part."}
}

// Headline is a rollout in one sentence. The rollout that restores it tells how far
// a rollback is.
func Headline(r Rollout, restoring *Rollout, now time.Time) string {
	words := wordsOf(r.Kind)
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
			return words.planned + "."
		}
		return fmt.Sprintf("%s for %s.", words.planned, count(total, "host"))
	case RolloutRunning:
		if tail != "" {
			of += "… (" + tail[2:] + ")"
		} else {
			of += "…"
		}
		return words.doing + " " + of + waits(r, now)
	case RolloutSucceeded:
		return succeeded(r, words, of, tail)
	case RolloutPaused:
		return words.stop("paused") + " at " + of + tail + "."
	case RolloutHalted:
		return words.stop("halted") + " at " + of + tail + "."
	case RolloutRollingBack, RolloutRolledBack:
		return rollback(r, restoring, now)
	case RolloutFailed:
		if r.Kind == RolloutRestore {
			return "Rollback failed: " + of + " went back" + tail + "."
		}
		if restoring != nil && restoring.State.Terminal() && restoring.State != RolloutSucceeded {
			tail += ", and the rollback " + string(restoring.State)
		}
		return "Failed: " + lower(words.done) + " " + of + tail + "."
	case RolloutAborted:
		return words.stop("aborted") + " at " + of + tail + "."
	case RolloutSuperseded:
		return "Superseded by a newer rollout at " + of + "."
	}
	return of + tail
}

// waits says what a rollout that runs waits for, while no host is under way and the
// time is not one to give orders at.
func waits(r Rollout, now time.Time) string {
	still := func(p HostProgress) bool { return p.State.UnderWay() }
	left := func(p HostProgress) bool { return p.State == HostWaiting }
	if slices.ContainsFunc(r.Hosts, still) || !slices.ContainsFunc(r.Hosts, left) {
		return ""
	}
	const form = "Mon 2006-01-02 15:04 UTC"
	if f, until, err := frozen(r.Plan.Freeze, now); err == nil && f != nil {
		return fmt.Sprintf(" It waits until %s, the end of a freeze (%s).", until.UTC().Format(form), orElse(plain(f.Reason, 100), "no reason given"))
	}
	if open, next, err := opens(r.Plan.Windows, now); err == nil && !open {
		return fmt.Sprintf(" It waits until %s, when it may deploy again.", next.UTC().Format(form))
	}
	return ""
}

// stop is a word for a rollout that stands still, as the beginning of a sentence.
func (w kindWords) stop(word string) string {
	if w.before == "" {
		return string(word[0]-'a'+'A') + word[1:]
	}
	return w.before + word
}

func lower(word string) string { return string(word[0]-'A'+'a') + word[1:] }

func succeeded(r Rollout, words kindWords, of, tail string) string {
	_, failed, _, total := Progress(r)
	if total == 0 {
		return words.nothing
	}
	if n := catchingUp(r); n > 0 {
		return fmt.Sprintf("%s %s, %d will catch up%s.", words.done, of, n, failedTail(failed))
	}
	return words.done + " " + of + tail + "."
}

// rollback is the headline of a rollout that is undone.
func rollback(r Rollout, restoring *Rollout, now time.Time) string {
	if restoring != nil {
		as := *restoring
		as.Kind, as.State = RolloutRestore, RolloutRunning
		if r.State == RolloutRolledBack {
			as.State = RolloutSucceeded
		}
		return Headline(as, nil, now)
	}
	if r.State == RolloutRolledBack {
		return "Rolled back: no host had to."
	}
	if n := slices.DeleteFunc(slices.Clone(r.Hosts), func(p HostProgress) bool { return !p.State.UnderWay() }); len(n) > 0 {
		return fmt.Sprintf("Rolling back… (%s still under way)", count(len(n), "host"))
	}
	return "Rolling back…"
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
