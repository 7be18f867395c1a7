package dashboard

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/fleet"
)

var partial = regexp.MustCompile(`(?s)<hx-partial hx-target="#([^"]*)" hx-swap="([^"]*)">(.*?)</hx-partial>`)

// apply does to a page, region by region, what a browser does with a patch.
func apply(page map[string][]part, patch []byte) {
	for _, m := range partial.FindAllStringSubmatch(string(patch), -1) {
		id, how, content := m[1], m[2], m[3]
		if how == "innerMorph" {
			page[id] = nil
			for _, p := range regexp.MustCompile(`<p id="([^"]*)">[^<]*</p>`).FindAllStringSubmatch(content, -1) {
				page[id] = append(page[id], part{p[1], []byte(p[0])})
			}
			continue
		}
		for region := range page {
			for i := range page[region] {
				if page[region][i].id == id {
					page[region][i].html = []byte(content)
				}
			}
		}
	}
}

func TestPatchesTurnAnyPageIntoTheNewest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d"}
		draw := func(label string) board {
			b := board{{id: "one"}, {id: "two"}}
			for i := range b {
				order := rapid.Permutation(names).Draw(t, label)
				for _, n := range order[:rapid.IntRange(0, len(names)).Draw(t, "count")] {
					id := fmt.Sprintf("%s-%d", n, i)
					text := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "text")
					b[i].parts = append(b[i].parts, part{id, fmt.Appendf(nil, `<p id="%s">%s</p>`, id, text)})
				}
			}
			return b
		}
		page, last := map[string][]part{}, board(nil)
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			next := draw("order")
			patch := next.since(last)
			apply(page, patch)
			for _, r := range next {
				if !slices.EqualFunc(r.parts, page[r.id], func(x, y part) bool { return x.id == y.id && string(x.html) == string(y.html) }) {
					t.Fatalf("region %s shows %s, want %s", r.id, page[r.id], r.parts)
				}
			}
			if again := next.since(next); len(again) > 0 {
				t.Fatalf("an unchanged page is patched: %s", again)
			}
			last = next
		}
	})
}

func TestOnlyWhatChangedIsSent(t *testing.T) {
	t.Parallel()
	o := story(t, "deploying").Overview
	d := newDashboard(t, newWorld(o), Config{})
	before, err := fleetOf(d, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Hosts = slices.Clone(o.Hosts)
	i := slices.IndexFunc(o.Hosts, func(h fleet.HostView) bool { return h.Host.Name == "hsb0" })
	o.Hosts[i].Progress = &fleet.HostProgress{Host: "hsb0", State: fleet.HostVerifying, Since: noon}
	after, err := fleetOf(d, o)
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range partial.FindAllStringSubmatch(string(after.since(before)), -1) {
		targets = append(targets, m[1]+" "+m[2])
	}
	if diff := cmp.Diff([]string{"h-hsb0 outerMorph"}, targets); diff != "" {
		t.Errorf("swaps (-want +got):\n%s", diff)
	}
}

func TestTimeAloneIsNoChange(t *testing.T) {
	t.Parallel()
	o := story(t, "holding").Overview
	now := noon
	d := newDashboard(t, newWorld(o), Config{})
	d.cfg.Now = func() time.Time { return now }
	before, err := fleetOf(d, o)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(7 * time.Second)
	for i := range o.Hosts { // and every host sent a heartbeat
		o.Hosts[i].Host.LastSeen = now
		o.Hosts[i].Host.Facts.At = now
	}
	after, err := fleetOf(d, o)
	if err != nil {
		t.Fatal(err)
	}
	if patch := after.since(before); len(patch) > 0 {
		t.Errorf("seven seconds and nine heartbeats are sent as a change: %.300s", patch)
	}
}

func TestHostsThatFailedOrNeedSomebodyComeFirstAndSleepersLast(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"attention": "csb1 imac0 mba-work gpc0 hsb0 hsb1 hsb8 csb0 steamdeck nuc1",
		"offline":   "csb0 csb1 hsb0 hsb1 hsb8 imac0 gpc0 mba-work steamdeck",
		"deploying": "csb0 csb1 gpc0 hsb0 hsb1 hsb8 imac0 mba-work steamdeck",
	} {
		d := newDashboard(t, newWorld(fleet.Overview{}), Config{})
		o := story(t, name).Overview
		var got []string
		for _, p := range d.scene(o).hosts(filter{}, filter{}.apply(o.Hosts)) {
			got = append(got, strings.TrimPrefix(p.id, "h-"))
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheNavigationCountsTheUpdatesThatWait(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"holding": "Updates 1 pending", "idle": "Updates Rollouts"} {
		o := story(t, name).Overview
		d := newDashboard(t, newWorld(o), Config{})
		if text := readable(do(d, request(http.MethodGet, "/activity", "op", nil))); !strings.Contains(text, want) {
			t.Errorf("%s: the page does not say %q: %.200s", name, want, text)
		}
	}
	before, err := fleetOf(newDashboard(t, newWorld(fleet.Overview{}), Config{}), story(t, "idle").Overview)
	if err != nil {
		t.Fatal(err)
	}
	after, err := fleetOf(newDashboard(t, newWorld(fleet.Overview{}), Config{}), story(t, "holding").Overview)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(after.since(before)), `hx-target="#nav-pending"`) {
		t.Error("a new update does not reach the navigation of open pages")
	}
}
