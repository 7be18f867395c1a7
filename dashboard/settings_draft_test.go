package dashboard

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
)

// everything is a policy in which each setting is something else than built in.
const everything = `version: 1
updates:
  strategy: host
  commit: pull_request
  files: [a/flake.lock, flake.lock]
  authors: ["renovate[bot]"]
  auto_merge: {enabled: false, hold: 36h, hold_from: checks, method: rebase, delete_branch: false, min_input_age: 1d12h, overlap: true}
  required_checks: [{name: "build: x", app: github-actions}, {name: "1"}]
  require_checks: false
  inputs: {allow_added: true, allow_removed: true, allow_repointed: true, trust: ["git+https://git.example.org/"]}
  freeze: [{from: "fri 18:00", to: "Mon 06:00", tz: Europe/Vienna, reason: 'week"end'}, {from: "Wed 00:00", to: "Wed 01:00"}]
deploy:
  auto: false
  hosts: "tag:x or not web1"
  waves: [{name: "1", hosts: 2}, {name: rest, hosts: "50%", soak: 1h30m}]
  max_parallel: 7
  max_failures: 20%
  on_failure: rollback
  offline: skip
  reboot: window
  reboot_windows: [{from: "Sun 02:00", to: "Sun 05:00", tz: UTC}]
  windows: [{from: "Mon 08:00", to: "Thu 17:00"}]
  timeouts: {fetch: 1m, build: 2h, switch: 90s, verify: 4m}
  health: [{unit: sshd.service}, {http: "http://localhost/"}, {command: [test, -e, /run/ok]}, {command: [sh, -c, "echo a  b"]}]
  settle: 0s
  unreachable: rollback
  anchors: ["192.168.1.1:53"]
  keep_logs: 7d
notify: [{to: ops, on: [merged, failed]}]
`

// What the form shows of a policy, and takes back, is that policy: each key is in it.
func TestTheFormLosesNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{everything, "version: 1\n", "version: 1\ndeploy: {waves: []}\nupdates: {authors: []}\n"} {
		want, err := policyfile.Parse([]byte(text), "given")
		if err != nil {
			t.Fatal(err)
		}
		form := draftFrom(draftOf(want).values)
		got, err := policyfile.Parse([]byte(form.text()), "form")
		if err != nil {
			t.Fatalf("%v\n%s", err, form.text())
		}
		want.Updates.Freeze = append([]fleet.Freeze{}, want.Updates.Freeze...)
		for i := range want.Updates.Freeze {
			want.Updates.Freeze[i].From = title(want.Updates.Freeze[i].From)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-given +of the form):\n%s", diff)
		}
	}
}

func TestEntriesOfADraftComeAndGo(t *testing.T) {
	t.Parallel()
	d := draftFrom(url.Values{
		"deploy.waves[3].name": {"a"}, "deploy.waves[7].name": {" "}, "deploy.waves[9].hosts": {"all"}, "deploy.waves[x].name": {"no"},
		"updates.freeze[0].from_day": {"Fri"}, "updates.freeze[0].to_day": {"Mon"}, "updates.freeze[0].from_time": {""}, "unknown": {"x"},
	})
	if diff := cmp.Diff(url.Values{"deploy.waves[0].name": {"a"}, "deploy.waves[1].hosts": {"all"}}, d.values); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	d.add("deploy.waves")
	d.add("updates.freeze")
	if diff := cmp.Diff([]string{"deploy.waves[0]", "deploy.waves[1]", "deploy.waves[2]"}, d.rows("deploy.waves")); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	d = d.without("deploy.waves[0]")
	if d.get("deploy.waves[0].hosts") != "all" || len(d.rows("deploy.waves")) != 1 {
		t.Errorf("taken away: %v", d.values)
	}
}
