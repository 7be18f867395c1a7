package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/nixfleet/nixfleet/fleet"
)

// filter is what of the fleet a page shows, and in which order. It is the query of the
// page's address. The zero filter shows every host, those first that need somebody.
type filter struct{ q, state, os, tag, sort, group string }

// What people can filter by and sort by. The first of each list is the default.
var (
	statesOfHosts = []choice{{"", "Any state"}, {"attention", "Needs attention"}, {"ok", "Well"}, {"working", "Working"}, {"offline", "Offline"}}
	systems       = []choice{{"", "Any system"}, {"nixos", "NixOS"}, {"darwin", "macOS"}, {"home", "home-manager"}}
	groupings     = []choice{{"", "No groups"}, {"tag", "By tag"}}
	orders        = []choice{
		{"", "Needs attention first"}, {"name", "Name, A to Z"}, {"-name", "Name, Z to A"},
		{"git", "Git, trouble first"}, {"-git", "Git, trouble last"},
		{"lock", "Oldest lock first"}, {"-lock", "Newest lock first"},
		{"system", "System, trouble first"}, {"-system", "System, trouble last"},
		{"seen", "Longest away first"}, {"-seen", "Longest away last"},
	}
)

var tagName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)

// maxSearch is how much of a search counts, in characters.
const maxSearch = 100

// readFilter reads a page's query. What it can't mean is left out, and named.
func readFilter(query url.Values) (f filter, unknown []string) {
	f.q = searchWords(query.Get("q"))
	for name, list := range map[string][]choice{"state": statesOfHosts, "os": systems, "sort": orders, "group": groupings} {
		value := query.Get(name)
		if value == "attention" && name == "sort" {
			value = ""
		}
		if !slices.ContainsFunc(list, func(c choice) bool { return c.value == value }) {
			unknown = append(unknown, fmt.Sprintf("%s=%.40s", name, value))
			continue
		}
		*f.field(name) = value
	}
	if tag := query.Get("tag"); tag == "" || tagName.MatchString(tag) {
		f.tag = tag
	} else {
		unknown = append(unknown, fmt.Sprintf("tag=%.40s", tag))
	}
	slices.Sort(unknown)
	return f, unknown
}

// searchWords is a search in one spelling: single spaces, nothing invisible, no end.
func searchWords(q string) string {
	q = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(q, ""))
	words := []rune(strings.Join(strings.Fields(q), " "))
	return strings.TrimSpace(string(words[:min(len(words), maxSearch)]))
}

func (f *filter) field(name string) *string {
	switch name {
	case "q":
		return &f.q
	case "state":
		return &f.state
	case "os":
		return &f.os
	case "tag":
		return &f.tag
	case "sort":
		return &f.sort
	default:
		return &f.group
	}
}

// address is the page of a filter: equal filters have one address, and defaults have
// no part in it.
func (f filter) address() string {
	query := url.Values{}
	for _, name := range []string{"q", "state", "os", "tag", "sort", "group"} {
		if value := *f.field(name); value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return "/"
	}
	return "/?" + query.Encode()
}

// with is f with one part changed.
func (f filter) with(name, value string) filter {
	*f.field(name) = value
	return f
}

// narrows reports whether f may leave hosts out.
func (f filter) narrows() bool { return f.q != "" || f.state != "" || f.os != "" || f.tag != "" }

// cleared is f without what leaves hosts out.
func (f filter) cleared() filter { return filter{sort: f.sort, group: f.group} }

// matches reports whether f shows a host.
func (f filter) matches(h fleet.HostView) bool {
	pick := fleet.HostFilter{Query: f.q, State: f.state, OS: f.os}
	if f.tag != "" {
		pick.Tags = []string{f.tag}
	}
	return pick.Match(h)
}

// apply lists the hosts that f shows, in its order. Hosts of one rank go by name, so
// that the order is the same however they came.
func (f filter) apply(hosts []fleet.HostView) []fleet.HostView {
	var shown []fleet.HostView
	for _, h := range hosts {
		if f.matches(h) {
			shown = append(shown, h)
		}
	}
	by, back := strings.CutPrefix(f.sort, "-")
	slices.SortStableFunc(shown, func(a, b fleet.HostView) int {
		order := rank(by, a, b)
		if back {
			order = -order
		}
		return cmp.Or(order, cmp.Compare(a.Host.Name, b.Host.Name))
	})
	return shown
}

// rank compares two hosts by a column. What is not known has the lowest rank.
func rank(by string, a, b fleet.HostView) int {
	switch by {
	case "name":
		return cmp.Compare(a.Host.Name, b.Host.Name)
	case "git", "system":
		return cmp.Compare(trouble(a, by), trouble(b, by))
	case "lock":
		return orLast(a.Host.Facts.Lock.Newest()).Compare(orLast(b.Host.Facts.Lock.Newest()))
	case "seen":
		return lastHeard(a).Compare(lastHeard(b))
	}
	return cmp.Compare(a.Urgency(), b.Urgency())
}

var farAway = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func orLast(t time.Time) time.Time {
	if t.IsZero() {
		return farAway
	}
	return t
}

// lastHeard is when a host was heard last. Those that are online are equal, or each
// heartbeat would move them.
func lastHeard(h fleet.HostView) time.Time {
	if h.Online {
		return farAway
	}
	return h.Host.LastSeen
}

// trouble ranks a compartment: the worst first.
func trouble(h fleet.HostView, id string) int {
	for _, c := range h.Compartments {
		if c.ID == id {
			return slices.Index([]fleet.Light{fleet.LightError, fleet.LightStale, fleet.LightUnknown, fleet.LightWorking, fleet.LightOK}, c.Light)
		}
	}
	return 2
}

// others says in words what f asks for beside its search.
func (f filter) others() string {
	var parts []string
	for _, c := range []struct {
		list  []choice
		value string
	}{{statesOfHosts, f.state}, {systems, f.os}} {
		for _, e := range c.list[1:] {
			if e.value == c.value {
				parts = append(parts, "“"+e.words+"”")
			}
		}
	}
	if f.tag != "" {
		parts = append(parts, "tagged “"+f.tag+"”")
	}
	return strings.Join(parts, " and ")
}
