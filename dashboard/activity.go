package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Activity is where the history comes from.
type Activity interface {
	// Acts reads lines of the history, newest first.
	Acts(ctx context.Context, q fleet.ActQuery) ([]fleet.Act, error)
}

// activityAtOnce is how many lines a page of the history has.
const activityAtOnce = 100

// activityView is the page around the lines.
type activityView struct {
	Page     page
	Query    url.Values // the filters that are understood, as the form shows them
	Problems []string   // what of the address is not understood
}

// filtered reports whether anything is left out.
func (v activityView) filtered() bool { return len(v.Query) > 0 }

// seldom reports whether a filter is set that the form folds away.
func (v activityView) seldom() bool {
	for _, name := range []string{"repo", "update", "rollout", "from", "to"} {
		if v.Query.Has(name) {
			return true
		}
	}
	return false
}

// export is the address of the same lines as a file.
func (v activityView) export(ext string) templ.SafeURL {
	q := url.Values{}
	for name, values := range v.Query {
		if name != "before" {
			q[name] = values
		}
	}
	return templ.URL(address("/activity/export."+ext, q))
}

// address is a path with a query, without a question mark where that is empty.
func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// activityURL is the history with filters, given as names and values in turn.
func activityURL(filters ...string) templ.SafeURL {
	q := url.Values{}
	for i := 0; i+1 < len(filters); i += 2 {
		q.Set(filters[i], filters[i+1])
	}
	return templ.URL(address("/activity", q))
}

// actFilters reads filters from an address: what they ask for, in their one spelling,
// and what of them is not understood, which is left out.
func actFilters(in url.Values) (q fleet.ActQuery, known url.Values, problems []string) {
	known = url.Values{}
	text := func(name string, most int) string {
		s := strings.TrimSpace(in.Get(name))
		if len(s) > most {
			problems = append(problems, fmt.Sprintf("%q is longer than %d bytes and was left out.", name, most))
			return ""
		}
		if s != "" {
			known.Set(name, s)
		}
		return s
	}
	number := func(name string, most int64) int64 {
		s := strings.TrimPrefix(text(name, 20), "#")
		if s == "" {
			return 0
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 || n > most {
			problems = append(problems, fmt.Sprintf("%q is no number of an %s, so it was left out.", s, name))
			known.Del(name)
			return 0
		}
		known.Set(name, strconv.FormatInt(n, 10))
		return n
	}
	day := func(name string) time.Time {
		s := text(name, 30)
		if s == "" {
			return time.Time{}
		}
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%q is no day like 2026-11-22, so it was left out.", s))
			known.Del(name)
		}
		return t
	}
	q = fleet.ActQuery{
		Actor: text("who", 200), Host: text("host", 63), Repo: text("repo", 200), Rollout: text("rollout", 64), Text: text("text", 200),
		Number: int(number("update", 1<<31-1)), Before: number("before", 1<<62), Group: fleet.ActGroup(text("about", 20)),
		From: day("from"), To: day("to"), Limit: activityAtOnce,
	}
	if !q.To.IsZero() {
		q.To = q.To.AddDate(0, 0, 1) // the day itself counts
	}
	if q.Group != "" && q.Group.Title() == "" {
		problems = append(problems, fmt.Sprintf("There is no kind %q, so it was left out.", q.Group))
		known.Del("about")
		q.Group = ""
	}
	return q, known, problems
}

// staysLive reports whether a page of these lines follows what comes: older pages
// never change, and to look for words in all of the history takes too long for that.
func staysLive(q fleet.ActQuery) bool { return q.Before == 0 && q.Text == "" }

func (d *Dashboard) activityLive() livePage {
	return livePage{topic: d.activityTopic, show: func(r *http.Request, p page, b board) templ.Component {
		q, known, problems := actFilters(r.URL.Query())
		p.At = "activity"
		if !staysLive(q) {
			p.Live = ""
		}
		return activityPage(activityView{Page: p, Query: known, Problems: problems}, b)
	}}
}

func (d *Dashboard) activityTopic(r *http.Request) (topic, error) {
	q, known, _ := actFilters(r.URL.Query())
	read := func(ctx context.Context) ([]liveRegion, error) {
		acts, err := d.cfg.Activity.Acts(ctx, q)
		if err != nil {
			return nil, err
		}
		return actRegions(acts, known), nil
	}
	if !staysLive(q) {
		read = once(read)
	}
	return topic{key: address("/activity", known), regions: func(ctx context.Context, _ scene) ([]liveRegion, error) { return read(ctx) }}, nil
}

// once reads only the first time.
func once(read func(context.Context) ([]liveRegion, error)) func(context.Context) ([]liveRegion, error) {
	var mu sync.Mutex
	var regions []liveRegion
	return func(ctx context.Context) ([]liveRegion, error) {
		mu.Lock()
		defer mu.Unlock()
		if regions != nil {
			return regions, nil
		}
		var err error
		regions, err = read(ctx)
		return regions, err
	}
}

// actRegions are the lines, day by day, and the way to older ones.
func actRegions(acts []fleet.Act, known url.Values) []liveRegion {
	lines := liveRegion{id: "acts"}
	day := ""
	for _, a := range acts {
		if on := a.At.UTC().Format(time.DateOnly); on != day {
			day = on
			lines.parts = append(lines.parts, live{"day-" + on, actDay("day-"+on, a.At)})
		}
		id := fmt.Sprintf("act-%d", a.ID)
		lines.parts = append(lines.parts, live{id, actRow(id, a)})
	}
	if len(acts) == 0 {
		lines.parts = append(lines.parts, live{"acts-none", noActs(known)})
	}
	older := liveRegion{id: "older"}
	if len(acts) == activityAtOnce {
		q := url.Values{}
		for name, values := range known {
			q[name] = values
		}
		q.Set("before", strconv.FormatInt(acts[len(acts)-1].ID, 10))
		older.parts = append(older.parts, live{"older-link", olderActs(templ.URL(address("/activity", q)))})
	}
	return []liveRegion{lines, older}
}
