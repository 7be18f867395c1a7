package agent

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/agentbus"
	"pgregory.net/rapid"
)

const hash = "/nix/store/0c0lp8v9dyr7gw4i93wpyrnq1ab7lzgd-"

func info(name string, bytes int64) pathInfo { return pathInfo{hash + name, bytes} }

func TestNamesAndVersionsOfStorePaths(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"nginx-1.26.1":                   {"nginx", "1.26.1"},
		"curl-8.9.1-bin":                 {"curl", "8.9.1"},
		"linux-6.6.1-modules":            {"linux", "6.6.1"},
		"nixos-system-web1-24.05.2024":   {"nixos-system-web1", "24.05.2024"},
		"unit-nginx.service":             {"unit-nginx.service", ""},
		"python3.12-requests-2.32.3":     {"python3.12-requests", "2.32.3"},
		"etc":                            {"etc", ""},
		"system-path":                    {"system-path", ""},
		"glibc-2.39-52-bin":              {"glibc", "2.39-52"},
		"nss-cacert-3.98":                {"nss-cacert", "3.98"},
		"source":                         {"source", ""},
		"foo--1":                         {"foo", "-1"},
		"foo-":                           {"foo-", ""},
		"nix-2.3pre7-doc":                {"nix", "2.3pre7"},
		"X11-7":                          {"X11", "7"},
		"openssl-3.0.14-":                {"openssl", "3.0.14-"},
		"dev-shell":                      {"dev-shell", ""},
		"name-with-1.0-and-a-tail-in-it": {"name-with", "1.0-and-a-tail-in-it"},
	} {
		if name, version := parseName(hash + in); name != want[0] || version != want[1] {
			t.Errorf("%s is %q %q, want %q", in, name, version, want)
		}
	}
}

// Nix itself is asked for what it takes for name and version.
func TestNamesAreParsedAsNixDoes(t *testing.T) {
	t.Parallel()
	if nixEnv == nil {
		t.Skip("nix is not installed")
	}
	names := rapid.SliceOfN(rapid.StringMatching(`[a-zA-Z0-9._+?=][a-zA-Z0-9._+?=-]{0,20}`), 200, 200).Example(1)
	quoted, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nix", "--extra-experimental-features", "nix-command", "eval", "--json", "--impure", "--expr",
		`map builtins.parseDrvName (builtins.fromJSON ''`+string(quoted)+`'')`)
	cmd.Env = environ(nixEnv...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []struct{ Name, Version string }
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		got, version := splitName(name)
		if got != want[i].Name || version != want[i].Version {
			t.Errorf("%q is %q %q, Nix says %+v", name, got, version, want[i])
		}
	}
}

func TestWhatChangesBetweenClosures(t *testing.T) {
	t.Parallel()
	from := []pathInfo{
		info("nginx-1.26.1", 1000), info("curl-8.9-bin", 500), info("curl-8.9", 500), info("gone-2.1", 70_000),
		info("glibc-2.39", 9000), info("glibc-2.38", 9000), info("etc", 100), info("same-1", 42), info("rebuilt-1", 100_000),
	}
	to := []pathInfo{
		info("nginx-1.26.2", 13_600), info("curl-8.9-bin", 600), info("curl-8.9", 500), info("added-1.0", 1),
		info("glibc-2.39", 9000), info("etc", 120), info("same-1", 42), info("rebuilt-1", 50_000),
	}
	want := agentbus.Change{SizeFrom: 190_142, SizeTo: 73_863, Packages: []agentbus.PackageChange{
		{Name: "gone", From: []string{"2.1"}, Bytes: -70_000},
		{Name: "rebuilt", From: []string{"1"}, To: []string{"1"}, Bytes: -50_000},
		{Name: "nginx", From: []string{"1.26.1"}, To: []string{"1.26.2"}, Bytes: 12_600},
		{Name: "glibc", From: []string{"2.38", "2.39"}, To: []string{"2.39"}, Bytes: -9000},
		{Name: "added", To: []string{"1.0"}, Bytes: 1},
	}}
	if diff := cmp.Diff(want, diffClosures(from, to)); diff != "" {
		t.Errorf("change:\n%s", diff)
	}
}

func TestAChangeIsAsGreatAsAnAnswerMayCarry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		name string
		n    int
	}{"many": {"p%d-1", 5000}, "long": {strings.Repeat("x", 180) + "%d-1." + strings.Repeat("9", 180), 1000}} {
		var to []pathInfo
		for i := range c.n {
			to = append(to, info(fmt.Sprintf(c.name, i), int64(i)))
			to = append(to, info("many-"+fmt.Sprint(i), 1))
		}
		got := diffClosures(nil, to)
		text, err := json.Marshal(got)
		if err != nil || len(text) > maxChange+1000 || len(got.Packages) > maxPackages || len(got.Packages)+got.More != c.n+1 {
			t.Errorf("%s: %d packages and %d more in %d bytes, %v", name, len(got.Packages), got.More, len(text), err)
		}
		if got.Packages[0].Bytes < got.Packages[1].Bytes {
			t.Errorf("%s: the greatest is not the first", name)
		}
	}
}

func TestAChangeMirrorsTheWayBack(t *testing.T) {
	t.Parallel()
	closure := rapid.SliceOf(rapid.Custom(func(t *rapid.T) pathInfo {
		name := rapid.SampledFrom([]string{"a", "b", "c", "d-e"}).Draw(t, "name")
		version := rapid.SampledFrom([]string{"", "-1", "-2", "-2-bin"}).Draw(t, "version")
		return info(name+version, rapid.Int64Range(0, 20_000).Draw(t, "bytes"))
	}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := closure.Draw(t, "from"), closure.Draw(t, "to")
		if c := diffClosures(a, a); len(c.Packages) != 0 || c.More != 0 || c.SizeFrom != c.SizeTo {
			t.Fatalf("nothing changed, and yet %+v", c)
		}
		there, back := diffClosures(a, b), diffClosures(b, a)
		for i, p := range back.Packages {
			back.Packages[i] = agentbus.PackageChange{Name: p.Name, From: p.To, To: p.From, Bytes: -p.Bytes}
		}
		back.SizeFrom, back.SizeTo = back.SizeTo, back.SizeFrom
		if diff := cmp.Diff(there, back); diff != "" {
			t.Fatalf("there and back:\n%s", diff)
		}
	})
}

func TestAnswersSayWhatChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first := r.commit(system{version: "v1 changes"})
	o := r.send(agentbus.KindDeploy, first)
	r.await(o, agentbus.StepHealthy)
	change := r.await(o, agentbus.StepSwitching).Change
	v1 := readLink(r.path("current"))
	if change == nil || change.From != "" || change.To != v1 || change.ToCommit != first || change.SizeTo == 0 {
		t.Fatalf("the first change: %+v", change)
	}
	second := r.commit(system{version: "v2 changes, and says more of it"})
	o = r.send(agentbus.KindDeploy, second)
	end := r.await(o, agentbus.StepHealthy)
	change = r.await(o, agentbus.StepSwitching).Change
	v2 := readLink(r.path("current"))
	if change == nil || change.From != v1 || change.To != v2 || change.FromCommit != first || change.ToCommit != second ||
		change.SizeTo <= change.SizeFrom || len(change.Packages) != 0 {
		t.Errorf("the second change: %+v", change)
	}
	if diff := cmp.Diff(change, end.Change); diff != "" {
		t.Errorf("the final answer says otherwise:\n%s", diff)
	}
}

func TestARefreshSaysWhatABuiltSystemWouldChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v1 refreshed"}))
	if end := r.await(o, agentbus.StepHealthy); end.Change == nil {
		t.Error("a deploy says nothing")
	}
	v1 := readLink(r.path("current"))
	o = r.send(agentbus.KindRefresh, "")
	if end := r.await(o, agentbus.StepHealthy); end.Change != nil {
		t.Errorf("what is expected runs, and yet %+v", end.Change)
	}
	second := r.commit(system{version: "v2 refreshed", exit: 2}) // it is built, and the switch fails
	o = r.send(agentbus.KindDeploy, second)
	eventually(t, "the end of the switch", func() bool {
		got := r.got(o)
		return len(got) > 0 && got[len(got)-1].Step.Final()
	})
	o = r.send(agentbus.KindRefresh, "")
	end := r.await(o, agentbus.StepHealthy)
	if end.Change == nil || end.Change.From != v1 || end.Change.To != end.Facts.ExpectedPath || end.Change.ToCommit != second {
		t.Errorf("expected is %s, change %+v", end.Facts.ExpectedPath, end.Change)
	}
}
