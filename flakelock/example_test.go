package flakelock_test

import (
	"fmt"
	"os"

	"github.com/nixfleet/nixfleet/flakelock"
)

func read(name string) *flakelock.Lock {
	data, err := os.ReadFile("testdata/cases/003/" + name)
	if err != nil {
		panic(err)
	}
	lock, err := flakelock.Parse(data)
	if err != nil {
		panic(err)
	}
	return lock
}

// The account of an update, as Nix prints it.
func ExampleCompare() {
	changes := flakelock.Compare(read("before.lock"), read("after.lock"))
	fmt.Print(flakelock.Text(changes, flakelock.Style{ShortRevs: true}))
	// Output:
	// • Updated input 'srvos':
	//     'github:numtide/srvos/c2556e2' (2023-02-27)
	//   → 'github:numtide/srvos/d3394d6' (2023-02-27)
	// • Removed input 'srvos/flake-compat'
	// • Removed input 'srvos/flake-parts'
}

// What of the same update is more than a new revision.
func ExampleInspect() {
	for _, finding := range flakelock.Inspect(read("before.lock"), read("after.lock")) {
		fmt.Println(finding, "- root:", finding.Root())
	}
	// Output:
	// input 'srvos/flake-compat' was removed: 'github:edolstra/flake-compat/35bb57c0c8d8b62bbfd284272c928ceb64ddbde9' (2023-01-17) - root: false
	// input 'srvos/flake-parts' was removed: follows 'flake-parts' - root: false
}
