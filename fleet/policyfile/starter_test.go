package policyfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestTheStarterChangesNothing(t *testing.T) {
	t.Parallel()
	got, err := Parse(Starter(), "starter")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fleet.DefaultPolicy(), got); d != "" {
		t.Errorf("merging it changes the policy (-default +starter):\n%s", d)
	}
}

// What the starter shows as a comment must work once somebody uncomments it.
func TestTheExamplesOfTheStarterAreValid(t *testing.T) {
	t.Parallel()
	var lines []string
	for line := range strings.Lines(string(Starter())) {
		for _, key := range []string{"required_checks:", "  - {", "  trust:", "freeze:", "health:", "reboot_windows:", "anchors:"} {
			line = strings.Replace(line, "  # "+key, "  "+key, 1)
		}
		lines = append(lines, line)
	}
	got, err := Parse([]byte(strings.Join(lines, "")), "starter")
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, ""))
	}
	if len(got.Updates.RequiredChecks) != 1 || len(got.Updates.Inputs.Trust) != 1 || len(got.Updates.Freeze) != 1 || len(got.Deploy.Health) != 2 ||
		len(got.Deploy.RebootWindows) != 1 || len(got.Deploy.Anchors) != 1 {
		t.Errorf("not all examples were uncommented: %+v", got)
	}
}
