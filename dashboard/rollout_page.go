package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// rolloutLive is the page of one rollout. With ?all=1 no host is folded.
func (d *Dashboard) rolloutLive() livePage {
	return livePage{
		topic: func(r *http.Request) (topic, error) {
			id, all := r.PathValue("id"), r.URL.Query().Get("all") == "1"
			key := rolloutURL(id)
			if all {
				key += "?all=1"
			}
			return topic{key: key, regions: func(ctx context.Context, s scene) ([]liveRegion, error) {
				v, err := d.rolloutDetail(ctx, s, id, all)
				if err != nil {
					return nil, err
				}
				return v.regions(), nil
			}}, nil
		},
		show: func(r *http.Request, p page, b board) templ.Component {
			p.At = "rollouts"
			return rolloutPage(p, b, r.PathValue("id"))
		},
	}
}

// rolloutDetail reads a rollout and arranges it for showing.
func (d *Dashboard) rolloutDetail(ctx context.Context, s scene, id string, all bool) (rolloutDetail, error) {
	r, err := d.cfg.Rollouts.Rollout(ctx, id)
	if err != nil {
		return rolloutDetail{}, err
	}
	return s.rolloutDetail(r, all), nil
}

// rolloutDetail is one rollout's page, ready to show.
type rolloutDetail struct {
	fleet.RolloutDetail
	card  rolloutView
	all   bool // no host is folded
	now   time.Time
	near  fleet.Around
	hosts []hostStand
	waves []waveStand
	plan  []said
	web   string // GitHub's page of the repository

	commitPage func(sha string) string
}

// waveStand is one wave of the timeline, ready to show.
type waveStand struct {
	fleet.WaveStand
	id     string
	name   string
	soak   time.Duration
	look   look
	counts string
	hosts  []hostStand
	folded string // the hosts that have no line of their own, counted
}

// hostStand is one host of the timeline, ready to show.
type hostStand struct {
	fleet.HostProgress
	id       string
	look     look
	name     string // its page
	order    string // page of its order
	target   fleet.System
	online   bool
	canRetry bool
	canLeave bool // be taken out
}

func (s scene) rolloutDetail(r fleet.RolloutDetail, all bool) rolloutDetail {
	r.Headline = fleet.Headline(r.Rollout, r.RestoredBy, s.now)
	v := rolloutDetail{
		RolloutDetail: r, card: s.rollout(r.Rollout), all: all, now: s.now, web: s.repoURL(r.Repo),
		near:       fleet.Around{Hosts: map[string]fleet.Host{}, Overtook: r.Overtook},
		commitPage: func(sha string) string { return s.commitURL(r.RepoID, sha) },
	}
	for _, h := range s.o.Hosts {
		if h.Host.RepoID == r.RepoID {
			v.near.Hosts[h.Host.Name] = h.Host
		}
	}
	retry, _ := fleet.Retry(r.Rollout, v.near)
	for _, p := range r.Hosts {
		v.hosts = append(v.hosts, s.hostStand(r, p, slices.Contains(retry, p.Host)))
	}
	v.arrange(s.now)
	v.plan = planWords(r.Plan, r.Kind, s.now)
	return v
}

func (s scene) hostStand(r fleet.RolloutDetail, p fleet.HostProgress, retry bool) hostStand {
	h := hostStand{HostProgress: p, id: "at-" + safeID(p.Host), look: hostLook(p.State), name: hostPath(p.Host), target: p.Target, online: s.online[p.Host]}
	if p.Order != "" {
		h.order = orderURL(p.Host, p.Order)
	}
	none := p.State == fleet.HostWaiting || p.State == fleet.HostExcluded || p.State == fleet.HostCancelled && p.Order == ""
	if h.target.Commit == "" && r.Kind != fleet.RolloutRestore && !none {
		h.target.Commit = r.Commit
	}
	failed := p.State == fleet.HostFailed || p.State == fleet.HostReverted
	_, _, stays := fleet.Exclude(p, s.now)
	h.canRetry, h.canLeave = retry && failed, stays == nil && p.State != fleet.HostExcluded && !r.State.Terminal()
	return h
}

// arrange puts the hosts into their waves.
func (v *rolloutDetail) arrange(now time.Time) {
	stands := fleet.Timeline(v.Rollout, now)
	plan := v.Plan.Waves
	for i, w := range plan {
		if v.State.Terminal() {
			w.Soak = 0 // nothing comes after it
		}
		v.waves = append(v.waves, waveStand{
			WaveStand: stands[i], id: fmt.Sprintf("wave-%d", i), name: cmp.Or(w.Name, fmt.Sprintf("wave %d", i+1)), soak: w.Soak, look: waveLook(stands[i].State),
		})
	}
	if len(v.waves) == 0 {
		return // it has not begun
	}
	count := make([]map[fleet.HostState]int, len(v.waves))
	for _, h := range v.hosts {
		i := min(max(h.Wave, 0), len(v.waves)-1)
		if count[i] == nil {
			count[i] = map[fleet.HostState]int{}
		}
		count[i][h.State]++
		v.waves[i].hosts = append(v.waves[i].hosts, h)
	}
	for i := range v.waves {
		w := &v.waves[i]
		w.counts = countWords(count[i])
		if len(w.hosts) > crowd && !v.all {
			w.fold(count[i])
		}
	}
}

// fold keeps the hosts that somebody may want to look at, those in trouble first, and
// counts the others.
func (w *waveStand) fold(count map[fleet.HostState]int) {
	rank := func(h hostStand) int {
		switch {
		case h.State == fleet.HostFailed || h.State == fleet.HostReverted:
			return 0
		case h.State.UnderWay():
			return 1
		}
		return 2
	}
	kept := slices.DeleteFunc(w.hosts, func(h hostStand) bool { return rank(h) == 2 })
	slices.SortStableFunc(kept, func(a, b hostStand) int { return cmp.Compare(rank(a), rank(b)) })
	rest := map[fleet.HostState]int{}
	for s, n := range count {
		if rank(hostStand{HostProgress: fleet.HostProgress{State: s}}) == 2 {
			rest[s] = n
		}
	}
	w.hosts, w.folded = kept, countWords(rest)
}

// countWords sums up hosts by their states, e.g. "3 healthy · 2 building".
func countWords(count map[fleet.HostState]int) string {
	var parts []string
	for _, s := range []fleet.HostState{
		fleet.HostHealthy, fleet.HostFailed, fleet.HostReverted, fleet.HostOrdered, fleet.HostReceived, fleet.HostFetching, fleet.HostBuilding,
		fleet.HostSwitching, fleet.HostVerifying, fleet.HostWaiting, fleet.HostOffline, fleet.HostDeferred, fleet.HostExcluded, fleet.HostCancelled,
	} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], strings.ToLower(hostLook(s).word)))
		}
	}
	return strings.Join(parts, " · ")
}

// regions is everything live of the page. Each host is a part of its own, so that a
// step of one is one small change.
func (v rolloutDetail) regions() []liveRegion {
	var waves []live
	for _, w := range v.waves {
		waves = append(waves, live{w.id, waveHead(w)})
		for _, h := range w.hosts {
			waves = append(waves, live{h.id, hostLine(v, h)})
		}
		if w.folded != "" {
			waves = append(waves, live{w.id + "-more", foldedHosts(v, w)})
		}
	}
	if len(v.waves) == 0 {
		waves = []live{{"waves-none", noWaves(v)}}
	}
	return []liveRegion{
		{"rollout-head", []live{{"r-" + v.ID, rolloutHead(v)}}},
		{"waves", waves},
		{"rollout-facts", []live{{"facts", rolloutFacts(v)}, {"frozen-plan", frozenPlan(v)}, {"happened", rolloutHistory(v)}}},
	}
}

// waveLook is how the state of a wave appears.
func waveLook(s fleet.WaveState) look {
	switch s {
	case fleet.WaveAhead:
		return look{"idle", "clock", "Ahead"}
	case fleet.WaveUnderWay:
		return look{"working", "working", "Under way"}
	case fleet.WaveStopped:
		return look{"stale", "pause", "Stopped"}
	case fleet.WaveSoaking:
		return look{"working", "eye", "Watching"}
	case fleet.WaveDone:
		return look{"ok", "ok", "Done"}
	case fleet.WaveNever:
		return look{"idle", "blocked", "Never begun"}
	}
	return look{"unknown", "unknown", "Unknown"}
}

// moved is the change that brought the rollout into its state; nil where none is known,
// and where nobody has done anything but start it.
func (v rolloutDetail) moved() *fleet.RolloutChange {
	var is []*fleet.RolloutChange
	for i, c := range v.Happened {
		if c.What == string(v.State) {
			is = append(is, &v.Happened[i])
		}
	}
	if len(is) == 0 || len(is) == 1 && (v.State == fleet.RolloutRunning || v.State == fleet.RolloutPlanned) {
		return nil
	}
	return is[0]
}

// act is something that a person can ask of the rollout.
type act struct {
	name, icon, label string
	danger            bool
	why               string // why it can't be done now; empty where it can
}

// acts are what can be asked of the rollout now, and what can't.
func (v rolloutDetail) acts() (now, not []act) {
	for _, a := range []act{
		{name: string(fleet.VerbResume), icon: "go", label: "Resume"}, {name: string(fleet.VerbPause), icon: "pause", label: "Pause"},
		{name: string(fleet.VerbRollback), icon: "back", label: "Rollback", danger: true}, {name: string(fleet.VerbAbort), icon: "blocked", label: "Abort", danger: true},
	} {
		s := fleet.Steer(v.Rollout, fleet.Verb(a.name), v.near)
		switch a.why = s.Why; {
		case s.Already:
		case a.why != "":
			not = append(not, a)
		default:
			now = append(now, a)
		}
	}
	a := act{name: "retry", icon: "go", label: "Retry failed"}
	var hosts []string
	if hosts, a.why = fleet.Retry(v.Rollout, v.near); a.why != "" {
		return now, append(not, a)
	}
	if len(hosts) == 1 {
		a.label = "Retry " + hosts[0]
	}
	return append([]act{a}, now...), not
}

// title is the headline, with how long it took where the rollout came to its end.
func (v rolloutDetail) title() string {
	text := v.card.headline()
	ran := v.State == fleet.RolloutSucceeded || v.State == fleet.RolloutFailed
	if took := v.card.took(); ran && took != "" && !strings.Contains(text, "catch up") {
		return strings.TrimSuffix(text, ".") + " in " + took + "."
	}
	return text
}

// actor is who asked for the rollout.
func (v rolloutDetail) actor() string { return cmp.Or(v.Actor, "policy") }

// changeOf says what a change of a rollout was.
func changeOf(c fleet.RolloutChange) string {
	if c.What == "host_excluded" {
		return c.Host + " taken out"
	}
	return rolloutLook(fleet.RolloutDeploy, fleet.RolloutState(c.What)).word
}

// offlineNote says what becomes of a host that is offline.
func offlineNote(p fleet.Plan) string {
	if p.Offline == "skip" {
		return "It was offline at its turn, and is left out."
	}
	return "It was offline at its turn, and catches up when it is back."
}

// systemName is the readable end of a store path.
func systemName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if hash, rest, ok := strings.Cut(name, "-"); ok && len(hash) == 32 {
		return rest
	}
	return name
}

// changeWords sum up what an order changed.
func changeWords(c fleet.Change) string {
	n := len(c.Packages) + c.More
	if n == 0 {
		return "no package differs."
	}
	text := plural(n, "package differs", "packages differ")
	if c.SizeFrom > 0 && c.SizeTo > 0 {
		text += fmt.Sprintf(", %+.1f MB", float64(c.SizeTo-c.SizeFrom)/1e6)
	}
	return text + "."
}
