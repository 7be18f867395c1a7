package demo

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/app"
	"github.com/nixfleet/nixfleet/dashboard/browsertest"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// stranger is a person with a browser who has not signed in.
func (r *rig) stranger() *hand {
	r.t.Helper()
	return &hand{Tab: browsertest.Open(r.t), r: r, shown: map[string]string{}, pressed: map[string]string{}}
}

// link signs in somebody by name, as `nixfleet login-link` does.
func (h *hand) link(a *app.App, login, role string) {
	h.r.t.Helper()
	link, err := a.LoginLink(h.r.t.Context(), login, role)
	if err != nil {
		h.r.t.Fatal(err)
	}
	h.Go(link)
	h.Click(`form[action="/login"] button.primary`)
	h.Until(`document.querySelector("#live")?.dataset.state === "live"`)
}

// fill writes into a field in place of what stands there.
func (h *hand) fill(css, text string) {
	h.r.t.Helper()
	h.Until(fmt.Sprintf(`!!document.querySelector(%q)`, css))
	h.Run(fmt.Sprintf(`((f) => { f.value = %q; f.dispatchEvent(new Event("input", { bubbles: true })); })(document.querySelector(%q))`, text, css))
}

// tick presses a box or a choice.
func (h *hand) tick(css string) {
	h.r.t.Helper()
	h.Until(fmt.Sprintf(`!!document.querySelector(%q)`, css))
	h.Run(fmt.Sprintf(`document.querySelector(%q).click()`, css))
}

// reads waits until an element says something.
func (h *hand) reads(css, text string) {
	h.r.t.Helper()
	h.Until(fmt.Sprintf(`!!document.querySelector(%q)?.innerText.includes(%q)`, css, text))
}

// Everything that the pages beside hosts, updates and rollouts offer is pressed by one
// administrator at one server, and seen where it takes effect.
func TestEverySettingDoesWhatItSays(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 24*time.Hour)
	a := r.start()
	h := r.person(a, "admin")
	r.comesAndGoes(h, r.world.machines[0].name)
	r.tokens(h)
	r.receivers(h)
	r.policy(h)
	r.history(h)
	r.sessions(a, h)
	h.Blameless()
	// What else a host's page offers is pressed where hosts are.
	left := slices.DeleteFunc(leftOut(t, h), func(deed string) bool { return strings.Contains(deed, "(on /hosts/") })
	if len(left) > 0 {
		t.Errorf("nobody pressed\n%s", strings.Join(left, "\n"))
	}
}

// comesAndGoes adds a host, lets it enrol, changes it, takes its key away, and has it
// back.
func (r *rig) comesAndGoes(h *hand, name string) {
	r.t.Helper()
	ticket := func() string {
		h.Until(`document.querySelector("#live")?.dataset.state === "live" && !!document.querySelector("#token")`)
		h.look()
		return h.Text(`document.querySelector("#token").textContent.trim()`)
	}
	h.visit("/enroll")
	h.Type("#name", name)
	h.Type("#tags", "canary")
	h.press("form.enrol .acts button.primary")
	first := ticket()
	h.press("form.another button")
	h.Until(fmt.Sprintf(`document.querySelector("#token")?.textContent.trim() !== %q`, first))
	r.startAgent(name, ticket())
	h.reads("#newcomer", "Connected")

	h.visit("/hosts/" + name)
	h.press(`#hd [href$="/change"]`)
	h.fill("#change-tags", "web canary")
	h.answer()
	h.reads("#hd", "tags canary, web")
	if d, err := r.client().Host(r.t.Context(), name); err != nil || !slices.Equal(d.Tags, []string{"canary", "web"}) {
		r.t.Errorf("after a change its tags are %v, %v", d.Tags, err)
	}
	h.do(`#hd [href$="/revoke"]`)
	revoked := func(o fleet.Overview) bool {
		return !slices.ContainsFunc(o.Hosts, func(v fleet.HostView) bool { return v.Host.Name == name && v.Host.RevokedAt.IsZero() })
	}
	r.await("the host to be revoked", revoked)
	h.Until(`!document.querySelector('#hd [href$="/revoke"]')`)
	r.stopAgent(name)
	h.do(`#hd [href$="/readmit"]`)
	r.startAgent(name, ticket())
	h.reads("#newcomer", "Connected")
}

// tokens makes a token, uses it, and revokes it.
func (r *rig) tokens(h *hand) {
	r.t.Helper()
	h.visit("/settings/tokens")
	h.Type("#token-name", "ci")
	h.fill("#token-role", "operator")
	h.press("form.new-token button.primary")
	h.Until(`!!document.querySelector("#made-token")`)
	ci := &api.Client{Server: "http://" + r.cfg.Listen, Token: h.Text(`document.querySelector("#made-token").textContent.trim()`)}
	if list, err := ci.Hosts(r.t.Context(), fleet.HostFilter{}); err != nil || len(list) != 1 {
		r.t.Errorf("with a new token: %d hosts, %v", len(list), err)
	}
	h.Click(".made a.button")
	h.Until(`!document.querySelector("#made-token") && document.body.classList.contains("script")`)
	h.look()
	h.do(`[href*="/settings/tokens/revoke"]`)
	h.says("The token is revoked")
	if _, err := ci.Hosts(r.t.Context(), fleet.HostFilter{}); err == nil {
		r.t.Error("a revoked token still lets its program in")
	}
}

// receivers adds a receiver, sends it a test, switches it off, and removes it.
func (r *rig) receivers(h *hand) {
	r.t.Helper()
	heard := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body) // what came is what counts
		heard <- string(body)
	}))
	r.t.Cleanup(hook.Close)
	h.visit("/settings/notifications")
	h.Click(`a.primary[href$="/new"]`)
	h.Until(`!!document.querySelector("#n-name") && document.body.classList.contains("script")`)
	h.look()
	h.Type("#n-name", "ops")
	h.Type("#n-address", "generic+"+hook.URL+"/hook")
	h.press(".receiver-form button.primary")
	h.reads("#receivers", "ops")
	h.visit("/settings/notifications")
	h.press(`form[action$="/ops/test"] button`)
	select {
	case said := <-heard:
		if !strings.Contains(strings.ToLower(said), "test") {
			r.t.Errorf("the test says %q", said)
		}
	case <-time.After(patience):
		r.t.Fatal("the test never arrived")
	}
	h.reads("#deliveries", "Sent")
	h.Click(`#receivers a[href$="/ops/edit"]`)
	h.Until(`!!document.querySelector("[name=enabled]")`)
	h.tick("[name=enabled]")
	h.press(".receiver-form button.primary")
	h.reads("#receivers", "Off")
	h.do(`#receivers a[href$="/ops/remove"]`)
	h.reads("#receivers", "Nobody is told anything yet")
	if list, err := r.client().Receivers(r.t.Context()); err != nil || len(list) != 0 {
		r.t.Errorf("after its removal: %v, %v", list, err)
	}
}

// policy changes something in each part of the settings, then all of them as text, and
// proposes a policy file.
func (r *rig) policy(h *hand) {
	r.t.Helper()
	const path = "/settings/" + fleetRepo
	if _, err := r.world.hub.CommitFiles(fleetRepo, forgetest.Commit{Remove: []string{".github/nixfleet.yml"}, Message: "Rule by settings"}); err != nil {
		r.t.Fatal(err)
	}
	h.visit(path)
	h.press(`[value="remove:deploy.waves[1]"]`)
	h.Until(`document.body.classList.contains("script") && !document.querySelector('[name="deploy.waves[2].name"]')`)
	for _, field := range []string{
		"updates.required_checks[0].name", "updates.freeze[0].reason", "deploy.windows[0].reason", "deploy.reboot_windows[0].reason", "deploy.health[0].value", "notify[0].to",
	} {
		list, _, _ := strings.Cut(field, "[")
		h.press(fmt.Sprintf(`[value="add:%s"]`, list))
		h.Until(fmt.Sprintf(`document.body.classList.contains("script") && !!document.querySelector('[name="%s"]')`, field))
		h.fill(fmt.Sprintf(`[name="%s"]`, field), "ops.service")
		if entry, isWindow := strings.CutSuffix(field, ".reason"); isWindow {
			h.fill(fmt.Sprintf(`[name="%s.from_time"]`, entry), "01:00")
			h.fill(fmt.Sprintf(`[name="%s.to_time"]`, entry), "02:30")
		}
	}
	h.tick(`[name="updates.strategy"][value=host]`)
	h.tick(`[name="updates.require_checks"]`)
	h.tick(`[name="notify[0].on"]`)
	h.fill(`[name="updates.auto_merge.hold"]`, "2h")
	h.fill(`[name="deploy.reboot"]`, "window")
	h.fill(`[name="deploy.max_parallel"]`, "5")
	h.reads("#preview", "A lock that a host made now") // before anything is saved
	r.saved(h, "save the form", func(p fleet.Policy) bool {
		u, d := p.Updates, p.Deploy
		return u.Strategy == "host" && u.AutoMerge.Hold == 2*time.Hour && !u.RequireChecks && len(u.RequiredChecks) == 1 && len(u.Freeze) == 1 &&
			len(d.Waves) == 2 && d.MaxParallel == 5 && len(d.Windows) == 1 && len(d.RebootWindows) == 1 && len(d.Health) == 1 && len(p.Notify) == 1
	})

	h.visit(path + "?as=yaml")
	h.fill("[name=settings]", "version: 1\ndeploy:\n  max_parallel: 7\n")
	r.saved(h, "save the text", func(p fleet.Policy) bool {
		return p.Updates.Strategy == "github" && p.Deploy.MaxParallel == 7 && len(p.Notify) == 0
	})

	h.visit("/setup")
	h.press(`form[action="/setup/policy"] button`)
	h.reads("main", "pull request is open")
	if r.world.hub.OpenPullOf(fleetRepo, "nixfleet/policy") == 0 {
		r.t.Error("no pull request proposes a policy file")
	}
}

// saved presses the buttons that save settings, and looks at what rules then.
func (r *rig) saved(h *hand, what string, right func(fleet.Policy) bool) {
	r.t.Helper()
	h.press("form[data-settings] .acts [data-review]")
	h.answer()
	h.says("Saved")
	got, err := r.client().Policy(r.t.Context(), fleetRepo)
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := policyfile.Parse([]byte(got.Settings), "settings")
	if err != nil || got.Source != "settings" || !right(p) {
		r.t.Errorf("%s: %s rules, %v:\n%s", what, got.Source, err, got.Settings)
	}
}

// history finds what was done above, and takes it home.
func (r *rig) history(h *hand) {
	r.t.Helper()
	h.visit("/activity")
	h.fill("#f-host", r.world.machines[0].name)
	h.Click("form.filters button.primary")
	h.Until(`location.search.includes("host=") && document.querySelector("#live")?.dataset.state === "live"`)
	h.reads("#acts", "tess")
	for _, file := range []string{"csv", "jsonl"} {
		h.Run(fmt.Sprintf(`window.file = ""; fetch(document.querySelector('a[download][href*="export.%s"]').href).then((a) => a.ok ? a.text() : "").then((text) => { window.file = text })`, file))
		h.Until(fmt.Sprintf(`window.file.includes("tess") && window.file.includes(%q)`, r.world.machines[0].name))
	}
}

// sessions ends sessions in each of the ways there are. The pages that are open in them
// go to where one signs in.
func (r *rig) sessions(a *app.App, h *hand) {
	r.t.Helper()
	var others []*hand
	for _, login := range []string{"tess", "olga", "tess"} {
		o := &hand{Tab: h.Another(), r: r, shown: h.shown, pressed: h.pressed}
		o.link(a, login, "admin")
		others = append(others, o)
		switch len(others) {
		case 1:
			h.visit("/settings/you")
			h.do(`[data-ask][href*="/settings/you/end?session="]`)
			h.says("The session has ended")
		case 2:
			h.visit("/settings/people")
			h.do(`[data-ask][href*="/settings/people/end?person="][href*="olga"]`)
			h.says("The sessions of olga have ended")
		case 3:
			h.visit("/settings/you")
			h.do(`[data-ask][href$="/settings/you/end"]`)
			h.Until(`location.pathname === "/login"`)
		}
	}
	for i, why := range []string{"You ended this session from another one", "tess (local) ended all your sessions", "You signed out everywhere"} {
		others[i].Until(fmt.Sprintf(`location.pathname === "/login" && document.body.innerText.includes(%q)`, why))
		others[i].Blameless()
	}
	h.link(a, "tess", "viewer")
	h.press(`form[action="/logout"] button`)
	h.Until(`location.pathname === "/login" && !document.querySelector("[role=alert]")`)
}
