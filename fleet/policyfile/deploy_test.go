package policyfile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestSettingsOfADeployThatHostsCarryOut(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(`version: 1
deploy:
  reboot: window
  reboot_windows: [{from: "Sun 02:00", to: "Sun 05:00", tz: Europe/Vienna}]
  unreachable: rollback
  anchors: ["192.168.1.1:53", "cache.nixos.org:443", "[fd00::1]:22", "router:80"]
  settle: 10m
  keep_logs: 365d
`), "p.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.DefaultPolicy()
	want.Deploy.Reboot = "window"
	want.Deploy.RebootWindows = []fleet.Freeze{{From: "Sun 02:00", To: "Sun 05:00", TZ: "Europe/Vienna"}}
	want.Deploy.Unreachable = "rollback"
	want.Deploy.Anchors = []string{"192.168.1.1:53", "cache.nixos.org:443", "[fd00::1]:22", "router:80"}
	want.Deploy.Settle, want.Deploy.KeepLogs = 10*time.Minute, 365*24*time.Hour
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettingsOfADeployThatAreRefused(t *testing.T) {
	t.Parallel()
	anchor := func(s string) string { return "anchors: [\"" + s + "\"]" }
	const address = `expected a host and a port like "192.168.1.1:53"`
	for name, c := range map[string]struct{ setting, want string }{
		"a reboot at whim":             {"reboot: always", `deploy.reboot: found "always", expected never, when_needed or window`},
		"a window on no weekday":       {"reboot_windows: [{from: \"Sonntag 02:00\", to: \"Sun 05:00\"}]", `deploy.reboot_windows[0]: from: found "Sonntag 02:00"`},
		"a window that is empty":       {"reboot_windows: [{from: \"Sun 02:00\", to: \"Sun 02:00\"}]", "deploy.reboot_windows[0]: from and to are both"},
		"one window for a list":        {"reboot_windows: {from: \"Sun 02:00\", to: \"Sun 05:00\"}", "deploy.reboot_windows: found a mapping, expected a list"},
		"an answer that is none":       {"unreachable: wait", `deploy.unreachable: found "wait", expected keep or rollback`},
		"an anchor without a port":     {anchor("192.168.1.1"), `deploy.anchors[0]: found "192.168.1.1", ` + address},
		"an anchor of port 0":          {anchor("192.168.1.1:0"), address},
		"an anchor of port 70000":      {anchor("192.168.1.1:70000"), address},
		"an anchor of port 053":        {anchor("192.168.1.1:053"), address},
		"an anchor of a named port":    {anchor("router:ssh"), address},
		"an anchor of half a number":   {anchor("192.168.1:53"), address},
		"an anchor of a bare IPv6":     {anchor("fd00::1:22"), address},
		"an anchor on an interface":    {anchor("[fe80::1%eth0]:22"), address},
		"an anchor on the host itself": {anchor("127.0.0.1:53"), address},
		"an anchor by that name":       {anchor("localhost:53"), address},
		"an anchor that is nowhere":    {anchor("[::]:53"), address},
		"an anchor that is an URL":     {anchor("https://example.org:443"), address},
		"an anchor of nobody":          {anchor(":443"), address},
		"an anchor with a space":       {anchor("a b:443"), address},
		"an anchor twice":              {"anchors: [\"a:1\", \"a:1\"]", `"a:1" is listed twice`},
		"too many anchors":             {"anchors: [" + strings.Repeat("a, ", 10) + "a]", "deploy.anchors: found 11 anchors, expected at most 10"},
		"a settle without an end":      {"settle: 11m", "deploy.settle: found 11m, expected a duration from 0s to 10m"},
		"logs that are not kept":       {"keep_logs: 0", "deploy.keep_logs: found 0, expected a duration from 1d to 365d"},
		"logs that are kept for ever":  {"keep_logs: 366d", "deploy.keep_logs: found 366d, expected a duration from 1d to 365d"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte("version: 1\ndeploy:\n  "+c.setting+"\n"), "p.yml")
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is\n\t%v\nexpected to contain\n\t%s", err, c.want)
			}
		})
	}
}
