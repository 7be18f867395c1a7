package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// telling is a dashboard that tells one story to a viewer, an operator and an admin.
func telling(t *testing.T, name string) (*world, *Dashboard) {
	t.Helper()
	s := story(t, name)
	w := newWorld(s.Overview)
	w.tell(s)
	w.sessions["op"] = RoleOperator
	return w, newDashboard(t, w, Config{})
}

func TestWhatIsNotThereHasNoPage(t *testing.T) {
	t.Parallel()
	_, d := telling(t, "order-failed")
	for path, want := range map[string]int{
		"/hosts/hsb1": 200, "/hosts/none": 404, "/hosts/%3Cscript%3E": 404, "/hosts/hsb1/orders/01KAQD": 200,
		"/hosts/hsb1/orders/none": 404, "/hosts/csb1/orders/01KAQD": 404,
		"/hosts/hsb1/orders/01KAQD/log.txt": 200, "/hosts/csb1/orders/01KAQD/log.txt": 404, "/hosts/csb1/orders/01KAQD/log": 404,
		"/events/hosts/none": 404, "/events/hosts/csb1/orders/01KAQD": 404,
	} {
		if rec := do(d, request(http.MethodGet, path, "view", nil)); rec.Code != want {
			t.Errorf("%s answers %d, want %d", path, rec.Code, want)
		}
	}
	if rec := do(d, request(http.MethodGet, "/hosts/hsb1/orders/01KAQD/log.txt", "", nil)); rec.Code != http.StatusSeeOther {
		t.Errorf("a log without a session answers %d", rec.Code)
	}
}

// TestOnlyAdminsChangeHosts presses what the danger zone holds as everybody.
func TestOnlyAdminsChangeHosts(t *testing.T) {
	t.Parallel()
	w, d := telling(t, "host")
	good := url.Values{"build": {d.build}, "attr": {"nixosConfigurations.other"}, "mode": {"manual"}, "tags": {" b a, a "},
		"seen_attr": {"nixosConfigurations.hsb1"}, "seen_mode": {"fleet"}, "seen_tags": {"home"}}
	with := func(name, value string) url.Values {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		form.Set(name, value)
		return form
	}
	for _, c := range []struct {
		what, path, cookie string
		form               url.Values
		want               int
		did                string
	}{
		{"viewer", "change", "view", good, 403, ""},
		{"operator", "change", "op", good, 403, ""},
		{"admin", "change", "admin", good, 303, "alice change hsb1 {nixosConfigurations.hsb1 fleet [home]} to {nixosConfigurations.other manual [a b]}"},
		{"another build", "change", "admin", with("build", "old"), 409, ""},
		{"no attribute", "change", "admin", with("attr", "hsb1"), 400, ""},
		{"no mode", "change", "admin", with("mode", "sometimes"), 400, ""},
		{"no tag", "change", "admin", with("tags", "ok <b>"), 400, ""},
		{"revoke by an operator", "revoke", "op", with("sure", "yes"), 403, ""},
		{"revoke, asked once", "revoke", "admin", with("sure", "1"), 400, ""},
		{"revoke, asked twice", "revoke", "admin", with("sure", "yes"), 303, "alice revoke hsb1"},
		{"readmit by an operator", "readmit", "op", good, 403, ""},
		{"readmit what was not seen", "readmit", "admin", with("seen", "yesterday"), 400, ""},
	} {
		w.deeds = nil
		rec := do(d, request(http.MethodPost, "/hosts/hsb1/"+c.path, c.cookie, c.form))
		if got := strings.Join(w.deeds, "; "); rec.Code != c.want || got != c.did {
			t.Errorf("%s: answers %d and did %q, want %d and %q", c.what, rec.Code, got, c.want, c.did)
		}
	}
	for _, path := range []string{"change", "readmit", "revoke"} {
		if rec := do(d, request(http.MethodGet, "/hosts/hsb1/"+path, "op", nil)); rec.Code != http.StatusForbidden {
			t.Errorf("an operator is asked to %s: %d", path, rec.Code)
		}
	}
}

func TestRevokeIsAskedTwice(t *testing.T) {
	t.Parallel()
	_, d := telling(t, "host")
	first := do(d, request(http.MethodGet, "/hosts/hsb1/revoke", "admin", nil)).Body.String()
	if strings.Contains(first, `method="post" action="/hosts`) || !strings.Contains(first, `name="sure" value="1"`) {
		t.Error("the first question can be answered")
	}
	second := do(d, request(http.MethodGet, "/hosts/hsb1/revoke?sure=1", "admin", nil)).Body.String()
	if !strings.Contains(second, "Really revoke hsb1?") || !strings.Contains(second, `name="sure" value="yes"`) {
		t.Error("the second question can't be answered")
	}
	_, d = telling(t, "host-revoked")
	if page := do(d, request(http.MethodGet, "/hosts/hsb8/revoke", "admin", nil)).Body.String(); !strings.Contains(page, "It is revoked already.") {
		t.Error("a host that was revoked can be revoked again")
	}
}

// A token is shown by the answer alone; once a machine has used it, what was asked is void.
func TestAHostEnrolsAgainOnce(t *testing.T) {
	t.Parallel()
	w, d := telling(t, "host")
	press := func(seen time.Time) (int, string, int) {
		rec := do(d, request(http.MethodPost, "/hosts/hsb1/readmit", "admin", url.Values{"build": {d.build}, "seen": {seenAt(seen)}}))
		return rec.Code, rec.Body.String(), len(rec.Result().Cookies())
	}
	enrolled := w.story.Host.Host.EnrolledAt
	if code, body, cookies := press(enrolled); code != http.StatusCreated || !strings.Contains(body, secretToken) || cookies > 0 {
		t.Errorf("answers %d with %d cookies: %s", code, cookies, body)
	}
	if len(w.asks) != 1 || !strings.HasPrefix(w.asks[0], "alice enrols hsb1 ") || !strings.HasSuffix(w.asks[0], "again=true") {
		t.Errorf("asked %q", w.asks)
	}
	if code, _, _ := press(enrolled.Add(-time.Hour)); code != http.StatusConflict || len(w.asks) != 1 {
		t.Errorf("a page from before it enrolled: %d, asked %q", code, w.asks)
	}
	question := do(d, request(http.MethodGet, "/hosts/hsb1/readmit", "admin", nil)).Body.String()
	if strings.Contains(question, "data-post") || !strings.Contains(question, "Revoke its key and make a token") {
		t.Error("a script would send it, and lose the page that it is answered with")
	}
}

// TestEveryTroubleHasItsAdvice goes through what can be the matter with a host.
func TestEveryTroubleHasItsAdvice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		story, compartment string
		buttons            string
	}{
		{"host", "git", ""}, {"host", "lock", ""}, {"host", "system", ""},
		{"host-reboot", "git", "Pull… Update…"},
		{"host-reboot", "system", "Reboot…"},
		{"host-failing", "system", "Log of the failure Switch…"},
		{"host-macos", "lock", "Switch… Restart agent…"},
		{"host-working", "system", "Follow the log"},
		{"host-new", "git", ""}, {"host-silent", "system", ""},
	} {
		w, d := telling(t, c.story)
		v := d.scene(w.overview).hostDetail(*w.story.Host)
		for _, cell := range v.cells {
			if cell.ID != c.compartment {
				continue
			}
			a := v.advise(cell)
			var labels []string
			for _, b := range a.buttons {
				labels = append(labels, b.label)
			}
			if got := strings.Join(labels, " "); got != c.buttons || a.text == "" {
				t.Errorf("%s, %s: %q with %q, want %q", c.story, c.compartment, a.text, got, c.buttons)
			}
		}
	}
}

func TestTheTimelineOfAnOrder(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	step := func(name string, s int) fleet.OrderStep {
		return fleet.OrderStep{Step: name, At: at(s - 60), Recorded: at(s)} // the host's clock is behind
	}
	order := fleet.Order{Kind: fleet.OrderSwitch, Actor: "ada", IssuedAt: at(0), State: fleet.HostBuilding}
	ended := func(s fleet.HostState) fleet.Order {
		o := order
		o.State, o.EndedAt = s, at(99)
		return o
	}
	for _, c := range []struct {
		what  string
		order fleet.Order
		steps []fleet.OrderStep
		want  string
	}{
		{"not taken up", order, nil, "Asked; Taken up ahead; Building ahead; Switching ahead; Verifying ahead"},
		{"under way, one answer twice", order, []fleet.OrderStep{step("received", 1), step("building", 3), step("building", 9)},
			"Asked; Taken up 2 s; Building since; Switching ahead; Verifying ahead"},
		{"well", ended(fleet.HostHealthy), []fleet.OrderStep{step("received", 1), step("healthy", 99)}, "Asked; Taken up 1 m 38 s; Healthy"},
		{"refused", ended(fleet.HostFailed), []fleet.OrderStep{step("refused", 2)}, "Asked; Refused"},
		{"given up by the server", ended(fleet.HostFailed), []fleet.OrderStep{step("received", 2)}, "Asked; Taken up; Failed"},
		{"a word of a later agent", ended(fleet.HostHealthy), []fleet.OrderStep{step("dancing\n", 2), step("healthy", 4)}, "Asked; Dancing 2 s; Healthy"},
	} {
		var got []string
		for _, s := range (orderDetail{Order: c.order, record: fleet.OrderRecord{Order: c.order, Steps: c.steps}}).timeline() {
			line := s.word
			switch {
			case s.at.IsZero():
				line += " ahead"
			case s.since:
				line += " since"
			case s.took != "":
				line += " " + s.took
			}
			got = append(got, line)
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %s, want %s", c.what, text, c.want)
		}
	}
}
