package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Access is who may come in, and who has.
type Access struct {
	Repos []string // whose permissions decide; empty where GitHub is no way in

	// What happens to whoever comes back from GitHub: they have no access, their visit is
	// not known, or GitHub does not answer.
	Refused    string
	Lost, Away bool

	Ended       string // why the session is over that the browser had
	Local       bool   // the reader came past GitHub
	Because     string // what GitHub said of the reader
	Unconfirmed time.Time

	Sessions []fleet.SessionView
	People   []fleet.PersonView
	Tokens   []fleet.TokenView
}

// access are the stories of signing in, and of who has.
func (b book) access() []Story {
	repos := []string{"aurora/nixcfg"}
	back := "/login/github/callback?code=0123456789abcdef&state=s"
	door := func(name, about, path string, a Access) Story {
		return Story{Name: name, About: about, Path: path, Role: "none", Overview: fleet.Overview{At: b.now}, Access: a}
	}
	page := func(name, about, path, role string, a Access) Story {
		if !a.Local {
			a.Because = map[string]string{"viewer": "read", "operator": "write", "admin": "admin"}[role] + " on aurora/nixcfg"
		}
		a.Repos = repos
		return Story{Name: name, About: about, Path: path, Role: role, Overview: b.fleet(b.nine()), Access: a}
	}
	frozen := b.ago(47 * time.Minute)
	return []Story{
		door("login", "Nobody is signed in, and only tokens let people in.", "/login", Access{}),
		door("login-github", "Nobody is signed in.", "/login?next=%2Fsettings%2Ftokens", Access{Repos: repos}),
		door("login-repos", "Three repositories are watched, and the least counts.", "/login", Access{Repos: []string{"aurora/nixcfg", "aurora/servers", "aurora/laptops"}}),
		door("login-link", "A one-time link was opened.", "/login?token=dG9rZW4", Access{Repos: repos}),
		door("login-ended", "The session is over, because the role is another one now.", "/login", Access{Repos: repos, Ended: "Your role is viewer now: you have read on aurora/nixcfg."}),
		door("login-refused-problem", "Somebody without access came back from GitHub.", back, Access{Repos: repos,
			Refused: "mallory has no access to aurora/nixcfg. Whoever owns it on GitHub can add you as a collaborator; to look, reading is enough."}),
		door("login-lost-problem", "The visit to GitHub took too long, or came back before.", back, Access{Repos: repos, Lost: true}),
		door("login-away-problem", "GitHub does not answer.", back, Access{Repos: repos, Away: true}),
		door("login-cancelled-problem", "The person pressed Cancel on GitHub.", "/login/github/callback?error=access_denied&state=s", Access{Repos: repos}),

		page("you", "Three sessions of an operator.", "/settings/you", "operator", Access{Sessions: b.seats(3)}),
		page("you-local", "An administrator came past GitHub.", "/settings/you", "admin", Access{Local: true, Sessions: b.seats(1)}),
		page("you-unconfirmed", "GitHub has not confirmed the role for too long.", "/settings/you", "viewer", Access{Unconfirmed: frozen, Sessions: b.seats(2)}),
		page("people", "Who has signed in, for an administrator.", "/settings/people", "admin", Access{People: b.persons()}),
		page("people-hidden-problem", "Others are told that administrators see this.", "/settings/people", "operator", Access{}),
		page("tokens", "Tokens of everybody, for an administrator.", "/settings/tokens", "admin", Access{Tokens: b.tokens()}),
		page("tokens-none", "Nobody has made a token.", "/settings/tokens", "operator", Access{}),
		page("tokens-viewer", "A viewer sees and makes tokens for viewers.", "/settings/tokens", "viewer", Access{Tokens: b.tokens()[2:3]}),
	}
}

func (b book) seats(n int) []fleet.SessionView {
	seat := func(id, address, browser string, began, seen time.Duration) fleet.SessionView {
		return fleet.SessionView{ID: id, Address: address, Browser: browser, Began: b.ago(began), Seen: b.ago(seen), Expires: b.ago(began - 12*time.Hour)}
	}
	list := []fleet.SessionView{
		seat("S1", "10.0.0.5", "Firefox on Linux", 3*time.Hour, time.Minute),
		seat("S2", "2001:db8:85a3::8a2e:370:7334", "Safari on iPhone", 50*time.Minute, 12*time.Minute),
		seat("S3", "192.0.2.44", "", 5*time.Hour, 104*time.Minute),
	}
	list[0].This = true
	return list[:n]
}

func (b book) persons() []fleet.PersonView {
	day := 24 * time.Hour
	return []fleet.PersonView{
		{ID: 1, Login: "alice", Role: "admin", Because: "admin on aurora/nixcfg", Checked: b.ago(4 * time.Minute), SignedIn: b.ago(3 * time.Hour), Seen: b.ago(time.Minute), Sessions: 2, Tokens: 1},
		{ID: 2, Login: "bob", Role: "operator", Because: "write on aurora/nixcfg", Checked: b.ago(44 * time.Minute), Problem: "no answer from GitHub", SignedIn: b.ago(2 * time.Hour), Seen: b.ago(9 * time.Minute), Sessions: 1},
		{Login: "ada", Role: "admin", SignedIn: b.ago(40 * time.Minute), Seen: b.ago(20 * time.Minute), Sessions: 1},
		{ID: 3, Login: "viv-the-viewer-with-a-long-name-on-it", Role: "viewer", Because: "triage on aurora/nixcfg", Checked: b.ago(3 * day), SignedIn: b.ago(3 * day), Seen: b.ago(3 * day)},
		{ID: 4, Login: "mallory", Role: "none", Because: "no access to aurora/nixcfg", Checked: b.ago(6 * day), SignedIn: b.ago(30 * day), Seen: b.ago(6 * day), Tokens: 1},
	}
}

func (b book) tokens() []fleet.TokenView {
	day := 24 * time.Hour
	return []fleet.TokenView{
		{ID: "T1", Name: "ci", Role: "operator", May: "operator", Owner: "alice", Mine: true, Created: b.ago(20 * day), Expires: b.ago(-70 * day), Used: b.ago(2 * time.Minute), From: "203.0.113.9"},
		{ID: "T2", Name: "backup-of-the-night", Role: "admin", May: "viewer", Owner: "bob", Created: b.ago(3 * day), Expires: b.ago(-4 * day), Used: b.ago(9 * time.Hour), From: "2001:db8::17"},
		{ID: "T3", Name: "wall", Role: "viewer", May: "viewer", Owner: "ada (local)", Created: b.ago(400 * day), Used: time.Time{}},
		{ID: "T4", Name: "old-ci", Role: "operator", May: "operator", Owner: "alice", Mine: true, Created: b.ago(120 * day), Expires: b.ago(30 * day), Used: b.ago(31 * day), From: "203.0.113.9"},
		{ID: "T5", Name: "laptop", Role: "admin", May: "admin", Owner: "alice", Mine: true, Created: b.ago(90 * day), Expires: b.ago(-5 * day), Revoked: b.ago(2 * day), By: "alice"},
		{ID: "T6", Name: "scripts", Role: "operator", May: "none", Owner: "mallory", Created: b.ago(31 * day), Expires: b.ago(-59 * day), Used: b.ago(6 * day)},
	}
}
