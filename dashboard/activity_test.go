package dashboard

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

func (w *world) Acts(_ context.Context, q fleet.ActQuery) ([]fleet.Act, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actsAsked = append(w.actsAsked, q)
	var page []fleet.Act
	for _, a := range w.acts {
		if (q.Before == 0 || a.ID < q.Before) && len(page) < q.Limit {
			page = append(page, a)
		}
	}
	return page, w.actsErr
}

func TestFiltersOfTheHistoryStandInItsAddress(t *testing.T) {
	t.Parallel()
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	for name, tt := range map[string]struct {
		query string
		want  fleet.ActQuery
		says  []string
	}{
		"none": {"", fleet.ActQuery{}, []string{`href="/activity/export.csv"`}},
		"all": {"?text=why&who=alice&host=web1&about=orders&repo=o/r&update=%2342&rollout=R&from=2026-11-01&to=2026-11-02&before=9",
			fleet.ActQuery{Actor: "alice", Host: "web1", Repo: "o/r", Number: 42, Rollout: "R", Group: fleet.ActOrders, Text: "why", From: day(1), To: day(3), Before: 9},
			[]string{`value="alice"`, `value="2026-11-02"`, `<option value="orders" selected`, `href="/activity/export.csv?about=orders&amp;from=2026-11-01&amp;host=web1&amp;repo=o%2Fr`}},
		"what is none is named": {"?update=-1&from=x&about=everything&who=" + strings.Repeat("a", 300), fleet.ActQuery{},
			[]string{"&#34;-1&#34; is no number", "&#34;x&#34; is no day", "no kind &#34;everything&#34;", "longer than 200 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(fleet.Overview{})
			rec := do(newDashboard(t, w, Config{}), request(http.MethodGet, "/activity"+tt.query, "view", nil))
			tt.want.Limit = activityAtOnce
			if diff := cmp.Diff([]fleet.ActQuery{tt.want}, w.actsAsked); diff != "" || rec.Code != http.StatusOK {
				t.Errorf("%d, asked for (-want +got):\n%s", rec.Code, diff)
			}
			for _, words := range tt.says {
				if !strings.Contains(rec.Body.String(), words) {
					t.Errorf("it does not say %s", words)
				}
			}
		})
	}
}

// One address has one topic, however it is spelled; what can't follow is read once.
func TestWhatOfTheHistoryFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(fleet.Overview{})
	d := newDashboard(t, w, Config{})
	for address, tt := range map[string]struct {
		key   string
		reads int
	}{
		"/activity":                       {"/activity", 2},
		"/activity?who=+a&x=1":            {"/activity?who=a", 2},
		"/activity?host=web1&who=a":       {"/activity?host=web1&who=a", 2},
		"/activity?text=b&who=a":          {"/activity?text=b&who=a", 1},
		"/activity?before=9&update=%2342": {"/activity?before=9&update=42", 1},
	} {
		w.actsAsked = nil
		got, err := d.activityTopic(request(http.MethodGet, address, "view", nil))
		if err != nil || got.key != tt.key {
			t.Errorf("%s has the key %s, want %s (%v)", address, got.key, tt.key, err)
		}
		for range 2 {
			if _, err := got.regions(t.Context(), scene{}); err != nil {
				t.Error(err)
			}
		}
		if len(w.actsAsked) != tt.reads {
			t.Errorf("%s was read %d times in two rounds, want %d", address, len(w.actsAsked), tt.reads)
		}
		live := strings.Contains(do(d, request(http.MethodGet, address, "view", nil)).Body.String(), "data-live=")
		if live != (tt.reads > 1) {
			t.Errorf("%s: that it is live is %v", address, live)
		}
	}
}

func TestTheWholeHistoryIsExported(t *testing.T) {
	t.Parallel()
	w := newWorld(fleet.Overview{})
	for i := range exportAtOnce*2 + 3 {
		w.acts = append(w.acts, fleet.Act{ID: int64(5000 - i), At: noon, Actor: "alice", Kind: "update.merged", Reason: "=1+1", Detail: map[string]any{"a": "\"\n,"}})
	}
	d := newDashboard(t, w, Config{})
	got := do(d, request(http.MethodGet, "/activity/export.csv?who=alice&before=3", "view", nil))
	rows, err := csv.NewReader(strings.NewReader(got.Body.String())).ReadAll()
	if err != nil || len(rows) != len(w.acts)+1 || !cmp.Equal(rows[0], exportHead) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if rows[1][0] != "5000" || rows[1][6] != "'=1+1" || rows[1][12] != `{"a":"\"\n,"}` {
		t.Errorf("the first line is %q", rows[1])
	}
	if disposition := got.Header().Get("Content-Disposition"); disposition != `attachment; filename="nixfleet-activity-2026-11-22.csv"` {
		t.Errorf("it is offered as %s", disposition)
	}
	for _, q := range w.actsAsked {
		if q.Actor != "alice" || q.Limit != exportAtOnce {
			t.Errorf("it asked for %+v", q)
		}
	}
	text := do(d, request(http.MethodGet, "/activity/export.jsonl", "view", nil)).Body.String()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != len(w.acts) {
		t.Fatalf("%d lines of JSON", len(lines))
	}
	var one exported
	if err := json.Unmarshal([]byte(lines[0]), &one); err != nil || one.Reason != "=1+1" || one.Says != "alice merged " {
		t.Errorf("%+v, %v", one, err)
	}
	if rec := do(d, request(http.MethodGet, "/activity/export.xlsx", "view", nil)); rec.Code != http.StatusNotFound {
		t.Errorf("an unknown form answers %d", rec.Code)
	}
	if rec := do(d, request(http.MethodGet, "/activity/export.csv", "", nil)); rec.Code != http.StatusSeeOther {
		t.Errorf("a stranger gets %d", rec.Code)
	}
	w.actsErr = errors.New("password=hunter2")
	if rec := do(d, request(http.MethodGet, "/activity/export.csv", "view", nil)); rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "hunter2") {
		t.Errorf("what can't be read answers %d", rec.Code)
	}
}

func TestNoCellOfAnExportIsAFormula(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"=1", "+1", "-1", "@x", "\t=1", "\r=1", "|x"} {
		if got := harmless(text); got != "'"+text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	for _, text := range []string{"", "alice", "2026-11-22", "a=1"} {
		if got := harmless(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestHostileHistoryStaysText(t *testing.T) {
	t.Parallel()
	var s stories.Story
	for _, s = range stories.All(noon) {
		if s.Name == "activity-hostile" {
			break
		}
	}
	html := pageOf(t, s)
	for _, bad := range []string{"<script>alert", "<img src=x"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q as markup", bad)
		}
	}
	for _, href := range strings.Split(html, `href="`)[1:] {
		address, _, _ := strings.Cut(href, `"`)
		if u, err := url.Parse(address); err != nil || u.Scheme != "" {
			t.Errorf("it leads to %s", address)
		}
	}
}
