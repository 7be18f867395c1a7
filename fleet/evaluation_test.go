package fleet

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// alone is a host that has not worked out by itself what its checkout comes to.
func alone(in *CompartmentFacts) { in.Host.Facts.ExpectedPath, in.Host.Facts.ExpectedCommit = "", "" }

func sharedBy(e Evaluation) func(*CompartmentFacts) {
	return func(in *CompartmentFacts) {
		alone(in)
		e.Host = "build1"
		in.Shared = &e
	}
}

func evaluatorSeen(ago time.Duration) func(*CompartmentFacts) {
	return func(in *CompartmentFacts) {
		alone(in)
		in.Evaluator = &Host{Name: "build1", LastSeen: noon.Add(-ago)}
	}
}

func TestSystemCompartmentBySharedEvaluations(t *testing.T) {
	t.Parallel()
	runLights(t, 2, map[string]lightCase{
		"the same as runs":     {sharedBy(Evaluation{Commit: headSHA, Path: "/nix/store/aaa-nixos"}), LightOK, "Current", "Running system = what flake would build"},
		"another than runs":    {sharedBy(Evaluation{Commit: headSHA, Path: "/nix/store/bbb-nixos"}), LightStale, "Outdated", "(/nix/store/bbb-nixos)"},
		"it does not evaluate": {sharedBy(Evaluation{Commit: headSHA, Error: "attribute 'x' missing"}), LightError, "Evaluation failed", "Evaluation failed: attribute 'x' missing | Evaluated by build1."},
		"of another commit":    {sharedBy(Evaluation{Commit: oldRev, Path: "/nix/store/aaa-nixos"}), LightUnknown, "Not evaluated yet", "waits for the host to evaluate its checkout."},
		"its own counts first": {func(in *CompartmentFacts) {
			in.Shared = &Evaluation{Commit: headSHA, Error: "no network", Host: "build1"}
		}, LightOK, "Current", ""},
		"an evaluator works": {evaluatorSeen(0), LightUnknown, "Not evaluated yet", "waits for the evaluator build1."},
		"it is away":         {evaluatorSeen(time.Hour), LightUnknown, "Not evaluated yet", "build1, which is offline. Refresh has the host evaluate by itself."},
		"it looks at the head only": {func(in *CompartmentFacts) {
			evaluatorSeen(0)(in)
			in.RepoHead = oldRev
		}, LightUnknown, "Not evaluated yet", "waits for the host to evaluate its checkout."},
	})
}

// What a host does for others says nothing of its own system.
func TestWorkForOthersIsNotShownAsItsOwn(t *testing.T) {
	t.Parallel()
	building := func(kind string) func(*CompartmentFacts) {
		return func(in *CompartmentFacts) {
			in.Host.Facts.Working, in.Host.Facts.Step, in.Doing = true, string(HostBuilding), kind
		}
	}
	runLights(t, 2, map[string]lightCase{
		"a deploy":       {building(OrderDeploy), LightWorking, "Building…", ""},
		"not known what": {building(""), LightWorking, "Building…", ""},
		"an evaluation":  {building(OrderRefresh), LightOK, "Current", "It evaluates for other hosts now."},
		"a lock":         {building(OrderUpdateInputs), LightOK, "Current", ""},
	})
	runLights(t, 1, map[string]lightCase{
		"a deploy": {building(OrderDeploy), LightOK, "3 days", ""},
		"a lock":   {building(OrderUpdateInputs), LightWorking, "Updating…", "Makes a newer flake.lock for the repository…"},
	})
}

func TestDescribeFindsTheEvaluatorOfARepository(t *testing.T) {
	t.Parallel()
	host := func(name string, repo int64, ago time.Duration, tags ...string) HostView {
		return HostView{Host: Host{
			Name: name, RepoID: repo, Tags: tags, EnrolledAt: noon, LastSeen: noon.Add(-ago),
			Facts: HostFacts{At: noon, CheckoutCommit: headSHA, RunningPath: "/nix/store/aaa-nixos"},
		}}
	}
	o := Overview{At: noon, Repos: []RepoView{{Repo: Repo{ID: 1}, HeadSHA: headSHA}, {Repo: Repo{ID: 2}, HeadSHA: headSHA}}, Hosts: []HostView{
		host("a", 1, time.Hour, EvaluatorTag), host("b", 1, 0, EvaluatorTag), host("c", 1, 0, EvaluatorTag), host("web", 1, 0), host("other", 2, 0),
	}}
	o.Hosts[4].Evaluation = &Evaluation{Commit: headSHA, Path: "/nix/store/aaa-nixos"}
	Describe(&o, "1")
	if got := o.Hosts[3].Compartments[2].Tooltip[0]; got != "Not evaluated yet: waits for the evaluator b." {
		t.Errorf("web: %s", got)
	}
	if got := o.Hosts[4].Compartments[2]; got.Light != LightOK {
		t.Errorf("the host of another repository: %+v", got)
	}
}

// Whatever there is to evaluate: nobody who is busy is asked, nobody for too much, and
// nothing twice; as long as somebody has room and may, nothing is left.
func TestEvaluationsAreAssigned(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var evaluators []Evaluator
		for i := range rapid.IntRange(0, 3).Draw(t, "evaluators") {
			evaluators = append(evaluators, Evaluator{Name: fmt.Sprint("e", i), Busy: rapid.Bool().Draw(t, "busy")})
		}
		var wanted []Unevaluated
		for i := range rapid.IntRange(0, 20).Draw(t, "wanted") {
			w := Unevaluated{Attr: fmt.Sprint("a", i)}
			if rapid.Bool().Draw(t, "asked") {
				w.Attempts, w.Host = rapid.IntRange(1, 3).Draw(t, "attempts"), fmt.Sprint("e", rapid.IntRange(0, 3).Draw(t, "host"))
			}
			wanted = append(wanted, w)
		}
		free := 0
		for _, e := range evaluators {
			if !e.Busy {
				free++
			}
		}
		asked := map[string]string{}
		orders := AssignEvaluations(evaluators, wanted, limit)
		for _, o := range orders {
			if !slices.Contains(evaluators, Evaluator{Name: o.Host}) || len(o.Attrs) == 0 || len(o.Attrs) > limit {
				t.Fatalf("%+v of %+v", o, evaluators)
			}
			for _, w := range o.Attrs {
				if by, twice := asked[w.Attr]; twice {
					t.Fatalf("%s is asked of %s and %s", w.Attr, by, o.Host)
				}
				if asked[w.Attr] = o.Host; o.Host == w.Host && free > 1 {
					t.Fatalf("%s is asked of %s again, and others are free", w.Attr, o.Host)
				}
			}
		}
		if free == 1 && len(asked) != min(limit, len(wanted)) {
			t.Fatalf("one is free and asked for %d of %d, limit %d", len(asked), len(wanted), limit)
		}
		if len(wanted) > 0 && free > 1 && len(asked) == 0 {
			t.Fatal("nobody is asked")
		}
	})
}
