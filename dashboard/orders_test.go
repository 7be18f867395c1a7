package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// readable is what a person reads in an answer, in one line.
func readable(rec *httptest.ResponseRecorder) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(rec.Body.String(), " ")), " ")
}

// asks asks for a question as the page's script does.
func asks(d *Dashboard, query, cookie string) *httptest.ResponseRecorder {
	r := request(http.MethodGet, "/orders/new?"+query, cookie, nil)
	r.Header.Set("HX-Request", "true")
	return do(d, r)
}

func TestAQuestionSaysWhatHappensToWhichHosts(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	open := []fleet.Order{
		{ID: "1", Host: "csb0", Kind: "deploy", Commit: strings.Repeat("a", 40), State: fleet.HostBuilding, ReceivedAt: ago(time.Minute)},
		{ID: "2", Host: "csb1", Kind: "pull", Commit: strings.Repeat("b", 40), State: fleet.HostOrdered},
		{ID: "3", Host: "hsb0", Kind: "refresh", State: fleet.HostReceived, ReceivedAt: ago(time.Minute)},
		{ID: "4", Host: "hsb1", Kind: "reboot", State: fleet.HostReceived, ReceivedAt: ago(time.Minute)},
	}
	for name, tt := range map[string]struct {
		story, query string
		has, lacks   []string
	}{
		"a pull goes to the head that was seen": {"attention", "kind=pull&hosts=hsb0",
			[]string{"Pull on hsb0?", "hsb0 4c1d9e0 to def4567 At once", "Builds and switches nothing", "Update also builds"}, nil},
		"a switch goes to what is checked out": {"attention", "kind=switch&hosts=hsb1", []string{"Switch hsb1?", "4c1d9e0 to def4567", "Test is undone"}, nil},
		"nothing to change is said":            {"idle", "kind=switch&hosts=gpc0", []string{"gpc0 def4567 At once It runs that already."}, []string{" to def4567"}},
		"a host that sleeps waits":             {"offline", "kind=deploy&hosts=csb0,mba-work", []string{"Update 2 hosts?", "mba-work def4567 Offline, waits for it", "1 host is offline and gets its order when heard again, until Mon 23 Nov 2026, 12:00:00 UTC", "A rollout goes in waves", "No host reboots by itself"}, nil},
		"a newer order of its kind stops one":  {"idle", "kind=switch&hosts=csb0", []string{"Stops its update to aaaaaaa (building).", "At once"}, nil},
		"a switch comes after a pull":          {"idle", "kind=switch&hosts=csb1", []string{"csb1 def4567 to bbbbbbb"}, []string{"Takes the place"}},
		"a pull replaces one that waits":       {"idle", "kind=pull&hosts=csb1", []string{"Takes the place of its pull to bbbbbbb (not taken up yet)."}, nil},
		"what only looks gives way":            {"idle", "kind=pull&hosts=hsb0", []string{"hsb0 def4567 At once"}, []string{"After its"}},
		"a build waits for a reboot":           {"idle", "kind=pull&hosts=hsb1", []string{"After its reboot"}, nil},
		"a restart does not wait for a build":  {"idle", "kind=restart_agent&hosts=csb0", []string{"Restart the agent of csb0?", "At once", "Refresh only makes"}, []string{"Stops its"}},
		"a reboot that is due":                 {"attention", "kind=reboot&hosts=hsb8", []string{"It needs one: its system has another kernel"}, nil},
		"who can't is left out":                {"attention", "kind=reboot&hosts=nuc1+steamdeck+ghost+csb0", []string{"Reboot csb0?", "Left out ghost is none of our hosts nuc1 has not enrolled yet steamdeck its agent works for one person"}, nil},
		"nobody who could":                     {"attention", "kind=test&hosts=imac0", []string{"macOS has no trial of a configuration", "There is no host that could do it"}, []string{"Test on"}},
		"what is cancelled":                    {"idle", "kind=cancel&hosts=csb0&hosts=csb1&hosts=gpc0", []string{"Cancel orders of 2 hosts?", "Stops its update to aaaaaaa (building), unless that has begun to switch.", "Ends its pull", "gpc0 has no order that could be cancelled"}, nil},
		"one order that is cancelled":          {"idle", "kind=cancel&order=2", []string{"Cancel orders of csb1?", "Ends its pull"}, []string{"csb0"}},
		"a host that a rollout comes to":       {"deploying", "kind=switch&hosts=steamdeck", []string{"A rollout that runs comes to it later all the same."}, nil},
		"hosts of a rollout that wait sit out": {"deploying", "kind=refresh&hosts=steamdeck", nil, []string{"A rollout that runs"}},
	} {
		w := newWorld(story(t, tt.story).Overview)
		w.desk.open = open
		rec := asks(newDashboard(t, w, Config{}), tt.query, "op")
		text := readable(rec)
		if rec.Code != http.StatusOK {
			t.Errorf("%s: answered %d", name, rec.Code)
		}
		for _, want := range tt.has {
			if !strings.Contains(text, want) {
				t.Errorf("%s: it does not say %q: %s", name, want, text)
			}
		}
		for _, bad := range tt.lacks {
			if strings.Contains(text, bad) {
				t.Errorf("%s: it says %q: %s", name, bad, text)
			}
		}
	}
}

func TestARollbackNamesWhereItGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	w.desk.generations = story(t, "order-rollback").Generations
	d := newDashboard(t, w, Config{})
	for query, want := range map[string]string{
		"":                                   "csb0 def4567 to 4c1d9e0 At once Generation 213.",
		"&generation=214":                    "csb0 def4567 At once Generation 214. It runs that already.",
		"&generation=7":                      "csb0 def4567 to what ran before",
		"&commit=" + strings.Repeat("c", 40): "csb0 def4567 to ccccccc",
	} {
		if text := readable(asks(d, "kind=rollback&hosts=csb0"+query, "op")); !strings.Contains(text, want) {
			t.Errorf("%q does not say %q: %s", query, want, text)
		}
	}
	if text := readable(asks(d, "kind=rollback&hosts=csb0+csb1", "op")); !strings.Contains(text, "csb1 def4567 to what ran before") {
		t.Errorf("two hosts have no generations in common: %s", text)
	}
}

func TestQuestionsThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	d := newDashboard(t, w, Config{})
	for query, want := range map[string]int{
		"":                                   http.StatusBadRequest,
		"kind=run&hosts=csb0":                http.StatusBadRequest,
		"kind=pull":                          http.StatusBadRequest,
		"kind=rollback&hosts=a&generation=x": http.StatusBadRequest,
		"kind=cancel&order=gone":             http.StatusConflict,
		"kind=pull&hosts=" + strings.Repeat("a,", maxWished) + "b": http.StatusOK, // one host, named often
	} {
		if rec := asks(d, query, "op"); rec.Code != want {
			t.Errorf("%.60s answers %d, want %d", query, rec.Code, want)
		}
	}
	w.desk.err = errors.New("pq: password=hunter2")
	if rec := asks(d, "kind=pull&hosts=csb0", "op"); rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "hunter2") {
		t.Errorf("a desk that can't be read answers %d", rec.Code)
	}
	if rec := asks(d, "kind=pull&hosts=csb0", ""); rec.Code != http.StatusSeeOther {
		t.Errorf("strangers are answered %d", rec.Code)
	}
}

// answer fills in the form of a question, and posts it.
func answer(t *testing.T, d *Dashboard, question, cookie string, change url.Values) *httptest.ResponseRecorder {
	t.Helper()
	form := fieldsOf(question)
	for name, values := range change {
		form[name] = values
	}
	r := request(http.MethodPost, "/orders", cookie, form)
	r.Header.Set("HX-Request", "true")
	return do(d, r)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

func fieldsOf(html string) url.Values {
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(html, -1) {
		form.Add(m[1], m[2])
	}
	return form
}

func TestAnAnswerOrdersWhatWasAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "offline").Overview)
	d := newDashboard(t, w, Config{})
	question := asks(d, "kind=deploy&hosts=mba-work&hosts=csb0&hosts=ghost", "op").Body.String()
	for range 2 { // the same form twice is one key twice
		rec := answer(t, d, question, "op", url.Values{"reason": {" the fix "}})
		if want := "Update 2 hosts: sent to 1 host, 1 is offline and gets it when heard again."; rec.Code != http.StatusAccepted || readable(rec) != want {
			t.Errorf("answered %d %s, want %q", rec.Code, readable(rec), want)
		}
	}
	head := w.overview.Repos[0].HeadSHA
	want := fleet.OrderRequest{Kind: "deploy", Names: []string{"csb0", "mba-work"}, Commit: head, Reason: "the fix", Key: fieldsOf(question).Get("key")}
	if diff := cmp.Diff([]fleet.OrderRequest{want, want}, w.desk.asked); diff != "" || want.Key == "" || w.desk.by[0] != "alice" {
		t.Errorf("by %v (-want +got):\n%s", w.desk.by, diff)
	}
	again := asks(d, "kind=deploy&hosts=csb0", "op").Body.String()
	if fieldsOf(again).Get("key") == want.Key {
		t.Error("two questions have one key")
	}
	one := answer(t, d, again, "op", nil)
	if readable(one) != "Update csb0: Sent." {
		t.Errorf("one host: %s", readable(one))
	}
	plain := request(http.MethodPost, "/orders", "op", fieldsOf(again))
	if rec := do(d, plain); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/hosts/csb0" {
		t.Errorf("without script it leads to %d %s", rec.Code, rec.Header().Get("Location"))
	}
}

func TestWhoMayOrderAndWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cookie string
		change url.Values
		err    error
		code   int
		says   string
	}{
		"a viewer":                {cookie: "view", code: http.StatusForbidden, says: "Read-only"},
		"a page of another build": {change: url.Values{"build": {"old"}}, code: http.StatusConflict, says: "Reload"},
		"no such kind":            {change: url.Values{"kind": {"noop"}}, code: http.StatusBadRequest, says: "no order that a host can be given"},
		"a field":                 {err: &fleet.FieldError{Field: "hosts", Text: "csb0 is revoked"}, code: http.StatusConflict, says: "Nothing was ordered: csb0 is revoked."},
		"a key that was used":     {err: &fleet.FieldError{Field: "Idempotency-Key", Text: "it was used"}, code: http.StatusConflict, says: "used for another order already"},
		"other hosts to reboot":   {err: &fleet.UnconfirmedError{Hosts: []string{"a", "b"}, Found: "set confirm"}, code: http.StatusConflict, says: "a and b would restart"},
		"an order that is gone":   {err: fmt.Errorf("cancel: %w", ErrUnknown), code: http.StatusNotFound, says: "not there any more"},
		"a database that is away": {err: errors.New("pq: password=hunter2"), code: http.StatusServiceUnavailable, says: "could not be recorded"},
	} {
		w := newWorld(story(t, "idle").Overview)
		d := newDashboard(t, w, Config{})
		question := asks(d, "kind=pull&hosts=csb0", "op").Body.String()
		w.desk.err = tt.err
		cookie := tt.cookie
		if cookie == "" {
			cookie = "op"
		}
		rec := answer(t, d, question, cookie, tt.change)
		if rec.Code != tt.code || !strings.Contains(readable(rec), tt.says) {
			t.Errorf("%s: answered %d %s", name, rec.Code, readable(rec))
		}
		if len(w.desk.asked) > 0 {
			t.Errorf("%s: ordered %v", name, w.desk.asked)
		}
	}
	d := newDashboard(t, newWorld(story(t, "idle").Overview), Config{})
	if text := readable(asks(d, "kind=pull&hosts=csb0", "view")); !strings.Contains(text, "Read-only: this needs the operator role") || !strings.Contains(text, "csb0") {
		t.Errorf("a viewer is asked: %s", text)
	}
}

func TestARebootIsAskedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(story(t, "idle").Overview)
	d := newDashboard(t, w, Config{})
	first := asks(d, "kind=reboot&hosts=csb0+csb1", "op").Body.String()
	if !strings.Contains(first, `action="/orders/new"`) || !strings.Contains(first, "Reboot 2 hosts…") || strings.Contains(first, "data-post") {
		t.Fatalf("the first question does not lead to a second: %s", first)
	}
	form := fieldsOf(first)
	if rec := answer(t, d, first, "op", url.Values{"sure": {""}}); rec.Code != http.StatusConflict || len(w.desk.asked) > 0 {
		t.Errorf("asked once, it is answered %d", rec.Code)
	}
	form.Set("reason", "new kernel")
	second := do(d, request(http.MethodPost, "/orders/new", "op", form)).Body.String()
	if !strings.Contains(second, "Really reboot 2 hosts?") || !strings.Contains(second, `value="new kernel"`) || !strings.Contains(second, "Yes, reboot 2 hosts") {
		t.Fatalf("the second question is %s", second)
	}
	answer(t, d, second, "op", url.Values{"reason": {"new kernel"}})
	if len(w.desk.asked) != 1 || strings.Join(w.desk.asked[0].Confirm, " ") != "csb0 csb1" || w.desk.asked[0].Reason != "new kernel" {
		t.Errorf("ordered %+v", w.desk.asked)
	}
}

func TestAThousandHostsCanBeAskedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(stories.Crowd(noon, 1000))
	d := newDashboard(t, w, Config{})
	var names []string
	for _, h := range w.overview.Hosts {
		names = append(names, h.Host.Name)
	}
	// As the page's script posts it, and as a form without script does.
	for _, hosts := range [][]string{{strings.Join(names, " ")}, names} {
		rec := do(d, request(http.MethodPost, "/orders/new", "op", url.Values{"kind": {"pull"}, "hosts": hosts}))
		question := rec.Body.String()
		if rec.Code != http.StatusOK || !strings.Contains(question, "Pull on 1000 hosts") || !strings.Contains(question, "node0999") {
			t.Fatalf("answered %d %.300s", rec.Code, question)
		}
		if strings.Contains(question, `href="/orders/new?`) {
			t.Error("the alternative is an address that proxies refuse")
		}
		answer(t, d, question, "op", nil)
		if n := len(w.desk.asked); n == 0 || len(w.desk.asked[n-1].Names) != 1000 {
			t.Errorf("%d were asked", n)
		}
	}
}
