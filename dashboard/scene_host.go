package dashboard

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// hostView is one row of the table.
type hostView struct {
	fleet.HostView
	id       string
	platform string
	cells    []fleet.Compartment // always git, lock, system, in this order
	running  string              // short commit
	commit   string              // GitHub's page of it
	activity look                // what it does now
	since    bool                // activity has a start worth counting
	agent    string              // its version, where it is not the expected one
	expected string
	many     bool // there are so many hosts that those out of sight are not laid out
}

// lazyFrom is how many hosts are too many to lay all of them out.
const lazyFrom = 150

// hostPath is the page of a host.
func hostPath(name string) string { return "/hosts/" + url.PathEscape(name) }

func (s scene) host(h fleet.HostView) hostView {
	v := hostView{HostView: h, id: safeID(h.Host.Name), platform: fleet.PlatformName(h.Host.Platform()), expected: s.o.Agent, many: len(s.o.Hosts) > lazyFrom}
	if s.o.Agent != "" && v.Host.Facts.AgentVersion != s.o.Agent {
		v.agent = v.Host.Facts.AgentVersion
	}
	for _, want := range []fleet.Compartment{
		{ID: "git", Question: "Is my local repo up to date with GitHub?"},
		{ID: "lock", Question: "How old is my flake.lock?"},
		{ID: "system", Question: "Does my running system match what the config would build?"},
	} {
		want.Light, want.Label = fleet.LightUnknown, "No report yet"
		want.Tooltip = []string{"? Unknown", "Waiting for the first report of this host."}
		for _, c := range h.Compartments {
			if c.ID == want.ID {
				want = c
			}
		}
		v.cells = append(v.cells, want)
	}
	if sha := h.Host.Facts.RunningCommit; sha != "" {
		v.running, v.commit = short(sha), s.commitURL(h.Host.RepoID, sha)
	}
	v.activity = activity(h)
	v.since = h.Progress != nil && h.Progress.State.UnderWay() && !h.Progress.Since.IsZero()
	return v
}

// activity says what a host does now.
func activity(h fleet.HostView) look {
	switch {
	case h.Progress != nil:
		return hostLook(h.Progress.State)
	case h.Host.EnrolledAt.IsZero():
		return look{"unknown", "clock", "Waiting for its agent"}
	case h.Host.Facts.Working:
		return look{"working", "working", cmp.Or(title(h.Host.Facts.Step), "Working")}
	default:
		return look{}
	}
}

// attribute is the name behind nixosConfigurations and its like.
func (v hostView) attribute() string {
	if _, name, ok := strings.Cut(v.Host.Attr, "."); ok && name != v.Host.Name {
		return name
	}
	return ""
}

// modeWords says what a mode means that is not the usual one.
func modeWords(mode string) string {
	if mode == "manual" {
		return "Takes no part in rollouts by itself"
	}
	return "Follows the default branch by itself, outside of rollouts"
}
