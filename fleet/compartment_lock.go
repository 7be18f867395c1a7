package fleet

import (
	"fmt"
	"strings"
	"time"
)

// Ages of a lock in days (SPEC 4).
const (
	lockFresh = 7  // up to here green
	lockOld   = 30 // up to here "Consider updating", beyond "Needs update"
)

func lockCompartment(in CompartmentFacts, now time.Time) Compartment {
	c := Compartment{ID: "lock", Question: "How old is my `flake.lock`?"}
	f := in.Host.Facts
	age, dated := lockAge(f.Lock, now)
	order, comparable := compareVersions(f.AgentVersion, in.ExpectedAgent)
	switch {
	case f.At.IsZero():
		c.set(LightUnknown, "No report yet", "No report yet from this host.")
	case comparable && order < 0:
		c.set(LightError, "Agent outdated", agentLines(in)...)
		c.Tooltip = append(c.Tooltip, dependencyLines(in.Pending, age, dated)...)
	case in.Doing == OrderUpdateInputs && working(f, in.Host.Online(now), HostBuilding):
		c.set(LightWorking, "Updating…", "Makes a newer flake.lock for the repository…")
	case f.Lock == nil:
		c.set(LightUnknown, "Not reported", "Host has not reported its flake.lock.")
	case !dated:
		c.set(LightUnknown, "Age not known", "None of the root inputs carries a date.")
	case age <= lockFresh:
		c.set(LightOK, days(age), "Updated within the last 7 days")
	case age <= lockOld:
		c.set(LightStale, days(age), "Consider updating", "The newest input is "+days(age)+" old.")
	default:
		c.set(LightStale, days(age), "Needs update", "The newest input is "+days(age)+" old.")
	}
	if !f.At.IsZero() {
		c.Tooltip = append(c.Tooltip, lockDetails(in, now)...)
	}
	if comparable && order > 0 {
		c.Tooltip = append(c.Tooltip, fmt.Sprintf("The server (%s) is older than this agent (%s).", plain(in.ExpectedAgent, 50), plain(f.AgentVersion, 50)))
	}
	if in.Pending != nil {
		c.Badge = fmt.Sprintf("Update PR pending #%d", in.Pending.Number)
	}
	return c
}

// lockAge is the age of the newest root input, in whole days.
func lockAge(l *LockFacts, now time.Time) (age int, dated bool) {
	newest := l.Newest()
	return wholeDays(newest, now), !newest.IsZero()
}

// Newest is when the newest root input was modified; zero where none carries a date.
func (l *LockFacts) Newest() (newest time.Time) {
	if l == nil {
		return newest
	}
	for _, in := range l.Inputs {
		if in.LastModified.After(newest) {
			newest = in.LastModified
		}
	}
	return newest
}

func wholeDays(since, now time.Time) int { return max(0, int(now.Sub(since)/(24*time.Hour))) }

func days(n int) string {
	if n == 0 {
		return "less than a day"
	}
	return count(n, "day")
}

// agentLines is what people read when the agent is older than the server: the
// words are fixed (SPEC 4).
func agentLines(in CompartmentFacts) []string {
	lines := []string{
		"✗ Agent needs update",
		"",
		"Installed: " + plain(in.Host.Facts.AgentVersion, 50),
		"Expected:  " + plain(in.ExpectedAgent, 50),
		"",
		"Run 'switch' to update the agent.",
	}
	if in.Host.Platform() == "darwin" {
		lines = append(lines, "After switch on macOS, restart the agent: ⋮ → Restart Agent")
	}
	return append(lines, rule)
}

// dependencyLines is the part below the rule. It claims that all is up to date only
// where that is so: a lock of a week, and no update pending.
func dependencyLines(pending *PendingUpdate, age int, dated bool) []string {
	switch {
	case dated && age <= lockFresh && pending == nil:
		return []string{"✓ Dependencies up to date", "", "flake.lock matches the latest", "available package versions."}
	case !dated:
		return []string{"The age of flake.lock is not known."}
	case age <= lockFresh:
		return []string{"flake.lock was updated within the last 7 days, but an update is pending."}
	case age <= lockOld:
		return []string{"flake.lock is " + days(age) + " old: consider updating."}
	}
	return []string{"flake.lock is " + days(age) + " old: needs update."}
}

// lockDetails: what is pending, whether the lock differs from the default branch's,
// and the age of each root input.
func lockDetails(in CompartmentFacts, now time.Time) []string {
	var lines []string
	if p := in.Pending; p != nil {
		lines = append(lines, rule, fmt.Sprintf("Update PR pending #%d: %s", p.Number, plain(p.Title, 200)))
		lines = append(lines, changeLines(p.Changes)...)
	}
	l := in.Host.Facts.Lock
	if l == nil {
		return lines
	}
	lines = append(lines, rule)
	if in.HeadLock != "" && l.SHA256 != "" && !strings.EqualFold(in.HeadLock, l.SHA256) {
		lines = append(lines, "It differs from the flake.lock of `origin/"+orElse(in.Branch, "main")+"`.")
	}
	for i, input := range l.Inputs {
		if i == maxInputLines {
			lines = append(lines, fmt.Sprintf("… and %d more", len(l.Inputs)-i))
			break
		}
		age := "age not known"
		if !input.LastModified.IsZero() {
			age = days(wholeDays(input.LastModified, now))
		}
		lines = append(lines, plain(input.Name, 100)+": "+age)
	}
	return lines
}

// maxInputLines keeps a tooltip on the screen.
const maxInputLines = 20

func changeLines(changes []InputChange) []string {
	var lines []string
	for i, c := range changes {
		if i == maxInputLines {
			return append(lines, fmt.Sprintf("… and %d more", len(changes)-i))
		}
		line := "• " + plain(c.Path, 100) + " " + c.Kind
		if c.FromRev != "" && c.ToRev != "" {
			line = fmt.Sprintf("• %s %s → %s", plain(c.Path, 100), shortSHA(c.FromRev), shortSHA(c.ToRev))
		}
		lines = append(lines, line)
	}
	return lines
}
