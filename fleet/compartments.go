package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// CompartmentFacts is what the three compartments of one host are derived from.
type CompartmentFacts struct {
	Host          Host
	Branch        string // name of the default branch
	RepoHead      string // its head as the server last read it; empty: not known
	HeadLock      string // sha256 of the default branch's flake.lock, hex; empty: not known
	ExpectedAgent string // the server's own version
	Pending       *PendingUpdate
	Shared        *Evaluation // what the checkout's commit comes to, where anybody worked it out
	Evaluator     *Host       // that works it out for this host; nil where the host does it itself
	Doing         string      // kind of the order that the host works on; empty: none, or not known
}

// PendingUpdate is an open update of the host's repository.
type PendingUpdate struct {
	Number  int
	Title   string
	Changes []InputChange
}

// rule is the line of a tooltip that is drawn across.
const rule = "─"

// Compartments derives the three lights of a host, git, lock and system in this
// order, from observed facts alone (SPEC 4). A host that is offline keeps its last
// facts, dimmed, with their age.
func Compartments(in CompartmentFacts, now time.Time) []Compartment {
	online := in.Host.Online(now)
	all := []Compartment{gitCompartment(in, online), lockCompartment(in, now), systemCompartment(in, now)}
	if !online && !in.Host.Facts.At.IsZero() {
		for i := range all {
			all[i].Dimmed = true
			all[i].AsOf = in.Host.Facts.At
		}
	}
	return all
}

func (c *Compartment) set(light Light, label string, tooltip ...string) {
	c.Light, c.Label = light, label
	c.Tooltip = append(c.Tooltip, tooltip...)
}

// working reports whether the host is at one of the steps right now. What a host
// did before it went offline is not known to go on.
func working(f HostFacts, online bool, steps ...HostState) bool {
	return online && f.Working && slices.Contains(steps, HostState(f.Step))
}

func gitCompartment(in CompartmentFacts, online bool) Compartment {
	c := Compartment{ID: "git", Question: "Is my local repo up to date with GitHub?"}
	f := in.Host.Facts
	origin := "origin/" + orElse(in.Branch, "main")
	switch failure := f.Errors["fetch"]; {
	case f.At.IsZero():
		c.set(LightUnknown, "No report yet", "No report yet from this host.")
	case working(f, online, HostFetching):
		c.set(LightWorking, "Pulling…", "Pulling…")
	case failure != "":
		c.set(LightError, "Fetch failed", "The last fetch failed: "+plain(failure, 300))
	case f.CheckoutCommit == "":
		c.set(LightUnknown, "No checkout yet", "The host has no checkout yet; its first pull or deploy makes one.")
	case in.RepoHead == "":
		c.set(LightUnknown, "GitHub not read", "NixFleet has not read the head of `"+origin+"` yet.")
	case f.CheckoutCommit == in.RepoHead:
		c.set(LightOK, "Up to date", "Local repo matches `"+origin+"`")
	case f.Ahead > 0:
		c.set(LightStale, "Diverged", fmt.Sprintf("Local repo and `%s` have diverged: %d ahead, %d behind.", origin, f.Ahead, f.Behind))
	case f.Behind > 0 && f.RemoteCommit == in.RepoHead:
		c.set(LightStale, fmt.Sprintf("%d behind", f.Behind), "Local repo is behind (need to `git pull`)", "Behind by "+count(f.Behind, "commit")+".")
	case f.Behind > 0:
		c.set(LightStale, fmt.Sprintf("%d+ behind", f.Behind), "Local repo is behind (need to `git pull`)",
			"Behind by more than "+count(f.Behind, "commit")+"; the host has not fetched the newest.")
	default:
		c.set(LightStale, "Behind", "Local repo is behind (need to `git pull`)", "The host has not fetched the newest commit, so it can't say by how much.")
	}
	if !f.At.IsZero() && f.CheckoutCommit != "" && f.CheckoutCommit != in.RepoHead {
		c.Tooltip = append(c.Tooltip, "Checkout "+shortSHA(f.CheckoutCommit)+", "+origin+" "+orElse(shortSHA(in.RepoHead), "not known"))
	}
	return c
}

func systemCompartment(in CompartmentFacts, now time.Time) Compartment {
	c := Compartment{ID: "system", Question: "Does my running system match what the config would build?"}
	f, online := in.Host.Facts, in.Host.Online(now)
	step, failure := buildFailure(f)
	evaluated := f.evaluated()
	if s := in.Shared; s.answers(f) && !evaluated && s.Path != "" {
		f.ExpectedCommit, f.ExpectedPath, evaluated = s.Commit, s.Path, true
	}
	switch {
	case f.At.IsZero():
		c.set(LightUnknown, "No report yet", "No report yet from this host.")
		return c
	case working(f, online, HostBuilding, HostSwitching, HostVerifying) && aboutSystem(in.Doing):
		word := strings.ToUpper(f.Step[:1]) + f.Step[1:] + "…"
		c.set(LightWorking, word, word)
	case failure != "":
		c.set(LightError, step+" failed", fmt.Sprintf("The last %s failed: %s", strings.ToLower(step), plain(failure, 300)))
	case f.RunningPath == "":
		c.set(LightUnknown, "Not known", "The host has not reported what it runs.")
	case !evaluated && in.Shared.answers(f):
		c.set(LightError, "Evaluation failed", "Evaluation failed: "+plain(in.Shared.Error, 300), "Evaluated by "+plain(in.Shared.Host, 63)+".")
	case !evaluated:
		c.set(LightUnknown, "Not evaluated yet", "Not evaluated yet: "+waitsFor(in, now))
	case f.RunningPath != f.ExpectedPath:
		c.set(LightStale, "Outdated", "Running system is outdated (need to `switch`)")
	case f.RebootNeeded:
		c.set(LightStale, "Reboot needed", "A reboot is needed: kernel or initrd changed", "The running system is what the flake would build; kernel and initrd still are the old ones.")
	default:
		c.set(LightOK, "Current", "Running system = what flake would build")
	}
	c.Tooltip = append(c.Tooltip, runningLines(f)...)
	if in.Doing == OrderRefresh && working(f, online, HostBuilding) {
		c.Tooltip = append(c.Tooltip, "It evaluates for other hosts now.")
	}
	return c
}

// aboutSystem reports whether a host that builds upon an order of this kind builds its
// own system: what it evaluates for others, and a lock that it makes, are not its own.
func aboutSystem(kind string) bool { return kind != OrderRefresh && kind != OrderUpdateInputs }

// buildFailure is the failure that matters most: the one nearest to activation.
func buildFailure(f HostFacts) (step, message string) {
	for _, step := range []string{"switch", "build", "evaluate"} {
		if m := f.Errors[step]; m != "" {
			words := map[string]string{"switch": "Switch", "build": "Build", "evaluate": "Evaluation"}
			return words[step], m
		}
	}
	return "", ""
}

// clockSlack is how far a host's clock may be from the server's before it refuses
// orders as not yet issued, or as expired.
const clockSlack = 2 * time.Minute

// runningLines say what runs and what the checkout is: two facts, never mixed. After a
// rollback they differ, and it is the running one that counts.
func runningLines(f HostFacts) []string {
	var lines []string
	if f.RunningCommit != "" || f.RunningPath != "" {
		lines = append(lines, "Running: "+orElse(shortSHA(f.RunningCommit), "commit not known")+pathIn(f.RunningPath))
	}
	if f.CheckoutCommit != "" && (f.CheckoutCommit != f.RunningCommit || f.RunningPath != f.ExpectedPath) {
		line := "Checkout: " + shortSHA(f.CheckoutCommit)
		if f.ExpectedCommit == f.CheckoutCommit {
			line += pathIn(f.ExpectedPath)
		}
		lines = append(lines, line)
	}
	if f.ClockOff.Abs() > clockSlack {
		where := "behind"
		if f.ClockOff < 0 {
			where = "ahead of"
		}
		lines = append(lines, fmt.Sprintf("The host's clock is %s %s the server's: it refuses orders until that is set right.", f.ClockOff.Abs().Round(time.Second), where))
	}
	if len(f.FailedUnits) > 0 {
		lines = append(lines, "Failed units: "+list(slices.Clone(f.FailedUnits)))
	}
	return lines
}

func pathIn(path string) string {
	if path == "" {
		return ""
	}
	return " (" + plain(path, 150) + ")"
}
