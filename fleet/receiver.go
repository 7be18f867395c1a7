package fleet

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Receiver is somebody who is told what happens: a channel, a mailbox, a program. Its
// address holds secrets and is never part of it.
type Receiver struct {
	ID      int64
	Name    string
	Service string // what kind of address it is, such as slack or generic+https
	InFile  bool   // the address is in the server's file of addresses, not in the database
	Enabled bool
	Rule    ReceiverRule

	ChangedBy    string
	ChangedAt    time.Time
	LastSent     time.Time // zero: nothing was ever sent
	FailingSince time.Time // zero: the last attempt went well
	LastError    string
	Waiting      int // notices that are not sent yet
}

// ReceiverRule says what a receiver is told, when, and in which words.
type ReceiverRule struct {
	On    []NoticeKind `json:"on"`              // empty: only what policies name it for
	Least Severity     `json:"least,omitempty"` // empty: info
	Repos []string     `json:"repos,omitempty"` // owner/name; empty: all

	Title string `json:"title,omitempty"` // templates; empty: the usual words
	Body  string `json:"body,omitempty"`

	TZ        string   `json:"tz,omitempty"` // of the times below; empty: UTC
	QuietFrom string   `json:"quiet_from,omitempty"`
	QuietTo   string   `json:"quiet_to,omitempty"`
	DigestAt  string   `json:"digest_at,omitempty"`    // once a day at this time
	Every     int      `json:"digest_every,omitempty"` // or every so many hours, counted from midnight
	Urgent    Severity `json:"urgent,omitempty"`       // from here on nothing waits; empty: error
	Patient   bool     `json:"patient,omitempty"`      // everything waits, however severe
}

// ReceiverFault is one thing that is wrong with a receiver.
type ReceiverFault struct{ Field, Text string }

// Error is the fault as one line.
func (f ReceiverFault) Error() string { return f.Field + ": " + f.Text }

var receiverName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// ErrReceiverName is what a name that can't be one is told.
var ErrReceiverName = errors.New("a name begins with a letter or a digit and has at most 40 letters, digits, dots, dashes and underscores, like ops")

// ValidReceiverName reports whether a receiver can have that name.
func ValidReceiverName(name string) bool { return receiverName.MatchString(name) }

// Validate finds everything that is wrong with the rule.
func (r ReceiverRule) Validate() (faults []ReceiverFault) {
	add := func(field, text string, args ...any) {
		faults = append(faults, ReceiverFault{field, fmt.Sprintf(text, args...)})
	}
	for _, k := range r.On {
		if !slices.Contains(NoticeWords(), string(k)) {
			add("on", "%q is no event; there are %s", k, strings.Join(NoticeWords(), ", "))
		}
	}
	for field, s := range map[string]Severity{"least": r.Least, "urgent": r.Urgent} {
		if s != "" && !slices.Contains(Severities(), s) {
			add(field, "%q is no severity; there are info, warning and error", s)
		}
	}
	for _, repo := range r.Repos {
		if owner, name, ok := strings.Cut(repo, "/"); !ok || owner == "" || name == "" || strings.Contains(name, "/") || len(repo) > 200 {
			add("repos", "%q is not owner/name", repo)
		}
	}
	faults = append(faults, r.timingFaults()...)
	if err := CheckNoticeTemplate("title", r.Title); err != nil {
		add("title", "%v", err)
	}
	if err := CheckNoticeTemplate("body", r.Body); err != nil {
		add("body", "%v", err)
	}
	slices.SortStableFunc(faults, func(a, b ReceiverFault) int { return strings.Compare(a.Field, b.Field) })
	return faults
}

// Wants tells as what the receiver is told a notice, if at all. A policy's rule that
// names the receiver adds to what the receiver's own rule picks.
func (r Receiver) Wants(n Notice, rules []NotifyRule) (NoticeKind, bool) {
	if !r.Enabled && !slices.Contains(n.Kinds, NoticeTest) {
		return "", false
	}
	for _, k := range n.Kinds {
		switch {
		case k == NoticeTest && n.Receiver == r.ID:
			return k, true
		case k == NoticeTest:
		case slices.Contains(r.Rule.On, k) && k.Severity().AtLeast(r.Rule.Least) && r.Rule.concerns(n.Repo):
			return k, true
		case namedBy(rules, r.Name, k):
			return k, true
		}
	}
	return "", false
}

// concerns reports whether the receiver wants to hear of a repository. What is of no
// repository concerns all.
func (r ReceiverRule) concerns(repo string) bool {
	return repo == "" || len(r.Repos) == 0 || slices.ContainsFunc(r.Repos, func(s string) bool { return strings.EqualFold(s, repo) })
}

// namedBy reports whether a policy names a receiver for a kind. A rule that names no
// kind is for all.
func namedBy(rules []NotifyRule, receiver string, k NoticeKind) bool {
	return slices.ContainsFunc(rules, func(rule NotifyRule) bool {
		return rule.To == receiver && (len(rule.On) == 0 || slices.Contains(rule.On, string(k)))
	})
}

// ReceiverFaults is an error: everything that is wrong with a receiver.
type ReceiverFaults []ReceiverFault

// Error is one line for each fault.
func (f ReceiverFaults) Error() string {
	lines := make([]string, len(f))
	for i, x := range f {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// ReceiverWish is a receiver as a person wants it to be.
type ReceiverWish struct {
	ID      int64 // 0 makes a new one
	Name    string
	Address string // empty keeps the one that there is; it is a secret
	InFile  bool   // the address is in the server's file
	Enabled bool
	Rule    ReceiverRule
	Seen    time.Time // ChangedAt of what was edited; zero: whatever it is
	Request string    // names the form that makes a new one
}

// NoticeShown is one notice for one receiver, and what became of it.
type NoticeShown struct {
	ID       int64
	Receiver string
	Kind     NoticeKind
	Title    string
	Link     string // path of the page that it is about
	At       time.Time
	DueAt    time.Time
	State    string // waiting, sent, failed or dropped
	Attempts int
	Error    string
	EndedAt  time.Time
}
