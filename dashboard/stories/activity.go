package stories

import (
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// activity are the stories of the page with the history.
func (b book) activity() []Story {
	page := func(name, about, path, role string, acts []fleet.Act) Story {
		return Story{Name: name, About: about, Path: path, Role: role, Overview: b.fleet(b.nine()), Acts: acts}
	}
	return []Story{
		page("activity", "What people, hosts and the policy did on two days.", "/activity", "operator", b.acts()),
		page("activity-empty", "Nothing happened yet.", "/activity", "operator", nil),
		page("activity-none", "Nothing is like the filters.", "/activity?who=nobody&about=hosts&update=42", "viewer", nil),
		page("activity-search", "Words are looked for, some filters are not understood; the page does not follow.", "/activity?text=hold&from=yesterday&update=x", "viewer", b.acts()[:2]),
		page("activity-older", "There is more than a page.", "/activity?before=5000", "viewer", b.manyActs()),
		page("activity-hostile", "Text of strangers stays text.", "/activity", "viewer", b.hostileActs()),
	}
}

// acts is a little of everything, newest first.
func (b book) acts() []fleet.Act {
	const repo, rollout = "aurora/nixcfg", "01JD8Q6Z3YV5K2M4N7P9R1S3T5"
	settings := fleet.CompareSettings(fleet.DefaultPolicy(), func() fleet.Policy {
		p := fleet.DefaultPolicy()
		p.Updates.AutoMerge.Hold, p.Deploy.MaxParallel = 2*time.Hour, 2
		p.Updates.Freeze = []fleet.Freeze{{From: "Fri 18:00", To: "Mon 06:00", TZ: "Europe/Vienna", Reason: "weekend"}}
		return p
	}())
	list := []fleet.Act{
		{Actor: "host:hsb1", Kind: "order.failed", Subject: "order/01JD8Q7", Host: "hsb1", Rollout: rollout, Repo: repo, Number: 42, Reason: "building: hash mismatch in fixed-output derivation"},
		{Actor: "alice", Way: fleet.WayPage, Kind: "rollout.paused", Subject: "rollout/" + rollout, Rollout: rollout, Repo: repo, Number: 42, Reason: "hsb1 looks odd",
			Detail: map[string]any{"from": "running", "commit": head, "repo_id": 1.0}},
		{Actor: "policy", Kind: "rollout.running", Subject: "rollout/" + rollout, Rollout: rollout, Repo: repo, Number: 42, Reason: "Deploying 0/9 hosts…"},
		{Actor: "policy", Kind: "update.merged", Subject: "update/12", Repo: repo, Number: 42, Detail: map[string]any{"head_sha": pull, "merge_sha": head, "number": 42.0, "repo": repo}},
		{Actor: "bob", Way: fleet.WayComment, Kind: "request.denied", Subject: "update/12", Repo: repo, Number: 42, Reason: "bob has the role read on aurora/nixcfg; this takes write, maintain or admin.", Detail: map[string]any{"action": "merge"}},
		{Actor: "alice", Way: fleet.WayCheck, Kind: "request.allowed", Subject: "update/12", Repo: repo, Number: 42, Reason: "The hold of alice since 2026-11-22 08:01:12 UTC is released.", Detail: map[string]any{"action": "unhold"}},
		{Actor: "carol", Way: fleet.WayPage, Kind: "settings.changed", Subject: "repo:1", Repo: repo, Reason: "the policy settings were changed", Changes: settings},
		{Actor: "ci", Way: fleet.WayAPI, Kind: "order.issued", Subject: "order/01JD8Q5", Host: "csb0", Repo: repo, Reason: "nightly refresh", Detail: map[string]any{"kind": "refresh", "host": "csb0", "gen": 12.0}},
		{Actor: "host:web9", Kind: "host.enrolled", Subject: "host/web9", Host: "web9", Repo: repo, Detail: map[string]any{"attr": "nixosConfigurations.web9", "public_key": "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"}},
		{Actor: "carol", Way: fleet.WayPage, Kind: "host.added", Subject: "host/web9", Host: "web9", Repo: repo, Detail: map[string]any{"attr": "nixosConfigurations.web9", "tags": []any{"canary", "web"}, "mode": "fleet"}},
		{Actor: "carol", Way: fleet.WayAPI, Kind: "key.used", Subject: "key/9f2c"},
		{Actor: "carol", Kind: "settings.changed", Subject: "repo:1", Repo: repo, Detail: map[string]any{"from": "", "to": "version: 7\nfuture: true\n"}},
		{Actor: "carol", Kind: "future.thing", Subject: "future/1"},
	}
	for i := range list {
		list[i].ID, list[i].At = int64(4200-i), b.ago(time.Duration(i*i)*11*time.Minute)
	}
	return list
}

// manyActs fills a page.
func (b book) manyActs() []fleet.Act {
	var list []fleet.Act
	for i := range 100 {
		list = append(list, fleet.Act{
			ID: int64(4999 - i), At: b.ago(time.Duration(72*60+i*7) * time.Minute), Actor: "policy", Kind: "update.holding", Subject: fmt.Sprintf("update/%d", i),
			Repo: "aurora/nixcfg", Number: 41, Reason: "It merges when the hold ends.",
		})
	}
	return list
}

func (b book) hostileActs() []fleet.Act {
	const bad = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	return []fleet.Act{
		{ID: 2, At: b.ago(time.Minute), Actor: bad, Kind: bad, Subject: "host/" + bad, Host: bad, Repo: bad + "/" + bad, Number: 1, Reason: bad, Rollout: bad,
			Way: fleet.Way(bad), Detail: map[string]any{bad: bad, "action": bad}},
		{ID: 1, At: b.ago(2 * time.Minute), Actor: "host:" + bad, Kind: "order.issued", Subject: "order/" + bad, Host: bad, Reason: "=HYPERLINK(\"http://evil.example\")",
			Detail: map[string]any{"kind": bad}},
	}
}
