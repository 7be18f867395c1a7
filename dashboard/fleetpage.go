package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// fleetLive is the Fleet page.
func (d *Dashboard) fleetLive() livePage {
	return livePage{topic: d.fleetTopic, show: func(r *http.Request, p page, b board) templ.Component {
		p.At = "fleet"
		f, unknown := readFilter(r.URL.Query())
		return fleetPage(p, b, f, unknown)
	}}
}

// fleetTopic is the fleet as a filter shows it.
func (d *Dashboard) fleetTopic(r *http.Request) (topic, error) {
	f, _ := readFilter(r.URL.Query())
	return topic{key: f.address(), regions: func(_ context.Context, s scene) ([]liveRegion, error) { return s.regions(f), nil }}, nil
}

// regions lists everything live, in the order of the page.
func (s scene) regions(f filter) []liveRegion {
	shown := f.apply(s.o.Hosts)
	return []liveRegion{
		{"summary", []live{{"summary-line", summaryLine(s.counts())}, {"github-line", githubLine(s.hearing())}}},
		{"problems", s.problems()},
		{"rollouts", s.rollouts()},
		{"updates", s.updates()},
		{"matches", []live{{"matches-line", matchesLine(f, len(shown), len(s.o.Hosts))}}},
		{"f-tag", s.tags(f)},
		{"hosts-head", []live{{"hosts-columns", hostsHead(f)}}},
		{"hosts", s.hosts(f, shown)},
		{"ended", s.ended()},
	}
}

// hosts are the rows of the table. Unless the filter says otherwise those come first
// where something failed, then those that need somebody, and those last that sleep.
// That order stays as it is while hosts merely work, so that rows don't jump.
func (s scene) hosts(f filter, shown []fleet.HostView) []live {
	switch {
	case len(s.o.Hosts) == 0:
		return []live{{"h-none", noHosts()}}
	case len(shown) == 0:
		return []live{{"h-no-match", noMatch(f)}}
	case f.group == "tag":
		return s.grouped(shown)
	}
	out := make([]live, 0, len(shown))
	for _, h := range shown {
		out = append(out, s.row(h))
	}
	return out
}

// row is a host's row. All topics of a round share one rendering of it.
func (s scene) row(h fleet.HostView) live {
	id := "h-" + safeID(h.Host.Name)
	if s.rows[id] == nil {
		s.rows[id] = &drawing{component: hostRow(s.host(h))}
	}
	return live{id, s.rows[id]}
}

// drawing is a component that is rendered the first time it is asked for, by one
// reader of the read model at a time.
type drawing struct {
	component templ.Component
	html      []byte // nil until then
}

func (o *drawing) drawn(ctx context.Context) ([]byte, error) {
	if o.html == nil {
		var html bytes.Buffer
		if err := o.component.Render(ctx, &html); err != nil {
			return nil, err
		}
		o.html = html.Bytes()
	}
	return o.html, nil
}

// Render writes what was rendered the first time.
func (o *drawing) Render(ctx context.Context, w io.Writer) error {
	html, err := o.drawn(ctx)
	if err == nil {
		_, err = w.Write(html)
	}
	return err
}

// group is the hosts that stand under one tag.
type group struct {
	tag   string // empty: hosts without tags
	hosts []fleet.HostView
	above int // hosts with this tag that stand in groups above
}

func (g group) id() string {
	if g.tag == "" {
		return "untagged"
	}
	return "g-" + tagID(g.tag)
}

// byTag puts each host under the first of its tags, by the alphabet, so that a host
// stands on the page once and always in the same place; a group says how many more
// hosts have its tag. Hosts without tags come last.
func byTag(shown []fleet.HostView) []group {
	byName := map[string]*group{}
	at := func(tag string) *group {
		if byName[tag] == nil {
			byName[tag] = &group{tag: tag}
		}
		return byName[tag]
	}
	for _, h := range shown {
		tags := slices.Compact(slices.Sorted(slices.Values(h.Host.Tags)))
		if len(tags) == 0 {
			tags = []string{""}
		}
		at(tags[0]).hosts = append(at(tags[0]).hosts, h)
		for _, t := range tags[1:] {
			at(t).above++
		}
	}
	var list []group
	for _, g := range byName {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b group) int {
		if (a.tag == "") != (b.tag == "") {
			return cmp.Compare(len(b.tag), len(a.tag))
		}
		return cmp.Compare(a.tag, b.tag)
	})
	return list
}

func (s scene) grouped(shown []fleet.HostView) []live {
	var out []live
	for _, g := range byTag(shown) {
		out = append(out, live{g.id(), groupRow(g)})
		for _, h := range g.hosts {
			out = append(out, s.row(h))
		}
	}
	return out
}

// tagID makes a tag fit for an element id; different tags have different ids.
func tagID(tag string) string {
	var id strings.Builder
	for _, b := range []byte(tag) {
		if b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' {
			id.WriteByte(b)
		} else {
			fmt.Fprintf(&id, "_%02x", b)
		}
	}
	return id.String()
}

// column is a heading of the table of hosts.
type column struct{ name, by string } // by: what of a filter's order; empty: none

var columns = []column{{"Host", "name"}, {"Git", "git"}, {"Lock", "lock"}, {"System", "system"}, {"Running", ""}, {"Activity", ""}, {"Seen", "seen"}}

// sorted is how the table goes by a column: ascending, descending or none.
func (c column) sorted(f filter) string {
	switch {
	case c.by != "" && f.sort == c.by:
		return "ascending"
	case c.by != "" && f.sort == "-"+c.by:
		return "descending"
	}
	return "none"
}

// next is what a press on the heading leads to: up, down, then the order without it.
func (c column) next(f filter) filter {
	switch c.sorted(f) {
	case "ascending":
		return f.with("sort", "-"+c.by)
	case "descending":
		return f.with("sort", "")
	}
	return f.with("sort", c.by)
}

// tags are all that hosts have, by name, and the one that is filtered by.
func (s scene) tags(f filter) []live {
	known := map[string]bool{}
	for _, h := range s.o.Hosts {
		for _, t := range h.Host.Tags {
			known[t] = true
		}
	}
	if f.tag != "" {
		known[f.tag] = true
	}
	out := []live{{"t-", tagOption("", "Any tag", f.tag)}}
	for _, t := range slices.Sorted(maps.Keys(known)) {
		out = append(out, live{"t-" + tagID(t), tagOption(t, t, f.tag)})
	}
	return out
}
