package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// readOnly is why a viewer can't press the button of a question.
func readOnly(who visitor) string {
	if who.may(RoleOperator) {
		return ""
	}
	return "Read-only: this needs the " + RoleOperator + " role, yours is " + who.role + "."
}

// askRollout serves a question about a rollout.
func (d *Dashboard) askRollout(question func(r *http.Request, v rolloutDetail) asking) func(http.ResponseWriter, *http.Request, visitor) {
	return func(w http.ResponseWriter, r *http.Request, who visitor) {
		o, err := d.cfg.Views.Overview(r.Context())
		var v rolloutDetail
		if err == nil {
			v, err = d.rolloutDetail(r.Context(), d.scene(o), r.PathValue("id"), false)
		}
		if err != nil {
			d.answer(w, r, d.refusal(r, who, err))
			return
		}
		a := question(r, v)
		a.stops = cmp.Or(a.stops, readOnly(who))
		d.ask(w, r, who, a)
	}
}

// namesShown is how many hosts a question names; of more, it counts the others.
const namesShown = 12

// steering is a question about a rollout as a whole, by its hosts.
type steering struct {
	v    rolloutDetail
	does string

	switched, working, waiting, away []string
	back                             []fleet.HostProgress // the hosts that go back, with where to
	reason                           string               // given already, in a question that is asked twice
}

func newSteering(v rolloutDetail) steering {
	s := steering{v: v}
	for _, p := range v.Hosts {
		switch {
		case p.State.UnderWay():
			s.working = append(s.working, p.Host)
		case p.State == fleet.HostWaiting:
			s.waiting = append(s.waiting, p.Host)
		case p.State == fleet.HostOffline || p.State == fleet.HostDeferred:
			s.away = append(s.away, p.Host)
		case p.State == fleet.HostHealthy || p.Switched && p.State != fleet.HostReverted:
			s.switched = append(s.switched, p.Host)
		}
	}
	return s
}

// about is the question of one rollout that locks itself when its state moves.
func (v rolloutDetail) about(a asking) asking {
	a.about, a.state = "r-"+v.ID, string(v.State)
	if a.fields == nil {
		a.fields = url.Values{}
	}
	a.fields.Set("seen", string(v.State))
	return a
}

// askVerb asks before a rollout is paused, resumed, aborted or rolled back.
func (d *Dashboard) askVerb(verb fleet.Verb) func(*http.Request, rolloutDetail) asking {
	return func(r *http.Request, v rolloutDetail) asking {
		s := newSteering(v)
		a := v.about(asking{post: string(rolloutActURL(v.ID, string(verb)))})
		to := fleet.Steer(v.Rollout, verb, v.near)
		if a.stops = to.Why; to.Already {
			a.stops = "It is " + strings.ReplaceAll(string(v.State), "_", " ") + " already."
		}
		switch verb {
		case fleet.VerbPause:
			a.title, a.confirm, a.rows = "Pause the rollout of "+short(v.Commit), "Pause", pauseRows(s)
		case fleet.VerbResume:
			a.title, a.confirm, a.rows = "Resume the rollout of "+short(v.Commit), "Resume", resumeRows(s)
		case fleet.VerbAbort:
			a.title, a.confirm, a.danger = "Abort the rollout of "+short(v.Commit), "Abort…", true
			if r.URL.Query().Get("sure") == "1" {
				s.reason = r.URL.Query().Get("reason")
				a.title, a.confirm = "Really abort the rollout of "+short(v.Commit)+"?", "Abort for good"
				a.fields.Set("sure", "yes")
				a.fields.Set("reason", s.reason)
				a.rows = abortSureRows(s)
				break
			}
			a.again, a.rows = string(rolloutActURL(v.ID, "abort")), abortRows(s)
			a.fields.Set("sure", "1")
		case fleet.VerbRollback:
			_, s.back = fleet.MakeRestore(v.Rollout, v.near.Hosts)
			a.title, a.confirm, a.danger = "Roll back "+short(v.Commit), "Roll back "+plural(len(s.back), "host", "hosts"), true
			a.rows = rollbackRows(s)
		}
		return a
	}
}

// steer carries a verb out.
func (d *Dashboard) steer(verb fleet.Verb) func(*http.Request, visitor) (pressed, error) {
	return func(r *http.Request, who visitor) (pressed, error) {
		id, seen := r.PathValue("id"), fleet.RolloutState(r.PostFormValue("seen"))
		if seen == "" {
			return pressed{}, BadRequest("The request does not name what you saw. Reload the page and try again.")
		}
		if verb == fleet.VerbAbort && r.PostFormValue("sure") != "yes" {
			return pressed{}, BadRequest("Aborting is asked twice, and the second question was not answered. Nothing was done.")
		}
		is, err := d.cfg.Rollouts.Steer(r.Context(), who.actor, id, verb, seen, reasonOf(r))
		if err != nil {
			return pressed{}, err
		}
		p := pressed{text: steered[verb]}
		if is.ID != id || !scripted(r) {
			p.next = rolloutURL(is.ID)
		}
		return p, nil
	}
}

// steered say what came of a verb.
var steered = map[fleet.Verb]string{
	fleet.VerbPause:    "Paused. Hosts that are under way finish; no other host begins.",
	fleet.VerbResume:   "Resumed. The rollout goes on.",
	fleet.VerbAbort:    "Aborted. Hosts that are under way finish; no other host begins.",
	fleet.VerbRollback: "The hosts that switched go back to what they ran before.",
}

// reasonOf is the reason that a form gives, bounded as the API bounds it.
func reasonOf(r *http.Request) string {
	text := []rune(strings.TrimSpace(r.PostFormValue("reason")))
	return string(text[:min(len(text), 1000)])
}

// askRetry asks before what failed is tried again: all of it, or on the hosts named.
func askRetry(r *http.Request, v rolloutDetail) asking {
	only := r.URL.Query()["host"]
	hosts, why := fleet.Retry(v.Rollout, v.near, only...)
	a := v.about(asking{
		title: "Try " + short(v.Commit) + " again", post: string(rolloutActURL(v.ID, "retry")), stops: why,
		confirm: "Deploy to " + plural(len(hosts), "host", "hosts"), fields: url.Values{"key": {pressKey()}, "host": only},
	})
	var left []string // that wait, and never begin
	if v.State == fleet.RolloutHalted {
		for _, p := range v.Hosts {
			if p.State == fleet.HostWaiting && !slices.Contains(hosts, p.Host) {
				left = append(left, p.Host)
			}
		}
	}
	a.rows = retryRows(v, hosts, left)
	return a
}

func (d *Dashboard) retry(r *http.Request, who visitor) (pressed, error) {
	is, err := d.cfg.Rollouts.Retry(r.Context(), who.actor, r.PathValue("id"), r.PostForm["host"], reasonOf(r), r.PostFormValue("key"))
	return pressed{text: "Started. This rollout tries it again.", next: rolloutURL(is.ID)}, err
}

// askExclude asks before a host is taken out of a rollout.
func askExclude(r *http.Request, v rolloutDetail) asking {
	name := r.URL.Query().Get("host")
	a := asking{
		title: "Take " + name + " out of the rollout", confirm: "Take out " + name, post: string(rolloutActURL(v.ID, "exclude")),
		fields: url.Values{"host": {name}}, stops: "It takes no part in this rollout.",
	}
	var is hostStand
	for _, h := range v.hosts {
		if h.Host != name {
			continue
		}
		is, a.about, a.state, a.stops = h, h.id, string(h.State), ""
		if _, _, err := fleet.Exclude(h.HostProgress, h.Since); err != nil {
			a.stops = "It can’t be taken out: " + err.Error() + "."
		}
	}
	a.rows = excludeRows(v, is)
	return a
}

func (d *Dashboard) exclude(r *http.Request, who visitor) (pressed, error) {
	id, host := r.PathValue("id"), r.PostFormValue("host")
	p := pressed{text: host + " is taken out of the rollout; the others go on."}
	if !scripted(r) {
		p.next = rolloutURL(id)
	}
	return p, d.cfg.Rollouts.Exclude(r.Context(), who.actor, id, host, reasonOf(r))
}

// askLift asks before a commit may spread again.
func (d *Dashboard) askLift(w http.ResponseWriter, r *http.Request, who visitor) {
	v, s, err := d.inQuarantine(r, r.URL.Query())
	if err != nil {
		d.answer(w, r, d.refusal(r, who, err))
		return
	}
	d.ask(w, r, who, asking{
		title: "Lift the quarantine of " + short(v.Commit), confirm: "Lift the quarantine", post: "/rollouts/quarantine/lift",
		fields: url.Values{"repo": {v.repo}, "commit": {v.Commit}}, stops: readOnly(who), rows: liftRows(v, s.waitingFor(v.Quarantine)),
	})
}

// waitingFor are the hosts that are away and get a commit once it may spread.
func (s scene) waitingFor(q fleet.Quarantine) []string {
	var names []string
	for _, r := range s.o.Rollouts {
		if r.RepoID != q.RepoID || r.Commit != q.Commit || r.State != fleet.RolloutSucceeded {
			continue
		}
		for _, p := range r.Hosts {
			if p.State == fleet.HostOffline || p.State == fleet.HostDeferred {
				names = append(names, p.Host)
			}
		}
	}
	return names
}

// inQuarantine finds the commit in quarantine that a form or an address names.
func (d *Dashboard) inQuarantine(r *http.Request, q url.Values) (quarantineView, scene, error) {
	o, err := d.cfg.Views.Overview(r.Context())
	if err != nil {
		return quarantineView{}, scene{}, err
	}
	s := d.scene(o)
	list, err := d.cfg.Rollouts.Quarantine(r.Context())
	if err != nil {
		return quarantineView{}, s, err
	}
	for _, bad := range list {
		if repo := s.repos[bad.RepoID].Repo.FullName(); bad.Commit == q.Get("commit") && repo == q.Get("repo") {
			return quarantineView{bad, repo, s.commitURL(bad.RepoID, bad.Commit)}, s, nil
		}
	}
	return quarantineView{}, s, ErrUnknown
}

func (d *Dashboard) lift(r *http.Request, who visitor) (pressed, error) {
	p := pressed{text: "Lifted. The commit may spread again."}
	if !scripted(r) {
		p.next = "/rollouts"
	}
	v, _, err := d.inQuarantine(r, r.PostForm)
	if err != nil {
		return p, err
	}
	return p, d.cfg.Rollouts.Lift(r.Context(), who.actor, v.RepoID, v.Commit, reasonOf(r))
}
