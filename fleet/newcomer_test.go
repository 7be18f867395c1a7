package fleet

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestFaultsOfANewHostStandAtTheirField(t *testing.T) {
	t.Parallel()
	good := Host{Name: "web1", Attr: "nixosConfigurations.web1", Tags: []string{"canary"}, Mode: "fleet"}
	for name, c := range map[string]struct {
		change func(*Host)
		want   string
	}{
		"a good one":              {func(*Host) {}, ""},
		"at home":                 {func(h *Host) { h.Attr = "homeConfigurations.alice@laptop" }, ""},
		"no name":                 {func(h *Host) { h.Name = "" }, "name"},
		"capital letters":         {func(h *Host) { h.Name = "Web1" }, "name"},
		"a dash at the end":       {func(h *Host) { h.Name = "web-" }, "name"},
		"a path":                  {func(h *Host) { h.Name = "../x" }, "name"},
		"a word of selectors":     {func(h *Host) { h.Name = "all" }, "name"},
		"a name that is too long": {func(h *Host) { h.Name = strings.Repeat("a", 64) }, "name"},
		"an output of its own":    {func(h *Host) { h.Attr = "packages.x" }, "attr"},
		"an attribute that runs":  {func(h *Host) { h.Attr = "nixosConfigurations.${x}" }, "attr"},
		"a tag with a space":      {func(h *Host) { h.Tags = []string{"a b"} }, "tags"},
		"another mode":            {func(h *Host) { h.Mode = "" }, "mode"},
		"all of it":               {func(h *Host) { *h = Host{Tags: []string{""}} }, "attr mode name tags"},
	} {
		h := good
		c.change(&h)
		if got := strings.Join(slices.Sorted(maps.Keys(HostFaults(h))), " "); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}
