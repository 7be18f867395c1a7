package nixfleet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
)

// endings are what follows the dot of kinds that are put together, by what stands
// before it.
var endings = map[string][]string{
	"request.":  {"allowed", "denied", "void", "ignored"},
	"key.":      {"added", "used", "retired"},
	"receiver.": {"added", "changed"},
	"trouble.":  {"host_offline", "policy_broken", "webhooks_lost", "github_unreadable", "recovered"},
	"workflow.": {"started", "not_started"},
}

func init() {
	for _, s := range fleet.AllUpdateStates() {
		endings["update."] = append(endings["update."], string(s))
	}
	for _, s := range fleet.AllRolloutStates() {
		endings["rollout."] = append(endings["rollout."], string(s))
	}
	for _, s := range fleet.AllProposalStates() {
		endings["lock."] = append(endings["lock."], string(s))
	}
	for _, s := range fleet.AllHostStates() {
		endings["order."] = append(endings["order."], string(s))
	}
}

var sqlKind = regexp.MustCompile(`'([a-z_]+\.[a-z_]+)'`)

// kindsIn finds the kinds of history that a file writes, or the beginnings of those
// that it puts together.
func kindsIn(t *testing.T, path string) (kinds []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			name, _ := n.Type.(*ast.Ident)
			if sel, ok := n.Type.(*ast.SelectorExpr); ok {
				name = sel.Sel
			}
			if name == nil || name.Name != "Event" {
				return true
			}
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == "Kind" {
					kinds = append(kinds, leftmost(t, path, kv.Value))
				}
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING && strings.Contains(n.Value, "insert into history") {
				for _, m := range sqlKind.FindAllStringSubmatch(n.Value, -1) {
					kinds = append(kinds, m[1])
				}
			}
		}
		return true
	})
	return kinds
}

func leftmost(t *testing.T, path string, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return leftmost(t, path, e.X)
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Errorf("%s: the kind of an event is neither text nor begins with it, so nobody can tell whether it has words", path)
	return ""
}

// Whatever is written into the history reads as a sentence.
func TestEveryKindOfHistoryHasWords(t *testing.T) {
	t.Parallel()
	var written []string
	for _, dir := range []string{"db", "app"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for _, kind := range kindsIn(t, path) {
				if !strings.HasSuffix(kind, ".") {
					written = append(written, kind)
					continue
				}
				if len(endings[kind]) == 0 {
					t.Errorf("%s writes %q and something: add its endings to this test", path, kind)
				}
				for _, end := range endings[kind] {
					written = append(written, kind+end)
				}
			}
		}
	}
	for _, kind := range written {
		if _, known := fleet.Words(kind); !known {
			t.Errorf("%s has no words: add them to fleet/act_words.go", kind)
		}
	}
	for _, g := range fleet.ActGroups {
		if g.Title() == "" {
			t.Errorf("the group %s has no title", g)
		}
		for _, kind := range g.Kinds() {
			if !slices.Contains(written, kind) {
				t.Errorf("%s has words, and nothing writes it", kind)
			}
		}
	}
}
