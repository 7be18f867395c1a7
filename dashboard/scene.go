package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// scene is one snapshot of the fleet, arranged for showing.
type scene struct {
	o      fleet.Overview
	now    time.Time
	webURL string
	build  string
	repos  map[int64]fleet.RepoView
	online map[string]bool     // by host
	rows   map[string]*drawing // of the table of hosts, by element id; rendered when first shown
}

func (d *Dashboard) scene(o fleet.Overview) scene {
	s := scene{o: o, now: d.cfg.Now(), webURL: strings.TrimRight(d.cfg.WebURL, "/"), build: d.build,
		repos: map[int64]fleet.RepoView{}, online: map[string]bool{}, rows: map[string]*drawing{}}
	for _, r := range o.Repos {
		s.repos[r.Repo.ID] = r
	}
	for _, h := range o.Hosts {
		s.online[h.Host.Name] = h.Online
	}
	return s
}

// tally counts hosts for the line under the title.
type tally struct{ hosts, online, attention int }

func (s scene) counts() tally {
	t := tally{hosts: len(s.o.Hosts)}
	for _, h := range s.o.Hosts {
		if h.Online {
			t.online++
		}
		if h.Urgency() <= fleet.HostUrgent {
			t.attention++
		}
	}
	return t
}

// problems are what stands in the way of everything, or of a whole repository.
func (s scene) problems() []live {
	out := s.banners()
	for _, r := range s.o.Repos {
		if r.PolicyError != "" {
			out = append(out, live{fmt.Sprintf("p-%d", r.Repo.ID), policyProblem(watched{r, s.repoURL(r.Repo)})})
		}
	}
	return out
}

// watched is a repository with GitHub's page of it.
type watched struct {
	fleet.RepoView
	page string
}

func (s scene) watched() []watched {
	out := make([]watched, len(s.o.Repos))
	for i, r := range s.o.Repos {
		out[i] = watched{r, s.repoURL(r.Repo)}
	}
	return out
}

// rollouts shows those that are under way, and those that ended with a failure
// somebody should look at.
func (s scene) rollouts() []live {
	var out []live
	for _, r := range s.o.Rollouts {
		if prominent(r) {
			out = append(out, live{"r-" + r.ID, rolloutCard(s.rollout(r))})
		}
	}
	return out
}

func (s scene) updates() []live {
	var out []live
	for _, u := range s.o.Updates {
		if u.State.Open() {
			out = append(out, live{fmt.Sprintf("u-%d", u.ID), updateCard(s.update(u))})
		}
	}
	if len(out) == 0 {
		out = append(out, live{"u-none", noUpdates(s.watched())})
	}
	return out
}

// ended is what finished recently, one line each, newest first.
func (s scene) ended() []live {
	type line struct {
		at time.Time
		live
	}
	var lines []line
	for _, u := range s.o.Updates {
		if !u.State.Open() {
			at := cmp.Or(u.MergedAt, u.ChangedAt)
			lines = append(lines, line{at, live{fmt.Sprintf("e-u-%d", u.ID), endedUpdate(s.update(u), at)}})
		}
	}
	for _, r := range s.o.Rollouts {
		if !r.EndedAt.IsZero() && !prominent(r) {
			lines = append(lines, line{r.EndedAt, live{"e-r-" + r.ID, endedRollout(s.rollout(r))}})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return b.at.Compare(a.at) })
	out := make([]live, 0, len(lines))
	for _, l := range lines {
		out = append(out, l.live)
	}
	return out
}

// prominent reports whether a rollout gets a card: it is under way, waits for a
// person, or ended with failures.
func prominent(r fleet.Rollout) bool {
	return r.EndedAt.IsZero() || r.State == fleet.RolloutFailed || len(failures(r)) > 0 && r.State != fleet.RolloutSuperseded
}

// safeID makes a host's name fit for an element id. Names are checked when hosts
// are created; this holds for those that are not.
func safeID(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, name)
}

// commitURL is GitHub's page of a commit.
func (s scene) commitURL(repoID int64, sha string) string {
	r, ok := s.repos[repoID]
	if !ok || sha == "" {
		return ""
	}
	return s.repoURL(r.Repo) + "/commit/" + url.PathEscape(sha)
}

func (s scene) repoURL(r fleet.Repo) string {
	return s.webURL + "/" + url.PathEscape(r.Owner) + "/" + url.PathEscape(r.Name)
}
