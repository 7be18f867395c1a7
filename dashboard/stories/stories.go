package stories

import (
	"cmp"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Story is one state of the page.
type Story struct {
	Name     string // for addresses and files
	About    string
	Path     string // of the page; the fleet where it is empty
	Overview fleet.Overview
	Role     string // of the person who looks; empty: nobody is signed in
	Broken   bool   // the stream ends at once: the page turns stale
	Alike    bool   // it is made of what other stories show, so that no browser has to look at it

	Explanation *fleet.Explanation // what a look at the update gives
	Policy      *fleet.PolicyView  // what rules the repository
	Acts        []fleet.Act        // the history, newest first

	Detail     *fleet.UpdateDetail    // what is known of the update of the page
	Past       []fleet.Update         // that have ended, newest first
	Locks      []fleet.LockWork       // newest first
	Newcomer   *fleet.Newcomer        // a host on its way
	Rollout    *fleet.RolloutDetail   // the one that the page is about
	Ended      []fleet.RolloutSummary // rollouts
	Quarantine []fleet.Quarantine
	Access     Access                // who may come in, and who has
	Planned    *fleet.PlannedRollout // what a wish to start one comes to; nil: it can't be right

	Open        []fleet.Order      // orders that have not ended
	Generations []fleet.Generation // of the host that is rolled back

	Receivers []fleet.Receiver    // who is told what happens
	Notices   []fleet.NoticeShown // to them, newest first
	Host      *fleet.HostRecord   // what is kept of a host
	Order     *fleet.OrderRecord  // what is kept of an order
	Log       []fleet.OutputChunk // what it has printed
}

// All tells every story as of now.
func All(now time.Time) []Story {
	b := book{now: now}
	out := []Story{
		{Name: "empty", About: "Nothing yet: no repository, no host.", Overview: fleet.Overview{At: now}},
		{Name: "no-hosts", About: "A repository, but no host has enrolled.", Overview: b.fleet(nil)},
		{Name: "idle", About: "Nine hosts, nothing to do.", Overview: b.fleet(b.nine())},
		{Name: "attention", About: "Hosts that are behind, failed to build, or run an old agent.", Overview: b.fleet(b.troubled())},
		{Name: "offline", About: "Hosts that sleep keep their last facts, dimmed, with their age.", Overview: b.fleet(b.sleeping())},
		{Name: "inbox-lags", About: "Webhooks come in and are not handled.", Overview: b.hears(fleet.Hearing{LastDelivery: b.ago(8 * time.Second), Waiting: 212, Oldest: b.ago(4 * time.Minute)})},
		{Name: "webhooks-missing", About: "GitHub is read, but its webhooks don't arrive.", Overview: b.hears(fleet.Hearing{LastDelivery: b.ago(26 * time.Hour)}, b.holding())},
		{Name: "github-away", About: "GitHub can't be read.", Overview: b.unreadable()},
		{Name: "policy", About: "The policy file is broken.", Overview: b.brokenPolicy()},
	}
	for _, u := range b.updateStories() {
		out = append(out, Story{Name: u.name, About: u.about, Overview: b.fleet(b.nine(), u.update)})
	}
	out = append(out, b.rolloutStories()...)
	out = append(out, b.rolloutPages()...)
	out = append(out, b.explained()...)
	out = append(out, b.settings()...)
	out = append(out, b.notifications()...)
	out = append(out, b.activity()...)
	out = append(out, b.updatePages()...)
	out = append(out, b.enrolling()...)
	out = append(out, b.filtered()...)
	out = append(out, b.orders()...)
	out = append(out, b.access()...)
	out = append(out, b.hostStories()...)
	out = append(out, b.orderStories()...)
	viewer := Story{Name: "viewer", About: "A viewer sees everything and is told why the button is missing.", Role: "viewer", Overview: b.fleet(b.nine(), b.holding())}
	out = append(out, viewer,
		Story{Name: "stale", About: "The stream is broken: nothing can be pressed.", Broken: true, Overview: b.fleet(b.nine(), b.holding())})
	for i := range out {
		out[i].Path = cmp.Or(out[i].Path, "/")
		switch out[i].Role {
		case "":
			out[i].Role = "operator"
		case "none":
			out[i].Role = ""
		}
	}
	return out
}

// book builds the parts of stories as of one moment.
type book struct{ now time.Time }

// Commits that stories speak of.
const (
	head    = "def4567ab89cd01ef23456789abcdef0123456a1" // of the default branch
	before  = "4c1d9e07b2a35f6c8d0e1f2a3b4c5d6e7f809112"
	pull    = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432" // of the update
	agent   = "2.1.0"
	storage = "/nix/store/"
)

func (b book) ago(d time.Duration) time.Time { return b.now.Add(-d) }

func (b book) repo() fleet.Repo {
	return fleet.Repo{ID: 1, Installation: 7, Owner: "aurora", Name: "nixcfg", DefaultBranch: "main"}
}

func (b book) policy() *fleet.Policy {
	p := fleet.DefaultPolicy()
	p.Deploy.Waves = []fleet.WavePolicy{
		{Name: "canary", Hosts: "tag:canary", Soak: 10 * time.Minute},
		{Name: "half", Hosts: "50%"},
		{Name: "rest", Hosts: "all"},
	}
	p.Deploy.MaxParallel = 3
	return &p
}

// fleet is a described overview.
func (b book) fleet(hosts []fleet.Host, updates ...fleet.Update) fleet.Overview {
	o := fleet.Overview{
		At:      b.now,
		GitHub:  fleet.Hearing{LastDelivery: b.ago(2 * time.Minute)},
		Repos:   []fleet.RepoView{{Repo: b.repo(), HeadSHA: head, HeadAt: b.ago(2 * time.Minute), Policy: b.policy()}},
		Updates: updates,
	}
	for _, h := range hosts {
		o.Hosts = append(o.Hosts, fleet.HostView{Host: h})
	}
	fleet.Describe(&o, agent)
	return o
}

// hears is the nine hosts with GitHub heard in some way.
func (b book) hears(h fleet.Hearing, updates ...fleet.Update) fleet.Overview {
	o := b.fleet(b.nine(), updates...)
	o.GitHub = h
	return o
}

func (b book) unreadable() fleet.Overview {
	o := b.hears(fleet.Hearing{LastDelivery: b.ago(21 * time.Minute), StaleRepos: 1})
	o.Repos[0].HeadAt = b.ago(22 * time.Minute)
	return o
}

func (b book) brokenPolicy() fleet.Overview {
	o := b.fleet(b.nine())
	o.Repos[0].PolicyError = ".github/nixfleet.yml:7:18: updates.auto_merge.hold: \"1 hour\" is not a duration; write 1h, 30m or 2d"
	return o
}
