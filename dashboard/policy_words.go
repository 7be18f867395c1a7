package dashboard

import (
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// said is one matter of a policy in plain words. `Backticks` set code.
type said struct {
	about string
	lines []string
	until time.Time // of a freeze that holds now
}

// inWords says what a policy means, as of now.
func inWords(p fleet.Policy, now time.Time) []said {
	return []said{
		{about: "Strategy", lines: strategyWords(p.Updates)},
		{about: "Auto-merge", lines: autoMergeWords(p.Updates)},
		holdWords(p.Updates.AutoMerge),
		{about: "Checks", lines: checkWords(p.Updates)},
		freezeWords(p.Updates, now),
		{about: "Deploy", lines: deployWords(p.Deploy)},
	}
}

func strategyWords(u fleet.UpdatePolicy) []string {
	first := "GitHub-driven: a pull request brings the new lock, and NixFleet proves, merges and deploys it."
	if u.Strategy == "host" {
		first = "Host-driven: one of the hosts makes the new lock, and NixFleet proves, commits and deploys it."
	}
	return []string{first, "It looks at " + codes(u.Files) + ", in pull requests of " + codes(u.Authors) + "."}
}

func autoMergeWords(u fleet.UpdatePolicy) []string {
	a := u.AutoMerge
	if !a.Enabled {
		return []string{"Off: a person presses Merge & Deploy.", "Merges are made by " + a.Method + "."}
	}
	lines := []string{"On: by " + a.Method + ", as soon as every condition holds."}
	if a.MinInputAge > 0 {
		lines = append(lines, "New revisions must be known for "+span(a.MinInputAge)+".")
	}
	if !a.Overlap {
		lines = append(lines, "Not while a rollout of the repository is running.")
	}
	return lines
}

func holdWords(a fleet.AutoMerge) said {
	s := said{about: "Hold", lines: []string{"None: it merges at once."}}
	switch {
	case !a.Enabled:
		s.lines = []string{"Does not matter while nothing merges by itself."}
	case a.Hold > 0 && a.HoldFrom == "checks":
		s.lines = []string{span(a.Hold) + " after all required checks have passed."}
	case a.Hold > 0:
		s.lines = []string{span(a.Hold) + " after NixFleet has first seen the head commit."}
	}
	return s
}

func checkWords(u fleet.UpdatePolicy) []string {
	var names []string
	for _, c := range u.RequiredChecks {
		names = append(names, c.Name)
	}
	lines := []string{"Those that GitHub’s branch protection and rulesets require."}
	if len(names) > 0 {
		lines[0] = codes(names) + " by this policy, and those that GitHub’s branch protection and rulesets require."
	}
	if !u.RequireChecks {
		return append(lines, "Where none is required anywhere, it merges all the same.")
	}
	return append(lines, "Where none is required anywhere, nothing merges.")
}

func freezeWords(u fleet.UpdatePolicy, now time.Time) said {
	s := said{about: "Freeze"}
	if len(u.Freeze) == 0 {
		s.lines = []string{"Never."}
		return s
	}
	for _, f := range u.Freeze {
		line := "Every week from " + f.From + " to " + f.To
		if f.TZ != "" {
			line += ", " + f.TZ
		}
		if f.Reason != "" {
			line += " (" + f.Reason + ")"
		}
		s.lines = append(s.lines, line+".")
	}
	if until, _, now := u.FrozenUntil(now); now {
		s.until = until
	}
	return s
}

func deployWords(p fleet.DeployPolicy) []string {
	first := "Each merge is rolled out"
	if !p.Auto {
		first = "Nothing is rolled out by itself; where a person deploys, it goes"
	}
	var waves []string
	for _, w := range p.Waves {
		name := "`" + w.Name + "`"
		if w.Soak > 0 {
			name += " and " + span(w.Soak) + " of watching"
		}
		waves = append(waves, name)
	}
	lines := []string{first + " to the hosts of `" + p.Hosts + "`, at most " + plural(p.MaxParallel, "host", "hosts") + " at a time."}
	if len(waves) > 0 {
		lines = append(lines, "In waves: "+strings.Join(waves, ", then ")+".")
	}
	return append(lines, failureWords(p), rebootWords(p))
}

func failureWords(p fleet.DeployPolicy) string {
	then := map[string]string{
		"rollback":  " Then the hosts that have switched go back to what they ran.",
		"revert_pr": " Then a pull request is opened that reverts the commit.",
	}[p.OnFailure]
	switch {
	case p.MaxFailures.Percent:
		return fmt.Sprintf("It stops when %d %% of the hosts have failed.", p.MaxFailures.N) + then
	case p.MaxFailures.N <= 1:
		return "The first failure stops it." + then
	}
	return fmt.Sprintf("It stops at failure number %d.", p.MaxFailures.N) + then
}

func rebootWords(p fleet.DeployPolicy) string {
	switch p.Reboot {
	case "when_needed":
		return "A host that needs it restarts at once."
	case "window":
		windows := p.RebootWindows
		if len(windows) == 0 {
			windows = p.Windows
		}
		if len(windows) == 0 {
			return "A host that needs it restarts as soon as its turn comes."
		}
		var when []string
		for _, w := range windows {
			when = append(when, strings.TrimSpace("from "+w.From+" to "+w.To+" "+w.TZ))
		}
		return "A host that needs it restarts every week " + strings.Join(when, ", or ") + "."
	}
	return "A host that needs it is restarted by a person only."
}

// codes lists names, each set as code.
func codes(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "`" + strings.ReplaceAll(n, "`", "'") + "`"
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " and " + quoted[len(quoted)-1]
}
