package fleet

import (
	"slices"
	"strings"
)

// Urgency says how soon somebody should look at a host.
type Urgency int

// The urgencies, the most urgent first.
const (
	HostFailing Urgency = iota // something failed
	HostUrgent                 // something waits for a person
	HostNormal
	HostAsleep // it is not heard
)

// Urgency sorts a host. What is behind or differs while a rollout works on the host is
// expected, and nothing to look at.
func (h HostView) Urgency() Urgency {
	if p := h.Progress; p != nil && (p.State == HostFailed || p.State == HostReverted) {
		return HostFailing
	}
	stale := false
	for _, c := range h.Compartments {
		if c.Light == LightError {
			return HostFailing
		}
		stale = stale || c.Light == LightStale && c.Badge == ""
	}
	switch {
	case !h.Online:
		return HostAsleep
	case stale && h.Progress == nil && !h.Host.Facts.Working:
		return HostUrgent
	default:
		return HostNormal
	}
}

// Works reports whether a host does something now.
func (h HostView) Works() bool {
	return h.Online && (h.Host.Facts.Working || h.Progress != nil && h.Progress.State.UnderWay())
}

// HostFilter picks hosts, with the same words on the Fleet page, over the API and on the
// command line. All that is given has to hold; the zero filter picks every host.
type HostFilter struct {
	Query string   // each word is somewhere in what identifies the host
	State string   // attention, ok, working, online or offline
	OS    string   // nixos, darwin or home
	Tags  []string // it has all of them
}

// PlatformName is a platform as people call it.
func PlatformName(platform string) string {
	switch platform {
	case "darwin":
		return "macOS"
	case "home":
		return "home-manager"
	default:
		return "NixOS"
	}
}

// Match reports whether f picks a host.
func (f HostFilter) Match(h HostView) bool {
	return f.inState(h) && (f.OS == "" || f.OS == h.Host.Platform()) && f.found(h) &&
		!slices.ContainsFunc(f.Tags, func(t string) bool { return !slices.Contains(h.Host.Tags, t) })
}

func (f HostFilter) inState(h HostView) bool {
	switch f.State {
	case "attention":
		return h.Urgency() <= HostUrgent
	case "ok":
		return h.Urgency() == HostNormal && !h.Works()
	case "working":
		return h.Works()
	case "online":
		return h.Online
	case "offline":
		return !h.Online
	}
	return true
}

// found reports whether every word of the search is somewhere in what identifies a host.
func (f HostFilter) found(h HostView) bool {
	if f.Query == "" {
		return true
	}
	of := strings.ToLower(strings.Join(append([]string{
		h.Host.Name, h.Host.Attr, PlatformName(h.Host.Platform()), h.Host.Mode, h.Host.Facts.AgentVersion, h.Host.Facts.RunningCommit,
	}, h.Host.Tags...), "\n"))
	for word := range strings.FieldsSeq(strings.ToLower(f.Query)) {
		if !strings.Contains(of, word) {
			return false
		}
	}
	return true
}
