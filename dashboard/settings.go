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
	// ReadSettings reads settings as YAML, or says what is wrong with them as [Faults].
	// Empty ones are the built-in policy.
	ReadSettings(settings string) (fleet.Policy, error)
	// WriteSettings writes a policy as settings.
	WriteSettings(p fleet.Policy) (string, error)
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
	yaml    bool   // the tab with the text, instead of the form
	text    string // in the text area: what a person wrote is never lost
	form    draft  // likewise
	dirty   bool   // what is shown is not what is stored
	faults  Faults
	theirs  bool                  // the settings in p are somebody else's newer ones
	differs []fleet.SettingChange // from theirs to ours, where those can be compared
	editing bool                  // the person may save
	ahead   ahead
}

// example is what an empty text area shows.
const example = "version: 1\nupdates:\n  auto_merge: {enabled: true, hold: 1h}\n  required_checks: [{name: build}]\ndeploy:\n  max_parallel: 3\n"

// at are the faults of a field, or of what lies within it.
func (v settingsView) at(field string) []string {
	var texts []string
	for _, f := range v.faults {
		if f.Field == field || strings.HasPrefix(f.Field, field+".") || strings.HasPrefix(f.Field, field+"[") {
			texts = append(texts, title(f.Text))
		}
	}
	return texts
}

// own are the faults of a list as a whole; those of its entries stand with them.
func (v settingsView) own(field string) []string {
	var texts []string
	for _, f := range v.faults {
		if f.Field == field {
			texts = append(texts, title(f.Text))
		}
	}
	return texts
}

// whole are the faults of an entry as a whole, and of keys that have no field of their
// own, as the kinds of health checks.
func (v settingsView) whole(entry string) []string {
	texts := v.own(entry)
	for _, kind := range []string{"unit", "http", "command"} {
		texts = append(texts, v.at(entry+"."+kind)...)
	}
	return texts
}

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
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("list repositories")
		d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "The repositories could not be read, because the database did not answer. Try again."})
	case len(repos) == 1:
		http.Redirect(w, r, string(settingsURL(repos[0])), http.StatusSeeOther)
	default:
		p := d.page(w, r, who)
		p.At = "settings"
		d.show(w, r, http.StatusOK, settingsIndexPage(p, repos))
	}
}
