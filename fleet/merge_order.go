package fleet

import (
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/flakelock"
)

// mergingAgain bounds how long a merge that was asked for goes unwatched: the
// pull request is then read again, and tells whether it happened.
const mergingAgain = time.Minute

// Limits of what is written into a commit. GitHub takes 64 KiB of message.
const (
	maxTitle   = 200   // characters
	maxMessage = 60000 // bytes
)

// merge is the verdict that orders the merge. It checks once more, on its own,
// that nothing stands in the way: this is the one door through which an update
// becomes a commit.
func (p *proof) merge() Verdict {
	for _, c := range p.conditions {
		if !c.settled() {
			return p.verdict(UpdateBlocked, "Blocked: "+c.Found, p.now.Add(againUnread))
		}
	}
	a := p.policy.Updates.AutoMerge
	order := &MergeOrder{
		HeadSHA: p.pull.HeadSHA,
		Base:    p.pull.BaseRef,
		Method:  orElse(a.Method, "squash"),
		Title:   fmt.Sprintf("%s (#%d)", orElse(strings.TrimSpace(plain(p.pull.Title, maxTitle)), "flake.lock: Update"), p.s.Number),
		Message: p.mergeMessage(),
		Deploy:  p.policy.Deploy.Auto,
		By:      Actor{Login: "policy"},
	}
	if r := p.request(); r != nil {
		order.By, order.Deploy = r.By, r.Deploy
	}
	if a.DeleteBranch {
		order.DeleteBranch = p.pull.HeadRef
	}
	v := p.verdict(UpdateMerging, "", p.now.Add(mergingAgain))
	v.Headline = fmt.Sprintf("Merging %s, as %s asks for.", shortSHA(order.HeadSHA), byWhom(order.By))
	v.Merge = order
	return v
}

func byWhom(a Actor) string {
	if a.Login == "policy" && a.ID == 0 {
		return "the policy"
	}
	return plain(a.Login, 100)
}

// mergeMessage keeps Nix's own account of the inputs in the history.
func (p *proof) mergeMessage() string {
	var b strings.Builder
	for _, d := range p.diffs {
		if len(d.changes) == 0 {
			continue
		}
		title := "Flake lock file updates"
		if len(p.diffs) > 1 {
			title += " of " + plain(d.path, maxTitle)
		}
		fmt.Fprintf(&b, "%s:\n\n%s\n", title, strings.TrimRight(flakelock.Text(d.changes, flakelock.Style{}), "\n"))
	}
	text := strings.ToValidUTF8(strings.TrimSpace(b.String()), "")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "\n…"
	}
	return text
}
