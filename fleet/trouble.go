package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Trouble is something that lasts and that people should be told once: when it begins,
// and when it is over.
type Trouble struct {
	Kind    NoticeKind
	Subject string // what it is about: host/web1, repo/aurora/nixcfg or github
	Reason  string
}

const (
	// offlineLong is how long a host is away before people are told. Hosts that sleep
	// at night are no news.
	offlineLong = 24 * time.Hour

	// Webhooks that GitHub tried in vain are asked for once more; what is still missing
	// a while later is worth telling. See [Hearing].
	lostMost = 1
)

// Troubles finds what is wrong in a snapshot, in a stable order.
func Troubles(o Overview) []Trouble {
	var all []Trouble
	if o.GitHub.Lost >= lostMost {
		all = append(all, Trouble{NoticeWebhooksLost, "github", amount(o.GitHub.Lost, "webhook") + " did not arrive."})
	}
	for _, r := range o.Repos {
		about := "repo/" + r.Repo.FullName()
		if r.PolicyError != "" {
			all = append(all, Trouble{NoticePolicyBroken, about, PlainLine(r.PolicyError, 500)})
		}
		if !r.HeadAt.IsZero() && o.At.Sub(r.HeadAt) > unreadLong {
			all = append(all, Trouble{NoticeGitHubUnreadable, about, fmt.Sprintf("It was last read on %s.", r.HeadAt.UTC().Format("2 Jan at 15:04 UTC"))})
		}
	}
	for _, h := range o.Hosts {
		if seen := h.Host.LastSeen; !seen.IsZero() && h.Host.RevokedAt.IsZero() && o.At.Sub(seen) > offlineLong {
			all = append(all, Trouble{NoticeHostOffline, "host/" + h.Host.Name, fmt.Sprintf("It was last heard on %s.", seen.UTC().Format("2 Jan at 15:04 UTC"))})
		}
	}
	slices.SortFunc(all, func(a, b Trouble) int { return strings.Compare(a.Key(), b.Key()) })
	return all
}

// unreadLong is three rounds of reconciliation.
const unreadLong = 15 * time.Minute

// Key tells one trouble from another; it does not change while the trouble lasts.
func (t Trouble) Key() string { return string(t.Kind) + " " + t.Subject }
