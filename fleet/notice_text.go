package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Notice is something that happened, with what people want to know of it.
type Notice struct {
	ID     int64        `json:"id"` // of its line of history
	At     time.Time    `json:"at"`
	Kinds  []NoticeKind `json:"kinds"` // what it is, the most telling first
	Actor  string       `json:"actor,omitempty"`
	Reason string       `json:"reason,omitempty"`

	RepoID int64  `json:"repo_id,omitempty"`
	Repo   string `json:"repo,omitempty"` // owner/name; empty where it is of no repository
	Branch string `json:"branch,omitempty"`

	Number int           `json:"number,omitempty"` // of the update's pull request
	Title  string        `json:"title,omitempty"`  // of the pull request
	URL    string        `json:"url,omitempty"`    // of the pull request
	Inputs []InputChange `json:"inputs,omitempty"`

	Rollout     string         `json:"rollout,omitempty"`
	RolloutKind RolloutKind    `json:"rollout_kind,omitempty"`
	Commit      string         `json:"commit,omitempty"`
	Hosts       []HostProgress `json:"hosts,omitempty"` // of the rollout
	Waves       int            `json:"waves,omitempty"`

	Concerned []string `json:"concerned,omitempty"` // hosts that it is about
	Order     string   `json:"order,omitempty"`     // kind of the order that failed
	Step      string   `json:"step,omitempty"`      // at which it failed

	Receiver     int64  `json:"receiver,omitempty"` // of a test
	ReceiverName string `json:"receiver_name,omitempty"`
}

// Message is what a receiver gets.
type Message struct {
	Title    string
	Body     string
	Severity Severity
	Link     string // of the page to look at; may be empty
}

// NoticeFields is what a template can name. All of it is text, numbers, or lists of
// text for join.
type NoticeFields struct {
	Event    string // such as merged
	Severity string // info, warning or error
	At       string // such as 2 Jan 2026 15:04 UTC
	Actor    string // who did it: a login, policy, github or host:NAME
	Reason   string
	Link     string // address of the page

	Repo   string // owner/name
	Branch string // the default branch

	Number int    // of the pull request
	Update string // title of the pull request
	URL    string // address of the pull request
	Inputs []string

	Commit  string // the first seven digits
	Rollout string
	Verb    string // Deploy, or Restore for a rollout that goes back
	Done    int    // hosts that are healthy
	Total   int    // hosts that take part
	Waves   int
	Failed  []string // hosts that failed, each with why

	Host  string   // the only one, or how many
	Hosts []string // that it is about
	Order string   // kind of the order that failed
	Step  string   // at which it failed

	Receiver string // name of the receiver
	Title    string // the usual title, for those who only add to it
	Body     string // the usual body
}

// maxMessage bounds title and body together; chat services cut off at about 2 000.
const (
	maxNoticeTitle = 200
	maxNoticeBody  = 3500
)

// Message is a notice in the words of a receiver. A template of theirs that fails for
// this notice is passed over: being told in the usual words is better than not at all.
func (r Receiver) Message(n Notice, k NoticeKind, base string) Message {
	f := n.fields(k, base)
	f.Receiver = r.Name
	usual := usualTexts[k]
	f.Title = clipText(execute(usual.title, f, string(k)), maxNoticeTitle)
	f.Body = clipText(execute(usual.body, f, n.Reason), maxNoticeBody)
	m := Message{Title: f.Title, Body: f.Body, Severity: k.Severity(), Link: f.Link}
	if own, err := parseOwn(r.Rule.Title); err == nil && r.Rule.Title != "" {
		m.Title = clipText(PlainLine(execute(own, f, f.Title), 4*maxNoticeTitle), maxNoticeTitle)
	}
	if own, err := parseOwn(r.Rule.Body); err == nil && r.Rule.Body != "" {
		m.Body = clipText(execute(own, f, f.Body), maxNoticeBody)
	}
	return m
}

// Told is a notice as one receiver gets it.
type Told struct {
	Notice Notice
	Kind   NoticeKind
}

// Digest is several notices in one message: how many of which severity, then a line
// for each, oldest first.
func (r Receiver) Digest(told []Told, base string) Message {
	counts := map[Severity]int{}
	worst := SeverityInfo
	var b strings.Builder
	for i, t := range told {
		one := r.Message(t.Notice, t.Kind, base)
		counts[one.Severity]++
		if one.Severity.AtLeast(worst) {
			worst = one.Severity
		}
		line := fmt.Sprintf("%s  %s", t.Notice.At.UTC().Format("2 Jan 15:04"), one.Title)
		if t.Notice.Repo != "" && !strings.Contains(one.Title, t.Notice.Repo) {
			line += " (" + defuse(t.Notice.Repo) + ")"
		}
		if b.Len()+len(line) > maxNoticeBody-50 {
			fmt.Fprintf(&b, "and %d more\n", len(told)-i)
			break
		}
		b.WriteString(line + "\n")
	}
	parts := []string{}
	for _, s := range []Severity{SeverityError, SeverityWarning} {
		if n := counts[s]; n > 0 {
			parts = append(parts, amount(n, string(s)))
		}
	}
	title := "NixFleet: " + amount(len(told), "notice")
	if len(parts) > 0 {
		title += ", " + strings.Join(parts, " and ") + " among them"
	}
	return Message{Title: title, Body: strings.TrimSpace(b.String()), Severity: worst, Link: strings.TrimSuffix(base, "/") + "/activity"}
}

// amount is "1 error" or "3 errors".
func amount(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (n Notice) fields(k NoticeKind, base string) NoticeFields {
	f := NoticeFields{
		Event: string(k), Severity: string(k.Severity()), At: n.At.UTC().Format("2 Jan 2006 15:04 UTC"), Actor: defuse(n.Actor), Reason: defuse(n.Reason),
		Link: strings.TrimSuffix(base, "/") + n.path(k),
		Repo: defuse(n.Repo), Branch: defuse(cmp.Or(n.Branch, "the default branch")),
		Number: n.Number, Update: defuse(PlainLine(n.Title, 200)), URL: n.URL,
		Commit: fmt.Sprintf("%.7s", n.Commit), Rollout: n.Rollout, Verb: "Deploy", Waves: n.Waves,
		Hosts: n.Concerned, Order: n.Order, Step: n.Step, Receiver: n.ReceiverName,
	}
	if n.RolloutKind == RolloutRestore {
		f.Verb = "Restore"
	}
	for _, in := range n.Inputs {
		f.Inputs = append(f.Inputs, defuse(in.line()))
	}
	for _, h := range n.Hosts {
		if h.State == HostExcluded {
			continue
		}
		f.Total++
		switch h.State {
		case HostHealthy:
			f.Done++
		case HostFailed, HostReverted:
			why := string(h.State)
			if h.Failure != nil {
				why = PlainLine(h.Failure.Message, 200)
			}
			f.Failed = append(f.Failed, defuse(h.Host+": "+why))
		}
	}
	if f.Host = amount(len(n.Concerned), "host"); len(n.Concerned) == 1 {
		f.Host = n.Concerned[0]
	}
	return f
}

// line is one changed input: nixpkgs 4c1d9e0 → 9f8e7d6 (6 days newer).
func (c InputChange) line() string {
	if c.Kind != "updated" {
		return PlainLine(c.Path+" ("+c.Kind+")", 200)
	}
	text := c.Path
	if c.FromRev != "" && c.ToRev != "" {
		text += fmt.Sprintf(" %.7s → %.7s", c.FromRev, c.ToRev)
	}
	if days := int(c.ToDate.Sub(c.FromDate).Hours()) / 24; days > 0 && !c.FromDate.IsZero() {
		text += " (" + amount(days, "day") + " newer)"
	}
	return PlainLine(text, 200)
}

// path is the page that shows what a notice is about.
func (n Notice) path(k NoticeKind) string {
	switch {
	case k == NoticeTest:
		return "/settings/notifications"
	case n.Rollout != "" && len(n.Hosts) > 0:
		return "/rollouts/" + n.Rollout
	case n.Number > 0:
		return fmt.Sprintf("/updates/%s/%d", n.Repo, n.Number)
	case len(n.Concerned) == 1:
		return "/hosts/" + n.Concerned[0]
	case k == NoticePolicyBroken && n.Repo != "":
		return "/settings/" + n.Repo
	}
	return "/"
}

// calls are the words by which chat services wake everybody.
var calls = strings.NewReplacer("@everyone", "@\u200beveryone", "@here", "@\u200bhere", "@channel", "@\u200bchannel",
	"@all", "@\u200ball", "@room", "@\u200broom", "<!", "<\u200b!", "<@", "<\u200b@")

// defuse makes text of strangers one that calls nobody.
func defuse(s string) string { return calls.Replace(string(PlainText([]byte(s)))) }

func clipText(s string, most int) string {
	s = strings.TrimSpace(s)
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// SampleNotice is a notice of a kind by which templates are tried, and shown.
func SampleNotice(k NoticeKind) Notice {
	at := time.Date(2026, 1, 2, 15, 4, 0, 0, time.UTC)
	n := Notice{
		ID: 1, At: at, Kinds: []NoticeKind{k}, Actor: "alice", Reason: "The required check build failed.",
		RepoID: 1, Repo: "aurora/nixcfg", Branch: "main", Commit: "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
		Inputs: []InputChange{
			{Path: "nixpkgs", Kind: "updated", FromRev: "4c1d9e07b2a3", ToRev: "9f8e7d6c5b4a", FromDate: at.AddDate(0, 0, -9), ToDate: at.AddDate(0, 0, -3)},
			{Path: "home-manager", Kind: "updated", FromRev: "0a1b2c3d4e5f", ToRev: "5f4e3d2c1b0a", FromDate: at.AddDate(0, 0, -8), ToDate: at.AddDate(0, 0, -1)},
		},
		Number: 42, Title: "flake.lock: Update", URL: "https://github.com/aurora/nixcfg/pull/42",
	}
	group := ""
	if i := slices.IndexFunc(noticeKinds, func(i NoticeKindInfo) bool { return i.Kind == k }); i >= 0 {
		group = noticeKinds[i].Group
	}
	switch group {
	case "rollouts":
		n.Rollout, n.RolloutKind, n.Waves, n.Reason = "01K0000000000000000000SAMPLE", RolloutDeploy, 3, "as many hosts failed as the policy allows"
		for i, name := range []string{"web1", "web2", "db1"} {
			h := HostProgress{Host: name, State: HostHealthy}
			if i == 2 && k != NoticeSucceeded {
				h.State, h.Failure = HostFailed, &HostError{Step: "build", Message: "builder for 'nginx.drv' failed with exit code 1"}
			}
			n.Hosts = append(n.Hosts, h)
		}
	case "hosts":
		n.Number, n.Title, n.Inputs = 0, "", nil
		n.Concerned, n.Order, n.Step, n.Reason = []string{"web1"}, OrderDeploy, "build", "builder for 'nginx.drv' failed with exit code 1"
	case "server":
		n.Number, n.Title, n.Inputs, n.Reason = 0, "", nil, "3 webhooks did not arrive."
	}
	return n
}
