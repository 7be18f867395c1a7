package policyfile

import (
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// Starter is a policy file to begin with: every common setting with the value that it
// has without the file, and what it is for. Merging it unchanged changes nothing.
func Starter() []byte {
	p := fleet.DefaultPolicy()
	u, a, d := p.Updates, p.Updates.AutoMerge, p.Deploy
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	noted := func(setting, note string, args ...any) { line("%-24s # %s", fmt.Sprintf(setting, args...), note) }

	line("# The policy of NixFleet for this repository. Only this file on the default branch")
	line("# counts. Every value below is the one that holds without the file, so change what")
	line("# you want and leave out the rest. Check it: nixfleet policy check .github/nixfleet.yml")
	line("version: 1")
	line("")
	line("updates:")
	line("  # An update is a pull request that changes nothing but these files,")
	line("  files: [%s]", strings.Join(u.Files, ", "))
	line("  # and was opened by one of these accounts. Their ids are compared, not their names.")
	line("  authors: [%s]", quoted(u.Authors))
	line("  auto_merge:")
	noted("    enabled: %t", "false: only a person merges, with a button or a command", a.Enabled)
	noted("    hold: %s", "how long an update waits, so that somebody may look", short(a.Hold))
	noted("    hold_from: %s", "opened: since we first saw the commit · checks: since its last check passed", a.HoldFrom)
	noted("    method: %s", "squash · merge · rebase", a.Method)
	line("    delete_branch: %t", a.DeleteBranch)
	noted("    min_input_age: %s", "merge no revision of an input that we have known for less", short(a.MinInputAge))
	line("  # Checks that must pass, besides those that GitHub's own rules require. Without any")
	line("  # required check nothing merges, unless require_checks is false.")
	line("  require_checks: %t", u.RequireChecks)
	line("  # required_checks:")
	line("  #   - {name: build, app: github-actions}")
	line("  # What a lock may do besides moving inputs forward.")
	line("  inputs:")
	line("    allow_added: %t", u.Inputs.AllowAdded)
	line("    allow_removed: %t", u.Inputs.AllowRemoved)
	line("    allow_repointed: %t", u.Inputs.AllowRepointed)
	line("  #   trust: [\"git+https://git.example.org/\"]   # inputs that GitHub can't answer for")
	line("  # When nothing merges by itself.")
	line("  # freeze:")
	line("  #   - {from: \"Fri 18:00\", to: \"Mon 06:00\", tz: Europe/Vienna, reason: weekend}")
	line("")
	line("deploy:")
	noted("  auto: %t", "false: merge, and let a person start the rollout", d.Auto)
	noted("  hosts: %q", "all · a name · tag:x · platform:darwin, joined with and, or, not", d.Hosts)
	line("  waves:                 # one after the other; each has to be well before the next begins")
	for _, w := range d.Waves {
		soak := ""
		if w.Soak > 0 {
			soak = ", soak: " + short(w.Soak)
		}
		line("    - {name: %s, hosts: %q%s}", w.Name, w.Hosts, soak)
	}
	line("  max_parallel: %d", d.MaxParallel)
	noted("  max_failures: %d", "a count, or a percentage such as \"10%\"", d.MaxFailures.N)
	noted("  on_failure: %s", "then: halt · rollback · revert_pr", d.OnFailure)
	noted("  offline: %s", "hosts that sleep: catch_up later, or skip", d.Offline)
	noted("  reboot: %s", "never · when_needed · window", d.Reboot)
	line("  # reboot_windows:       # when hosts may restart, with reboot: window")
	line("  #   - {from: \"Sun 02:00\", to: \"Sun 05:00\", tz: Europe/Vienna}")
	line("  # health:               # what has to hold on a host after a switch")
	line("  #   - {unit: sshd.service}")
	line("  #   - {http: \"http://localhost:8080/health\"}")
	noted("  settle: %s", "how long a host has to stay well", short(d.Settle))
	noted("  unreachable: %s", "where the server is down and the network is not: keep the new system, or rollback", d.Unreachable)
	line("  # anchors: [\"192.168.1.1:53\"]   # addresses that tell the one from the other")
	noted("  keep_logs: %s", "how long the output of orders is kept", short(d.KeepLogs))
	return []byte(b.String())
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}
