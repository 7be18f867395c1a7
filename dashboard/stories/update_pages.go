package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// updatePage is where the update of the stories has its page.
const updatePage = "/updates/aurora/nixcfg/42"

// updatePages are the stories of the page of one update, and of the questions there.
func (b book) updatePages() []Story {
	page := func(name, about string, u fleet.Update, rollouts ...fleet.Rollout) Story {
		o := b.fleet(b.nine(), u)
		o.Rollouts = rollouts
		fleet.Describe(&o, agent)
		return Story{Name: "update-" + name, About: about, Path: updatePage, Overview: o,
			Detail: &fleet.UpdateDetail{Update: u, Rollouts: o.Rollouts, History: b.happenings(u)}}
	}
	var out []Story
	for _, u := range b.updateStories() {
		out = append(out, page(u.name, "Its page: "+u.about, u.update))
	}
	running, done := b.rollout(fleet.RolloutRunning, b.midWave()...), b.done().Rollouts[0]
	out = append(out,
		page("observed", "Its page: not looked at yet.", b.observed()),
		page("frozen", "Its page: a freeze window is open.", b.frozen()),
		page("several", "Its page: blocked for several reasons, with inputs of inputs.", b.several()),
		page("rolling", "Its page: merged; the rollout is under way.", b.merged(), running),
		page("merged", "Its page: merged and deployed.", b.merged(), done),
		page("closed", "Its page: closed without a merge.", b.over(fleet.UpdateClosed, "Closed without a merge.")),
		page("superseded", "Its page: a newer one took its place.", b.over(fleet.UpdateSuperseded, "Superseded by #43.")),
		page("ignored", "Its page: a pull request that is no update.", b.ignored()),
	)
	frozen := &out[len(out)-7]
	frozen.Overview.Repos[0].Policy.Updates.Freeze = []fleet.Freeze{b.window()}
	out = append(out, b.questions()...)
	return append(out, b.lists()...)
}

// lists are the stories of the list of updates.
func (b book) lists() []Story {
	list := func(name, about, query string, o fleet.Overview, past []fleet.Update) Story {
		return Story{Name: "updates-" + name, About: about, Path: "/updates" + query, Overview: o, Past: past}
	}
	next := b.ready()
	next.ID, next.Number, next.Title = 43, 43, "flake.lock: Update nixpkgs"
	hostile := b.hostile()
	hostile.ID, hostile.Number, hostile.State = 7, 7, fleet.UpdateClosed
	return []Story{
		list("full", "The list: open ones, then those that ended, by pages.", "", b.fleet(b.nine(), b.holding(), b.failing44(), next), append([]fleet.Update{hostile}, b.past(29)...)),
		list("empty", "The list: nothing yet, and how that changes.", "", b.fleet(b.nine()), nil),
		list("none", "The list: nothing is like the filter.", "?state=conflict", b.fleet(b.nine()), nil),
		b.hostDriven("updates-locks", "The list where hosts make the locks.", "/updates"),
		b.hostDriven("ask-inputs", "Asks before a host makes a newer lock.", "/updates/ask/inputs?repo=aurora%2Fnixcfg"),
		{Name: "ask-check", About: "Asks before GitHub is read again.", Path: "/updates/ask/check", Overview: b.fleet(b.nine())},
		list("merged", "The list: only merged ones.", "?state=merged&repo=aurora%2Fnixcfg", b.fleet(b.nine(), b.holding()), b.past(3)),
	}
}

func (b book) failing44() fleet.Update {
	u := b.failing()
	u.ID, u.Number, u.Title = 44, 44, "flake.lock: Update home-manager"
	return u
}

// past are updates that ended, newest first.
func (b book) past(n int) []fleet.Update {
	var list []fleet.Update
	for i := range n {
		u := b.merged()
		u.ID, u.Number = int64(41-i), 41-i
		u.MergedAt = b.ago(time.Duration(i*7+2) * 24 * time.Hour)
		switch i % 4 {
		case 1:
			u.MergedBy = "alice"
		case 3:
			u = b.over(fleet.UpdateSuperseded, "Superseded.")
			u.ID, u.Number, u.ChangedAt = int64(41-i), 41-i, b.ago(time.Duration(i*7+2)*24*time.Hour)
		}
		list = append(list, u)
	}
	return list
}

// questions are the dialogs of an update, as pages of their own.
func (b book) questions() []Story {
	ask := func(name, about, what string, u fleet.Update) Story {
		hosts := b.sleeping()
		return Story{Name: "ask-" + name, About: about, Path: "/updates/42/ask/" + what, Overview: b.fleet(hosts, u)}
	}
	viewer := ask("viewer", "A viewer reads a question and can't answer it.", "merge", b.holding())
	viewer.Role = "viewer"
	return []Story{
		ask("merge", "Asks before a merge and deploy.", "merge", b.asksAll()),
		ask("only", "Asks before a merge without a deploy.", "only", b.holding()),
		ask("hold", "Asks before a hold.", "hold", b.asked()),
		ask("release", "Asks before a release.", "release", b.held()),
		ask("blocked", "A merge that nobody can have here.", "merge", b.several()),
		ask("hostile", "Asks about hostile strings.", "hold", b.hostile()),
		viewer,
	}
}

// happenings is a history of u.
func (b book) happenings(u fleet.Update) []fleet.Act {
	if u.HeadSHA == "" {
		return nil
	}
	act := func(ago time.Duration, actor string, way fleet.Way, kind, action, reason string) fleet.Act {
		return fleet.Act{At: b.ago(ago), Actor: actor, Way: way, Kind: kind, Subject: "update/42", Reason: reason,
			Detail: map[string]any{"action": action}, Repo: u.Repo.FullName(), Number: u.Number}
	}
	h := []fleet.Act{
		act(b.now.Sub(u.ChangedAt), "policy", "", "update."+string(u.State), "", u.Verdict.Headline),
		act(9*time.Minute, "alice", fleet.WayPage, "request.allowed", "unhold", "The hold of bob since 2026-11-22 11:48:00 UTC is released."),
		act(12*time.Minute, "bob", fleet.WayComment, "request.allowed", "hold", "It is held until the hold is released."),
		act(14*time.Minute, "mallory", fleet.WayCheck, "request.denied", "merge", "mallory has the role read on aurora/nixcfg; this takes write, maintain or admin."),
		act(16*time.Minute, "policy", "", "update.checks", "", "Waits for checks: build (github-actions) is in progress."),
	}
	if u.State == fleet.UpdateMerged {
		h[0].Actor = u.MergedBy
	}
	return h
}

func (b book) observed() fleet.Update {
	return fleet.Update{ID: 42, Repo: b.repo(), Number: 42, State: fleet.UpdateObserved, FirstSeen: b.ago(2 * time.Second), ChangedAt: b.ago(2 * time.Second)}
}

// window is a freeze that is open now and ends in two days.
func (b book) window() fleet.Freeze {
	at := func(d time.Duration) string { return b.now.Add(d).UTC().Format("Mon 15:04") }
	return fleet.Freeze{From: at(-time.Hour), To: at(47 * time.Hour), TZ: "UTC", Reason: "weekend"}
}

func (b book) frozen() fleet.Update {
	w := b.window()
	found := "Frozen from " + w.From + " to " + w.To + " (UTC) (weekend), until " + b.now.Add(47*time.Hour).UTC().Format("2006-01-02 15:04 UTC") + "."
	u := b.as(fleet.UpdateReady, "Ready, but waits: "+found)
	u.Verdict.Conditions = append(u.Verdict.Conditions, fleet.Condition{ID: "freeze", Title: "Not inside a freeze window", Outcome: fleet.Waiting,
		Soft: true, Found: found, Remedy: "Merge & Deploy does not wait for it.", Source: ".github/nixfleet.yml at def4567", At: b.ago(20 * time.Second)})
	return u
}

// several is blocked for more than one reason, and changes inputs of inputs.
func (b book) several() fleet.Update {
	u := b.blocked("inputs", "", "nixpkgs: owner changes from NixOS to n1xos.", "If this is wanted, merge it on GitHub under your own name.")
	set(&u, fleet.Condition{ID: "transitive", Outcome: fleet.Refused, Soft: true, Found: "hyprland/wlroots is added; hyprland/systems follows nixpkgs/systems now.",
		Remedy: "`updates: {inputs: {allow_added: true, allow_repointed: true}}` allows it, or Merge & Deploy."})
	set(&u, fleet.Condition{ID: "dates", Outcome: fleet.Unread, Found: "GitHub's date of NixOS/nixpkgs@f0e1d2c could not be read: 502 Bad Gateway.", Remedy: "NixFleet tries again by itself."})
	set(&u, fleet.Condition{ID: "hold", Outcome: fleet.Waiting, Soft: true, Found: "1 h since it was first seen.", Remedy: "Merge & Deploy does not wait for it."})
	u.Verdict.Inputs[0].Repointed = true
	u.Verdict.Unchanged = 4
	u.Verdict.Inputs = append(u.Verdict.Inputs,
		fleet.InputChange{Path: "hyprland/wlroots", Kind: "added", To: "'gitlab:wlroots/wlroots/1bf0a3c' (2026-11-18)", ToRev: "1bf0a3c7f6e5d4c3b2a19080f0e0d0c0b0a09080", ToDate: b.ago(4 * 24 * time.Hour)},
		fleet.InputChange{Path: "hyprland/systems", Kind: "updated", Repointed: true, From: "'github:nix-systems/default/da67096' (2023-04-09)", FromRev: "da67096a3b9bf56a91d16901293e51ba5b49a27e", FromDate: b.ago(1300 * 24 * time.Hour), To: "follows 'nixpkgs/systems'"},
		fleet.InputChange{Path: "devenv/cachix/git-hooks", Kind: "removed", From: "follows 'git-hooks'"})
	return u
}

// asksAll is an update whose merge would override one condition and wait for another.
func (b book) asksAll() fleet.Update {
	u := b.holding()
	set(&u, fleet.Condition{ID: "checks", Outcome: fleet.Waiting, Found: "build (github-actions) is in progress."})
	return u
}

// over is an update that ended without a merge.
func (b book) over(state fleet.UpdateState, headline string) fleet.Update {
	u := b.as(state, headline)
	u.ChangedAt = b.ago(3 * time.Hour)
	return u
}

func (b book) ignored() fleet.Update {
	u := b.as(fleet.UpdateObserved, "It changes more than lock files, and its author brings no updates.")
	u.Ignored, u.Title = true, "Add a printer to hsb0"
	u.Verdict.Inputs = nil
	set(&u, fleet.Condition{ID: "author", Outcome: fleet.Refused, Found: "bob (id 9001, User) is not one of github-actions[bot], renovate[bot].", Remedy: "Add the login to `updates.authors`."})
	set(&u, fleet.Condition{ID: "files", Outcome: fleet.Refused, Found: "It also changes hosts/hsb0.nix.", Remedy: "Split the pull request."})
	return u
}

// hostDriven is a story of a repository whose hosts make its locks.
func (b book) hostDriven(name, about, path string) Story {
	o := b.fleet(b.sleeping())
	o.Repos[0].Policy.Updates.Strategy = "host"
	work := func(ago time.Duration, order fleet.HostState, state fleet.ProposalState, found string) fleet.LockWork {
		return fleet.LockWork{ID: "01KAJ" + string(order) + string(state), Repo: b.repo(), Host: "hsb1", Actor: "alice", Path: "flake.lock", Order: order, State: state,
			Found: found, CreatedAt: b.ago(ago)}
	}
	making := work(40*time.Second, fleet.HostBuilding, "", "")
	making.Inputs, making.Reason = []string{"nixpkgs", "home-manager"}, "OpenSSL is patched there"
	committed := work(26*time.Hour, fleet.HostHealthy, fleet.ProposalCommitted, "It is commit def4567 on main.")
	committed.CommitSHA = head
	opened := work(9*24*time.Hour, "", fleet.ProposalOpened, "It is pull request #41.")
	opened.Host, opened.Actor, opened.Number = "", "bob", 41
	return Story{Name: name, About: about, Path: path, Overview: o, Locks: []fleet.LockWork{
		making, work(2*time.Hour, fleet.HostHealthy, "", "all inputs are current"), committed,
		work(3*24*time.Hour, fleet.HostHealthy, fleet.ProposalConflicted, "main has moved: a new lock has to be made from its new head."),
		work(5*24*time.Hour, fleet.HostHealthy, fleet.ProposalRefused, "Inputs keep their sources: nixpkgs: owner changes from NixOS to n1xos."), opened,
		work(6*24*time.Hour, fleet.HostFailed, "", "<b>nix</b> flake update failed: no network"),
	}}
}
