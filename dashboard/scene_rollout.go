package dashboard

import (
	"fmt"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// rolloutView is one rollout, ready to show.
type rolloutView struct {
	fleet.Rollout
	look     look
	failures []fleet.HostProgress
	counts   string // e.g. "2 under way · 3 waiting · 1 failed"
	done     int
	commit   string // GitHub's page of it
	update   *fleet.Update
	page     templ.SafeURL // of the update's pull request
	stopped  string        // what it waits for, when it does not move by itself
}

// failuresShown is how many failures a card tells; the rollout's page has all.
const failuresShown = 3

// crowd is how many hosts of a wave get a line each; of more, only those that
// somebody may want to look at.
const crowd = 24

// segment is one stretch of the bar of a large rollout.
type segment struct {
	tone     string
	x, width int
}

// narrow is how many hosts get a segment of the bar each.
const narrow = 80

func (s scene) rollout(r fleet.Rollout) rolloutView {
	v := rolloutView{Rollout: r, look: rolloutLook(r.Kind, r.State), failures: failures(r), commit: s.commitURL(r.RepoID, r.Commit)}
	for i := range s.o.Updates {
		if r.UpdateID != 0 && s.o.Updates[i].ID == r.UpdateID {
			v.update, v.page = &s.o.Updates[i], pullURL(s.webURL, s.o.Updates[i])
		}
	}
	v.count()
	switch r.State {
	case fleet.RolloutHalted:
		v.stopped = plural(len(v.failures), "host", "hosts") + " failed, which is as many as the policy takes. " +
			"Hosts that have switched stay switched; no other host is touched. To go on, retry what failed, or Merge & Deploy an update that repairs it."
	case fleet.RolloutPaused:
		v.stopped = "Paused. Hosts that are under way finish; no other host starts."
	case fleet.RolloutRollingBack:
		v.stopped = "Hosts that are under way finish; then those that switched go back to what they ran before."
	}
	if r.Revert.Found != "" {
		v.stopped = strings.TrimSpace(v.stopped + " " + r.Revert.Found)
	}
	return v
}

// segments is the bar of a large rollout, in thousandths of its width.
func (v rolloutView) segments() []segment {
	order := []string{"ok", "error", "stale", "working", "unknown", "idle"}
	count := map[string]int{}
	for _, h := range v.Hosts {
		count[hostLook(h.State).tone]++
	}
	var out []segment
	seen := 0
	for _, tone := range order {
		if n := count[tone]; n > 0 {
			x := seen * 1000 / len(v.Hosts)
			seen += n
			out = append(out, segment{tone, x, seen*1000/len(v.Hosts) - x})
		}
	}
	return out
}

// count sums up the hosts by what they are doing.
func (v *rolloutView) count() {
	var working, waiting, failed, skipped int
	for _, h := range v.Hosts {
		switch {
		case h.State == fleet.HostHealthy:
			v.done++
		case h.State.UnderWay():
			working++
		case h.State == fleet.HostWaiting:
			waiting++
		case h.State == fleet.HostFailed || h.State == fleet.HostReverted:
			failed++
		default:
			skipped++
		}
	}
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(v.done, "done")
	add(working, "under way")
	add(waiting, "waiting")
	add(skipped, "not now")
	add(failed, "failed")
	v.counts = strings.Join(parts, " · ")
}

// headline falls back to words of our own where the rollout has none yet.
func (v rolloutView) headline() string {
	if v.Headline != "" {
		return v.Headline
	}
	return v.look.word
}

// took is how long an ended rollout took.
func (v rolloutView) took() string {
	if v.StartedAt.IsZero() || v.EndedAt.IsZero() {
		return ""
	}
	return span(v.EndedAt.Sub(v.StartedAt))
}

// failures lists the hosts of r that did not get there.
func failures(r fleet.Rollout) []fleet.HostProgress {
	var out []fleet.HostProgress
	for _, h := range r.Hosts {
		if h.State == fleet.HostFailed || h.State == fleet.HostReverted || h.Failure != nil {
			out = append(out, h)
		}
	}
	return out
}

// steps is how many of the five steps of a deployment a host has reached.
func steps(s fleet.HostState) int {
	switch s {
	case fleet.HostOrdered, fleet.HostReceived:
		return 1
	case fleet.HostFetching:
		return 2
	case fleet.HostBuilding:
		return 3
	case fleet.HostSwitching:
		return 4
	case fleet.HostVerifying, fleet.HostHealthy:
		return 5
	}
	return 0
}

// span writes a duration in its two largest units.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case h >= 24 && h%24 == 0:
		return fmt.Sprintf("%d d", h/24)
	case h >= 24:
		return fmt.Sprintf("%d d %d h", h/24, h%24)
	case h > 0 && m == 0:
		return fmt.Sprintf("%d h", h)
	case h > 0:
		return fmt.Sprintf("%d h %d m", h, m)
	case m > 0 && s == 0:
		return fmt.Sprintf("%d m", m)
	case m > 0:
		return fmt.Sprintf("%d m %d s", m, s)
	default:
		return fmt.Sprintf("%d s", s)
	}
}
