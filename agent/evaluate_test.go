package agent

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

// put commits files to the main branch; a file that begins with "->" is a link.
func (r *rig) put(files map[string]string) string {
	r.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(r.repo, name)
		_ = os.Remove(path)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if to, link := strings.CutPrefix(files[name], "->"); err == nil && link {
			err = os.Symlink(to, path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(files[name]), 0o644)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "-m", "files")
	return r.git("rev-parse", "HEAD")
}

// several is a flake of many configurations; "slow" evaluates only once the file hold
// is gone.
func several(hold string) string {
	return fmt.Sprintf(`{ outputs = _: let
  drv = name: derivation { inherit name; system = "%[1]s"; builder = "/bin/sh"; };
  top = name: { config.system.build.toplevel = drv "nixos-system-${name}"; };
  wait = derivation { name = "wait"; system = "%[1]s"; builder = "/bin/sh"; args = [ "-c" ''
    PATH=/usr/bin:/bin
    while [ -e "%[2]s" ]; do sleep 0.1; done
    echo '"late"' > $out
  '' ]; };
in {
  nixosConfigurations = { web1 = top "web1"; "db.a" = top "db"; bad = top (throw "no such luck"); slow = top (import wait); };
  homeConfigurations."ada@web1".activationPackage = drv "home-manager-generation";
}; }
`, nixSystem(), hold)
}

func TestAnEvaluatorWorksForOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	commit := r.put(map[string]string{"flake.nix": several("/nowhere")})
	r.start()
	attrs := []string{
		"nixosConfigurations.web1", "nixosConfigurations.bad", "homeConfigurations.ada@web1", `nixosConfigurations."db.a"`,
		"nixosConfigurations.nobody", "nixosConfigurations.slow",
	}
	o := r.send(agentbus.KindRefresh, commit, func(o *agentbus.Order) { o.Evaluate = attrs })
	a := r.await(o, agentbus.StepHealthy)
	if len(a.Evaluated) != len(attrs) {
		t.Fatalf("%d results, want %d: %+v", len(a.Evaluated), len(attrs), a.Evaluated)
	}
	for i, want := range []struct{ path, err string }{
		{path: "-nixos-system-web1"}, {err: "no such luck"}, {path: "-home-manager-generation"}, {path: "-nixos-system-db"},
		{err: "nobody"}, {path: "-nixos-system-late"},
	} {
		e := a.Evaluated[i]
		if e.Attr != attrs[i] || !strings.HasSuffix(e.Path, want.path) || !strings.Contains(e.Error, want.err) || (e.Path == "") == (e.Error == "") {
			t.Errorf("%s: %+v, want …%s, error …%s…", attrs[i], e, want.path, want.err)
		}
	}
	if !strings.Contains(a.Note, "4 configurations evaluated, 2 do not evaluate") {
		t.Errorf("note %q", a.Note)
	}
	if a.Facts.CheckoutCommit != "" {
		t.Errorf("the checkout is at %s; evaluating for others must leave it alone", a.Facts.CheckoutCommit)
	}
}

// A newer head makes what was asked before pointless: the newer order stops it.
func TestANewerEvaluationStopsAnOlderOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := r.path("hold")
	r.touch(hold)
	commit := r.put(map[string]string{"flake.nix": several(hold)})
	r.start()
	ask := func(attrs ...string) agentbus.Order {
		return r.send(agentbus.KindRefresh, commit, func(o *agentbus.Order) { o.Evaluate = attrs })
	}
	first := ask("nixosConfigurations.web1", "nixosConfigurations.slow")
	r.await(first, agentbus.StepBuilding)
	second := ask("nixosConfigurations.web1")
	if a := r.await(first, agentbus.StepSuperseded); len(a.Evaluated) != 0 {
		t.Errorf("stopped with %+v", a.Evaluated)
	}
	if a := r.await(second, agentbus.StepHealthy); len(a.Evaluated) != 1 || a.Evaluated[0].Path == "" {
		t.Errorf("%+v", a)
	}
}

// What somebody else has worked out, or is about to, is not worked out here: this
// flake would not even evaluate.
func TestAHostDoesNotEvaluateWhatOthersDo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	commit := r.commit(system{broken: true})
	r.start()
	told := "/nix/store/" + strings.Repeat("a", 32) + "-nixos-system-web1"
	o := r.send(agentbus.KindPull, commit, func(o *agentbus.Order) { o.NoEval = true })
	if a := r.await(o, agentbus.StepHealthy); a.Note != "it is not known which commit runs, so this one is taken as the first; waits for the evaluator" ||
		a.Facts.ExpectedPath != "" || len(a.Facts.Errors) > 0 {
		t.Errorf("note %q, facts %+v", a.Note, a.Facts)
	}
	o = r.send(agentbus.KindRefresh, commit, func(o *agentbus.Order) { o.Expected, o.NoEval = told, true })
	if a := r.await(o, agentbus.StepHealthy); a.Facts.ExpectedPath != told || a.Facts.ExpectedCommit != commit {
		t.Errorf("note %q, facts %+v", a.Note, a.Facts)
	}
	// What is no store path is not believed, and neither is what is said of another attribute.
	for _, edit := range []func(*agentbus.Order){
		func(o *agentbus.Order) { o.Expected, o.Attr = "/etc/passwd", "nixosConfigurations.a" },
		func(o *agentbus.Order) {
			o.Expected, o.Attr, o.Commit = told, "nixosConfigurations.b", strings.Repeat("b", 40)
		},
	} {
		o = r.send(agentbus.KindRefresh, commit, edit)
		if a := r.await(o, agentbus.StepHealthy); !strings.Contains(a.Note, "it does not evaluate") || a.Facts.ExpectedPath != "" {
			t.Errorf("note %q, facts %+v", a.Note, a.Facts)
		}
	}
}

func TestOrdersToEvaluateThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*agentbus.Order)
		want string
	}{
		"another kind":     {func(o *agentbus.Order) { o.Kind = agentbus.KindPull }, "a pull order evaluates for no other host"},
		"no commit":        {func(o *agentbus.Order) { o.Commit = "" }, "names a repository, a branch and a commit"},
		"Nix in a name":    {func(o *agentbus.Order) { o.Evaluate = []string{`nixosConfigurations.a".b`} }, "not of the form"},
		"another output":   {func(o *agentbus.Order) { o.Evaluate = []string{"packages.a"} }, "not of the form"},
		"more than fit in": {func(o *agentbus.Order) { o.Evaluate = make([]string, agentbus.MaxEvaluated+1) }, "at most 100"},
	} {
		o := testOrder(1, agentbus.KindRefresh)
		o.Evaluate = []string{"nixosConfigurations.web1"}
		if bad := checkOrder(o, NixOS); bad != nil {
			t.Fatalf("a good order: %s", bad.Message)
		}
		c.edit(&o)
		if bad := checkOrder(o, NixOS); bad == nil || !strings.Contains(bad.Message, c.want) {
			t.Errorf("%s: %+v, want …%s…", name, bad, c.want)
		}
	}
}
