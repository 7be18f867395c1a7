package dashboard

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/nixfleet/nixfleet/fleet"
)

// startView is the question before a rollout is started: the form where the wish is put
// together, or what it comes to.
type startView struct {
	wish    RolloutWish
	repos   []watched
	plan    fleet.PlannedRollout
	branch  string
	head    bool // the commit is the newest of the default branch, as last read
	commit  string
	hosts   int
	offline []string
	goes    string // id of the rollout of the repository that goes on, which this one waits for
	problem string // why the wish can't be looked at as it is
}

// query is the wish as an address.
func (w RolloutWish) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"repo": w.Repo, "commit": w.Commit, "hosts": w.Hosts, "reason": w.Reason} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, said := range map[string]bool{"at_once": w.AtOnce, "backward": w.Backward, "force": w.Force} {
		if said {
			q.Set(name, "yes")
		}
	}
	return q
}

// readWish reads a wish from an address or a form.
func readWish(q url.Values) RolloutWish {
	said := func(name string) bool { return q.Get(name) == "yes" || q.Get(name) == "1" }
	return RolloutWish{
		Repo: q.Get("repo"), Commit: q.Get("commit"), Hosts: q.Get("hosts"), Reason: q.Get("reason"), Key: q.Get("key"),
		AtOnce: said("at_once"), Backward: said("backward"), Force: said("force"),
	}
}

// askStart asks before a commit is brought to hosts. What can't be right leads back to
// the form.
func (d *Dashboard) askStart(w http.ResponseWriter, r *http.Request, who visitor) {
	o, err := d.cfg.Views.Overview(r.Context())
	if err != nil {
		d.answer(w, r, d.refusal(r, who, err))
		return
	}
	s := d.scene(o)
	v := startView{wish: readWish(r.URL.Query()), repos: s.watched()}
	edit := r.URL.Query().Get("edit") != "" || len(v.repos) == 0 || v.wish.Repo == "" && len(v.repos) > 1
	if !edit {
		v.plan, err = d.cfg.Rollouts.Plan(r.Context(), v.wish)
		bad, wrong := errors.AsType[BadRequest](err)
		refused, stopped := errors.AsType[Refused](err)
		switch {
		case wrong:
			v.problem, edit = string(bad), true
		case stopped:
			v.problem, edit = string(refused), true
		case err != nil:
			d.answer(w, r, d.refusal(r, who, err))
			return
		}
	}
	if edit {
		d.ask(w, r, who, asking{title: "Start a rollout", confirm: "Look at what it does", again: "/rollouts/new", rows: startForm(v)})
		return
	}
	d.ask(w, r, who, s.startQuestion(v, who))
}

// startQuestion says what a wish comes to.
func (s scene) startQuestion(v startView, who visitor) asking {
	known := s.repos[v.plan.Repo.ID]
	v.branch, v.head, v.commit = v.plan.Repo.DefaultBranch, known.HeadSHA == v.plan.Commit, s.commitURL(v.plan.Repo.ID, v.plan.Commit)
	for _, w := range v.plan.Plan.Waves {
		v.hosts += len(w.Hosts)
		for _, name := range w.Hosts {
			if !s.online[name] {
				v.offline = append(v.offline, name)
			}
		}
	}
	for _, r := range s.o.Rollouts {
		if r.RepoID == v.plan.Repo.ID && r.State.Blocks() {
			v.goes = r.ID
		}
	}
	v.wish.Repo, v.wish.Commit = v.plan.Repo.FullName(), v.plan.Commit // exactly what is shown
	a := asking{
		title: "Deploy " + short(v.plan.Commit), confirm: "Deploy to " + plural(v.hosts, "host", "hosts"), post: "/rollouts/new",
		rows: startRows(v, s.now), fields: v.wish.query(), danger: len(v.plan.Later) > 0,
	}
	a.fields.Set("key", pressKey())
	a.fields.Del("reason") // the rows ask for it
	switch {
	case readOnly(who) != "":
		a.stops = readOnly(who)
	case len(v.plan.Later) > 0 && !v.wish.Backward:
		a.stops = "Hosts run later commits. Change it, and allow backward."
	case v.plan.Quarantine != "" && !v.wish.Force:
		a.stops = "The commit is in quarantine. Change it, or lift that."
	}
	if len(v.plan.Later) > 0 && v.wish.Backward {
		a.confirm = "Take " + plural(v.hosts, "host", "hosts") + " to " + short(v.plan.Commit)
	}
	return a
}

// start begins a rollout.
func (d *Dashboard) start(r *http.Request, who visitor) (pressed, error) {
	wish := readWish(r.PostForm)
	wish.Reason = reasonOf(r)
	if wish.Repo == "" || wish.Commit == "" || wish.Key == "" {
		return pressed{}, BadRequest("The request does not name what you saw. Reload the page and try again.")
	}
	is, err := d.cfg.Rollouts.Start(r.Context(), who.actor, wish)
	return pressed{text: "Started. Its hosts begin as soon as its turn comes.", next: rolloutURL(is.ID)}, err
}

// changeURL leads back to the form with what is wished.
func (v startView) changeURL() string {
	q := v.wish.query()
	q.Set("edit", "1")
	return "/rollouts/new?" + q.Encode()
}
