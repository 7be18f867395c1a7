package nixfleet_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is the drawing of HOUSE: who may import whom, test support included.
// A folder that is not named here must not exist, so that a new room gets its
// place in the drawing before it gets code.
var allowed = map[string][]string{
	"":                      {},
	"flakelock":             {},
	"fleet":                 {"flakelock"},
	"fleet/policyfile":      {"fleet"},
	"agentbus":              {},
	"agentbus/broker":       {"agentbus"},
	"agentbus/bustest":      {"agentbus", "agentbus/broker"},
	"agent":                 {"agentbus"},
	"db":                    {"fleet"},
	"db/dbtest":             {"db", "fleet"},
	"forge":                 {"fleet", "fleet/policyfile", "flakelock"},
	"forge/forgetest":       {},
	"handlers":              {"fleet"},
	"notify":                {"fleet"},
	"dashboard":             {"fleet"},
	"dashboard/stories":     {"fleet"},
	"dashboard/browsertest": {},
	"api":                   {"fleet"},
	"app":                   {"fleet", "fleet/policyfile", "flakelock", "agentbus", "agentbus/broker", "db", "forge", "handlers", "dashboard", "api", "notify"},
	"agentbus/crowd":        {"agentbus"},
	"app/bench":             {"app", "agentbus", "agentbus/crowd", "db", "fleet", "forge/forgetest"},
	"app/demo":              {"app", "api", "fleet", "forge/forgetest"},
	"cmd/nixfleet":          {"app", "app/bench", "app/demo", "agent", "flakelock", "fleet", "fleet/policyfile", "api"},
	"cmd/nixfleet-agent":    {"agent", "agentbus"},
	"cmd/storybook":         {"dashboard", "fleet/policyfile", "dashboard/stories", "fleet"},
}

// TestAgentIsSmall holds that what belongs to the server alone stays out of the
// program that every host runs.
func TestAgentIsSmall(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "./cmd/nixfleet-agent").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, not := range []string{
			"github.com/nats-io/nats-server/", "github.com/jackc/pgx/", "github.com/google/go-github/", module + "/agentbus/broker",
		} {
			if strings.HasPrefix(dep, not) {
				t.Errorf("the agent links %s", strings.TrimSpace(dep))
			}
		}
	}
}

const module = "github.com/nixfleet/nixfleet"

func TestDependenciesPointOneWay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}|{{join .Imports ","}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), "|")
		room := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		may, known := allowed[room]
		if !known {
			t.Errorf("%s has no place in the drawing of who may import whom", room)
			continue
		}
		for imp := range strings.SplitSeq(imports, ",") {
			target, ours := strings.CutPrefix(imp, module+"/")
			if ours && !slices.Contains(may, target) {
				t.Errorf("%s imports %s, which points the wrong way", room, target)
			}
		}
	}
}
