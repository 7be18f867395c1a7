package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// orderURL is the page of an order.
func orderURL(host, order string) string { return hostPath(host) + "/orders/" + url.PathEscape(order) }

// failureRule says what a failure does.
func failureRule(budget int, onFailure string) string {
	what := map[string]string{
		"rollback":  "ends the rollout; hosts that have switched go back to what they ran",
		"revert_pr": "stops the rollout and opens a pull request that reverts the commit; hosts that have switched stay switched",
	}[onFailure]
	if what == "" {
		what = "stops the rollout; hosts that have switched stay switched"
	}
	if budget <= 1 {
		return "The first failure " + what + "."
	}
	return fmt.Sprintf("Failure number %d %s.", budget, what)
}

// planWords says what a frozen plan means, as of now.
func planWords(p fleet.Plan, kind fleet.RolloutKind, now time.Time) []said {
	if kind == fleet.RolloutRestore {
		return []said{
			{about: "At once", lines: []string{"At most " + plural(p.MaxParallel, "host", "hosts") + "; the last that switched goes first."}},
			{about: "Failures", lines: []string{"None stops it: each host that can goes back."}},
			{about: "Offline", lines: []string{offlineWords(p)}},
			{about: "When", lines: []string{"At any time, without watching between the waves."}},
			{about: "Restart", lines: []string{rebootWords(fleet.DeployPolicy{Reboot: p.Reboot, RebootWindows: p.RebootWindows, Windows: p.Windows})}},
			{about: "Time limits", lines: []string{timeoutWords(p.Timeouts)}},
		}
	}
	return []said{
		{about: "At once", lines: []string{"At most " + plural(p.MaxParallel, "host", "hosts") + "."}},
		{about: "Failures", lines: []string{failureRule(p.MaxFailures, p.OnFailure)}},
		{about: "Offline", lines: []string{offlineWords(p)}},
		whenWords(p, now),
		{about: "Restart", lines: []string{rebootWords(fleet.DeployPolicy{Reboot: p.Reboot, RebootWindows: p.RebootWindows, Windows: p.Windows})}},
		{about: "Well when", lines: healthWords(p)},
		{about: "Time limits", lines: []string{timeoutWords(p.Timeouts)}},
	}
}

func offlineWords(p fleet.Plan) string {
	if p.Offline == "skip" {
		return "A host that is offline at its turn is left out."
	}
	return "A host that is offline at its turn catches up when it is back."
}

// whenWords says when hosts may begin, and what keeps them from it now.
func whenWords(p fleet.Plan, now time.Time) said {
	s := said{about: "When"}
	for _, w := range p.Windows {
		s.lines = append(s.lines, "Every week from "+period(w)+".")
	}
	if len(p.Windows) == 0 {
		s.lines = []string{"At any time."}
	}
	for _, f := range p.Freeze {
		s.lines = append(s.lines, "Not from "+period(f)+".")
	}
	if why, until := fleet.MayDeploy(p, now); why != "" {
		s.lines, s.until = append(s.lines, why), until
	}
	return s
}

// period is a window as people write it.
func period(f fleet.Freeze) string {
	text := f.From + " to " + f.To + " " + cmp.Or(f.TZ, "UTC")
	if f.Reason != "" {
		text += " (" + f.Reason + ")"
	}
	return text
}

func healthWords(p fleet.Plan) []string {
	lines := []string{"The new system runs, the host is heard over a new connection, and no unit failed that ran before."}
	for _, h := range p.Health {
		lines = append(lines, healthCheck(h))
	}
	if p.Unreachable == "rollback" {
		lines = append(lines, "A host that can’t reach this server afterwards goes back by itself.")
	}
	return lines
}

func healthCheck(h fleet.HealthCheck) string {
	switch {
	case h.Unit != "":
		return "`" + tick(h.Unit) + "` is active."
	case h.HTTP != "":
		return "`" + tick(h.HTTP) + "` answers."
	default:
		return "`" + tick(strings.Join(h.Command, " ")) + "` exits with 0."
	}
}

// tick keeps a value from ending the code that it is set as.
func tick(s string) string { return strings.ReplaceAll(s, "`", "'") }

func timeoutWords(t fleet.Timeouts) string {
	var parts []string
	for _, limit := range []struct {
		of   string
		time time.Duration
	}{{"fetch", t.Fetch}, {"build", t.Build}, {"switch", t.Switch}, {"verify", t.Verify}} {
		if limit.time > 0 {
			parts = append(parts, limit.of+" "+span(limit.time))
		}
	}
	if len(parts) == 0 {
		return "Those of the agent."
	}
	return title(strings.Join(parts, " · ")) + "."
}

// stepNames are the five steps of a deployment.
var stepNames = []string{"fetch", "build", "switch", "verify", "healthy"}

// stepMark is one of the five steps of a host.
type stepMark struct {
	name, class string // class: done, now, failed, or empty where it has not come to it
}

// stepMarks are how far a host got, and at which step it stopped.
func (h hostStand) stepMarks() []stepMark {
	reached := map[fleet.HostState]int{
		fleet.HostFetching: 0, fleet.HostBuilding: 1, fleet.HostSwitching: 2, fleet.HostVerifying: 3,
	}
	at, class := -1, "now"
	switch {
	case h.State == fleet.HostHealthy:
		at = len(stepNames)
	case h.Failure != nil:
		class = "failed"
		if i, ok := reached[fleet.HostState(h.Failure.Step)]; ok {
			at = i
		}
	default:
		if i, ok := reached[h.State]; ok {
			at = i
		}
	}
	marks := make([]stepMark, len(stepNames))
	for i, name := range stepNames {
		marks[i] = stepMark{name: name}
		switch {
		case i < at:
			marks[i].class = "done"
		case i == at:
			marks[i].class = class
		}
	}
	return marks
}

// stepWords are the five steps for people who don't see them.
func (h hostStand) stepWords() string {
	for i, m := range h.stepMarks() {
		if m.class == "now" || m.class == "failed" {
			return fmt.Sprintf("Step %d of %d: %s%s", i+1, len(stepNames), m.name, map[string]string{"failed": ", failed"}[m.class])
		}
	}
	if h.State == fleet.HostHealthy {
		return "All five steps are done"
	}
	return "No step has begun"
}

// began and took are when a host worked, for people.
func (h hostStand) began() string {
	if h.StartedAt.IsZero() {
		return ""
	}
	text := h.StartedAt.UTC().Format("15:04:05")
	if !h.EndedAt.IsZero() {
		text += "–" + h.EndedAt.UTC().Format("15:04:05")
	}
	return text
}

func (h hostStand) took() string {
	if h.StartedAt.IsZero() || h.EndedAt.IsZero() {
		return ""
	}
	return span(h.EndedAt.Sub(h.StartedAt))
}
