package flakelock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// kinds are the findings in short, e.g. "identity_changed a owner".
func kinds(findings []Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, strings.Join(strings.Fields(fmt.Sprint(f.Kind, " ", f.Input, " ", f.Attribute)), " "))
	}
	return list
}

func TestInspectFindsEachKindOfChange(t *testing.T) {
	t.Parallel()
	otherRev, otherHash := strings.Repeat("b", 40), "sha256-"+strings.Repeat("A", 43)+"="
	for name, c := range map[string]struct {
		before, after string // replaced in oneInput
		want          []string
	}{
		"nothing":                {`"a"`, `"a"`, nil},
		"lost hash":              {`"narHash": "` + testHash + `", `, ``, []string{"hash_removed a narHash"}},
		"hash of the same rev":   {testHash, otherHash, []string{"hash_changed a narHash"}},
		"only the rev":           {testRev, otherRev, nil},
		"only the time":          {"1700000000", "1700000001", nil},
		"locked owner":           {`"o", "repo": "r", "rev"`, `"evil", "repo": "r", "rev"`, []string{"identity_changed a owner", "inconsistent_with_original a owner"}},
		"locked repo":            {`"repo": "r", "rev"`, `"repo": "x", "rev"`, []string{"identity_changed a repo", "inconsistent_with_original a repo"}},
		"locked host":            {`"lastModified"`, `"host": "evil.org", "lastModified"`, []string{"identity_changed a host", "inconsistent_with_original a host"}},
		"locked dir":             {`"lastModified"`, `"dir": "x", "lastModified"`, []string{"identity_changed a dir", "inconsistent_with_original a dir"}},
		"locked ref":             {`"lastModified"`, `"ref": "x", "lastModified"`, []string{"ref_changed a ref", "inconsistent_with_original a ref"}},
		"locked type":            {`"type": "github"},`, `"type": "gitlab"},`, []string{"identity_changed a type", "inconsistent_with_original a type"}},
		"locked submodules":      {`"lastModified"`, `"submodules": true, "lastModified"`, []string{"fetch_changed a submodules", "inconsistent_with_original a submodules"}},
		"locked unknown":         {`"lastModified"`, `"x": 1, "lastModified"`, []string{"unknown_changed a x", "inconsistent_with_original a x"}},
		"original owner":         {`{"owner": "o"`, `{"owner": "x"`, []string{"original_changed a owner", "inconsistent_with_original a owner"}},
		"original ref":           {`{"owner": "o"`, `{"ref": "x", "owner": "o"`, []string{"original_changed a ref"}},
		"original pins a rev":    {`{"owner": "o"`, `{"rev": "` + otherRev + `", "owner": "o"`, []string{"original_changed a rev", "inconsistent_with_original a rev"}},
		"flake flag":             {`"locked"`, `"flake": false, "locked"`, []string{"flake_flag_changed a flake"}},
		"flake flag, as default": {`"locked"`, `"flake": true, "locked"`, nil},
		"parent":                 {`"locked"`, `"parent": [], "locked"`, []string{"parent_changed a parent"}},
		"unknown of a node":      {`"locked"`, `"x": [{}], "locked"`, []string{"unknown_changed a x"}},
		"unknown of the root":    {`"root": {`, `"root": {"x": 1, `, []string{"unknown_changed x"}},
		"unknown of the file":    {`"version"`, `"x": 1, "version"`, []string{"unknown_changed x"}},
		"version":                {`"version": 7`, `"version": 6`, []string{"format_changed version"}},
		"added":                  {`{"a": "a"}`, `{"a": "a", "b": "a"}`, []string{"input_added b"}},
		"removed":                {`{"a": "a"}`, `{}`, []string{"unreached_node nodes", "input_removed a"}},
		"added follows":          {`"locked"`, `"inputs": {"x": ["a"]}, "locked"`, []string{"input_added a/x"}},
		"re-pointed":             {`{"a": "a"}`, `{"a": []}`, []string{"unreached_node nodes", "input_repointed a"}},
		"dangling":               {`"locked"`, `"inputs": {"x": ["y"]}, "locked"`, []string{"input_added a/x", "dangling_follows a/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := mustParse(t, []byte(oneInput)), mustParse(t, []byte(edited(t, c.before, c.after)))
			findings := Inspect(before, after)
			if diff := cmp.Diff(c.want, kinds(findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, f := range findings {
				if f.String() == "" || f.Root() != (len(f.Input) < 2) {
					t.Errorf("%+v reads %q", f, f)
				}
			}
		})
	}
}

func TestInspectTellsArchivesThatMovedFromOthers(t *testing.T) {
	t.Parallel()
	lock := func(url string) *Lock {
		return mustParse(t, fmt.Appendf(nil, `{"version":7,"root":"root","nodes":{"root":{"inputs":{"a":"a"}},"a":{
			"locked":{"type":"tarball","url":%q,"narHash":%q},"original":{"type":"tarball","url":"https://flakehub.com/f/o/r/*.tar.gz"}}}}`, url, testHash))
	}
	old := lock("https://api.flakehub.com/f/pinned/o/r/1/source.tar.gz")
	for url, want := range map[string]FindingKind{
		"https://api.flakehub.com/f/pinned/o/r/2/source.tar.gz":      ArchiveMoved,
		"https://api.flakehub.com/f/pinned/evil/r/2/source.tar.gz":   ArchiveMoved, // policy's prefix decides
		"http://api.flakehub.com/f/pinned/o/r/2/source.tar.gz":       IdentityChanged,
		"https://api.flakehub.com.evil.org/f/pinned/source.tar.gz":   IdentityChanged,
		"https://api.flakehub.com@evil.org/f/pinned/source.tar.gz":   IdentityChanged,
		"https://api.flakehub.com:8443/f/pinned/o/r/2/source.tar.gz": IdentityChanged,
		"https://api.flakehub.com?x=/f/pinned/o/r/2/source.tar.gz":   ArchiveMoved,
	} {
		got := Inspect(old, lock(url))
		if len(got) != 1 || got[0].Kind != want {
			t.Errorf("%s: got %v, want %s", url, got, want)
		}
	}
}

// Nix's account lists a node once, under the first path. Here z comes to share the
// node of a; b, which had that content under it, looks the same, and so does z.
func TestInspectSeesWhatSharingHidesFromNix(t *testing.T) {
	t.Parallel()
	lock := func(z string) *Lock {
		node := func(repo, inputs string) string {
			return fmt.Sprintf(`{"inputs":{%s},"locked":{"type":"github","owner":"o","repo":%q,"rev":%q},"original":{"type":"github","owner":"o","repo":%q}}`,
				inputs, repo, testRev, repo)
		}
		return mustParse(t, fmt.Appendf(nil, `{"version":7,"root":"root","nodes":{"root":{"inputs":{"a":"n1","b":"n2","z":%q}},
			"n1":%s,"n2":%s,"good":%s,"evil":%s}}`, z, node("r", `"c":"evil"`), node("r", `"c":"good"`), node("good", ""), node("evil", "")))
	}
	before, after := lock("n2"), lock("n1")
	if changes := Compare(before, after); len(changes) != 0 {
		t.Fatalf("Nix would print nothing here, got %v", Text(changes, Style{}))
	}
	want := []string{"original_changed z/c repo", "identity_changed z/c repo"}
	if diff := cmp.Diff(want, kinds(Inspect(before, after))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// maze is a lock of 60 floors of 59 nodes, each of which leads to four of the next.
func maze(step int) []byte {
	const floors, width = 60, 59
	var b strings.Builder
	b.WriteString(`{"version":7,"root":"root","nodes":{"root":{"inputs":{"i":"n0x0"}}`)
	for f := range floors {
		for n := range width {
			fmt.Fprintf(&b, `,"n%dx%d":{"inputs":{`, f, n)
			for i := 0; i < 4 && f < floors-1; i++ {
				fmt.Fprintf(&b, `%s"i%d":"n%dx%d"`, ","[:min(i, 1)], i, f+1, (n+i*step+i*i*(step-1))%width)
			}
			fmt.Fprintf(&b, `},"locked":{"type":"github","owner":"o","repo":"r","rev":%q},"original":{"type":"github","owner":"o","repo":"r"}}`, testRev)
		}
	}
	b.WriteString(`}}`)
	return []byte(b.String())
}

func TestInspectGivesUpOnLocksTooTangledToCompare(t *testing.T) {
	t.Parallel()
	findings := Inspect(mustParse(t, maze(1)), mustParse(t, maze(7)))
	if !slices.ContainsFunc(findings, func(f Finding) bool { return f.Kind == TooTangled }) {
		t.Errorf("%d findings, none of them that the comparison was cut short", len(findings))
	}
	if findings := Inspect(mustParse(t, maze(1)), mustParse(t, maze(1))); len(findings) != 0 {
		t.Errorf("equal locks are compared in full, got %v", findings)
	}
}

func TestRealUpdatesAreConsistentAndComplete(t *testing.T) {
	t.Parallel()
	for _, c := range lockCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before, after := mustParse(t, c.before), mustParse(t, c.after)
			byPath := make(map[string]FindingKind)
			for _, f := range Inspect(before, after) {
				byPath[f.Input.String()] = f.Kind
				switch f.Kind {
				case InputAdded, InputRemoved, InputRepointed, OriginalChanged, IdentityChanged, ArchiveMoved:
				default:
					t.Errorf("a false alarm: %s", f)
				}
			}
			for _, change := range Compare(before, after) {
				if _, found := byPath[change.Input.String()]; change.Kind != Updated && !found {
					t.Errorf("%s %s is no finding", change.Kind, change.Input)
				}
			}
			if again := Inspect(after, after); len(again) != 0 {
				t.Errorf("a lock differs from itself: %v", again)
			}
		})
	}
}

// place is a member of an object somewhere in a decoded lock.
type place struct {
	object map[string]any
	name   string
	path   string
}

// places lists every member of every object, sorted.
func places(prefix string, v any) []place {
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	var list []place
	for _, name := range slices.Sorted(maps.Keys(object)) {
		path := prefix + "/" + name
		list = append(list, place{object, name, path})
		list = append(list, places(path, object[name])...)
	}
	return list
}

// mutate changes, removes or adds one member, and says what it did.
func mutate(t *rapid.T, lock map[string]any) (what string, p place) {
	all := places("", lock)
	p = all[rapid.IntRange(0, len(all)-1).Draw(t, "place")]
	switch rapid.SampledFrom([]string{"change", "remove", "add"}).Draw(t, "how") {
	case "remove":
		delete(p.object, p.name)
		return "removed " + p.path, p
	case "add":
		p.name = rapid.SampledFrom(append(slices.Sorted(maps.Keys(attrKinds)), "x", "flake", "parent", "inputs", "__final")).Draw(t, "name")
		if _, there := p.object[p.name]; there {
			t.Skip("there already")
		}
		p.object[p.name] = rapid.SampledFrom([]any{"x", json.Number("1"), true, false, []any{}, []any{"nixpkgs"}, map[string]any{"y": []any{}}}).Draw(t, "value")
		return "added " + p.path + " + " + p.name, p
	}
	switch v := p.object[p.name].(type) {
	case string:
		p.object[p.name] = v + "x"
		if strings.HasSuffix(p.path, "/locked/rev") {
			p.object[p.name] = strings.Repeat("c", 40)
		}
	case json.Number:
		p.object[p.name] = json.Number(v.String() + "0")
	case bool:
		p.object[p.name] = !v
	case []any:
		p.object[p.name] = append(v[:len(v):len(v)], "nixpkgs")
	default:
		p.object[p.name] = "x"
	}
	return "changed " + p.path, p
}

func TestNoMutationOfALockGoesUnseen(t *testing.T) {
	t.Parallel()
	cases := lockCases(t)
	rapid.Check(t, func(t *rapid.T) {
		c := cases[rapid.IntRange(0, len(cases)-1).Draw(t, "case")]
		var lock map[string]any
		decoder := json.NewDecoder(bytes.NewReader(c.after))
		decoder.UseNumber()
		if err := decoder.Decode(&lock); err != nil {
			t.Fatal(err)
		}
		what, p := mutate(t, lock)
		data, err := json.Marshal(lock)
		if err != nil {
			t.Fatal(err)
		}
		after, err := Parse(data)
		if err != nil {
			return // refused: nothing is hidden
		}
		before, err := Parse(c.after)
		if err != nil {
			t.Fatal(err)
		}
		changes, findings := Compare(before, after), Inspect(before, after)
		locked := strings.Contains(p.path, "/locked/")
		switch {
		case p.name == "flake" && p.object["flake"] == true:
			return // the default, spelt out
		case p.name == "inputs" && len(findings) == 0 && len(places("", p.object["inputs"])) == 0:
			return // no inputs, spelt out
		case locked && volatile(p.name):
			if len(changes) == 0 {
				t.Fatalf("%s: no change", what)
			}
		case len(findings) == 0:
			t.Fatalf("%s: no finding; changes:\n%s", what, Text(changes, Style{}))
		}
	})
}
