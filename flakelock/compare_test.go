package flakelock

import (
	"fmt"
	"strings"
	"testing"
)

func TestJSONHasTheFormOfLockDiff(t *testing.T) {
	t.Parallel()
	changes := Compare(
		mustParse(t, readFile(t, "testdata/cases/010/before.lock")),
		mustParse(t, readFile(t, "testdata/cases/010/after.lock")))
	out, err := JSON(changes)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"changes":[{"kind":"updated","input":"astro-nvim","from":{"url":"github:AstroNvim/AstroNvim/271c9c3f71c2e315cb16c31276dec81ddca6a5a6","rev":"271c9c3f71c2e315cb16c31276dec81ddca6a5a6","last_modified":`,
		`{"kind":"added","input":"srvos/flake-parts/nixpkgs-lib","from":null,"to":{"url":null,"rev":null,"last_modified":null,"follows":"srvos/nixpkgs"}}`,
		`{"kind":"removed","input":"srvos/nixos-stable","from":{"url":`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the JSON lacks\n%s\n%s", want, out)
		}
	}
	if out, _ := JSON(nil); string(out) != `{"changes":[]}` {
		t.Errorf("no changes: %s", out)
	}
}

func TestAddedInputsMustBeWhatTheyAskFor(t *testing.T) {
	t.Parallel()
	node := `"b": {"locked": {"type": "github", "owner": "evil", "repo": "r", "rev": "` + testRev + `"},
		"original": {"type": "github", "owner": "NixOS", "repo": "r"}}, "root"`
	after := strings.Replace(edited(t, `{"a": "a"}`, `{"a": "a", "b": "b"}`), `"root"`, node, 1)
	got := fmt.Sprint(Inspect(mustParse(t, []byte(oneInput)), mustParse(t, []byte(after))))
	for _, want := range []string{
		"input 'b' was added: 'github:evil/r/" + testRev + "'",
		"input 'b': locked owner is 'evil', but the original asks for 'NixOS'",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
