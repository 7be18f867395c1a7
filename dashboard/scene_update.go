package dashboard

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// updateView is one update, ready to show.
type updateView struct {
	fleet.Update
	look     look
	holds    int               // how many conditions hold
	passed   []fleet.Condition // folded: nothing to see
	open     []fleet.Condition // to be seen at once, the refused ones first
	offer    offer
	asked    bool        // a person's request for this head SHA is on record
	held     *fleet.Hold // a person's hold that counts now
	headURL  string      // GitHub's page of the head commit
	mergeURL string      // GitHub's page of the merge commit
	repo     string
	repoURL  string    // GitHub's page of it
	cause    string    // what a countdown counts for, such as "hold 1 h"
	thaws    time.Time // when the freeze ends that it waits for
	webURL   string
	build    string // a post of another build's page is refused
}

// offer is what Merge & Deploy would do, or why it can't be pressed.
type offer struct {
	possible  bool
	why       string            // why not, in plain words
	stopped   bool              // something stands in the way that no person can set aside here
	method    string            // how the pull request is merged
	overrides []fleet.Condition // soft conditions that pressing sets aside
	waits     []fleet.Condition // hard conditions that are still under way
	hosts     int
	offline   []string // of them, those that get it later
	later     string   // when that is
	waves     []fleet.Wave
	planned   bool // waves are those of the policy
	parallel  int
	budget    int // the failure that ends it
	onFailure string
	deploys   bool // the policy deploys what merges by itself
}

func (s scene) update(u fleet.Update) updateView {
	v := updateView{Update: u, look: updateLook(u.State), repo: u.Repo.FullName(), repoURL: s.repoURL(u.Repo), build: s.build, webURL: s.webURL}
	for _, c := range u.Verdict.Conditions {
		if c.Outcome == fleet.Passed || c.Outcome == fleet.Off {
			v.passed = append(v.passed, c)
		} else {
			v.open = append(v.open, c)
		}
	}
	rank := map[fleet.Outcome]int{fleet.Refused: 0, fleet.Unread: 1, fleet.Waiting: 2}
	slices.SortStableFunc(v.open, func(a, b fleet.Condition) int {
		return cmp.Compare(rank[a.Outcome], rank[b.Outcome])
	})
	v.holds = len(v.passed)
	v.asked = u.Request != nil && u.Request.HeadSHA == u.HeadSHA
	if u.Hold.Active(s.now) {
		v.held = u.Hold
	}
	v.offer = s.offer(u, v.asked)
	if v.offer.stopped {
		v.foldWaits()
	}
	v.cause, v.thaws = s.waitsFor(u)
	v.headURL = s.commitURL(u.Repo.ID, u.HeadSHA)
	v.mergeURL = s.commitURL(u.Repo.ID, u.MergeSHA)
	return v
}

// waitsFor says what the merge of an update waits for that time alone will bring.
func (s scene) waitsFor(u fleet.Update) (cause string, thaws time.Time) {
	p := s.repos[u.Repo.ID].Policy
	if p == nil || !u.State.Open() {
		return "", time.Time{}
	}
	waits := func(id string) bool {
		return slices.ContainsFunc(u.Verdict.Conditions, func(c fleet.Condition) bool {
			return c.ID == id && c.Outcome == fleet.Waiting && !c.Overridden
		})
	}
	var causes []string
	if waits("hold") {
		hold := "hold " + span(p.Updates.AutoMerge.Hold)
		if p.Updates.AutoMerge.HoldFrom == "checks" {
			hold += " after the checks"
		}
		causes = append(causes, hold)
	}
	if waits("input_age") {
		causes = append(causes, "inputs known for "+span(p.Updates.AutoMerge.MinInputAge))
	}
	if waits("freeze") {
		thaws, _, _ = p.Updates.FrozenUntil(s.now)
	}
	return strings.Join(causes, ", "), thaws
}

func (s scene) offer(u fleet.Update, asked bool) offer {
	f := offer{method: "squash"}
	var stops []string
	for _, c := range u.Verdict.Conditions {
		switch {
		case c.Outcome == fleet.Passed || c.Outcome == fleet.Off || c.ID == "auto_merge":
			// Pressing is what fulfils auto_merge: nothing is set aside by it.
		case c.Soft && c.Outcome != fleet.Unread:
			f.overrides = append(f.overrides, c)
		case c.Outcome == fleet.Waiting:
			f.waits = append(f.waits, c)
		default:
			stops = append(stops, "“"+c.Title+"” is "+outcomeLook(c).word)
		}
	}
	s.plan(u.Repo.ID, &f)
	switch {
	case u.Ignored:
		f.why = "It is no update."
	case !u.State.Open():
		f.why = "It is " + strings.ToLower(updateLook(u.State).word) + "."
	case u.State == fleet.UpdateMerging:
		f.why = "The merge is under way."
	case asked:
		f.why = "Already asked for."
	case u.State == fleet.UpdateObserved || len(u.Verdict.Conditions) == 0 || u.Verdict.HeadSHA != u.HeadSHA:
		f.why = "NixFleet is still looking at this pull request."
	case len(stops) > 0:
		f.why, f.stopped = stopWords(stops)+elsewhere, true
	case u.State == fleet.UpdateBlocked && len(f.overrides) == 0, u.State == fleet.UpdateFailing, u.State == fleet.UpdateConflict:
		f.why, f.stopped = "Nobody can override that here."+elsewhere, true
	default:
		f.possible = true
	}
	return f
}

// elsewhere is what remains to those who want a stopped update anyway.
const elsewhere = " Who wants it anyway merges on GitHub, under their own name."

// stopWords names the only condition that stands in the way, or counts them.
func stopWords(stops []string) string {
	if len(stops) == 1 {
		return stops[0] + ", and nobody can override that here."
	}
	return fmt.Sprintf("%d conditions stand in the way that nobody can override here.", len(stops))
}

// plan fills in who would get the result, in which order.
func (s scene) plan(repoID int64, f *offer) {
	var hosts []fleet.Host
	for _, h := range s.o.Hosts {
		if h.Host.RepoID == repoID && h.Host.RevokedAt.IsZero() {
			hosts = append(hosts, h.Host)
		}
	}
	f.later = "They get it when they are back."
	if p := s.repos[repoID].Policy; p != nil {
		if p.Deploy.Offline == "skip" {
			f.later = "Policy skips them: they get it with the next rollout."
		}
		f.deploys = p.Deploy.Auto
		f.method = cmp.Or(p.Updates.AutoMerge.Method, f.method)
		plan, _, err := fleet.MakePlan(p.Deploy, hosts)
		if err == nil {
			f.planned, f.waves, f.parallel = true, plan.Waves, plan.MaxParallel
			f.budget, f.onFailure = plan.MaxFailures, plan.OnFailure
		}
	}
	if !f.planned {
		var names []string
		for _, h := range hosts {
			if !h.EnrolledAt.IsZero() && (h.Mode == "" || h.Mode == "fleet") {
				names = append(names, h.Name)
			}
		}
		f.waves = []fleet.Wave{{Name: "hosts", Hosts: names}}
	}
	for _, w := range f.waves {
		f.hosts += len(w.Hosts)
		for _, name := range w.Hosts {
			if !s.online[name] {
				f.offline = append(f.offline, name)
			}
		}
	}
}

// page is GitHub's page of the pull request.
func (v updateView) page() templ.SafeURL { return pullURL(v.webURL, v.Update) }

// pullURL builds the address of a pull request where the stored one is none.
func pullURL(web string, u fleet.Update) templ.SafeURL {
	if onWeb(u.URL) {
		return templ.URL(u.URL)
	}
	return templ.URL(fmt.Sprintf("%s/%s/%s/pull/%d", web, url.PathEscape(u.Repo.Owner), url.PathEscape(u.Repo.Name), u.Number))
}

// onWeb reports whether an address from outside is one that we link to.
func onWeb(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// moved says how far an input's date moves, e.g. "+7 d".
func moved(c fleet.InputChange) string {
	if c.FromDate.IsZero() || c.ToDate.IsZero() {
		return ""
	}
	by := c.ToDate.Sub(c.FromDate)
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := int(by / unit.of); n != 0 {
			return fmt.Sprintf("%+d %s", n, unit.name)
		}
	}
	return ""
}

// between says what the link to the forge's comparison shows.
func between(c fleet.InputChange) string {
	if c.Commits == 0 {
		return "Compare" // how many there are is not known
	}
	return plural(c.Commits, "commit", "commits")
}

// day writes a date as people do, with the year only where it is not this one.
func (v updateView) day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if y := v.Verdict.At.UTC().Year(); y != t.UTC().Year() && !v.Verdict.At.IsZero() {
		return t.UTC().Format("2 Jan 2006")
	}
	return t.UTC().Format("2 Jan")
}

// foldWaits folds what a stopped update would only have to wait for: it is not
// what anybody has to look at.
func (v *updateView) foldWaits() {
	waits := func(c fleet.Condition) bool { return c.Outcome == fleet.Waiting }
	if !slices.ContainsFunc(v.open, func(c fleet.Condition) bool { return !waits(c) }) {
		return
	}
	for _, c := range v.open {
		if waits(c) {
			v.passed = append(v.passed, c)
		}
	}
	v.open = slices.DeleteFunc(v.open, waits)
}

// tally and fold count the conditions, and offer to show those that are folded.
func (v updateView) tally() string {
	all := len(v.passed) + len(v.open)
	if len(v.open) == 0 {
		return "All " + plural(all, "condition holds", "conditions hold")
	}
	return fmt.Sprintf("%d of %s hold", v.holds, plural(all, "condition", "conditions"))
}

func (v updateView) fold() string {
	if len(v.open) == 0 {
		return "Show them"
	}
	if v.offer.stopped {
		return fmt.Sprintf("Show the other %d", len(v.passed))
	}
	return fmt.Sprintf("Show the %d that hold", len(v.passed))
}

// own are the changes of the flake's own inputs, others those of inputs of inputs.
func (v updateView) own() []fleet.InputChange    { return v.inputs(false) }
func (v updateView) others() []fleet.InputChange { return v.inputs(true) }

func (v updateView) inputs(nested bool) []fleet.InputChange {
	var list []fleet.InputChange
	for _, c := range v.Verdict.Inputs {
		if strings.Contains(c.Path, "/") == nested {
			list = append(list, c)
		}
	}
	return list
}

// gistOf is how many inputs a card names.
const gistOf = 3

// inputGist names the first inputs that change, and counts the others.
func (v updateView) inputGist() string {
	list := append(v.own(), v.others()...)
	var names []string
	for _, c := range list[:min(gistOf, len(list))] {
		names = append(names, strings.TrimSpace(c.Path+" "+moved(c)))
	}
	text := plural(len(list), "input changes", "inputs change") + ": " + strings.Join(names, ", ")
	if more := len(list) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// pressing are the conditions that a card names: those that do not hold.
func (v updateView) pressing() []fleet.Condition { return v.open[:min(gistOf, len(v.open))] }
