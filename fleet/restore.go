package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// MakeRestore plans the way back of a rollout's hosts, each to what it ran before:
// those that began to switch and those of which that is not known, but not those
// that are seen to be back or went back by themselves. The last goes first. Such a
// rollout is urgent: it heeds no windows, does not soak, and no failure stops it.
// The policy's health checks are left out, because they may ask for what only the
// newer commit brought.
func MakeRestore(r Rollout, hosts map[string]Host) (Plan, []HostProgress) {
	back := slices.DeleteFunc(slices.Clone(r.Hosts), func(p HostProgress) bool { return !mustGoBack(p, hosts[p.Host]) })
	slices.SortStableFunc(back, func(a, b HostProgress) int {
		return cmp.Or(cmp.Compare(b.Wave, a.Wave), orTime(b.EndedAt, b.Since).Compare(orTime(a.EndedAt, a.Since)))
	})
	plan := Plan{
		MaxParallel: max(1, r.Plan.MaxParallel), MaxFailures: len(back) + 1, OnFailure: "halt", Offline: "catch_up",
		Timeouts: r.Plan.Timeouts, Reboot: r.Plan.Reboot, RebootWindows: slices.Clone(r.Plan.RebootWindows),
		Unreachable: r.Plan.Unreachable, Anchors: slices.Clone(r.Plan.Anchors), Settle: r.Plan.Settle,
	}
	if len(plan.RebootWindows) == 0 {
		plan.RebootWindows = slices.Clone(r.Plan.Windows)
	}
	var progress []HostProgress
	for i, p := range back {
		if i == 0 || p.Wave != back[i-1].Wave {
			plan.Waves = append(plan.Waves, Wave{Name: waveName(r.Plan, p.Wave)})
		}
		wave := &plan.Waves[len(plan.Waves)-1]
		wave.Hosts = append(wave.Hosts, p.Host)
		progress = append(progress, HostProgress{Host: p.Host, Wave: len(plan.Waves) - 1, State: HostWaiting, Target: p.Before})
	}
	return plan, progress
}

// mustGoBack reports whether a host of a rollout has to be brought back.
func mustGoBack(p HostProgress, host Host) bool {
	switch {
	case p.Before.Path == "", host.Name == "", !host.RevokedAt.IsZero():
		return false // it had no order, or is not ours any more
	case p.State == HostReverted, p.State == HostExcluded:
		return false
	case p.State.UnderWay():
		return true // it may switch at any moment
	case p.Switched, p.State == HostCancelled, p.State == HostOffline, unheard(p.Failure):
		return !isBack(p, host.Facts) // where nothing was heard it may have switched all the same
	}
	return false
}

// unheard reports whether a failure is not the host's own word, but that there was none.
func unheard(f *HostError) bool { return f != nil && (f.Code == codeExpired || f.Code == codeNoAnswer) }

// isBack reports whether a host was seen since to run what it ran before, and to
// start with that. What is not known is not taken for it.
func isBack(p HostProgress, f HostFacts) bool {
	return !f.At.Before(p.Since) && f.RunningPath == p.Before.Path && (f.ProfilePath == "" || f.ProfilePath == p.Before.Path)
}

func waveName(p Plan, i int) string {
	if i < 0 || i >= len(p.Waves) {
		return "remaining"
	}
	return p.Waves[i].Name
}

// RetryHosts are the hosts of a rollout that another try concerns, in its order:
// those that failed or went back by themselves, and those that never had their turn.
func RetryHosts(r Rollout) []string {
	var names []string
	for _, p := range r.Hosts {
		switch p.State {
		case HostFailed, HostReverted, HostCancelled, HostWaiting:
			names = append(names, p.Host)
		case HostOrdered, HostReceived, HostFetching, HostBuilding, HostSwitching, HostVerifying,
			HostHealthy, HostOffline, HostDeferred, HostExcluded:
		}
	}
	return names
}

// Exclude leaves a host out of a rollout because a person says so. takeBack means
// that it holds an order, which has to be taken back. One that works on its order
// can't be left out any more.
func Exclude(p HostProgress, now time.Time) (after HostProgress, takeBack bool, err error) {
	after = p.After(HostLeftOut, now)
	switch {
	case after.State == HostExcluded:
		return after, p.State != HostExcluded && p.Order != "", nil
	case p.State.Terminal():
		return p, false, fmt.Errorf("%s has ended already: it is %s", p.Host, p.State)
	default:
		return p, false, fmt.Errorf("%s is %s already; cancel its order, or wait until it has ended", p.Host, p.State)
	}
}
