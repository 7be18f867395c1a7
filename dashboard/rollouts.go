package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Rollouts reads rollouts, and does what people ask of them. Asking twice is the same as
// asking once. What is not there is [ErrUnknown], what can't be done as things are is
// [Refused], and what can't be right is [BadRequest]; these texts are for people.
type Rollouts interface {
	// Rollout reads one rollout with what is around it.
	Rollout(ctx context.Context, id string) (fleet.RolloutDetail, error)
	// EndedRollouts lists those that have ended, newest first.
	EndedRollouts(ctx context.Context, q fleet.RolloutQuery) ([]fleet.RolloutSummary, error)
	// Quarantine lists the commits that nothing brings to further hosts by itself.
	Quarantine(ctx context.Context) ([]fleet.Quarantine, error)

	// Steer pauses, resumes, aborts or rolls back a rollout that the person saw in a state.
	// It returns the rollout that this is about: where an ended one is rolled back, the
	// one that does it.
	Steer(ctx context.Context, by fleet.Actor, id string, verb fleet.Verb, seen fleet.RolloutState, reason string) (fleet.Rollout, error)
	// Retry starts a rollout of the hosts that did not get there, or of those named.
	Retry(ctx context.Context, by fleet.Actor, id string, hosts []string, reason, key string) (fleet.Rollout, error)
	// Exclude takes a host out.
	Exclude(ctx context.Context, by fleet.Actor, id, host, reason string) error
	// Lift lets a commit spread again.
	Lift(ctx context.Context, by fleet.Actor, repoID int64, commit, reason string) error

	// Plan tells what a wish would come to, and does nothing.
	Plan(ctx context.Context, w RolloutWish) (fleet.PlannedRollout, error)
	// Start brings a commit to hosts.
	Start(ctx context.Context, by fleet.Actor, w RolloutWish) (fleet.Rollout, error)
}

// RolloutWish is a person's wish to bring a commit to hosts.
type RolloutWish struct {
	Repo     string // owner/name; empty where there is only one
	Commit   string // also the beginning of its id, a branch or a tag; empty means the head of the default branch
	Hosts    string // selector; empty means the policy's
	AtOnce   bool   // without waves
	Backward bool   // also to hosts that run a later commit
	Force    bool   // also where the commit is in quarantine
	Reason   string
	Key      string // names the wish
}

// rolloutRoutes serves everything about rollouts.
func (d *Dashboard) rolloutRoutes(mux *http.ServeMux) {
	d.live(mux, "/rollouts", d.rolloutsLive())
	d.live(mux, "/rollouts/{id}", d.rolloutLive())
	mux.Handle("GET /rollouts/new", d.signedIn(d.askStart))
	mux.Handle("POST /rollouts/new", d.press(RoleOperator, d.start))
	for _, v := range fleet.Verbs() {
		mux.Handle("GET /rollouts/{id}/"+string(v), d.signedIn(d.askRollout(d.askVerb(v))))
		mux.Handle("POST /rollouts/{id}/"+string(v), d.press(RoleOperator, d.steer(v)))
	}
	mux.Handle("GET /rollouts/{id}/retry", d.signedIn(d.askRollout(askRetry)))
	mux.Handle("POST /rollouts/{id}/retry", d.press(RoleOperator, d.retry))
	mux.Handle("GET /rollouts/{id}/exclude", d.signedIn(d.askRollout(askExclude)))
	mux.Handle("POST /rollouts/{id}/exclude", d.press(RoleOperator, d.exclude))
	mux.Handle("GET /rollouts/quarantine/lift", d.signedIn(d.askLift))
	mux.Handle("POST /rollouts/quarantine/lift", d.press(RoleOperator, d.lift))
}

// rolloutURL is the page of a rollout.
func rolloutURL(id string) string { return "/rollouts/" + url.PathEscape(id) }

// rolloutActURL is where one asks for something of a rollout.
func rolloutActURL(id, what string, query ...string) templ.SafeURL {
	address := rolloutURL(id) + "/" + what
	if len(query) > 0 {
		q := url.Values{}
		for i := 0; i+1 < len(query); i += 2 {
			q.Set(query[i], query[i+1])
		}
		address += "?" + q.Encode()
	}
	return templ.URL(address)
}

// pageful is how many ended rollouts one page lists.
const pageful = 30

// rolloutFilter is what of the rollouts a page lists, as its address says.
type rolloutFilter struct {
	state, repo, before string
}

// key is the filter as an address, in one spelling.
func (f rolloutFilter) key() string {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.state, "repo": f.repo, "before": f.before} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return "/rollouts"
	}
	return "/rollouts?" + q.Encode()
}

func readRolloutFilter(r *http.Request) (rolloutFilter, error) {
	q := r.URL.Query()
	f := rolloutFilter{state: q.Get("state"), repo: q.Get("repo"), before: q.Get("before")}
	if f.state != "" && !slices.Contains(fleet.AllRolloutStates(), fleet.RolloutState(f.state)) {
		return f, ErrUnknown
	}
	return f, nil
}

// takes reports whether the filter shows a rollout.
func (f rolloutFilter) takes(s scene, r fleet.Rollout) bool {
	return (f.state == "" || f.state == string(r.State)) && (f.repo == "" || f.repo == s.repos[r.RepoID].Repo.FullName())
}

// rolloutsLive is the list of all rollouts.
func (d *Dashboard) rolloutsLive() livePage {
	return livePage{
		topic: func(r *http.Request) (topic, error) {
			f, err := readRolloutFilter(r)
			return topic{key: f.key(), regions: func(ctx context.Context, s scene) ([]liveRegion, error) { return d.rolloutList(ctx, s, f) }}, err
		},
		show: func(r *http.Request, p page, b board) templ.Component {
			p.At = "rollouts"
			f, _ := readRolloutFilter(r) // it was read once already
			return rolloutsPage(p, b, f)
		},
	}
}

// rolloutList is what the list holds: the filter, what goes on, what is in quarantine,
// and what has ended.
func (d *Dashboard) rolloutList(ctx context.Context, s scene, f rolloutFilter) ([]liveRegion, error) {
	var repoID int64
	for id, r := range s.repos {
		if r.Repo.FullName() == f.repo {
			repoID = id
		}
	}
	if f.repo != "" && repoID == 0 {
		return nil, ErrUnknown
	}
	ended, err := d.cfg.Rollouts.EndedRollouts(ctx, fleet.RolloutQuery{State: fleet.RolloutState(f.state), RepoID: repoID, Before: f.before, Limit: pageful + 1})
	if err != nil {
		return nil, err
	}
	bad, err := d.cfg.Rollouts.Quarantine(ctx)
	if err != nil {
		return nil, err
	}
	return []liveRegion{
		{"rollout-filter", []live{{"rollout-filter-form", filterForm(f, s.watched())}}},
		{"going", s.going(f)},
		{"quarantined", s.quarantined(bad, repoID)},
		{"ended-rollouts", s.endedRollouts(ended, f)},
	}, nil
}

// going are the rollouts that have not ended, newest first.
func (s scene) going(f rolloutFilter) []live {
	var out []live
	for _, r := range s.o.Rollouts {
		if !r.State.Terminal() && f.before == "" && f.takes(s, r) {
			out = append(out, live{"r-" + r.ID, rolloutCard(s.rollout(r))})
		}
	}
	if len(out) == 0 && f == (rolloutFilter{}) {
		out = append(out, live{"r-none", noRollout(s.watched())})
	}
	return out
}

// quarantined are the commits in quarantine, of one repository or of all.
func (s scene) quarantined(list []fleet.Quarantine, repoID int64) []live {
	var out []live
	for _, q := range list {
		if repoID == 0 || repoID == q.RepoID {
			out = append(out, live{"q-" + safeID(q.Commit), quarantineLine(quarantineView{q, s.repos[q.RepoID].Repo.FullName(), s.commitURL(q.RepoID, q.Commit)})})
		}
	}
	return out
}

// quarantineView is a commit in quarantine, ready to show.
type quarantineView struct {
	fleet.Quarantine
	repo, page string
}

// endedLine is one rollout that has ended, ready to show.
type endedLine struct {
	fleet.RolloutSummary
	look   look
	repo   string
	commit string // GitHub's page of it
	counts string
}

// headline falls back to words of our own where the rollout has none.
func (l endedLine) headline() string { return cmp.Or(l.Headline, l.look.word) }

func (s scene) endedRollouts(list []fleet.RolloutSummary, f rolloutFilter) []live {
	more := len(list) > pageful
	list = list[:min(pageful, len(list))]
	var out []live
	for _, r := range list {
		line := endedLine{RolloutSummary: r, look: rolloutLook(r.Kind, r.State), commit: s.commitURL(r.RepoID, r.Commit), counts: countWords(r.Count)}
		if len(s.repos) > 1 {
			line.repo = s.repos[r.RepoID].Repo.FullName()
		}
		out = append(out, live{"e-" + r.ID, endedRolloutLine(line)})
	}
	if len(out) == 0 {
		out = append(out, live{"e-none", noneEnded(f)})
	}
	if more || f.before != "" {
		next := f
		next.before = ""
		if more {
			next.before = list[len(list)-1].ID
		}
		out = append(out, live{"e-more", olderRollouts(f, next, more)})
	}
	return out
}

// newest is the filter's first page.
func newest(f rolloutFilter) rolloutFilter { f.before = ""; return f }

func (l endedLine) actor() string { return cmp.Or(l.Actor, "policy") }

// took is how long it went on.
func (l endedLine) took() string {
	if l.StartedAt.IsZero() || l.EndedAt.IsZero() {
		return ""
	}
	return span(l.EndedAt.Sub(l.StartedAt))
}

// liftURL is where one asks to lift the quarantine of a commit.
func liftURL(repo, commit string) templ.SafeURL {
	return templ.URL("/rollouts/quarantine/lift?" + url.Values{"repo": {repo}, "commit": {commit}}.Encode())
}
