package dashboard

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// press is a press of a button as the page posts it.
func press(d *Dashboard, what, cookie string, change func(url.Values, *http.Request)) *httptest.ResponseRecorder {
	form := url.Values{"head_sha": {"9f8e7d6"}, "build": {d.build}, "deploy": {"yes"}}
	probe := request(http.MethodPost, "/", cookie, nil)
	if change != nil {
		change(form, probe)
	}
	r := request(http.MethodPost, "/updates/42/"+what, cookie, form)
	for name, values := range probe.Header {
		if name != "Cookie" {
			r.Header[name] = values
		}
	}
	return do(d, r)
}

func TestButtonsOfAnUpdate(t *testing.T) {
	t.Parallel()
	type values = url.Values
	const seen = "alice 42 9f8e7d6 "
	form := func(key, value string) func(values, *http.Request) {
		return func(v values, _ *http.Request) { v.Set(key, value) }
	}
	header := func(key, value string) func(values, *http.Request) {
		return func(_ values, r *http.Request) { r.Header.Set(key, value) }
	}
	for name, tt := range map[string]struct {
		what   string // merge where it is empty
		cookie string // of the operator where it is empty
		err    error
		change func(values, *http.Request)
		code   int // of success where it is 0
		says   string
		want   string
	}{
		"an operator's press is recorded":                 {want: seen + "deploy"},
		"a merge without a deploy":                        {change: form("deploy", "no"), want: seen + "merge"},
		"a hold without an end":                           {what: "hold", want: seen + "hold"},
		"a hold for two days":                             {what: "hold", change: form("for", "2d"), want: seen + "hold 48h0m0s"},
		"a release names the hold that was seen":          {what: "release", change: form("held_at", "2026-11-22T11:00:00.123456Z"), want: seen + "release 2026-11-22T11:00:00Z"},
		"htmx gets a line for the page":                   {change: header("HX-Request", "true"), code: http.StatusAccepted, says: "Recorded", want: seen + "deploy"},
		"a viewer is told why not":                        {cookie: "view", code: http.StatusForbidden, says: "Read-only"},
		"a viewer can't hold":                             {what: "hold", cookie: "view", code: http.StatusForbidden, says: "Read-only"},
		"a page of another build is told to reload":       {change: form("build", "old"), code: http.StatusConflict, says: "Reload"},
		"what changed meanwhile is not done":              {err: ErrHeadMoved, code: http.StatusConflict, says: "changed since you looked"},
		"a refusal is shown in its own words":             {what: "release", err: Refused("It is closed."), code: http.StatusConflict, says: "It is closed."},
		"an inner error is not shown":                     {err: errors.New("pq: password=hunter2"), code: http.StatusServiceUnavailable, says: "could not be recorded"},
		"a press without a head is refused":               {change: form("head_sha", ""), code: http.StatusBadRequest},
		"a merge that does not say whether to deploy":     {change: form("deploy", "maybe"), code: http.StatusBadRequest, says: "whether to deploy"},
		"a hold that ends before it begins":               {what: "hold", change: form("for", "-1h"), code: http.StatusBadRequest, says: "Nothing is held"},
		"a hold for no time that anybody knows":           {what: "hold", change: form("for", "a <b>while</b>"), code: http.StatusBadRequest, says: "Nothing is held"},
		"a hold of no time at all":                        {what: "release", change: form("held_at", "yesterday"), code: http.StatusBadRequest},
		"another site can't press":                        {change: header("Sec-Fetch-Site", "cross-site"), code: http.StatusForbidden},
		"another host of the same site can't press":       {what: "hold", change: header("Sec-Fetch-Site", "same-site"), code: http.StatusForbidden},
		"a foreign origin can't press in an old browser":  {what: "release", change: header("Origin", "https://evil.example"), code: http.StatusForbidden},
		"a body larger than any form of ours is not read": {change: form("aaa", strings.Repeat("x", 1<<20)), code: http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(story(t, "holding").Overview)
			w.askErr = tt.err
			if tt.what == "" {
				tt.what = "merge"
			}
			if tt.cookie == "" {
				tt.cookie = "op"
			}
			if tt.code == 0 {
				tt.code = http.StatusSeeOther
			}
			rec := press(newDashboard(t, w, Config{}), tt.what, tt.cookie, tt.change)
			if rec.Code != tt.code || !strings.Contains(rec.Body.String(), tt.says) {
				t.Errorf("it answers %d %s, want %d and %q", rec.Code, rec.Body, tt.code, tt.says)
			}
			if strings.Contains(rec.Body.String(), "hunter2") || strings.Contains(rec.Body.String(), "<b>") {
				t.Error("the answer gives away an inner error, or takes what was sent for markup")
			}
			if diff := cmp.Diff(tt.want, strings.Join(w.asks, ",")); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
		})
	}
}
