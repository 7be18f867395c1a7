package nixfleet_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// nixInstantiate runs Nix's evaluator without a store. There is no nixpkgs here:
// what the modules take of it stands in nix/lib.nix.
func nixInstantiate(t *testing.T, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("nix-instantiate")
	if err != nil {
		t.Skip("nix is not installed")
	}
	cmd := exec.Command(program, append([]string{"--store", "dummy://"}, args...)...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nix-instantiate %s: %v\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return out
}

func TestNixFilesParse(t *testing.T) {
	t.Parallel()
	files := []string{"flake.nix"}
	err := filepath.WalkDir("nix", func(path string, e fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".nix" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 10 {
		t.Fatalf("%d Nix files found, at least ten are there: %v", len(files), err)
	}
	nixInstantiate(t, append([]string{"--parse"}, files...)...)
}

// What the flake offers, and what each module comes to for a few configurations:
// the units with their commands, credentials and confinement.
func TestNixModulesComeToTheirGoldenFiles(t *testing.T) {
	t.Parallel()
	var results map[string]json.RawMessage
	if err := json.Unmarshal(nixInstantiate(t, "--eval", "--strict", "--json", "nix/evaluate.nix"), &results); err != nil {
		t.Fatal(err)
	}
	for name, raw := range results {
		var got bytes.Buffer
		if err := json.Indent(&got, raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		golden := filepath.Join("nix", "testdata", name+".json")
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(string(want), got.String()); d != "" {
			t.Errorf("%s (-golden +evaluated; go test . -update rewrites it):\n%s", name, d)
		}
	}
	left, err := filepath.Glob("nix/testdata/*.json")
	if err != nil || len(left) != len(results) {
		t.Errorf("%d golden files for %d configurations: %v", len(left), len(results), err)
	}
}

// To work the hash out takes modules that the tests need not have; that it is of
// these very modules can be seen all the same.
func TestNixVendorHashIsOfTheseModules(t *testing.T) {
	t.Parallel()
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	of, err := os.ReadFile("nix/vendor-of")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(sums)); got != strings.TrimSpace(string(of)) {
		t.Error("go.sum has changed since nix/vendor-hash was written: run make vendor-hash")
	}
}

// A module that does not know an option, or gets a wrong value, must say so: else
// the golden files would prove nothing.
func TestNixModulesRefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("nix-instantiate")
	if err != nil {
		t.Skip("nix is not installed")
	}
	for given, want := range map[string]string{
		`{ services.nixfleet.lisen = "x"; }`:                             "there is no option services.nixfleet.lisen",
		`{ services.nixfleet.github.appId = "7"; }`:                      "services.nixfleet.github.appId: expected a null or positive integer",
		`{ services.nixfleet.adminTokenFile = "/nix/store/abc-token"; }`: "services.nixfleet.adminTokenFile: expected a null or path outside of the store",
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			expr := `let lib = import ./nix/lib.nix; in builtins.toJSON (lib.evalModule (import ./nix/modules/server.nix { self = {}; }) {
				given = ` + given + `; around = { }; pkgs = { }; }).config`
			out, err := exec.Command(program, "--store", "dummy://", "--eval", "--strict", "-E", expr).CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("got %v:\n%s\nwant the words %q", err, out, want)
			}
		})
	}
}
