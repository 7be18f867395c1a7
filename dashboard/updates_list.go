package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// perPage is how many updates that have ended are on a page.
const perPage = 25

// The filters of the list that are no single state.
const (
	onlyOpen  = "open"
	onlyEnded = "ended"
)

// updateFilter is what of the list of updates is shown. It is the page's address.
type updateFilter struct {
	state  string // onlyOpen, onlyEnded or one fleet.UpdateState; empty: all
	repo   string // owner/name; empty: all
	before int64  // the last one of the page before; 0: the newest
}

// readUpdateFilter reads the address. What nobody's page leads to is nothing.
func readUpdateFilter(q url.Values) (updateFilter, error) {
	f := updateFilter{state: q.Get("state"), repo: q.Get("repo")}
	known := f.state == "" || f.state == onlyOpen || f.state == onlyEnded || slices.Contains(fleet.AllUpdateStates(), fleet.UpdateState(f.state))
	if !known {
		return f, missing("There is no such state of an update.")
	}
	if b := q.Get("before"); b != "" {
		var err error
		if f.before, err = strconv.ParseInt(b, 10, 64); err != nil || f.before < 1 {
			return f, missing("There is no such page of the list.")
		}
	}
	return f, nil
}

// url is the page with this filter.
func (f updateFilter) url() templ.SafeURL {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.state, "repo": f.repo} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.before > 0 {
		q.Set("before", strconv.FormatInt(f.before, 10))
	}
	if len(q) == 0 {
		return "/updates"
	}
	return templ.URL("/updates?" + q.Encode())
}

// open and ended say whether those can be among what is shown.
func (f updateFilter) open() bool {
	return f.before == 0 && f.state != onlyEnded && (f.state == "" || f.state == onlyOpen || fleet.UpdateState(f.state).Open())
}

func (f updateFilter) ended() bool {
	return f.state == "" || f.state == onlyEnded || f.state != onlyOpen && !fleet.UpdateState(f.state).Open()
}

// takes reports whether an open update is shown.
func (f updateFilter) takes(u fleet.Update) bool {
	return u.State.Open() && (f.repo == "" || f.repo == u.Repo.FullName()) &&
		(f.state == "" || f.state == onlyOpen || f.state == string(u.State))
}

// updatesLive is the list of updates.
func (d *Dashboard) updatesLive() livePage {
	return livePage{topic: d.updatesTopic, show: func(r *http.Request, p page, b board) templ.Component {
		p.At = "updates"
		f, _ := readUpdateFilter(r.URL.Query()) // the topic was made of it
		return updatesPage(p, f, b)
	}}
}

func (d *Dashboard) updatesTopic(r *http.Request) (topic, error) {
	f, err := readUpdateFilter(r.URL.Query())
	if err != nil {
		return topic{}, err
	}
	return topic{key: string(f.url()), regions: func(ctx context.Context, s scene) ([]liveRegion, error) {
		q := fleet.UpdateQuery{Before: f.before, Limit: perPage + 1}
		if f.state != onlyEnded {
			q.State = fleet.UpdateState(f.state)
		}
		for _, r := range s.o.Repos {
			if r.Repo.FullName() == f.repo {
				q.RepoID = r.Repo.ID
			}
		}
		if f.repo != "" && q.RepoID == 0 {
			return nil, missing(f.repo + " is not watched.")
		}
		var past []fleet.Update
		if f.ended() {
			var err error
			if past, err = d.cfg.Updates.EndedUpdates(ctx, q); err != nil {
				return nil, err
			}
		}
		var works []fleet.LockWork
		if f.before == 0 && (f.state == "" || f.state == onlyOpen) {
			var err error
			if works, err = d.cfg.Locks.LockWorks(ctx); err != nil {
				return nil, err
			}
		}
		return append(s.updateList(f, past), s.lockList(f, works)), nil
	}}, nil
}

// updateList lists everything live of the list of updates.
func (s scene) updateList(f updateFilter, past []fleet.Update) []liveRegion {
	var open, ended, older []live
	if f.open() {
		for _, u := range s.o.Updates {
			if f.takes(u) {
				v := s.update(u)
				open = append(open, live{v.element(), updateCard(v)})
			}
		}
	}
	if len(past) > perPage {
		past = past[:perPage]
		next := f
		next.before = past[perPage-1].ID
		older = []live{{"older-link", olderUpdates(next)}}
	}
	for _, u := range past {
		v := s.update(u)
		ended = append(ended, live{"past-" + v.element(), pastUpdate(v)})
	}
	switch {
	case len(open) == 0 && f.state == "" && f.before == 0:
		open = []live{{"u-none", noUpdates(s.watched())}}
	case len(open)+len(ended) == 0:
		ended = []live{{"past-none", noSuchUpdates(f)}}
	}
	return []liveRegion{
		{"read-line", []live{{"read-at", lastRead(s.watched())}, {"makers-of-locks", makers(s)}}},
		{"open-updates", open},
		{"past-updates", ended},
		{"older", older},
	}
}

// lockList are the wishes for newer locks.
func (s scene) lockList(f updateFilter, works []fleet.LockWork) liveRegion {
	r := liveRegion{id: "locks"}
	for _, w := range works {
		if f.repo == "" || f.repo == w.Repo.FullName() {
			r.parts = append(r.parts, live{"lock-" + w.ID, lockWork(s, w)})
		}
	}
	return r
}

// choice is one entry of the filter of states.
type choice struct{ value, words string }

// stateChoices are the states that people can filter by.
func stateChoices() []choice {
	list := []choice{{"", "All"}, {onlyOpen, "Open"}, {onlyEnded, "Ended"}}
	for _, s := range fleet.AllUpdateStates() {
		list = append(list, choice{string(s), updateLook(s).word})
	}
	return list
}

// ends says how an update ended, for a line of the list.
func (v updateView) ends() string {
	if v.State == fleet.UpdateMerged && v.MergedBy != "" {
		return fmt.Sprintf("by %s", v.MergedBy)
	}
	return ""
}
