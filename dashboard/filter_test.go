package dashboard

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestAFilterOfHostsHasOneAddress(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                                     "/",
		"q=&state=&os=&tag=&sort=&group=":      "/", // an untouched form
		"q=+web++1+":                           "/?q=web+1",
		"sort=attention":                       "/",
		"sort=-seen&q=a&state=offline":         "/?q=a&sort=-seen&state=offline",
		"group=tag&os=darwin&tag=laptop.old_1": "/?group=tag&os=darwin&tag=laptop.old_1",
		"q=%00%1b%5bm%e2%80%ae%ff":             "/?q=%5Bm",
		"page=2":                               "/",
		"state=offline&state=ok":               "/?state=offline",
		"q=" + strings.Repeat("%C3%A9", maxSearch+9): "/?q=" + strings.Repeat("%C3%A9", maxSearch),
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		f, unknown := readFilter(values)
		if got := f.address(); got != want || len(unknown) > 0 {
			t.Errorf("%q has the address %q %v, want %q", query, got, unknown, want)
		}
	}
}

func TestWhatAFilterCantMeanIsNamed(t *testing.T) {
	t.Parallel()
	f, unknown := readFilter(url.Values{"state": {"happy"}, "os": {"darwin"}, "tag": {"<b>"}, "sort": {"--name"}})
	if diff := cmp.Diff([]string{"sort=--name", "state=happy", "tag=<b>"}, unknown); diff != "" || f != (filter{os: "darwin"}) {
		t.Errorf("%+v, unknown (-want +got):\n%s", f, diff)
	}
	d := newDashboard(t, newWorld(story(t, "idle").Overview), Config{})
	html := do(d, request(http.MethodGet, "/?state=happy&tag=%3Cb%3E", "op", nil)).Body.String()
	if !strings.Contains(html, "state=happy, tag=&lt;b&gt;") {
		t.Error("the page does not say what it left out")
	}
}

func TestAnAddressLeadsBackToItsFilter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		query := url.Values{"q": {rapid.String().Draw(t, "q")}, "tag": {rapid.StringMatching(`[A-Za-z._-]{0,4}`).Draw(t, "tag")}}
		for name, list := range map[string][]choice{"state": statesOfHosts, "os": systems, "sort": orders, "group": groupings} {
			query.Set(name, rapid.SampledFrom(list).Draw(t, name).value)
		}
		f, _ := readFilter(query)
		again, err := url.Parse(f.address())
		if err != nil {
			t.Fatal(err)
		}
		if back, unknown := readFilter(again.Query()); back != f || len(unknown) > 0 {
			t.Fatalf("%s leads to %+v, want %+v", f.address(), back, f)
		}
	})
}

func TestWhatAFilterShows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ story, query, want string }{
		{"attention", "state=attention", "csb1 imac0 mba-work gpc0 hsb0 hsb1 hsb8"},
		{"attention", "state=ok", "csb0"},
		{"attention", "state=working", "steamdeck"},
		{"attention", "state=offline", "nuc1"},
		{"attention", "os=darwin", "imac0 mba-work"},
		{"attention", "tag=home&sort=-name", "hsb8 hsb1 hsb0"},
		{"attention", "q=SB+canary", "csb1 csb0"},
		{"attention", "q=2.0.0", "imac0"},
		{"attention", "q=4c1d9e", "hsb0 hsb1"},
		{"attention", "q=home-manager", "steamdeck"},
		{"attention", "q=nothing+such", ""},
		{"attention", "sort=git", "mba-work hsb0 nuc1 csb0 csb1 gpc0 hsb1 hsb8 imac0 steamdeck"},
		{"attention", "sort=lock", "gpc0 csb0 csb1 hsb0 hsb1 hsb8 imac0 mba-work steamdeck nuc1"},
		{"offline", "sort=seen", "gpc0 steamdeck mba-work csb0 csb1 hsb0 hsb1 hsb8 imac0"},
		{"offline", "sort=-seen&state=offline", "mba-work steamdeck gpc0"},
		{"deploying", "state=working", "hsb0 hsb1 hsb8"},
	} {
		values, _ := url.ParseQuery(tt.query)
		f, _ := readFilter(values)
		var got []string
		for _, h := range f.apply(story(t, tt.story).Overview.Hosts) {
			got = append(got, h.Host.Name)
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s ?%s (-want +got):\n%s", tt.story, tt.query, diff)
		}
	}
}

func TestGroupsHoldEachHostOnceAndEveryTag(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.StringMatching(`[a-cA-C._]{1,2}`)
		var hosts []fleet.HostView
		tagged, tags := map[string]int{}, map[string]bool{}
		for i := range rapid.IntRange(0, 8).Draw(t, "hosts") {
			h := fleet.Host{Name: string(rune('a' + i)), Tags: rapid.SliceOfNDistinct(tag, 0, 3, rapid.ID[string]).Draw(t, "tags")}
			for _, x := range h.Tags {
				tagged[x]++
				tags[x] = true
			}
			hosts = append(hosts, fleet.HostView{Host: h})
		}
		seen, ids := map[string]bool{}, map[string]bool{}
		last := ""
		for i, g := range byTag(hosts) {
			if ids[g.id()] {
				t.Fatalf("two groups have the id %s", g.id())
			}
			ids[g.id()] = true
			if i > 0 && g.tag != "" && g.tag <= last || last == "" && i > 0 {
				t.Fatalf("the group %q comes after %q", g.tag, last)
			}
			last = g.tag
			for _, h := range g.hosts {
				if seen[h.Host.Name] || g.tag != "" && !slices.Contains(h.Host.Tags, g.tag) || g.tag == "" && len(h.Host.Tags) > 0 {
					t.Fatalf("%s stands under %q", h.Host.Name, g.tag)
				}
				seen[h.Host.Name] = true
			}
			if g.tag != "" && len(g.hosts)+g.above != tagged[g.tag] {
				t.Fatalf("the group %q counts %d and %d, want %d in all", g.tag, len(g.hosts), g.above, tagged[g.tag])
			}
			delete(tags, g.tag)
		}
		if len(seen) != len(hosts) || len(tags) > 0 {
			t.Fatalf("shown %v of %d hosts; without a group: %v", seen, len(hosts), tags)
		}
	})
}

func TestHeadingsLeadToTheirOrderAndBack(t *testing.T) {
	t.Parallel()
	f := filter{q: "web"}
	name := columns[0]
	var got []string
	for range 3 {
		f = name.next(f)
		got = append(got, f.address()+" "+name.sorted(f))
	}
	if diff := cmp.Diff([]string{"/?q=web&sort=name ascending", "/?q=web&sort=-name descending", "/?q=web none"}, got); diff != "" {
		t.Errorf("presses on Host (-want +got):\n%s", diff)
	}
}

func TestFiltersOfOneSnapshotShareTheirRows(t *testing.T) {
	t.Parallel()
	o := story(t, "attention").Overview
	d := newDashboard(t, newWorld(o), Config{})
	s := d.scene(o)
	for _, query := range []string{"", "sort=-name", "group=tag&state=attention"} {
		topic, err := d.fleetTopic(httptest.NewRequest(http.MethodGet, "/?"+query, nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := render(t.Context(), topic, s); err != nil {
			t.Errorf("%q renders a row that was rendered before: %v", query, err)
		}
		for _, row := range s.rows {
			row.component = nil // rendering it again fails
		}
	}
}

// TestEveryPartIsTheElementThatItIsCalled holds patches against what they replace.
func TestEveryPartIsTheElementThatItIsCalled(t *testing.T) {
	t.Parallel()
	first := regexp.MustCompile(`^<[a-z]+[^>]* id="([^"]*)"`)
	for _, s := range stories.All(noon) {
		d := newDashboard(t, newWorld(s.Overview), Config{})
		topic, err := d.fleetTopic(httptest.NewRequest(http.MethodGet, "/?group=tag&tag=home", nil))
		if err != nil {
			t.Fatal(err)
		}
		b, err := render(t.Context(), topic, d.scene(s.Overview))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range b {
			for _, p := range r.parts {
				if m := first.FindSubmatch(p.html); m == nil || html.UnescapeString(string(m[1])) != p.id {
					t.Errorf("%s: the part %s of %s is %.60s", s.Name, p.id, r.id, p.html)
				}
			}
		}
	}
}
