package forge

import (
	"fmt"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// RevertBody is what the pull request says that takes a rollout's commit back.
func RevertBody(r fleet.Rollout, page string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The rollout of %s did not go well: %s\n\n", code(short(r.Commit)), text(r.Headline))
	listed := 0
	for _, h := range r.Hosts {
		if h.Failure == nil || listed == maxHosts {
			continue
		}
		listed++
		fmt.Fprintf(&b, "- %s, %s: %s\n", code(h.Host), text(h.Failure.Step), text(h.Failure.Message))
	}
	if listed > 0 {
		b.WriteByte('\n')
	}
	b.WriteString("This gives the lock back what it was before that commit, and nothing else. It is open because the policy says " +
		"<code>on_failure: revert_pr</code>. NixFleet does not merge it by itself: a lock goes back only at a person's word.\n")
	tails(&b, r.Hosts)
	if link := safeURL(page); link != "" {
		fmt.Fprintf(&b, "\n<sub><a href=\"%s\">Open in NixFleet</a></sub>\n", link)
	}
	return b.String()
}
