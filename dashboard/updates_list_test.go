package dashboard

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestTheListOfUpdatesGoesByItsAddress(t *testing.T) {
	t.Parallel()
	const none = -1 // the ended ones are not asked for
	for address, tt := range map[string]struct {
		code  int // 200 where it is 0
		open  string
		query fleet.UpdateQuery
		says  string
	}{
		"/updates":                         {open: "42 44 43", query: fleet.UpdateQuery{Limit: 26}, says: `href="/updates?before=18"`},
		"/updates?state=open":              {open: "42 44 43", query: fleet.UpdateQuery{Limit: none}},
		"/updates?state=failing":           {open: "44", query: fleet.UpdateQuery{Limit: none}},
		"/updates?state=ended":             {query: fleet.UpdateQuery{Limit: 26}, says: `href="/updates?before=18&amp;state=ended"`},
		"/updates?state=merged&before=9":   {query: fleet.UpdateQuery{State: fleet.UpdateMerged, Before: 9, Limit: 26}},
		"/updates?repo=aurora/nixcfg":      {open: "42 44 43", query: fleet.UpdateQuery{RepoID: 1, Limit: 26}},
		"/updates?before=9":                {query: fleet.UpdateQuery{Before: 9, Limit: 26}},
		"/updates?repo=other/<b>":          {code: http.StatusNotFound, says: "other/&lt;b&gt; is not watched"},
		"/updates?state=exploded":          {code: http.StatusNotFound, says: "no such state"},
		"/updates?before=yesterday":        {code: http.StatusNotFound, says: "no such page"},
		"/updates?before=-3":               {code: http.StatusNotFound, says: "no such page"},
		"/events/updates?state=exploded":   {code: http.StatusNotFound},
		"/updates?state=&repo=&before=":    {open: "42 44 43", query: fleet.UpdateQuery{Limit: 26}},
		"/updates?state=checks&before=100": {query: fleet.UpdateQuery{Limit: none}, says: "Nothing older."},
	} {
		s := story(t, "updates-full")
		w := newWorld(s.Overview)
		w.past, w.query = s.Past, fleet.UpdateQuery{Limit: none}
		rec := do(newDashboard(t, w, Config{}), request(http.MethodGet, strings.ReplaceAll(address, "<b>", "%3Cb%3E"), "view", nil))
		if tt.code == 0 {
			tt.code = http.StatusOK
		}
		if rec.Code != tt.code || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s answers %d, want %d and %q", address, rec.Code, tt.code, tt.says)
		}
		if tt.code != http.StatusOK {
			continue
		}
		var open []string
		for _, n := range []string{"42", "44", "43"} {
			if strings.Contains(rec.Body.String(), `<article id="u-`+n+`"`) {
				open = append(open, n)
			}
		}
		if diff := cmp.Diff(tt.open, strings.Join(open, " ")); diff != "" {
			t.Errorf("%s shows open ones (-want +got):\n%s", address, diff)
		}
		if diff := cmp.Diff(tt.query, w.query); diff != "" {
			t.Errorf("%s asks for ended ones (-want +got):\n%s", address, diff)
		}
	}
}

func TestAFilterHasOneAddress(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, newWorld(story(t, "updates-full").Overview), Config{})
	var keys []string
	for _, address := range []string{"/updates?repo=a/b&state=open", "/updates?state=open&repo=a/b&x=y", "/updates?state=open&repo=a%2Fb&before="} {
		topic, err := d.updatesTopic(request(http.MethodGet, address, "op", nil))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, topic.key)
	}
	if len(slices.Compact(keys)) != 1 {
		t.Errorf("one filter has the addresses %q", keys)
	}
}
