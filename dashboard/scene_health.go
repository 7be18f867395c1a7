package dashboard

import (
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// When what is heard of GitHub is worth a banner.
const (
	// lagging is how long a webhook may wait to be handled, as in /readyz.
	lagging = time.Minute

	// unheard is by how much a head may be newer than the newest webhook. What is
	// found by reading is found within five minutes; a webhook that comes at all
	// comes, or is asked for again, well within twice that.
	unheard = 10 * time.Minute

	// unread is when a repository counts as one that can't be read: three rounds.
	unread = 15 * time.Minute
)

// hearing is how GitHub is heard, ready to show.
type hearing struct {
	fleet.Hearing
	shown  bool // there is a repository to hear of
	lags   bool
	silent bool             // webhooks don't come, and reading shows that they should have
	found  []fleet.Update   // what was found by reading only
	stale  []fleet.RepoView // not read for three rounds
}

func (s scene) hearing() hearing {
	h := hearing{Hearing: s.o.GitHub, shown: len(s.o.Repos) > 0}
	h.lags = !h.Oldest.IsZero() && s.now.Sub(h.Oldest) > lagging
	for _, r := range s.o.Repos {
		if !r.HeadAt.IsZero() && s.now.Sub(r.HeadAt) > unread {
			h.stale = append(h.stale, r)
		}
	}
	for _, u := range s.o.Updates {
		if u.State.Open() && s.now.Sub(u.HeadSeen) > unheard && u.HeadSeen.Sub(h.LastDelivery) > unheard {
			h.found = append(h.found, u)
		}
	}
	h.silent = h.StaleRepos == 0 && !h.lags && (len(h.found) > 0 || h.Lost > 0)
	return h
}

// banners are the problems of hearing GitHub that a person should know of.
func (s scene) banners() []live {
	var out []live
	h := s.hearing()
	if h.lags {
		out = append(out, live{"g-lag", lagBanner(h)})
	}
	if h.shown && h.StaleRepos > 0 {
		out = append(out, live{"g-stale", staleBanner(h)})
	}
	if h.shown && h.silent {
		out = append(out, live{"g-silent", silentBanner(h)})
	}
	if len(s.o.Silent) > 0 {
		out = append(out, live{"g-receivers", receiversBanner(s.o.Silent)})
	}
	return out
}

func (h hearing) look() look {
	if h.lags || h.silent || h.StaleRepos > 0 {
		return look{"stale", "stale", ""}
	}
	return look{"idle", "ear", ""}
}

// inbox says how much of what came is not handled yet.
func (h hearing) inbox() string {
	if h.Waiting == 0 {
		return "inbox empty"
	}
	return plural(h.Waiting, "webhook waits", "webhooks wait")
}

// missed says what shows that webhooks are missing.
func (h hearing) missed() string {
	if len(h.found) == 0 {
		return fmt.Sprintf("GitHub’s own list says that %s did not arrive.", plural(h.Lost, "webhook", "webhooks"))
	}
	u := h.found[0]
	return fmt.Sprintf("Reading GitHub showed the head of %s #%d, and no webhook told of it.", u.Repo.FullName(), u.Number)
}
