package fleet

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update", false, "rewrite docs/states.md")

// The page that people read is made from the tables that the code obeys.
func TestTheStatesPageIsTheTables(t *testing.T) {
	t.Parallel()
	const path = "../docs/states.md"
	want := statesPage()
	if *updateDocs {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/states.md is not what the tables say (%v); run go test ./fleet -run StatesPage -update", err)
	}
}

func statesPage() string {
	var b strings.Builder
	b.WriteString(`# States

Four machines, each one table of (state, event) → state in ` + "`fleet`" + `. The diagrams are
generated from these tables, and a test keeps them so. An event that has no arrow
leaves the state as it is.
`)
	for _, m := range []struct{ title, what, diagram string }{
		{"An update", "One pull request. The events are what a look at it finds, and what became of its merge.", UpdateDiagram()},
		{"A rollout", "One commit on its way to a set of hosts. Pause, halt and abort are stored with who and why.", RolloutDiagram()},
		{"A host within a rollout", "The events are the answers of its agent, and what time and people do.", HostDiagram()},
		{"A proposed lock", "One lock that a host made (updates.strategy: host), on its way to a commit.", ProposalDiagram()},
	} {
		b.WriteString("\n## " + m.title + "\n\n" + m.what + "\n\n```mermaid\n" + strings.TrimSpace(m.diagram) + "\n```\n")
	}
	return b.String()
}
