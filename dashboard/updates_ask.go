package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Locks is how newer locks come to be, beside the pull requests of others.
type Locks interface {
	// CheckForUpdates has GitHub read again at once and the workflows started that
	// bring updates: of one repository, or of all for an empty name.
	CheckForUpdates(ctx context.Context, by fleet.Actor, repo string) ([]fleet.Checked, error)
	// UpdateInputs has a host make a newer lock, and names it.
	UpdateInputs(ctx context.Context, by fleet.Actor, w InputsWish) (host string, err error)
	// LockWorks lists the newest wishes for newer locks, newest first.
	LockWorks(ctx context.Context) ([]fleet.LockWork, error)
}

// InputsWish is what a person asks for who wants newer inputs.
type InputsWish struct {
	Repo   string   // owner/name
	Host   string   // that makes the lock; empty: any that can
	Inputs []string // none: all
	Reason string
	AsPull bool
	Key    string // of one showing of the form
}

// askCheck is the question before GitHub is read again.
func (s scene) askCheck() asking {
	a := asking{
		title: "Check for updates", rows: checkRows(s.watched()), post: "/updates/check", confirm: "Check " + plural(len(s.o.Repos), "repository", "repositories"),
	}
	if len(s.o.Repos) == 0 {
		a.stops = "No repository is watched yet."
	}
	return a
}

func (d *Dashboard) check(r *http.Request, who visitor) (pressed, error) {
	checked, err := d.cfg.Locks.CheckForUpdates(r.Context(), who.actor, r.PostFormValue("repo"))
	if err != nil {
		return pressed{}, err
	}
	lines := []string{"GitHub is read again now."}
	for _, c := range checked {
		line := c.Found
		if len(checked) > 1 {
			line = c.Repo + ": " + line
		}
		lines = append(lines, line)
	}
	return pressed{text: strings.Join(lines, " ")}, nil
}

// inputsURL is the question before a host of a repository makes a newer lock.
func inputsURL(r fleet.Repo) templ.SafeURL {
	return templ.URL("/updates/ask/inputs?" + url.Values{"repo": {r.FullName()}}.Encode())
}

// inputsView is the question before a host makes a newer lock.
type inputsView struct {
	repo   fleet.RepoView
	online []fleet.Host
	picked string   // the host that would be picked
	inputs []string // of the flake, as far as its hosts tell
	offer  offer
}

// byHosts are the repositories whose hosts make new locks.
func (s scene) byHosts() []fleet.RepoView {
	var list []fleet.RepoView
	for _, r := range s.o.Repos {
		if r.Policy != nil && r.Policy.Updates.Strategy == "host" {
			list = append(list, r)
		}
	}
	return list
}

func (s scene) inputsOf(r fleet.RepoView) inputsView {
	v := inputsView{repo: r}
	seen := map[string]bool{}
	var hosts []fleet.Host
	for _, h := range s.o.Hosts {
		if h.Host.RepoID != r.Repo.ID {
			continue
		}
		hosts = append(hosts, h.Host)
		if h.Online && !h.Host.EnrolledAt.IsZero() && h.Host.RevokedAt.IsZero() {
			v.online = append(v.online, h.Host)
		}
		if l := h.Host.Facts.Lock; l != nil {
			for _, in := range l.Inputs {
				seen[in.Name] = true
			}
		}
	}
	for name := range seen {
		v.inputs = append(v.inputs, name)
	}
	slices.Sort(v.inputs)
	if h, ok := fleet.PickForInputs(hosts, r.Repo.ID, s.now); ok {
		v.picked = h.Name
	}
	s.plan(r.Repo.ID, &v.offer)
	return v
}

// askInputs is the question for the repository that is named, or the only one whose
// hosts make new locks.
func (s scene) askInputs(name string) (asking, error) {
	repos := s.byHosts()
	i := slices.IndexFunc(repos, func(r fleet.RepoView) bool { return name == "" || r.Repo.FullName() == name })
	if i < 0 {
		return asking{}, missing("No repository of this name has hosts make its lock. Its policy says so with updates: {strategy: host}.")
	}
	v := s.inputsOf(repos[i])
	a := asking{
		title: "Update inputs of " + v.repo.Repo.FullName(), rows: inputsRows(v), post: "/updates/inputs", confirm: "Have a new lock made",
		fields: url.Values{"repo": {v.repo.Repo.FullName()}, "key": {pressKey()}},
	}
	if v.picked == "" {
		a.stops = "No host of this repository is online, so none can make a new lock."
	}
	return a, nil
}

// askOf shows a question that is about no single update.
func (d *Dashboard) askOf(question func(s scene, r *http.Request) (asking, error)) http.Handler {
	return d.signedIn(func(w http.ResponseWriter, r *http.Request, who visitor) {
		o, err := d.cfg.Views.Overview(r.Context())
		var a asking
		if err == nil {
			a, err = question(d.scene(o), r)
		}
		if gone, ok := errors.AsType[missing](err); ok {
			d.notFound(w, r, string(gone))
			return
		}
		if err != nil {
			d.cfg.Log.Error().Ctx(r.Context()).Err(err).Str("path", r.URL.Path).Msg("read what a question is about")
			d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "The database did not answer. Nothing was done; try again."})
			return
		}
		if !who.may(RoleOperator) {
			a.stops = "Read-only: this needs the operator role, yours is " + who.role + "."
		}
		d.ask(w, r, who, a)
	})
}

func (d *Dashboard) updateInputs(r *http.Request, who visitor) (pressed, error) {
	w := InputsWish{
		Repo: r.PostFormValue("repo"), Host: r.PostFormValue("host"), Inputs: r.PostForm["input"],
		Reason: strings.TrimSpace(r.PostFormValue("reason")), AsPull: r.PostFormValue("as_pull") == "yes", Key: r.PostFormValue("key"),
	}
	if w.Repo == "" || w.Key == "" {
		return pressed{}, BadRequest("The request does not say what to update. Reload the page and try again.")
	}
	host, err := d.cfg.Locks.UpdateInputs(r.Context(), who.actor, w)
	if err != nil {
		return pressed{}, err
	}
	return pressed{text: fmt.Sprintf("Asked %s for a new lock. What becomes of it shows on the Updates page.", host)}, nil
}

// lockLook is how far a newer lock is.
func lockLook(w fleet.LockWork) look {
	switch w.State {
	case fleet.ProposalReceived:
		return look{"working", "working", "Being proven"}
	case fleet.ProposalProven:
		return look{"working", "working", "Being committed"}
	case fleet.ProposalCommitted:
		return look{"ok", "ok", "Committed"}
	case fleet.ProposalOpened:
		return look{"ok", "merge", "Pull request"}
	case fleet.ProposalRefused:
		return look{"error", "blocked", "Refused"}
	case fleet.ProposalConflicted:
		return look{"stale", "stale", "Overtaken"}
	}
	if w.Order == fleet.HostHealthy {
		return look{"ok", "ok", "Nothing to send"}
	}
	l := hostLook(w.Order)
	if w.Order == fleet.HostBuilding {
		l.word = "Making the lock"
	}
	return l
}
