package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Explainer looks at one update on demand.
type Explainer interface {
	// Explain reads GitHub now and judges the update of a repository, named
	// owner/name, as it is and as supposed. It stores nothing. What is not there is
	// [ErrUnknown].
	Explain(ctx context.Context, repo string, number int, w fleet.WhatIf) (fleet.Explanation, error)
}

// ErrUnknown says that a page is about a repository or an update that is not there.
var ErrUnknown = errors.New("not found")

// supposing is the form of the page that explains an update, as it was sent. It is
// a GET, so that a supposition has an address.
type supposing struct {
	checks  map[string]string // result by name; absent: as it is
	at      string
	label   string
	hold    string // on, off; empty: as it is
	merge   bool
	problem string // why it is not understood
}

// supposedAt are the forms in which a time comes: of the browser's own control,
// which has no zone and is meant in UTC, and of addresses that people write.
var supposedAt = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339}

// Bounds of what one may suppose, far above what anybody does.
const (
	maxSupposed = 50  // checks
	maxLabel    = 100 // bytes; GitHub allows 50 characters
)

// readSupposing reads the form. What is not understood is left out and named, so
// that the rest of the form is not lost.
func readSupposing(q url.Values) (supposing, fleet.WhatIf) {
	f := supposing{at: q.Get("at"), label: strings.TrimSpace(q.Get("label")), hold: q.Get("hold"), merge: q.Has("merge")}
	var w fleet.WhatIf
	list := slices.DeleteFunc(slices.Clone(q["check"]), func(s string) bool { return s == "" })
	var err error
	if f.checks, err = fleet.ParseSupposed(list); err != nil || len(list) > maxSupposed {
		f.checks, f.problem = nil, "A result of a check is not understood. Choose one of the list."
	}
	w.Checks, w.Merge = f.checks, f.merge
	if f.at != "" {
		if w.At = parseAt(f.at); w.At.IsZero() {
			f.problem = "The time is not understood. Write it as 2026-12-01T15:00, in UTC."
		}
	}
	switch f.hold {
	case "", "on", "off":
		on := f.hold == "on"
		if f.hold != "" {
			w.Hold = &on
		}
	default:
		f.hold, f.problem = "", "The hold is not understood. Choose one of the list."
	}
	switch {
	case len(f.label) > maxLabel:
		f.label, f.problem = "", "The label is too long."
	case f.label != "":
		w.Labels = []string{f.label}
	}
	if f.problem != "" {
		return f, fleet.WhatIf{}
	}
	return f, w
}

func parseAt(s string) time.Time {
	for _, layout := range supposedAt {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// explainView is the page that explains one update.
type explainView struct {
	Page   page
	e      fleet.Explanation
	update updateView // for its parts that are the same everywhere
	form   supposing
	rows   []conditionPair
}

// conditionPair is one condition as it is and as supposed. The zero condition
// stands where it is not asked.
type conditionPair struct {
	now, then fleet.Condition
	differs   bool
}

// shown is the one of the two that names the condition.
func (p conditionPair) shown() fleet.Condition {
	if p.now.ID == "" {
		return p.then
	}
	return p.now
}

// pairUp lays two verdicts side by side, in the order of the proof.
func pairUp(now, then []fleet.Condition) []conditionPair {
	var pairs []conditionPair
	taken := make([]bool, len(then))
	for _, c := range now {
		p := conditionPair{now: c}
		for i, o := range then {
			if o.ID == c.ID && !taken[i] {
				p.then, taken[i] = o, true
				break
			}
		}
		pairs = append(pairs, p)
	}
	for i, c := range then {
		if !taken[i] {
			pairs = append(pairs, conditionPair{then: c})
		}
	}
	for i, p := range pairs {
		pairs[i].differs = p.now.ID != p.then.ID || p.now.Outcome != p.then.Outcome ||
			p.now.Overridden != p.then.Overridden || p.now.Found != p.then.Found
	}
	return pairs
}

// explainURL is the page that explains an update.
func explainURL(r fleet.Repo, number int) templ.SafeURL {
	return templ.URL(fmt.Sprintf("/updates/%s/%s/%d/explain", url.PathEscape(r.Owner), url.PathEscape(r.Name), number))
}

// results are what a check may be supposed to have ended with, and how people call it.
var results = []struct{ value, words string }{{"success", "passes"}, {"failure", "fails"}, {"missing", "is missing"}}

func (d *Dashboard) explainPage(w http.ResponseWriter, r *http.Request, who visitor) {
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || number < 1 {
		d.notFound(w, r, "There is no such pull request.")
		return
	}
	form, what := readSupposing(r.URL.Query())
	repo := r.PathValue("owner") + "/" + r.PathValue("name")
	e, err := d.cfg.Explainer.Explain(r.Context(), repo, number, what)
	switch {
	case errors.Is(err, ErrUnknown):
		d.notFound(w, r, fmt.Sprintf("%s is not watched, or #%d is no update that NixFleet knows.", repo, number))
		return
	case err != nil:
		d.cfg.Log.Warn().Ctx(r.Context()).Err(err).Str("repo", repo).Int("update", number).Msg("explain an update")
		d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "GitHub could not be read just now, so there is nothing to explain. Nothing was changed; try again in a minute."})
		return
	}
	v := explainView{Page: d.page(w, r, who), e: e, form: form, rows: pairUp(e.Now.Conditions, e.Then.Conditions)}
	v.Page.At = "updates"
	v.update = updateView{
		Update: fleet.Update{Repo: e.Repo, Number: e.Number, Title: e.Title, URL: e.URL, HeadSHA: e.Now.HeadSHA, State: e.Now.State, Verdict: e.Now},
		webURL: strings.TrimRight(d.cfg.WebURL, "/"),
	}
	status := http.StatusOK
	if form.problem != "" {
		status = http.StatusBadRequest
	}
	d.show(w, r, status, explainPage(v))
}

// notFound answers somebody who is signed in and asks for what is not there: a script
// with a line, people with a page from which they find on.
func (d *Dashboard) notFound(w http.ResponseWriter, r *http.Request, text string) {
	who, err := d.visitor(r)
	if err != nil || scripted(r) {
		d.answer(w, r, notice{Status: http.StatusNotFound, Text: text})
		return
	}
	d.show(w, r, http.StatusNotFound, missingPage(d.page(w, r, who), text))
}

// leadsTo says in words what a verdict leads to.
func leadsTo(v fleet.Verdict) string {
	switch {
	case v.Merge != nil && v.Merge.Deploy:
		return "It is merged by " + v.Merge.Method + ", then deployed."
	case v.Merge != nil:
		return "It is merged by " + v.Merge.Method + ", and nothing is deployed."
	case v.State == fleet.UpdateMerged:
		return "It is merged already."
	}
	return "It is not merged."
}
