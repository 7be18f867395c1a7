package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
)

// told is a dashboard of a story.
func told(t *testing.T, name string) (*Dashboard, *world, string) {
	t.Helper()
	s := story(t, name)
	w := newWorld(s.Overview)
	w.tell(s)
	path, _, _ := strings.Cut(s.Path, "?")
	return newDashboard(t, w, Config{}), w, path
}

// sent posts a form as the page of this build would.
func sent(d *Dashboard, path, cookie string, form url.Values) *httptest.ResponseRecorder {
	if form.Get("build") == "" {
		form.Set("build", d.build)
	}
	r := request(http.MethodPost, path, cookie, form)
	r.Header.Set("HX-Request", "true")
	return do(d, r)
}

func TestPeopleSteerARolloutFromItsPage(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		story, act string
		form       url.Values
		want, next string
	}{
		"pause":    {"rollout-early", "pause", url.Values{"seen": {"running"}, "reason": {" lunch "}}, "alice pause ID running lunch", ""},
		"resume":   {"rollout-paused", "resume", url.Values{"seen": {"paused"}}, "alice resume ID paused", ""},
		"abort":    {"rollout-early", "abort", url.Values{"seen": {"running"}, "sure": {"yes"}}, "alice abort ID running", ""},
		"rollback": {"rollout-early", "rollback", url.Values{"seen": {"running"}}, "alice rollback ID running", ""},
		"retry":    {"rollout-halted", "retry", url.Values{"key": {"K"}, "host": {"hsb0"}}, "alice retry ID [hsb0]  true", "/rollouts/01NEXT"},
		"exclude":  {"rollout-early", "exclude", url.Values{"host": {"hsb1"}, "reason": {"its disk"}}, "alice exclude ID hsb1 its disk", ""},
	} {
		d, w, path := told(t, tt.story)
		rec := sent(d, path+"/"+tt.act, "op", tt.form)
		want := strings.ReplaceAll(tt.want, "ID", w.rolls.detail.ID)
		if rec.Code != http.StatusAccepted || len(w.rolls.wishes) != 1 || w.rolls.wishes[0] != want || rec.Header().Get("X-Next") != tt.next {
			t.Errorf("%s: %d %q to %q, want %q to %q", what, rec.Code, w.rolls.wishes, rec.Header().Get("X-Next"), want, tt.next)
		}
		if rec := sent(d, path+"/"+tt.act, "view", tt.form); rec.Code != http.StatusForbidden || len(w.rolls.wishes) != 1 {
			t.Errorf("%s by a viewer: %d, %q", what, rec.Code, w.rolls.wishes)
		}
		if rec := sent(d, path+"/"+tt.act, "op", url.Values{"build": {"old"}}); rec.Code != http.StatusConflict {
			t.Errorf("%s from an old page: %d", what, rec.Code)
		}
		w.rolls.denied = Refused("The rollout was running when you looked, and is halted now.")
		if rec := sent(d, path+"/"+tt.act, "op", tt.form); rec.Code != http.StatusConflict || !strings.Contains(rec.Body.String(), "is halted now") {
			t.Errorf("%s refused: %d %s", what, rec.Code, rec.Body)
		}
	}
}

func TestAnAbortIsAskedTwiceAndWhatIsNotSeenIsNotDone(t *testing.T) {
	t.Parallel()
	d, w, path := told(t, "rollout-early")
	for _, form := range []url.Values{{"seen": {"running"}}, {"seen": {"running"}, "sure": {"1"}}, {"sure": {"yes"}}} {
		if rec := sent(d, path+"/abort", "op", form); rec.Code != http.StatusBadRequest || len(w.rolls.wishes) > 0 {
			t.Errorf("%v: %d, %q", form, rec.Code, w.rolls.wishes)
		}
	}
	first := do(d, request(http.MethodGet, path+"/abort", "op", nil)).Body.String()
	if !strings.Contains(first, `method="get" action="`+path+`/abort"`) || strings.Contains(first, "data-post") {
		t.Error("the first question can be answered with an abort")
	}
	second := do(d, request(http.MethodGet, path+"/abort?sure=1&reason=%3Cb%3Ewrong", "op", nil)).Body.String()
	for _, want := range []string{`method="post" action="` + path + `/abort"`, `name="sure" value="yes"`, `name="reason" value="&lt;b&gt;wrong"`, `name="seen" value="running"`} {
		if !strings.Contains(second, want) {
			t.Errorf("the second question lacks %s", want)
		}
	}
}

func TestQuestionsSayWhyThereIsNoButton(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"rollout-succeeded": "/pause", "rollout-halted": "/resume", "rollout-early": "/retry", "rollout-aborted": "/rollback",
		"rollout-late": "/exclude?host=csb0", "rollout-window": "/exclude?host=stranger",
	} {
		d, _, page := told(t, name)
		rec := do(d, request(http.MethodGet, page+path, "op", nil))
		if body := rec.Body.String(); rec.Code != http.StatusOK || strings.Contains(body, `type="submit"`) || !strings.Contains(body, `<p class="why">`) {
			t.Errorf("%s%s: %d, offers a button or says nothing", page, path, rec.Code)
		}
	}
	d, _, page := told(t, "rollout-early")
	for path, want := range map[string]int{"/rollouts/01NONE": 404, "/rollouts/01NONE/pause": 404, page + "/dance": 404, "/rollouts?state=dancing": 404, "/rollouts?repo=o/none": 404,
		"/rollouts/quarantine/lift?repo=aurora/nixcfg&commit=abc": 404, "/events/rollouts/01NONE": 404} {
		if rec := do(d, request(http.MethodGet, path, "op", nil)); rec.Code != want {
			t.Errorf("%s answers %d, want %d", path, rec.Code, want)
		}
	}
}

func TestStartingARolloutSendsExactlyWhatWasShown(t *testing.T) {
	t.Parallel()
	d, w, _ := told(t, "start-backward")
	body := do(d, request(http.MethodGet, "/rollouts/new?backward=1&force=1&commit=4c1d9e0&hosts=tag%3Acanary&reason=slow", "op", nil)).Body.String()
	form := url.Values{}
	for _, field := range strings.Split(body, `<input `)[1:] {
		name, rest, _ := strings.Cut(field[strings.Index(field, `name="`)+6:], `"`)
		value, _, _ := strings.Cut(rest[strings.Index(rest, `value="`)+7:], `"`)
		form.Add(name, value)
	}
	if rec := sent(d, "/rollouts/new", "op", form); rec.Code != http.StatusAccepted || rec.Header().Get("X-Next") != "/rollouts/01NEXT" {
		t.Errorf("it answers %d to %q", rec.Code, rec.Header().Get("X-Next"))
	}
	want := "alice start {Repo:aurora/nixcfg Commit:" + w.rolls.planned.Commit + " Hosts:tag:canary AtOnce:false Backward:true Force:true Reason:slow Key:key}"
	if len(w.rolls.wishes) != 1 || w.rolls.wishes[0] != want {
		t.Errorf("it asks for %q, want %q", w.rolls.wishes, want)
	}
	form.Del("commit")
	if rec := sent(d, "/rollouts/new", "op", form); rec.Code != http.StatusBadRequest || len(w.rolls.wishes) != 1 {
		t.Errorf("without a commit: %d, %q", rec.Code, w.rolls.wishes)
	}
	if rec := do(d, request(http.MethodGet, "/rollouts/new", "view", nil)); strings.Contains(rec.Body.String(), `type="submit"`) {
		t.Error("a viewer is offered to start a rollout")
	}
	w.rolls.planned = nil
	wrong := do(d, request(http.MethodGet, "/rollouts/new?hosts=web1+nad&commit=abc", "op", nil)).Body.String()
	for _, want := range []string{"at byte 12: found", `value="web1 nad"`, `value="abc"`, "Look at what it does"} {
		if !strings.Contains(wrong, want) {
			t.Errorf("after a mistake the form lacks %q", want)
		}
	}
}

func TestAQuarantineIsLifted(t *testing.T) {
	t.Parallel()
	d, w, _ := told(t, "quarantine-lift")
	form := url.Values{"repo": {"aurora/nixcfg"}, "commit": {w.rolls.bad[0].Commit}, "reason": {"it was the disk"}}
	if rec := sent(d, "/rollouts/quarantine/lift", "op", form); rec.Code != http.StatusAccepted || w.rolls.wishes[0] != "alice lift 1 "+w.rolls.bad[0].Commit+" it was the disk" {
		t.Errorf("it answers %d and asks for %q", rec.Code, w.rolls.wishes)
	}
}

// A step of one host of a thousand is one small patch, and the page is light.
func TestACrowdedRolloutStaysLight(t *testing.T) {
	t.Parallel()
	s := story(t, "rollout-crowd")
	w := newWorld(s.Overview)
	w.tell(s)
	d := newDashboard(t, w, Config{})
	look := func(all bool) board {
		t.Helper()
		v, err := d.rolloutDetail(t.Context(), d.scene(s.Overview), s.Rollout.ID, all)
		if err != nil {
			t.Fatal(err)
		}
		b, err := render(t.Context(), topic{regions: func(context.Context, scene) ([]liveRegion, error) { return v.regions(), nil }}, scene{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := look(false)
	if n := len(before.snapshot()); n > 64<<10 {
		t.Errorf("the page of 1000 hosts has %d bytes", n)
	}
	for i := range w.rolls.detail.Hosts {
		if p := &w.rolls.detail.Hosts[i]; p.State == fleet.HostBuilding {
			p.State = fleet.HostSwitching
			break
		}
	}
	if n := len(look(false).since(before)); n == 0 || n > 8<<10 {
		t.Errorf("a step of one host is a patch of %d bytes", n)
	}
	all := string(look(true).snapshot())
	for _, p := range s.Rollout.Hosts {
		if !strings.Contains(all, `id="at-`+p.Host+`"`) {
			t.Fatalf("unfolded it does not show %s", p.Host)
		}
	}
}

// Only what can be pressed now has a button.
func TestEveryStateOffersWhatIsLegal(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"rollout-planned": "abort", "rollout-early": "pause rollback abort", "rollout-paused": "resume rollback abort",
		"rollout-halted": "retry rollback abort", "rollout-rolling-back": "abort", "rollout-restore": "pause abort",
		"rollout-succeeded": "rollback", "rollout-aborted": "", "rollout-superseded": "retry rollback", "rollout-failed": "retry rollback",
	} {
		s := story(t, name)
		w := newWorld(s.Overview)
		w.tell(s)
		d := newDashboard(t, w, Config{})
		v, err := d.rolloutDetail(t.Context(), d.scene(s.Overview), s.Rollout.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		now, not := v.acts()
		var names []string
		for _, a := range now {
			names = append(names, a.name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s offers %q, want %q", name, got, want)
		}
		for _, a := range not {
			if a.why == "" {
				t.Errorf("%s does not say why %s rests", name, a.name)
			}
		}
	}
}
