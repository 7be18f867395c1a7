package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// advice is what to do about a compartment: words, and what does it.
type advice struct {
	text    string
	buttons []button
	copy    string // a command for the host's own terminal
}

// button leads to a question, or to a page.
type button struct {
	label string
	icon  string
	href  string
	asks  bool // it leads to a question before an order, which operators may give
}

// order is the button of an order to this host.
func (v hostDetail) order(kind string) button {
	k := actOf(kind)
	return button{label: strings.TrimSuffix(k.label, "…") + "…", icon: k.icon, href: orderAskURL(kind, v.Host.Name), asks: true}
}

// advise says what to do about a compartment.
func (v hostDetail) advise(c fleet.Compartment) advice {
	f := v.Host.Facts
	switch {
	case !v.enrolled():
		return advice{text: "Enrol the host; it fills in by itself."}
	case !v.reported():
		return advice{text: "Wait for the first report, or look at the agent on the host.", copy: v.statusCommand()}
	case c.Light == fleet.LightWorking:
		return advice{text: "Wait: it is being worked on.", buttons: v.logAct(f.Order)}
	}
	switch c.ID {
	case "git":
		return v.adviseGit()
	case "lock":
		return v.adviseLock(c)
	}
	return v.adviseSystem(c)
}

func (v hostDetail) adviseGit() advice {
	pull := []button{v.order(fleet.OrderPull)}
	switch f := v.Host.Facts; {
	case f.Errors["fetch"] != "":
		return advice{text: "Mend what it says, which is the network or what the host may read, then pull again.", buttons: append(pull, v.failedLog()...)}
	case f.CheckoutCommit == "":
		return advice{text: "Pull makes the checkout. It changes nothing that runs.", buttons: pull}
	case v.repo.HeadSHA == "":
		return advice{text: "Nothing on the host: NixFleet reads GitHub again by itself."}
	case f.CheckoutCommit == v.repo.HeadSHA:
		return advice{text: "Nothing."}
	case f.Ahead > 0:
		return advice{text: "The branch was probably rewritten. Pull brings the checkout to it; what does not come after the running commit the host refuses, and only a rollback goes back.", buttons: pull}
	}
	return advice{text: "Pull brings the checkout to the default branch and changes nothing that runs. Update host switches to it as well.",
		buttons: append(pull, v.order(fleet.OrderDeploy))}
}

func (v hostDetail) adviseLock(c fleet.Compartment) advice {
	switch {
	case c.Light == fleet.LightError: // the agent is outdated
		a := advice{text: "Switch brings the agent that the configuration names. If it is still the old one afterwards, the configuration has to be updated first: its input nixfleet.",
			buttons: []button{v.order(fleet.OrderSwitch), v.order(fleet.OrderRestartAgent)}}
		if v.Host.Platform() == "darwin" {
			a.text = "Switch brings the agent that the configuration names, and it restarts itself within a minute. If it does not, restart it: here, or on the machine."
			a.copy = "sudo launchctl kickstart -k system/org.nixfleet.agent"
		}
		return a
	case v.pending != nil:
		return advice{text: fmt.Sprintf("Update #%d is open. Merged and deployed, it brings a newer flake.lock to this host.", v.pending.Number),
			buttons: []button{{label: fmt.Sprintf("Review #%d", v.pending.Number), icon: "merge", href: string(updateURL(v.pending.Repo, v.pending.Number))}}}
	case c.Light == fleet.LightStale:
		return advice{text: "No update is open. Let the repository’s update workflow run, or ask for newer inputs under Updates.",
			buttons: []button{{label: "Updates", icon: "next", href: "/updates"}}}
	case c.Light == fleet.LightUnknown:
		return advice{text: "Refresh has the host look again.", buttons: []button{v.order(fleet.OrderRefresh)}}
	}
	return advice{text: "Nothing."}
}

func (v hostDetail) adviseSystem(c fleet.Compartment) advice {
	f := v.Host.Facts
	switch {
	case c.Light == fleet.LightError:
		return advice{text: "Look at the log for what went wrong, mend it in the configuration, and switch again once it is on the default branch.",
			buttons: append(v.failedLog(), v.order(fleet.OrderSwitch))}
	case c.Light == fleet.LightUnknown:
		return advice{text: "Refresh has the host look, and evaluate its checkout.", buttons: []button{v.order(fleet.OrderRefresh)}}
	case c.Light == fleet.LightStale && f.RebootNeeded && f.RunningPath == cmp.Or(f.ExpectedPath, v.sharedPath()):
		return advice{text: "Reboot when nobody needs it: the new kernel and initrd start then. Everything else of the system runs already.",
			buttons: []button{v.order(fleet.OrderReboot)}}
	case c.Light == fleet.LightStale:
		return advice{text: "Switch builds what is checked out and activates it. Test does it without making it the system of the next boot.",
			buttons: []button{v.order(fleet.OrderSwitch), v.order(fleet.OrderTest)}}
	}
	return advice{text: "Nothing."}
}

// sharedPath is what somebody else found the checkout to come to.
func (v hostDetail) sharedPath() string {
	if v.Evaluation == nil {
		return ""
	}
	return v.Evaluation.Path
}

// failedLog leads to what the newest order that failed printed.
func (v hostDetail) failedLog() []button {
	if o, ok := v.failedOrder(); ok {
		return []button{{label: "Log of the failure", icon: "log", href: orderURL(v.Host.Name, o.ID) + "#log"}}
	}
	return nil
}

// logAct leads to an order, where it is one of the host's newest.
func (v hostDetail) logAct(id string) []button {
	if !slices.ContainsFunc(v.record.Orders, func(o fleet.Order) bool { return o.ID == id }) {
		return nil
	}
	return []button{{label: "Follow the log", icon: "log", href: orderURL(v.Host.Name, id) + "#log"}}
}

// statusCommand asks the agent how it is, on the host.
func (v hostDetail) statusCommand() string {
	if v.Host.Platform() == "home" {
		return "nixfleet-agent status"
	}
	return "sudo nixfleet-agent status"
}

// fact is one thing that a compartment, or a part of the page, was told by.
type fact struct {
	name  string
	value string
	sha   string // a commit, in place of value
	tone  string // of what is not as it should be, with its icon
}

// derived are the facts that a compartment follows from.
func (v hostDetail) derived(id string) []fact {
	f := v.Host.Facts
	branch := "origin/" + cmp.Or(v.repo.Repo.DefaultBranch, "main")
	var list []fact
	add := func(name, value string) {
		if value != "" {
			list = append(list, fact{name: name, value: value})
		}
	}
	commit := func(name, sha string) { list = append(list, fact{name: name, sha: sha}) }
	switch id {
	case "git":
		commit("Checkout", f.CheckoutCommit)
		commit(branch, v.repo.HeadSHA)
		commit("Last fetched", f.RemoteCommit)
		if f.Behind > 0 || f.Ahead > 0 {
			add("Distance", fmt.Sprintf("%d behind, %d ahead of what it fetched", f.Behind, f.Ahead))
		}
		add("Fetch failed", f.Errors["fetch"])
	case "lock":
		add("Agent", cmp.Or(f.AgentVersion, "not known")+", expected "+cmp.Or(v.s.o.Agent, "not known"))
		if f.Lock != nil {
			add("flake.lock", plural(len(f.Lock.Inputs), "root input", "root inputs"))
			add("sha256", f.Lock.SHA256)
		}
	case "system":
		add("Runs", f.RunningPath)
		add("Would be", cmp.Or(f.ExpectedPath, v.sharedPath()))
		commit("Built from", f.RunningCommit)
		commit("Checkout", f.CheckoutCommit)
		if v.Evaluation != nil && f.ExpectedPath == "" {
			add("Evaluated by", v.Evaluation.Host)
		}
		for _, step := range []string{"evaluate", "build", "switch"} {
			add(title(step)+" failed", f.Errors[step])
		}
		add("Reboot", map[bool]string{true: "needed", false: "not needed"}[f.RebootNeeded])
	}
	return list
}
