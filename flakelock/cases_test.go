package flakelock

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lockCase is one real update: two locks and what Nix said of them.
type lockCase struct {
	name          string
	before, after []byte
	account       string // Nix's text, without the commit trailer
}

// lockCases loads the cases beside the package and, where they are, the 60 shared
// ones.
func lockCases(tb testing.TB) []lockCase {
	tb.Helper()
	dirs, err := filepath.Glob("testdata/cases/*")
	if err != nil || len(dirs) == 0 {
		tb.Fatalf("no cases in testdata: %v", err)
	}
	shared, _ := filepath.Glob(sharedCases + "/*")
	cases := make([]lockCase, 0, len(dirs)+len(shared))
	for _, dir := range append(dirs, shared...) {
		c := lockCase{name: filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir)}
		c.before, c.after = readFile(tb, dir, "before.lock"), readFile(tb, dir, "after.lock")
		c.account, _, _ = strings.Cut(string(readFile(tb, dir, "nix.txt")), "\nSigned-off-by:")
		c.account = strings.TrimSpace(c.account)
		cases = append(cases, c)
	}
	return cases
}

const sharedCases = "../../shared/flakelocks"

func readFile(tb testing.TB, elem ...string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func mustParse(tb testing.TB, data []byte) *Lock {
	tb.Helper()
	lock, err := Parse(data)
	if err != nil {
		tb.Fatalf("parse: %v", err)
	}
	return lock
}

var (
	shortRev = regexp.MustCompile(`(github|gitlab|sourcehut):[^/']+/[^/']+/[0-9a-f]{7}['?]`)
	hashed   = regexp.MustCompile(`'(github|gitlab|sourcehut|https?):[^']*[?&]narHash=`)
)

// styleOf tells the style of Nix's text from the text alone.
func styleOf(account string) Style {
	return Style{
		ShortRevs: shortRev.MatchString(account),
		Hashes:    hashed.MatchString(account),
		Hosts:     strings.Contains(account, "?host="),
		Legacy:    strings.Contains(account, "%2f"),
	}
}

func TestCompareEqualsNixOnRealUpdates(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(sharedCases); err != nil {
		t.Logf("SKIPPED: the 60 shared cases are not at %s; only those in testdata were compared", sharedCases)
	}
	for _, c := range lockCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changes := Compare(mustParse(t, c.before), mustParse(t, c.after))
			if input, ok := untold[c.name]; ok {
				changes = withoutUntold(t, c, changes, input)
			}
			got := strings.TrimSpace(Text(changes, styleOf(c.account)))
			if diff := cmp.Diff(c.account, got); diff != "" {
				t.Errorf("our account differs from Nix's (-nix +ours):\n%s", diff)
			}
		})
	}
}

// untold are the two cases whose text is not of their two files: the commit was made
// of the update that the text tells, and of one more, of a root input. Every version
// of Nix tells a root input whose revision differs, so the text can't have come from
// these files.
var untold = map[string]string{"flakelocks/007": "nixpkgs", "flakelocks/057": "nixpkgs"}

// withoutUntold proves, without our parser, that the root input differs between the
// two files, and removes it from our account.
func withoutUntold(t *testing.T, c lockCase, changes []Change, input string) []Change {
	t.Helper()
	rev := func(data []byte) string {
		var lock struct {
			Nodes map[string]struct {
				Inputs map[string]any
				Locked struct{ Rev string }
			}
		}
		if err := json.Unmarshal(data, &lock); err != nil {
			t.Fatal(err)
		}
		return lock.Nodes[lock.Nodes["root"].Inputs[input].(string)].Locked.Rev
	}
	if rev(c.before) == rev(c.after) || strings.Contains(c.account, "input '"+input+"':") {
		t.Fatalf("the case no longer lacks %q: compare it like the others", input)
	}
	rest := slices.DeleteFunc(changes, func(c Change) bool { return c.Input.String() == input })
	if len(rest) != len(changes)-1 {
		t.Fatalf("we should tell the update of %q, and do not", input)
	}
	return rest
}

func TestSharedCasesAreAllThere(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(sharedCases); err != nil {
		t.Skipf("SKIPPED: the 60 shared cases are not at %s", sharedCases)
	}
	if dirs, _ := filepath.Glob(sharedCases + "/*"); len(dirs) != 60 {
		t.Errorf("expected 60 cases, found %d", len(dirs))
	}
}
