package agent

import (
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

func TestInstallable(t *testing.T) {
	t.Parallel()
	for attr, want := range map[string]string{
		"nixosConfigurations.web1":             `nixosConfigurations."web1".config.system.build.toplevel`,
		`nixosConfigurations."web-1.lan"`:      `nixosConfigurations."web-1.lan".config.system.build.toplevel`,
		"darwinConfigurations.mac":             `darwinConfigurations."mac".system`,
		"homeConfigurations.alice@laptop":      `homeConfigurations."alice@laptop".activationPackage`,
		"nixosConfigurations.a\" or (x) or \"": "",
		"nixosConfigurations.a;b":              "",
		"packages.x86_64-linux.default":        "",
		"":                                     "",
		"nixosConfigurations.${x}":             "",
	} {
		got, err := installable(attr)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("installable(%q) = %q, %v; want %q", attr, got, err, want)
		}
	}
}

func TestCheckOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*agentbus.Order)
		want string
	}{
		{"deploy", func(*agentbus.Order) {}, ""},
		{"unknown kind", func(o *agentbus.Order) { o.Kind = "run" }, agentbus.RefusedKind},
		{"commit is an option", func(o *agentbus.Order) { o.Commit = "--upload-pack=x" }, agentbus.RefusedMalformed},
		{"commit is short", func(o *agentbus.Order) { o.Commit = "abc123" }, agentbus.RefusedMalformed},
		{"no commit to switch to", func(o *agentbus.Order) { o.Kind, o.Commit = agentbus.KindSwitch, "" }, ""},
		{"repository is an option", func(o *agentbus.Order) { o.Repo = "--upload-pack=x" }, agentbus.RefusedMalformed},
		{"no repository", func(o *agentbus.Order) { o.Repo = "" }, agentbus.RefusedMalformed},
		{"branch is an option", func(o *agentbus.Order) { o.Branch = "-x" }, agentbus.RefusedMalformed},
		{"branch climbs", func(o *agentbus.Order) { o.Branch = "a/../../x" }, agentbus.RefusedMalformed},
		{"branch with a slash", func(o *agentbus.Order) { o.Branch = "release/24.05" }, ""},
		{"attribute is an expression", func(o *agentbus.Order) { o.Attr = "x; y" }, agentbus.RefusedMalformed},
		{"refresh of nothing in particular", func(o *agentbus.Order) { *o = agentbus.Order{ID: "x", Kind: agentbus.KindRefresh} }, ""},
		{"cancel", func(o *agentbus.Order) { *o = agentbus.Order{ID: "x", Kind: agentbus.KindCancel, Cancels: "y"} }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := testOrder(1, agentbus.KindDeploy)
			tt.edit(&o)
			got := ""
			if bad := checkOrder(o, NixOS); bad != nil {
				got = bad.Code
				if !strings.Contains(bad.Message, " ") {
					t.Errorf("message %q says nothing", bad.Message)
				}
			}
			if got != tt.want {
				t.Errorf("code %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzSummarizeLock(f *testing.F) {
	f.Add([]byte(`{"nodes":{"n":{"locked":{"lastModified":1,"rev":"a"}},"root":{"inputs":{"x":"n","y":["x"]}}},"root":"root"}`))
	f.Add([]byte(`{"root":"r","nodes":{"r":{"inputs":{"a":1}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := summarizeLock(data)
		if (s == nil) == (err == nil) {
			t.Errorf("summary %v with error %v", s, err)
		}
	})
}

func TestSummarizeLock(t *testing.T) {
	t.Parallel()
	s, err := summarizeLock([]byte(`{"version":7,"root":"root","nodes":{
		"root":{"inputs":{"nixpkgs":"nixpkgs_2","home":"home","follows":["home","nixpkgs"]}},
		"home":{"locked":{"lastModified":5,"rev":"h"}},"nixpkgs_2":{"locked":{"lastModified":7,"rev":"n"}},"nixpkgs":{"locked":{"rev":"other"}}}}`))
	if err != nil || len(s.Inputs) != 2 || s.Inputs[0] != (agentbus.LockInput{Name: "home", Rev: "h", LastModified: 5}) ||
		s.Inputs[1] != (agentbus.LockInput{Name: "nixpkgs", Rev: "n", LastModified: 7}) || len(s.SHA256) != 64 {
		t.Errorf("summary %+v, %v", s, err)
	}
}
