package agent

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nixfleet/nixfleet/agentbus"
)

var (
	idPattern     = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`) // also a file name
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	branchPattern = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._/+-]{0,199}$`)
	// A configuration's name may be quoted as in Nix; it holds nothing that Nix
	// would read as syntax.
	attrPattern = regexp.MustCompile(`^(nixosConfigurations|darwinConfigurations|homeConfigurations)\."?([0-9A-Za-z_][0-9A-Za-z_.@+-]{0,99})"?$`)
)

func validID(id string) bool { return idPattern.MatchString(id) }

// checkOrder says why an order can't be taken on by this agent, or nil.
func (c *Config) checkOrder(o agentbus.Order) *agentbus.StepError {
	bad := checkOrder(o, c.Platform)
	if bad == nil && c.guest() && (o.Kind == agentbus.KindRestartAgent || o.Kind == agentbus.KindReboot) {
		return refusal(agentbus.RefusedUnsupported, "the system of this agent is %s and not the machine's own, so it may restart nothing there: do it on the machine", c.Paths.Current)
	}
	return bad
}

// checkOrder says why a signed order is not acceptable on the platform p, or nil. A
// signature proves who wrote an order, not that every field of it is fit for a
// command line.
func checkOrder(o agentbus.Order, p Platform) *agentbus.StepError {
	switch o.Kind {
	case agentbus.KindDeploy, agentbus.KindPull, agentbus.KindSwitch, agentbus.KindTest, agentbus.KindBoot,
		agentbus.KindRollback, agentbus.KindRestartAgent, agentbus.KindReboot, agentbus.KindRefresh, agentbus.KindUpdateInputs,
		agentbus.KindCancel, agentbus.KindNoop:
	default:
		return refusal(agentbus.RefusedKind, "this agent (%s) does not know the order kind %q; update the agent", Version, clip(string(o.Kind), 40))
	}
	if bad := checkSupport(o.Kind, p); bad != nil {
		return bad
	}
	if o.Target != "" {
		if _, err := storePath(o.Target); err != nil {
			return refusal(agentbus.RefusedMalformed, "the target %q is not a store path", clip(o.Target, 200))
		}
	}
	switch o.Kind {
	case agentbus.KindCancel, agentbus.KindNoop, agentbus.KindRestartAgent, agentbus.KindReboot:
		return nil // whatever else they say is not read
	}
	return checkSource(o)
}

// checkSupport refuses what the platform can't do, and says what to do instead.
func checkSupport(k agentbus.Kind, p Platform) *agentbus.StepError {
	e := p.executor()
	switch {
	case k == agentbus.KindTest && !e.knows(actTest):
		return refusal(agentbus.RefusedUnsupported, "%s has no trial of a configuration: order a switch, and a rollback if it is not good", p)
	case k == agentbus.KindBoot && !e.knows(actBoot):
		return refusal(agentbus.RefusedUnsupported, "%s can't leave a configuration to the next boot: order a switch", p)
	case k == agentbus.KindReboot && e.reboot() == nil:
		return refusal(agentbus.RefusedUnsupported, "an agent of the platform %s works for a person and may not reboot the machine: reboot it there", p)
	}
	return nil
}

// checkSource checks what an order says about the commit and where it comes from.
func checkSource(o agentbus.Order) *agentbus.StepError {
	needsCommit := o.Kind == agentbus.KindDeploy || o.Kind == agentbus.KindPull || o.Kind == agentbus.KindUpdateInputs ||
		o.Kind == agentbus.KindRollback && o.Target == "" && o.Commit != ""
	needsAttr := needsCommit ||
		o.Kind == agentbus.KindSwitch || o.Kind == agentbus.KindTest || o.Kind == agentbus.KindBoot
	switch {
	case needsCommit && !commitPattern.MatchString(o.Commit), o.Commit != "" && !commitPattern.MatchString(o.Commit):
		return refusal(agentbus.RefusedMalformed, "commit %q is not 40 hex digits", clip(o.Commit, 60))
	case needsCommit && (o.Repo == "" || o.Branch == ""):
		return refusal(agentbus.RefusedMalformed, "a %s order names a repository and a branch; this one does not", o.Kind)
	case strings.HasPrefix(o.Repo, "-") || strings.ContainsAny(o.Repo, "\x00\n"):
		return refusal(agentbus.RefusedMalformed, "the repository is not an address that git takes")
	case o.Branch != "" && !validBranch(o.Branch):
		return refusal(agentbus.RefusedMalformed, "branch %q is not a name that git takes", clip(o.Branch, 60))
	case needsAttr || o.Attr != "":
		if _, err := installable(o.Attr); err != nil {
			return refusal(agentbus.RefusedMalformed, "%v", err)
		}
	}
	if bad := checkEvaluate(o); bad != nil {
		return bad
	}
	return checkInputs(o)
}

func validBranch(b string) bool {
	return branchPattern.MatchString(b) && !strings.Contains(b, "..") && !strings.Contains(b, "//") &&
		!strings.HasSuffix(b, "/") && !strings.HasSuffix(b, ".lock")
}

func refusal(code, format string, args ...any) *agentbus.StepError {
	return &agentbus.StepError{Step: agentbus.StepReceived, Code: code, Message: fmt.Sprintf(format, args...)}
}

// installable is what Nix builds for attr: the closure that is activated.
func installable(attr string) (string, error) {
	m := attrPattern.FindStringSubmatch(attr)
	if m == nil {
		return "", fmt.Errorf("attribute %q is not of the form nixosConfigurations.NAME, darwinConfigurations.NAME or homeConfigurations.NAME", clip(attr, 120))
	}
	for _, p := range []Platform{NixOS, Darwin, Home} {
		if output, suffix := p.executor().set(); output == m[1] {
			return output + `."` + m[2] + `"` + suffix, nil
		}
	}
	return "", fmt.Errorf("no platform has the output %s", m[1])
}
