package fleet_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestAChangeInWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change fleet.Change
		want   string
	}{
		"an update": {fleet.Change{SizeFrom: 1_288_490_189, SizeTo: 1_395_864_371, More: 12, Packages: []fleet.PackageChange{
			{Name: "linux", From: []string{"6.6.1"}, To: []string{"6.6.2"}, Bytes: 94_371_840},
			{Name: "nginx", From: []string{"1.26.1"}, To: []string{"1.26.2"}, Bytes: 12_595},
			{Name: "bar", From: []string{"2.1"}, Bytes: -5000},
			{Name: "foo", To: []string{"1.0"}, Bytes: 1},
			{Name: "glibc", From: []string{"2.38", "2.39"}, To: []string{"2.39"}, Bytes: -9_437_184},
			{Name: "etc", From: []string{""}, To: []string{""}, Bytes: 9000},
			{Name: "rust", From: []string{"1.80"}, To: []string{"1.80"}, Bytes: -90_000},
			{Name: "thing", From: []string{""}, To: []string{"", "1"}},
			{Name: "units", To: []string{""}},
		}}, `
linux: 6.6.1 → 6.6.2, +90.0 MiB
nginx: 1.26.1 → 1.26.2, +12.3 KiB
removed bar 2.1, -4.9 KiB
added foo 1.0, +1 B
glibc: 2.38, 2.39 → 2.39, -9.0 MiB
etc: rebuilt, +8.8 KiB
rust 1.80: rebuilt, -87.9 KiB
thing: no version → 1
added units
and 12 more
closure: 1.2 GiB → 1.3 GiB, +102.4 MiB`},
		"the first":       {fleet.Change{SizeTo: 2048}, "\nclosure: 2.0 KiB"},
		"nothing":         {fleet.Change{SizeFrom: 2048, SizeTo: 2048}, "\nno package changes; closure: 2.0 KiB"},
		"nothing is told": {fleet.Change{}, ""},
	} {
		got := ""
		for _, line := range c.change.Lines() {
			got += "\n" + line
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for in, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1_048_575: "1.0 MiB", 1 << 30: "1.0 GiB", math.MaxInt64: "8.0 EiB",
	} {
		if got := fleet.Size(in); got != want || strings.Contains(got, "%") {
			t.Errorf("%d is %s, want %s", in, got, want)
		}
	}
}
