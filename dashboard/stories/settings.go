package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

const settingsYAML = `version: 1
updates:
  auto_merge: {hold: 2h, min_input_age: 24h}
  required_checks: [{name: build, app: github-actions}]
  freeze:
    - {from: "Fri 18:00", to: "Mon 06:00", tz: Europe/Vienna, reason: weekend}
deploy:
  max_parallel: 2
`

// settings are the stories of the page with a repository's settings.
func (b book) settings() []Story {
	view := func(source string, change func(*fleet.PolicyView)) *fleet.PolicyView {
		v := fleet.PolicyView{Repo: b.repo(), Source: source, Policy: b.policy(),
			File: "https://github.com/aurora/nixcfg/blob/main/.github/nixfleet.yml"}
		change(&v)
		return &v
	}
	made := func(v *fleet.PolicyView) {
		v.Settings, v.ChangedBy, v.ChangedAt = settingsYAML, "bob", b.ago(3*24*time.Hour)
		u := &v.Policy.Updates
		u.AutoMerge.Hold, u.AutoMerge.MinInputAge = 2*time.Hour, 24*time.Hour
		u.RequiredChecks = []fleet.RequiredCheck{{Name: "build", App: "github-actions"}}
		u.Freeze = []fleet.Freeze{{From: "Sun 00:00", To: "Sat 23:59", TZ: "Europe/Vienna", Reason: "holidays"}}
		v.Policy.Deploy.MaxParallel = 2
	}
	everything := func(v *fleet.PolicyView) {
		made(v)
		v.Policy.Updates.Inputs.Trust = []string{"git+https://git.example.org/"}
		d := &v.Policy.Deploy
		d.Hosts, d.OnFailure, d.Reboot = "not tag:slow", "rollback", "window"
		d.Windows = []fleet.Freeze{{From: "Mon 08:00", To: "Thu 17:00", TZ: "Europe/Vienna", Reason: "office hours"}}
		d.RebootWindows = []fleet.Freeze{{From: "Sun 02:00", To: "Sun 05:00"}}
		d.Health = []fleet.HealthCheck{{Unit: "sshd.service"}, {HTTP: "http://localhost:8080/health"}, {Command: []string{"test", "-e", "/run/ok"}}}
		d.Anchors = []string{"192.168.1.1:53"}
		v.Policy.Notify = []fleet.NotifyRule{{To: "ops", On: []string{"failed", "halted"}}}
	}
	page := func(name, about, role string, v *fleet.PolicyView) Story {
		return Story{Name: name, About: about, Path: "/settings/aurora/nixcfg", Role: role, Overview: b.fleet(b.nine()), Policy: v}
	}
	yaml := page("settings-yaml", "The same settings as text.", "admin", view("settings", made))
	yaml.Path += "?as=yaml"
	return []Story{
		page("settings", "Settings made here rule; an admin looks. Saving answers with an error.", "admin", view("settings", made)),
		page("settings-built-in", "The built-in policy rules; nobody has made settings.", "admin", view("built-in", func(*fleet.PolicyView) {})),
		page("settings-file", "The policy file rules; settings from before wait.", "admin", view("file", made)),
		page("settings-broken", "The policy file rules, and is broken.", "operator", view("file", func(v *fleet.PolicyView) {
			v.Policy, v.Problem = nil, b.brokenPolicy().Repos[0].PolicyError
		})),
		page("settings-everything", "Every list has an entry.", "admin", view("settings", everything)),
		yaml,
		page("settings-viewer", "A viewer reads, and is told why not to write.", "viewer", view("settings", made)),
	}
}
