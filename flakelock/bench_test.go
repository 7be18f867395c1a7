package flakelock

import (
	"encoding/json"
	"testing"
	"time"
)

// BenchmarkDiff reads and compares the two largest locks of a case and, in turn with
// that, decodes the same bytes with encoding/json. x-json is our time over its; the
// target is at most 2.
func BenchmarkDiff(b *testing.B) {
	var largest lockCase
	for _, c := range lockCases(b) {
		if len(c.before) > len(largest.before) {
			largest = c
		}
	}
	var ours, theirs time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		before, err := Parse(largest.before)
		if err != nil {
			b.Fatal(err)
		}
		after, err := Parse(largest.after)
		if err != nil {
			b.Fatal(err)
		}
		if Text(Compare(before, after), Style{}) == "" {
			b.Fatal("no changes")
		}
		Inspect(before, after)
		ours += time.Since(start)

		start = time.Now()
		for _, data := range [][]byte{largest.before, largest.after} {
			var lock jsonLock
			if err := json.Unmarshal(data, &lock); err != nil {
				b.Fatal(err)
			}
		}
		theirs += time.Since(start)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-json")
}

// jsonLock is the least that encoding/json has to decode for the same work.
type jsonLock struct {
	Nodes map[string]struct {
		Inputs           map[string]any
		Locked, Original map[string]any
		Flake            *bool
	}
	Root    string
	Version int
}
