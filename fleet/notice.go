package fleet

import (
	"slices"
	"strings"
	"time"
)

// Severity is how much a notice matters.
type Severity string

// The severities, in rising order.
const (
	SeverityInfo    Severity = "info"
	SeverityWarning Severity = "warning"
	SeverityError   Severity = "error"
)

// Severities lists them in rising order.
func Severities() []Severity { return []Severity{SeverityInfo, SeverityWarning, SeverityError} }

// AtLeast reports whether s is at least as severe as t. What is no severity is below all.
func (s Severity) AtLeast(t Severity) bool {
	return slices.Index(Severities(), s) >= slices.Index(Severities(), t)
}

// NoticeKind is what happened that people may want to be told. The words are those of
// `notify` in a policy file.
type NoticeKind string

// The kinds of notices.
const (
	NoticeOpened       NoticeKind = "opened"
	NoticeBlocked      NoticeKind = "blocked"
	NoticeFailing      NoticeKind = "failing"
	NoticeConflict     NoticeKind = "conflict"
	NoticeReady        NoticeKind = "ready"
	NoticeMerged       NoticeKind = "merged"
	NoticeMergeRefused NoticeKind = "merge_refused"

	NoticeStarted     NoticeKind = "started"
	NoticePaused      NoticeKind = "paused"
	NoticeResumed     NoticeKind = "resumed"
	NoticeHalted      NoticeKind = "halted"
	NoticeFailed      NoticeKind = "failed"
	NoticeSucceeded   NoticeKind = "succeeded"
	NoticeRollingBack NoticeKind = "rolling_back"
	NoticeRolledBack  NoticeKind = "rolled_back"
	NoticeAborted     NoticeKind = "aborted"
	NoticeQuarantined NoticeKind = "quarantined"

	NoticeHostFailed   NoticeKind = "host_failed"
	NoticeHostReverted NoticeKind = "host_reverted"
	NoticeHostOffline  NoticeKind = "host_offline"

	NoticePolicyBroken     NoticeKind = "policy_broken"
	NoticeWebhooksLost     NoticeKind = "webhooks_lost"
	NoticeGitHubUnreadable NoticeKind = "github_unreadable"
	NoticeRecovered        NoticeKind = "recovered"

	// NoticeTest is what Send test sends: to the one receiver that it is about.
	NoticeTest NoticeKind = "test"
)

// NoticeKindInfo describes a kind for forms and docs.
type NoticeKindInfo struct {
	Kind     NoticeKind
	Severity Severity
	Group    string // updates, rollouts, hosts or server
	About    string // when it comes, in a few words
	Usual    bool   // a new receiver gets it unless told otherwise
}

var noticeKinds = []NoticeKindInfo{
	{NoticeOpened, SeverityInfo, "updates", "a new update was found", false},
	{NoticeReady, SeverityInfo, "updates", "an update waits for a person or a window", true},
	{NoticeFailing, SeverityWarning, "updates", "a required check failed", true},
	{NoticeBlocked, SeverityWarning, "updates", "an update could not be proven safe", true},
	{NoticeConflict, SeverityWarning, "updates", "an update does not merge cleanly", true},
	{NoticeMergeRefused, SeverityError, "updates", "GitHub refused a merge", true},
	{NoticeMerged, SeverityInfo, "updates", "an update was merged", true},
	{NoticeStarted, SeverityInfo, "rollouts", "a rollout gives its first orders", false},
	{NoticePaused, SeverityWarning, "rollouts", "a person paused a rollout", true},
	{NoticeResumed, SeverityInfo, "rollouts", "a person let it go on", false},
	{NoticeHalted, SeverityError, "rollouts", "as many hosts failed as the policy allows", true},
	{NoticeFailed, SeverityError, "rollouts", "a rollout ended in failure", true},
	{NoticeSucceeded, SeverityInfo, "rollouts", "a rollout ended well", true},
	{NoticeRollingBack, SeverityWarning, "rollouts", "hosts are brought back to what they ran before", true},
	{NoticeRolledBack, SeverityWarning, "rollouts", "all of them run what they ran before", true},
	{NoticeAborted, SeverityWarning, "rollouts", "a person ended a rollout", true},
	{NoticeQuarantined, SeverityError, "rollouts", "a commit proved bad and spreads no further", true},
	{NoticeHostFailed, SeverityError, "hosts", "an order failed on a host", true},
	{NoticeHostReverted, SeverityError, "hosts", "a host rolled itself back", true},
	{NoticeHostOffline, SeverityWarning, "hosts", "a host has not been heard for a day", true},
	{NoticePolicyBroken, SeverityError, "server", "a policy file can’t be read, so nothing merges", true},
	{NoticeWebhooksLost, SeverityWarning, "server", "GitHub can’t bring its webhooks", true},
	{NoticeGitHubUnreadable, SeverityError, "server", "a repository can’t be read for a quarter of an hour", true},
	{NoticeRecovered, SeverityInfo, "server", "what was told of a host or the server is over", true},
}

// NoticeKinds describes the kinds that a receiver can ask for, in the order in which
// they are shown.
func NoticeKinds() []NoticeKindInfo { return slices.Clone(noticeKinds) }

// UsualNotices are the kinds that a new receiver gets unless told otherwise.
func UsualNotices() []NoticeKind {
	var usual []NoticeKind
	for _, k := range noticeKinds {
		if k.Usual {
			usual = append(usual, k.Kind)
		}
	}
	return usual
}

// NoticeWords are the words of all kinds that can be asked for.
func NoticeWords() []string {
	words := make([]string, len(noticeKinds))
	for i, k := range noticeKinds {
		words[i] = string(k.Kind)
	}
	return words
}

// Severity is how much the kind matters; what is no kind is an error.
func (k NoticeKind) Severity() Severity {
	for _, i := range noticeKinds {
		if i.Kind == k {
			return i.Severity
		}
	}
	if k == NoticeTest {
		return SeverityInfo
	}
	return SeverityError
}

// Happened is a line of history, as far as it takes to tell what it is.
type Happened struct {
	ID     int64
	At     time.Time
	Actor  string
	Kind   string // such as update.merged
	From   string // the state before, where there was one
	First  bool   // of an update: nothing was ever told of it
	Reason string
}

// NoticesOf tells what a line of history is to people, the most telling first; most
// are nothing. A new update that is blocked is both: who asks for either is told once.
func NoticesOf(h Happened) []NoticeKind {
	about, what, _ := strings.Cut(h.Kind, ".")
	var kinds []NoticeKind
	switch about {
	case "update":
		kinds = updateNotices(h, UpdateState(what))
	case "rollout":
		kinds = rolloutNotices(h, RolloutState(what))
	case "order":
		switch HostState(what) {
		case HostFailed:
			kinds = []NoticeKind{NoticeHostFailed}
		case HostReverted:
			kinds = []NoticeKind{NoticeHostReverted}
		}
	case "trouble":
		kinds = []NoticeKind{NoticeKind(what)}
	case "quarantine":
		if what == "set" {
			kinds = []NoticeKind{NoticeQuarantined}
		}
	case "receiver":
		if what == "tested" {
			kinds = []NoticeKind{NoticeTest}
		}
	}
	return kinds
}

func updateNotices(h Happened, to UpdateState) (kinds []NoticeKind) {
	switch to {
	case UpdateObserved:
		return []NoticeKind{NoticeMergeRefused} // nothing else leads back there
	case UpdateReady:
		kinds = append(kinds, NoticeReady)
	case UpdateFailing:
		kinds = append(kinds, NoticeFailing)
	case UpdateBlocked:
		kinds = append(kinds, NoticeBlocked)
	case UpdateConflict:
		kinds = append(kinds, NoticeConflict)
	case UpdateMerged:
		kinds = append(kinds, NoticeMerged)
	}
	if h.First && to.Open() && UpdateState(h.From) == UpdateObserved {
		kinds = append(kinds, NoticeOpened)
	}
	return kinds
}

func rolloutNotices(h Happened, to RolloutState) []NoticeKind {
	switch to {
	case RolloutRunning:
		if RolloutState(h.From) == RolloutPaused {
			return []NoticeKind{NoticeResumed}
		}
		return []NoticeKind{NoticeStarted}
	case RolloutPaused:
		return []NoticeKind{NoticePaused}
	case RolloutHalted:
		return []NoticeKind{NoticeHalted}
	case RolloutFailed:
		return []NoticeKind{NoticeFailed}
	case RolloutSucceeded:
		return []NoticeKind{NoticeSucceeded}
	case RolloutRollingBack:
		return []NoticeKind{NoticeRollingBack}
	case RolloutRolledBack:
		return []NoticeKind{NoticeRolledBack}
	case RolloutAborted:
		return []NoticeKind{NoticeAborted}
	}
	return nil
}
