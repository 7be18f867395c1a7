package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

func (d *Dashboard) settingsPage(w http.ResponseWriter, r *http.Request, who visitor) {
	v, ok := d.readPolicy(w, r, who)
	if !ok {
		return
	}
	v.yaml = r.URL.Query().Get("as") == "yaml" || v.p.Policy == nil
	d.showSettings(w, r, v, http.StatusOK)
}

// showSettings shows the page, with what the form would bring.
func (d *Dashboard) showSettings(w http.ResponseWriter, r *http.Request, v settingsView, status int) {
	if !v.yaml {
		v.ahead = d.lookAhead(r, v.form)
	}
	d.show(w, r, status, settingsPage(v))
}

// readPolicy reads what the page shows; where that fails it has answered already.
func (d *Dashboard) readPolicy(w http.ResponseWriter, r *http.Request, who visitor) (settingsView, bool) {
	repo := r.PathValue("owner") + "/" + r.PathValue("name")
	p, err := d.cfg.Policies.Policy(r.Context(), repo)
	switch {
	case errors.Is(err, ErrUnknown):
		d.notFound(w, r, repo+" is not watched.")
		return settingsView{}, false
	case err != nil:
		d.cfg.Log.Warn().Ctx(r.Context()).Err(err).Str("repo", repo).Msg("read the policy")
		d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "What rules " + repo + " could not be read from GitHub just now. Nothing was changed; go back, and try again in a minute."})
		return settingsView{}, false
	}
	v := settingsView{Page: d.page(w, r, who), p: p, text: p.Settings, editing: who.role == RoleAdmin && p.Source != "file"}
	v.Page.At = "settings"
	if p.Policy != nil {
		v.words, v.form = inWords(*p.Policy, d.cfg.Now()), draftOf(*p.Policy)
	}
	return v, true
}

// posted is what a person sends from one of the two forms.
type posted struct {
	do     string
	seen   time.Time
	text   string // the settings as YAML
	form   draft
	isForm bool // they came field by field
}

// readPosted tells a whole form from one that was cut short, which must not pass for
// empty settings.
func readPosted(r *http.Request) (posted, error) {
	var p posted
	if err := r.ParseForm(); err != nil {
		return p, err
	}
	if !r.PostForm.Has("seen") || r.PostForm.Has("settings") == r.PostForm.Has("fields") {
		return p, errors.New("the form is not whole")
	}
	p.do, p.isForm = r.PostFormValue("do"), r.PostForm.Has("fields")
	p.text = strings.ReplaceAll(r.PostForm.Get("settings"), "\r\n", "\n")
	if strings.TrimSpace(p.text) == "" {
		p.text = ""
	}
	p.form = draftFrom(r.PostForm)
	var err error
	if at := r.PostFormValue("seen"); at != "" {
		p.seen, err = time.Parse(time.RFC3339Nano, at)
	}
	return p, err
}

// saveSettings takes what the form or the text area sends: it adds or takes away an
// entry, looks ahead, asks before saving, or saves. Whatever is wrong, the page comes
// back with what the person wrote.
func (d *Dashboard) saveSettings(w http.ResponseWriter, r *http.Request, who visitor) {
	if who.role != RoleAdmin {
		d.answer(w, r, notice{Status: http.StatusForbidden, Text: "Read-only: settings need the admin role, yours is " + who.role + "."})
		return
	}
	p, err := readPosted(r)
	if err != nil {
		d.answer(w, r, notice{Status: http.StatusBadRequest, Text: "The settings did not arrive whole, so nothing was saved. They may have at most 64 KiB."})
		return
	}
	what, about, _ := strings.Cut(p.do, ":")
	if what == "preview" && scripted(r) {
		d.show(w, r, http.StatusOK, aheadParts(d.lookAhead(r, p.form)))
		return
	}
	v, ok := d.readPolicy(w, r, who)
	if !ok {
		return
	}
	v.yaml, v.dirty = !p.isForm, true
	v.text = p.text
	if p.isForm {
		v.form = p.form
	}
	switch {
	case what == "add" && rowFields[about] != nil:
		v.form.add(about)
	case what == "remove":
		v.form = v.form.without(about)
	case what == "save":
		d.store(w, r, who, v, p)
		return
	case what == "review":
		d.review(w, r, who, v, p)
		return
	}
	d.showSettings(w, r, v, http.StatusOK)
}

// review shows what a save would change, before it is saved.
func (d *Dashboard) review(w http.ResponseWriter, r *http.Request, who visitor, v settingsView, p posted) {
	text := p.text
	if p.isForm {
		text = p.form.text()
	}
	policy, err := d.cfg.Policies.ReadSettings(text)
	if err == nil && p.isForm {
		text, err = d.cfg.Policies.WriteSettings(policy)
	}
	if err == nil && !p.seen.Equal(v.p.ChangedAt) {
		err = ErrChanged
	}
	if err == nil && v.p.Source == "file" {
		err = Refused("The repository’s policy file rules. Change it there; nothing was saved here.")
	}
	if err != nil {
		d.notSaved(w, r, v, policy, err)
		return
	}
	was := fleet.DefaultPolicy()
	if v.p.Policy != nil {
		was = *v.p.Policy
	}
	changes := fleet.CompareSettings(was, policy)
	if len(changes) == 0 && (p.isForm || text == v.p.Settings) {
		v.Page.Notice = notice{Status: http.StatusOK, Text: "Nothing differs from what holds now, so there is nothing to save."}
		v.dirty = false
		d.showSettings(w, r, v, http.StatusOK)
		return
	}
	outlook, confirm := d.outlookOf(r, policy), "Save "+plural(len(changes), "change", "changes")
	if len(changes) == 0 {
		confirm = "Save the text"
	}
	d.ask(w, r, who, asking{
		title: "Save the settings of " + v.p.Repo.FullName(), post: string(settingsURL(v.p.Repo)), confirm: confirm,
		rows:   reviewRows(review{Changes: changes, Says: outlook.Says, Rewritten: p.isForm && strings.Contains(v.p.Settings, "#")}),
		fields: url.Values{"settings": {text}, "seen": {v.seen()}, "do": {"save"}},
	})
}

// review is what a person is shown before settings are saved.
type review struct {
	Changes   []fleet.SettingChange
	Says      string
	Rewritten bool // comments of the text are lost
}

// store replaces a repository's settings.
func (d *Dashboard) store(w http.ResponseWriter, r *http.Request, who visitor, v settingsView, p posted) {
	repo := r.PathValue("owner") + "/" + r.PathValue("name")
	err := d.cfg.Policies.SavePolicy(r.Context(), who.actor, repo, p.text, p.seen)
	if err != nil {
		policy, readErr := d.cfg.Policies.ReadSettings(p.text)
		if readErr == nil {
			v.form = draftOf(policy)
		}
		if scripted(r) {
			d.answer(w, r, d.whyNotSaved(&v, err))
			return
		}
		d.notSaved(w, r, v, policy, err)
		return
	}
	d.cfg.Log.Info().Ctx(r.Context()).Str("repo", repo).Str("actor", who.actor.Login).Msg("settings saved")
	d.wake()
	d.done(w, r, pressed{text: "Saved. Open updates are judged again by it now.", next: string(settingsURL(v.p.Repo))})
}

// notSaved brings the page back with what the person wrote.
func (d *Dashboard) notSaved(w http.ResponseWriter, r *http.Request, v settingsView, ours fleet.Policy, err error) {
	v.Page.Notice = d.whyNotSaved(&v, err)
	if v.theirs && v.p.Policy != nil {
		v.differs = fleet.CompareSettings(*v.p.Policy, ours)
	}
	d.showSettings(w, r, v, v.Page.Notice.Status)
}

// whyNotSaved is what people are told, and what the page shows of it.
func (d *Dashboard) whyNotSaved(v *settingsView, err error) notice {
	if errors.As(err, &v.faults) {
		return notice{http.StatusUnprocessableEntity, "Not saved: " + plural(len(v.faults), "setting is", "settings are") + " not right. What ruled before rules on."}
	}
	if errors.Is(err, ErrChanged) {
		v.theirs = true
		return notice{http.StatusConflict, "Not saved: " + v.p.ChangedBy + " has changed the settings since you began. Theirs are below yours; saving once more replaces them."}
	}
	if refused, ok := errors.AsType[Refused](err); ok {
		return notice{http.StatusConflict, refused.Error()}
	}
	d.cfg.Log.Error().Err(err).Str("repo", v.p.Repo.FullName()).Msg("save settings")
	return notice{http.StatusServiceUnavailable, "Not saved, because the database did not answer. Try again."}
}

// ahead is what the form's settings would bring.
type ahead struct {
	Outlook fleet.Outlook
	Picked  []string // hosts of deploy.hosts
	Of      int      // hosts there are
	Problem string   // why it can't be told
	Frozen  bool
	Change  time.Time // when a freeze ends or begins; zero: never
}

// lookAhead tells what a draft would bring, as far as it is right.
func (d *Dashboard) lookAhead(r *http.Request, form draft) ahead {
	policy, err := d.cfg.Policies.ReadSettings(form.text())
	if err != nil {
		return ahead{Problem: "It shows once every setting is right."}
	}
	now := d.cfg.Now()
	a := ahead{Outlook: d.outlookOf(r, policy)}
	a.Change, _, a.Frozen = policy.Updates.FrozenUntil(now)
	if !a.Frozen {
		a.Change, _ = policy.Updates.NextFreeze(now)
	}
	hosts := d.hostsOf(r)
	a.Of = len(hosts)
	if a.Picked, err = fleet.Picked(policy.Deploy.Hosts, hosts); err != nil {
		a.Problem = title(err.Error()) + "."
	}
	return a
}

func (d *Dashboard) outlookOf(r *http.Request, p fleet.Policy) fleet.Outlook {
	o, err := fleet.Foresee(p, d.hostsOf(r), d.cfg.Now())
	if err != nil {
		return fleet.Outlook{Says: "It can’t be told what they would bring: " + err.Error() + "."}
	}
	return o
}

// hostsOf are the hosts of the repository that a request names.
func (d *Dashboard) hostsOf(r *http.Request) []fleet.Host {
	o, err := d.cfg.Views.Overview(r.Context())
	if err != nil {
		d.cfg.Log.Warn().Ctx(r.Context()).Err(err).Msg("read the hosts for an outlook")
		return nil
	}
	repos := map[int64]string{}
	for _, v := range o.Repos {
		repos[v.Repo.ID] = v.Repo.FullName()
	}
	var hosts []fleet.Host
	for _, h := range o.Hosts {
		if name := repos[h.Host.RepoID]; name == r.PathValue("owner")+"/"+r.PathValue("name") {
			hosts = append(hosts, h.Host)
		}
	}
	return hosts
}
