package flakelock

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oneInput is a lock of one GitHub input a, with room for more members.
const oneInput = `{
  "nodes": {
    "a": {
      "locked": {"lastModified": 1700000000, "narHash": "` + testHash + `", "owner": "o", "repo": "r", "rev": "` + testRev + `", "type": "github"},
      "original": {"owner": "o", "repo": "r", "type": "github"}
    },
    "root": {"inputs": {"a": "a"}}
  },
  "root": "root",
  "version": 7
}`

// edited replaces one part of oneInput, and fails when it is not there.
func edited(tb testing.TB, before, after string) string {
	tb.Helper()
	if !strings.Contains(oneInput, before) {
		tb.Fatalf("%q is not in the lock", before)
	}
	return strings.Replace(oneInput, before, after, 1)
}

func TestParseRefusesHostileLocks(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"x":`, 40) + "1" + strings.Repeat("}", 40)
	var manyAttrs strings.Builder
	for i := range 70 {
		fmt.Fprintf(&manyAttrs, `"x%d": 1, `, i)
	}
	for name, c := range map[string]struct{ lock, want string }{
		"empty":                     {"", "line 1, column 1: expected an object, found the end of the file"},
		"an array":                  {"[]", "expected an object, found '['"},
		"cut short":                 {oneInput[:len(oneInput)-2], "expected ',' or '}', found the end of the file"},
		"trailing data":             {oneInput + "{}", "something follows the end"},
		"trailing NUL":              {oneInput + "\x00", "something follows the end"},
		"byte order mark":           {"\ufeff" + oneInput, "expected an object"},
		"comment":                   {"/* */" + oneInput, "expected an object"},
		"trailing comma":            {edited(t, `{"a": "a"}`, `{"a": "a",}`), "expected a string"},
		"no version":                {edited(t, `"version": 7`, `"x": 7`), `"version" is missing`},
		"version 4":                 {edited(t, `"version": 7`, `"version": 4`), "line 10, column 14: version: version 4 is not supported"},
		"version 8":                 {edited(t, `"version": 7`, `"version": 8`), "version 8 is not supported"},
		"version as text":           {edited(t, `"version": 7`, `"version": "7"`), "unsigned whole number"},
		"version 7.0":               {edited(t, `"version": 7`, `"version": 7.0`), "not a fraction"},
		"version 07":                {edited(t, `"version": 7`, `"version": 07`), "unsigned whole number"},
		"no root":                   {edited(t, `"root": "root"`, `"rooot": "root"`), `"root" is missing`},
		"root of another name":      {edited(t, `"root": "root"`, `"root": "x"`), `there is no node "x"`},
		"locked root":               {edited(t, `"root": "root"`, `"root": "a"`), "the root is the flake itself"},
		"duplicate at the top":      {edited(t, `"version": 7`, `"version": 7, "version": 7`), `"version" appears twice`},
		"duplicate node":            {edited(t, `"root": {"inputs"`, `"a": {}, "root": {"inputs"`), "nodes: the name \"a\" appears twice"},
		"duplicate by escape":       {edited(t, `"rev"`, `"re\u0076": "x", "rev"`), `"rev" appears twice`},
		"duplicate input":           {edited(t, `{"a": "a"}`, `{"a": "a", "a": "a"}`), "nodes.root.inputs: the name \"a\" appears twice"},
		"duplicate in the unknown":  {edited(t, `"version": 7`, `"version": 7, "x": {"y": 1, "y": 2}`), `"y" appears twice`},
		"locked missing":            {edited(t, `"locked"`, `"loked"`), `nodes.a: "locked" is missing`},
		"locked in capitals":        {edited(t, `"locked"`, `"Locked"`), `nodes.a: "locked" is missing`},
		"original missing":          {edited(t, `"original"`, `"orig"`), `nodes.a: "original" is missing`},
		"unlocked":                  {edited(t, `"rev": "`+testRev+`", `, ``), "rev is missing: the input is not locked"},
		"short rev":                 {edited(t, testRev, "abc"), "rev is not a commit of 40 or 64"},
		"rev in capitals":           {edited(t, testRev, strings.ToUpper(testRev)), "rev is not a commit"},
		"rev as a number":           {edited(t, `"`+testRev+`"`, "1"), "rev has the wrong kind"},
		"bad narHash":               {edited(t, testHash, "sha256-xxx="), "narHash is not sha256-"},
		"weak narHash":              {edited(t, testHash, "md5-PIszzgkO2GbdTfpAKKJPDQ=="), "narHash is not sha256-"},
		"unknown type":              {edited(t, `"type": "github"}`, `"type": "fossil"}`), `type "fossil" is not one`},
		"no type":                   {edited(t, `, "type": "github"}`, `}`), `type "" is not one`},
		"no owner":                  {edited(t, `"owner": "o", `, ``), "owner is missing, and a github input needs it"},
		"owner with a slash":        {edited(t, `"owner": "o"`, `"owner": "o/x"`), "owner holds the character '/'"},
		"negative time":             {edited(t, `1700000000`, `-1`), "expected a string, a whole number or a boolean"},
		"fractional time":           {edited(t, `1700000000`, `1.5`), "not a fraction"},
		"time with exponent":        {edited(t, `1700000000`, `1e9`), "not a fraction"},
		"time beyond 64 bits":       {edited(t, `1700000000`, `99999999999999999999`), "unsigned whole number"},
		"time beyond the year 9999": {edited(t, `1700000000`, `253402300800`), "beyond the year 9999"},
		"null attribute":            {edited(t, `"owner": "o"`, `"owner": null`), "expected a string, a whole number or a boolean"},
		"attribute list":            {edited(t, `"owner": "o"`, `"owner": ["o"]`), "nodes.a.locked.owner: expected a string"},
		"too many attributes":       {edited(t, `"owner": "o"`, manyAttrs.String()+`"owner": "o"`), "more than 64 attributes"},
		"invisible character":       {edited(t, `"owner": "o"`, "\"owner\": \"o\u200b\""), "U+200B does not show"},
		"right-to-left override":    {edited(t, `"owner": "o"`, `"owner": "o\u202e"`), "U+202E does not show"},
		"escaped newline":           {edited(t, `"owner": "o"`, `"owner": "o\n"`), "does not show"},
		"invalid UTF-8":             {edited(t, `"owner": "o"`, "\"owner\": \"o\xff\""), "not valid UTF-8"},
		"lone surrogate":            {edited(t, `"owner": "o"`, `"owner": "o\ud800"`), "not a valid escape"},
		"bad escape":                {edited(t, `"owner": "o"`, `"owner": "\x41"`), "not a valid escape"},
		"endless string":            {edited(t, `"owner": "o"`, `"owner": "`+strings.Repeat("o", maxString+1)+`"`), "a string of more than 2048 bytes"},
		"input of a missing node":   {edited(t, `{"a": "a"}`, `{"a": "b"}`), `input "a" names the node "b", which does not exist`},
		"input with a slash":        {edited(t, `{"a": "a"}`, `{"x/y": "a"}`), `"x/y" can't be the name of an input`},
		"input without a name":      {edited(t, `{"a": "a"}`, `{"": "a"}`), "can't be the name of an input"},
		"input as a number":         {edited(t, `{"a": "a"}`, `{"a": 1}`), "expected the name of a node or the path"},
		"follows a number":          {edited(t, `{"a": "a"}`, `{"a": [1]}`), "expected a string"},
		"cycle":                     {edited(t, `"locked"`, `"inputs": {"a": "a"}, "locked"`), "leads back to the node \"a\": a cycle"},
		"cycle to the root":         {edited(t, `"locked"`, `"inputs": {"x": "root"}, "locked"`), "leads back to the node \"root\": a cycle"},
		"follows itself":            {edited(t, `{"a": "a"}`, `{"a": "a", "b": ["b"]}`), `input "b" follows itself in a circle`},
		"follows in a circle":       {edited(t, `{"a": "a"}`, `{"a": "a", "b": ["c"], "c": ["b", "x"]}`), "in a circle"},
		"flake as text":             {edited(t, `"locked"`, `"flake": "false", "locked"`), "expected true or false"},
		"parent as text":            {edited(t, `"locked"`, `"parent": "a", "locked"`), "expected an array"},
		"info beside version 7":     {edited(t, `"locked"`, `"info": {"narHash": "`+testHash+`"}, "locked"`), "narHash stands in locked and in info"},
		"info that overrides":       {edited(t, `"locked"`, `"info": {"rev": "`+testRev+`"}, "locked"`), "info may hold narHash and lastModified"},
		"deep unknown":              {edited(t, `"version": 7`, `"version": 7, "x": `+deep), "nested deeper than 32"},
		"tarball without a hash": {edited(t, `"narHash": "`+testHash+`", "owner": "o", "repo": "r", "rev": "`+testRev+`", "type": "github"},`,
			`"url": "https://example.org/x.tar.gz", "type": "tarball"},`), "narHash is missing: the input is not locked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lock, err := Parse([]byte(c.lock))
			var parseErr *ParseError
			if !errors.As(err, &parseErr) {
				t.Fatalf("accepted, or not a ParseError: %v, %v", lock, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// tower is a lock of n nodes, each with the given number of inputs, all of which lead
// to the next node: fan^n ways to the last.
func tower(n, fan int) []byte {
	var b strings.Builder
	b.WriteString(`{"version":7,"root":"root","nodes":{`)
	for i := range n {
		key, next := fmt.Sprintf("n%d", i), fmt.Sprintf("n%d", i+1)
		if i == 0 {
			key = "root"
		}
		fmt.Fprintf(&b, `%q:{"inputs":{`, key)
		for f := 0; f < fan && i < n-1; f++ {
			if f > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"i%d":%q`, f, next)
		}
		b.WriteByte('}')
		if i > 0 {
			fmt.Fprintf(&b, `,"locked":{"type":"github","owner":"o","repo":"r%d","rev":%q},"original":{"type":"github","owner":"o","repo":"r%d"}`, i, testRev, i)
		}
		b.WriteString("}")
		if i < n-1 {
			b.WriteByte(',')
		}
	}
	b.WriteString(`}}`)
	return []byte(b.String())
}

func TestParseBoundsTheGraph(t *testing.T) {
	t.Parallel()
	if _, err := Parse(make([]byte, MaxSize+1)); err == nil || !strings.Contains(err.Error(), "at most 4194304 are read") {
		t.Errorf("oversized file: %v", err)
	}
	if _, err := Parse(tower(maxDepth+2, 1)); err == nil || !strings.Contains(err.Error(), "nested deeper than 64") {
		t.Errorf("long chain: %v", err)
	}
	if _, err := Parse(tower(maxNodes+1, 0)); err == nil || !strings.Contains(err.Error(), "more than 4096 nodes") {
		t.Errorf("many nodes: %v", err)
	}
	if _, err := Parse(tower(60, 1000)); err == nil || !strings.Contains(err.Error(), "more than 16384 inputs") {
		t.Errorf("many inputs: %v", err)
	}
}

func TestExponentialWaysAreWalkedOnce(t *testing.T) {
	t.Parallel()
	// 10^59 input paths in some 600 inputs. Each function must end at once.
	lock := mustParse(t, tower(60, 10))
	other := mustParse(t, tower(60, 9))
	if got := len(Compare(other, lock)); got != 59 {
		t.Errorf("changes: got %d, want one new input on each of 59 floors", got)
	}
	if got := len(Inspect(other, lock)); got < 59 {
		t.Errorf("findings: got %d", got)
	}
	if got := strings.Count(Show(lock), "\n"); got != 1+59*10 {
		t.Errorf("shown: %d lines", got)
	}
}

func TestFollowsChainsResolveOnce(t *testing.T) {
	t.Parallel()
	// Each input follows the next through two names: a naive walk doubles at each step.
	var b strings.Builder
	b.WriteString(`{"a": "a"`)
	for i := range 3000 {
		fmt.Fprintf(&b, `, "f%05d": ["f%05d"]`, i, i+1)
	}
	b.WriteString(`, "f03000": ["a"]}`)
	lock := mustParse(t, []byte(edited(t, `{"a": "a"}`, b.String())))
	if got := lock.Lookup("f00000").Target(); got == nil || got.Key != "a" {
		t.Errorf("got %v", got)
	}
}

func TestParseReadsEveryMemberThatNixWrites(t *testing.T) {
	t.Parallel()
	lock := mustParse(t, []byte(`{"nodes": {
		"sub": {"flake": false, "locked": {"path": "./sub", "type": "path"}, "original": {"path": "./sub", "type": "path"}, "parent": []},
		"a": {"inputs": {"self": [], "sub": "sub", "gone": ["nowhere"], "s": ["a", "sub"]},
			"info": {"lastModified": 86400, "narHash": "`+testHash+`"},
			"locked": {"owner": "o", "repo": "r", "rev": "`+testRev+`", "type": "github", "note": "\u00e9 \ud83d\ude00"},
			"original": {"id": "a", "type": "indirect"}, "future": {"x": [1, null, true]}},
		"root": {"inputs": {"a": "a", "b": ["a", "s"]}}},
		"root": "root", "version": 5, "future": []}`))
	a := lock.Lookup("a").Node
	if got, want := a.Locked.LastModified, time.Unix(86400, 0).UTC(); !got.Equal(want) || a.Locked.NarHash != testHash {
		t.Errorf("info of version 5 was not merged: %v, %q", got, a.Locked.NarHash)
	}
	if note, _ := a.Locked.Attr("note"); note != "é 😀" {
		t.Errorf("note: %q", note)
	}
	sub := lock.Lookup("b")
	if sub.Target() == nil || sub.Target().Key != "sub" || sub.Target().Flake || sub.Target().Parent == nil {
		t.Errorf("b should follow a/s to sub: %+v", sub)
	}
	if got := lock.Lookup("a", "self", "a", "sub"); got.Target() != sub.Target() {
		t.Errorf("a path through the flake itself: %+v", got)
	}
	for _, path := range [][]string{{"x"}, {"a", "gone", "y"}, {"a", "sub", "z"}} {
		if in := lock.Lookup(path...); in != nil {
			t.Errorf("%v: got %+v", path, in)
		}
	}
	want := []RootInput{{"a", a.Locked}, {"b", sub.Target().Locked}}
	if diff := cmp.Diff(want, lock.RootInputs(), cmp.Comparer((*Ref).Equal)); diff != "" {
		t.Error(diff)
	}
	if !lock.Newest().Equal(time.Unix(86400, 0)) {
		t.Errorf("newest: %v", lock.Newest())
	}
}
