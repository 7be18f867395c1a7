package dashboard

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestSuppositionsAreReadFromTheAddress(t *testing.T) {
	t.Parallel()
	on, off := true, false
	for query, tt := range map[string]struct {
		code int // 200 where it is 0
		want fleet.WhatIf
		says string
	}{
		"": {},
		"?check=build:failure&check=&check=eval:missing": {want: fleet.WhatIf{Checks: map[string]string{"build": "failure", "eval": "missing"}}},
		"?at=2026-12-01T15:00":                           {want: fleet.WhatIf{At: time.Date(2026, 12, 1, 15, 0, 0, 0, time.UTC)}},
		"?at=2026-12-01T16:00:00%2B01:00":                {want: fleet.WhatIf{At: time.Date(2026, 12, 1, 15, 0, 0, 0, time.UTC)}},
		"?hold=on&merge=yes":                             {want: fleet.WhatIf{Hold: &on, Merge: true}},
		"?hold=off&at=&label=&check=":                    {want: fleet.WhatIf{Hold: &off}},
		"?label=+nixfleet/hold+":                         {want: fleet.WhatIf{Labels: []string{"nixfleet/hold"}}},
		"?check=build:exploded&merge=yes":                {code: http.StatusBadRequest, says: "A result of a check is not understood"},
		"?at=soon&merge=yes&label=x":                     {code: http.StatusBadRequest, says: `value="x"`},
		"?hold=maybe":                                    {code: http.StatusBadRequest, says: "The hold is not understood"},
		"?label=" + strings.Repeat("x", 101):             {code: http.StatusBadRequest, says: "The label is too long"},
		"?" + strings.Repeat("check=build:success&", 51): {code: http.StatusBadRequest, says: "not understood"},
	} {
		w := newWorld(fleet.Overview{})
		w.told = story(t, "explain").Explanation
		rec := do(newDashboard(t, w, Config{}), request(http.MethodGet, "/updates/aurora/nixcfg/42/explain"+query, "view", nil))
		if tt.code == 0 {
			tt.code = http.StatusOK
		}
		if rec.Code != tt.code || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s answers %d, want %d and %q", query, rec.Code, tt.code, tt.says)
		}
		if diff := cmp.Diff(tt.want, w.supposed); diff != "" {
			t.Errorf("%s supposes (-want +got):\n%s", query, diff)
		}
	}
}

func TestWhatCantBeExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(fleet.Overview{})
	w.told = story(t, "explain").Explanation
	d := newDashboard(t, w, Config{})
	for path, want := range map[string]int{
		"/updates/aurora/nixcfg/42/explain":  http.StatusOK,
		"/updates/aurora/nixcfg/43/explain":  http.StatusNotFound,
		"/updates/aurora/other/42/explain":   http.StatusNotFound,
		"/updates/aurora/nixcfg/-1/explain":  http.StatusNotFound,
		"/updates/aurora/nixcfg/4x2/explain": http.StatusNotFound,
	} {
		if rec := do(d, request(http.MethodGet, path, "view", nil)); rec.Code != want {
			t.Errorf("%s answers %d, want %d", path, rec.Code, want)
		}
		if rec := do(d, request(http.MethodGet, path, "", nil)); rec.Code != http.StatusSeeOther {
			t.Errorf("%s answers a stranger %d", path, rec.Code)
		}
	}
	w.toldErr = errors.New("502 from https://api.github.com: token ghs_secret")
	rec := do(d, request(http.MethodGet, "/updates/aurora/nixcfg/42/explain", "view", nil))
	if rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "ghs_secret") {
		t.Errorf("what can't be read answers %d %s", rec.Code, rec.Body)
	}
}

func TestConditionsStandSideBySide(t *testing.T) {
	t.Parallel()
	c := func(id, found string) fleet.Condition { return fleet.Condition{ID: id, Found: found} }
	got := pairUp(
		[]fleet.Condition{c("policy", "a"), c("hold", "b"), c("locks", "one"), c("locks", "two")},
		[]fleet.Condition{c("policy", "a"), c("locks", "one"), c("locks", "three"), c("held", "d")})
	var lines []string
	for _, p := range got {
		mark := "="
		if p.differs {
			mark = "!"
		}
		lines = append(lines, p.shown().ID+mark+p.now.Found+"/"+p.then.Found)
	}
	want := []string{"policy=a/a", "hold!b/", "locks=one/one", "locks!two/three", "held!/d"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
}
