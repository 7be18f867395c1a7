package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Policies reads and changes what rules the repositories.
type Policies interface {
	// Repos are the watched repositories.
	Repos(ctx context.Context) ([]fleet.Repo, error)
	// Policy tells what rules a repository, named owner/name. One that is not
	// watched is [ErrUnknown].
	Policy(ctx context.Context, repo string) (fleet.PolicyView, error)
	// SavePolicy replaces the settings of a repository, as YAML; empty ones bring the
	// built-in policy back. Settings that were changed since seen, which is the
	// ChangedAt that the person was shown, are [ErrChanged]. What is no policy is
	// [Faults]; every other reason for people is [Refused].
	SavePolicy(ctx context.Context, by fleet.Actor, repo, settings string, seen time.Time) error
}

// ErrChanged says that somebody else has changed meanwhile what a person edited.
var ErrChanged = errors.New("it was changed by somebody else")

// Fault is one thing that is wrong in what a person wrote.
type Fault struct {
	Line, Column int    // 1-based; 0 where the text as a whole is meant
	Field        string // path of the setting, may be empty
	Text         string
}

// Faults is an error: what is wrong in settings, in the order of the text.
type Faults []Fault

// Error is one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, x := range f {
		lines[i] = fmt.Sprintf("%d:%d: %s: %s", x.Line, x.Column, x.Field, x.Text)
	}
	return strings.Join(lines, "\n")
}

// settingsView is the page of one repository's settings.
type settingsView struct {
	Page    page
	p       fleet.PolicyView
	words   []said
	text    string // in the text area: what a person wrote is never lost
	faults  Faults
	theirs  bool // the settings in p are somebody else's newer ones
	editing bool // the person may save
}

// example is what an empty text area shows.
const example = "version: 1\nupdates:\n  auto_merge: {enabled: true, hold: 1h}\n  required_checks: [{name: build}]\ndeploy:\n  max_parallel: 3\n"

// seen is the settings that a save replaces.
func (v settingsView) seen() string {
	if v.p.ChangedAt.IsZero() {
		return ""
	}
	return v.p.ChangedAt.UTC().Format(time.RFC3339Nano)
}

// line is the line that a fault speaks of.
func (v settingsView) line(f Fault) string {
	lines := strings.Split(v.text, "\n")
	if f.Line < 1 || f.Line > len(lines) {
		return ""
	}
	return strings.TrimSpace(lines[f.Line-1])
}

// rows is how tall the text area is: the text and some room.
func (v settingsView) rows() string {
	return fmt.Sprint(min(40, max(16, strings.Count(v.text, "\n")+4)))
}

// settingsURL is the page of a repository's settings.
func settingsURL(r fleet.Repo) templ.SafeURL {
	return templ.URL("/settings/" + url.PathEscape(r.Owner) + "/" + url.PathEscape(r.Name))
}

// settingsIndex leads to the settings of the only repository, or lists them.
func (d *Dashboard) settingsIndex(w http.ResponseWriter, r *http.Request, who visitor) {
	repos, err := d.cfg.Policies.Repos(r.Context())
	switch {
	case err != nil:
		d.cfg.Log.Error().Err(err).Msg("list repositories")
		d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "The repositories could not be read, because the database did not answer. Try again."})
	case len(repos) == 1:
		http.Redirect(w, r, string(settingsURL(repos[0])), http.StatusSeeOther)
	default:
		p := d.page(w, r, who)
		p.At = "settings"
		d.show(w, r, http.StatusOK, settingsIndexPage(p, repos))
	}
}

func (d *Dashboard) settingsPage(w http.ResponseWriter, r *http.Request, who visitor) {
	v, ok := d.readPolicy(w, r, who)
	if !ok {
		return
	}
	d.show(w, r, http.StatusOK, settingsPage(v))
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
		d.cfg.Log.Warn().Err(err).Str("repo", repo).Msg("read the policy")
		d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "What rules " + repo + " could not be read from GitHub just now. Nothing was changed; go back, and try again in a minute."})
		return settingsView{}, false
	}
	v := settingsView{Page: d.page(w, r, who), p: p, text: p.Settings, editing: who.role == RoleAdmin && p.Source != "file"}
	v.Page.At = "settings"
	if p.Policy != nil {
		v.words = inWords(*p.Policy, d.cfg.Now())
	}
	return v, true
}

// saveSettings replaces a repository's settings. Whatever is wrong, the page comes
// back with what the person wrote.
func (d *Dashboard) saveSettings(w http.ResponseWriter, r *http.Request, who visitor) {
	if who.role != RoleAdmin {
		d.answer(w, r, notice{Status: http.StatusForbidden, Text: "Read-only: settings need the admin role, yours is " + who.role + "."})
		return
	}
	// A body that is too large, or a form cut short, must not pass for empty settings.
	err := r.ParseForm()
	seen := time.Time{}
	if at := r.PostFormValue("seen"); err == nil && at != "" {
		seen, err = time.Parse(time.RFC3339Nano, at)
	}
	if err != nil || !r.PostForm.Has("settings") || !r.PostForm.Has("seen") {
		d.answer(w, r, notice{Status: http.StatusBadRequest, Text: "The settings did not arrive whole, so nothing was saved. They may have at most 64 KiB."})
		return
	}
	repo := r.PathValue("owner") + "/" + r.PathValue("name")
	text := strings.ReplaceAll(r.PostForm.Get("settings"), "\r\n", "\n")
	if strings.TrimSpace(text) == "" {
		text = ""
	}
	err = d.cfg.Policies.SavePolicy(r.Context(), who.actor, repo, text, seen)
	if err == nil {
		d.cfg.Log.Info().Str("repo", repo).Str("actor", who.actor.Login).Msg("settings saved")
		d.wake()
		d.flash(w, notice{Status: http.StatusOK, Text: "Saved. Open updates are judged again by it now."})
		http.Redirect(w, r, r.URL.EscapedPath(), http.StatusSeeOther)
		return
	}
	v, ok := d.readPolicy(w, r, who)
	if !ok {
		return
	}
	v.text = text
	var refused Refused
	switch {
	case errors.As(err, &v.faults):
		v.Page.Notice = notice{Status: http.StatusUnprocessableEntity, Text: "Not saved: " + plural(len(v.faults), "setting is", "settings are") + " not right. What ruled before rules on."}
	case errors.Is(err, ErrChanged):
		v.theirs = true
		v.Page.Notice = notice{Status: http.StatusConflict, Text: "Not saved: " + v.p.ChangedBy + " has changed the settings since you began. Theirs are below yours; saving once more replaces them."}
	case errors.As(err, &refused):
		v.Page.Notice = notice{Status: http.StatusConflict, Text: refused.Error()}
	default:
		d.cfg.Log.Error().Err(err).Str("repo", repo).Msg("save settings")
		v.Page.Notice = notice{Status: http.StatusServiceUnavailable, Text: "Not saved, because the database did not answer. Try again."}
	}
	d.show(w, r, v.Page.Notice.Status, settingsPage(v))
}
