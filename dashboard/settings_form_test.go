package dashboard

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// editing is a dashboard with settings that rule, and its form as it stands there.
func editing(t *testing.T) (*world, *Dashboard, url.Values) {
	t.Helper()
	w := newWorld(story(t, "settings").Overview)
	w.policy = story(t, "settings").Policy
	form := draftOf(*w.policy.Policy).values
	form.Set("seen", "2026-11-19T12:00:00Z")
	form.Set("fields", "1")
	form.Set("do", "review")
	return w, newDashboard(t, w, Config{}), form
}

// postSettings posts a form, as a script does or as a browser.
func postSettings(d *Dashboard, form url.Values, script bool) *httptest.ResponseRecorder {
	r := request(http.MethodPost, "/settings/aurora/nixcfg", "admin", form)
	if script {
		r.Header.Set("HX-Request", "true")
	}
	return do(d, r)
}

func says(t *testing.T, rec *httptest.ResponseRecorder, code int, words ...string) {
	t.Helper()
	if rec.Code != code {
		t.Errorf("it answers %d, want %d", rec.Code, code)
	}
	for _, w := range words {
		if !strings.Contains(rec.Body.String(), w) {
			t.Errorf("it does not say %q: %s", w, mainOf(rec.Body.String()))
		}
	}
}

func TestAFormThatIsWrongComesBackWithAFaultAtEachField(t *testing.T) {
	t.Parallel()
	w, d, form := editing(t)
	for field, value := range map[string]string{
		"updates.auto_merge.hold": "1 hour<b>", "deploy.hosts": "tag:x and", "deploy.max_parallel": "many", "updates.freeze[0].tz": "Mars/Olympus",
		"updates.authors": "renovate[bot]\nno body", "deploy.waves[4].hosts": "all", "deploy.health[0].kind": "http", "deploy.health[0].value": "file:///x",
	} {
		form.Set(field, value)
	}
	rec := postSettings(d, form, false)
	says(t, rec, http.StatusUnprocessableEntity, "settings are not right", `value="1 hour&lt;b&gt;"`, `value="tag:x and"`, `value="many"`, `value="Mars/Olympus"`,
		"no body</textarea>", `value="file:///x"`, `data-dirty`)
	for _, field := range []string{
		"updates.auto_merge.hold", "deploy.hosts", "deploy.max_parallel", "updates.freeze[0]", "updates.authors", "deploy.waves[3]", "deploy.health[0]",
	} {
		if !strings.Contains(rec.Body.String(), `id="`+field+`-fault"`) && !strings.Contains(rec.Body.String(), `id="`+field+`.value-fault"`) {
			t.Errorf("there is nothing at %s", field)
		}
	}
	if len(w.saves) > 0 {
		t.Errorf("saved: %v", w.saves)
	}
	golden(t, filepath.Join("testdata", "golden", "settings-faults.html"), strings.ReplaceAll(lines(mainOf(rec.Body.String())), d.build, "BUILD"))
}

func TestEntriesComeAndGoWithoutAScript(t *testing.T) {
	t.Parallel()
	w, d, form := editing(t)
	form.Set("deploy.hosts", "not yet saved")
	form.Set("do", "add:updates.freeze")
	says(t, postSettings(d, form, false), http.StatusOK, `name="updates.freeze[1].tz"`, `value="not yet saved"`, `data-dirty`)
	form.Set("do", "remove:deploy.waves[0]")
	rec := postSettings(d, form, false)
	says(t, rec, http.StatusOK, `value="not yet saved"`, `name="deploy.waves[0].name" type="text" value="half"`)
	if strings.Contains(rec.Body.String(), "deploy.waves[2]") || len(w.saves) > 0 {
		t.Errorf("an entry is still there, or something was saved: %v", w.saves)
	}
	form.Set("do", "add:nothing")
	says(t, postSettings(d, form, false), http.StatusOK, `value="not yet saved"`)
}

func TestWhatASaveChangesIsShownBeforeIt(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		w, d, form := editing(t)
		form.Set("updates.auto_merge.hold", "3h")
		form.Set("updates.freeze[0].reason", "feast")
		form.Del("deploy.auto")
		rec := postSettings(d, form, script)
		says(t, rec, http.StatusOK, "Save 3 changes", "updates.auto_merge.hold", "2h", "3h", "reason feast", "deploy.auto", "judged again at once", "nothing is deployed before a person starts that")
		if len(w.saves) > 0 {
			t.Fatalf("saved before it was asked: %v", w.saves)
		}
		if !script {
			golden(t, filepath.Join("testdata", "golden", "settings-review.html"), strings.ReplaceAll(lines(mainOf(rec.Body.String())), d.build, "BUILD"))
		}
		next := url.Values{}
		for _, m := range regexp.MustCompile(`type="hidden" name="([a-z]+)" value="([^"]*)"`).FindAllStringSubmatch(rec.Body.String(), -1) {
			next.Set(m[1], strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&amp;", "&").Replace(m[2]))
		}
		saved := postSettings(d, next, script)
		if code := map[bool]int{true: http.StatusAccepted, false: http.StatusSeeOther}[script]; saved.Code != code {
			t.Errorf("to save answers %d: %s", saved.Code, saved.Body)
		}
		if script && saved.Header().Get("X-Next") != "/settings/aurora/nixcfg" {
			t.Errorf("a script is sent to %q", saved.Header().Get("X-Next"))
		}
		want := `alice aurora/nixcfg 2026-11-19T12:00:00Z "version: 1\nupdates:\n  auto_merge:\n    hold: 3h\n    min_input_age: 1d\n`
		if len(w.saves) != 1 || !strings.HasPrefix(w.saves[0], want) {
			t.Errorf("saved %s, want %s…", w.saves, want)
		}
	}
}

func TestNothingIsAskedWhereNothingChanges(t *testing.T) {
	t.Parallel()
	_, d, form := editing(t)
	says(t, postSettings(d, form, false), http.StatusOK, "nothing to save")
}

func TestTheirsStandBesideOursInTheForm(t *testing.T) {
	t.Parallel()
	w, d, form := editing(t)
	form.Set("updates.auto_merge.hold", "3h")
	form.Set("seen", "2026-11-01T12:00:00Z") // bob was there since
	rec := postSettings(d, form, false)
	says(t, rec, http.StatusConflict, "bob has changed the settings", "bob changed the settings", `value="3h"`, "updates.auto_merge.hold", `name="seen" value="2026-11-19T12:00:00Z"`)
	if len(w.saves) > 0 {
		t.Errorf("saved: %v", w.saves)
	}
	form.Set("seen", "2026-11-19T12:00:00Z") // what the page that came back carries
	says(t, postSettings(d, form, false), http.StatusOK, "Save 1 change")
}

func TestTheFormTellsWhatItWouldBring(t *testing.T) {
	t.Parallel()
	_, d, form := editing(t)
	form.Set("do", "preview")
	form.Set("deploy.hosts", "tag:none")
	form.Set("updates.freeze[0].from_day", "Mon")
	form.Set("updates.freeze[0].to_day", "Tue")
	says(t, postSettings(d, form, true), http.StatusOK, "Picks 0 of 9 hosts", "reach no host", "not frozen, the next one begins", `datetime="2026-11-22T23:00:00Z"`)
	form.Set("deploy.hosts", "(")
	says(t, postSettings(d, form, true), http.StatusOK, "once every setting is right")
}

func TestNobodySavesPastAPolicyFile(t *testing.T) {
	t.Parallel()
	w, d, form := editing(t)
	file := *w.policy
	file.Source = "file"
	w.policy = &file
	form.Set("updates.auto_merge.hold", "3h")
	rec := postSettings(d, form, false)
	says(t, rec, http.StatusConflict, "policy file rules", "<fieldset class=\"sections\" disabled>")
	if strings.Contains(rec.Body.String(), "data-review") {
		t.Error("there is a button that can't work")
	}
}
