package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// through signs somebody in by the imitated GitHub: its page lists the people there are,
// and one presses who one is.
func (h *hand) through(login string) {
	h.r.t.Helper()
	h.Go("http://" + h.r.cfg.Listen + "/login")
	h.Click(`a[href^="/login/github"]`)
	h.Until(fmt.Sprintf(`!!document.querySelector("#as-%s")`, login))
	h.Click("#as-" + login)
}

// is waits until the page is one of somebody with a role.
func (h *hand) is(login, role string) {
	h.r.t.Helper()
	h.Until(fmt.Sprintf(`document.querySelector("#live")?.dataset.state === "live" && document.body.dataset.role === %q && document.querySelector(".who .login").textContent === %q`, role, login))
}

// fits fails the test where a page, or the question over it, is wider than its window.
func (h *hand) fits() {
	h.r.t.Helper()
	if wide := h.Text(`((width) => [document.documentElement, ...document.querySelectorAll("dialog[open], dialog[open] form")]
		.filter((e) => e.scrollWidth > width || e.getBoundingClientRect().right > width + 1).map((e) => e.outerHTML.slice(0, 120)).join(" | "))(document.documentElement.clientWidth)`); wide != "" {
		h.r.t.Errorf("%s is wider than the window: %s", h.Text("location.pathname"), wide)
	}
}

// stays marks the page; here tells whether it is still the same, never loaded anew.
func (h *hand) stays()     { h.r.t.Helper(); h.Run(`window.stays = true`) }
func (h *hand) here() bool { h.r.t.Helper(); return h.Ask(`window.stays === true`) }

// Two people at one server that is killed once: one on a phone, one at a desk, both
// signed in by what GitHub says of them.
func TestTwoPeopleSeeTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 24*time.Hour)
	if err := r.world.hub.SetPermission(fleetRepo, "tess", "write"); err != nil {
		t.Fatal(err)
	}
	r.world.hub.SetCallbacks("http://" + r.cfg.Listen + "/login/github/callback")
	server := r.spawn()
	r.await("the server to see its repository", func(o fleet.Overview) bool { return len(o.Repos) == 1 && o.Repos[0].HeadSHA != "" })
	r.enrol()
	number := r.open("update")
	u := r.inState(number, fleet.UpdateHolding)
	phone := r.signsIn(number)
	desk := &hand{Tab: phone.Another(), r: r, shown: map[string]string{}, pressed: map[string]string{}}
	desk.through("ada")
	desk.is("ada", "admin")

	phone.visit("/")
	phone.stays()
	desk.visit(fmt.Sprintf("/updates/%s/%d", fleetRepo, number))
	desk.stays()
	r.holds(desk, phone)
	r.moves(phone, desk, u)
	r.breaks(server, desk, phone)

	phone.do(`#updates [data-ask][href$="/ask/merge"]`)
	u, _ = r.deployed(number)
	if u.MergedBy != "tess" {
		t.Errorf("it was merged by %q", u.MergedBy)
	}
	for _, m := range r.world.machines {
		if got := r.activations(m.name); len(got) != 1 {
			t.Errorf("%s activated %v, want exactly one system", m.name, got)
		}
	}
	desk.Until(`document.body.innerText.includes("Deployed 2/2 hosts")`)
	for _, h := range []*hand{phone, desk} {
		if !h.here() {
			t.Errorf("the page at %s was loaded anew", h.Text("location.pathname"))
		}
		h.Blameless()
	}
}

// signsIn lets several people try a phone: a stranger is refused, who may read looks
// only, and who may write stays. Each page fits.
func (r *rig) signsIn(number int) *hand {
	r.t.Helper()
	phone := r.stranger()
	phone.Size(390, 844)
	phone.through("mallory")
	phone.reads("[role=alert]", "mallory has no access")
	phone.fits()
	phone.through("vic")
	phone.is("vic", "viewer")
	if offered := phone.Text(`[...document.querySelectorAll("a[data-ask], button[data-act]")].filter((b) => b.checkVisibility()).map((b) => b.outerHTML).join()`); offered != "" {
		r.t.Errorf("who may only look is offered %s", offered)
	}
	phone.press(`form[action="/logout"] button`)
	phone.Until(`location.pathname === "/login"`)
	phone.through("tess")
	phone.is("tess", "operator")
	for _, path := range []string{
		fmt.Sprintf("/updates/%s/%d", fleetRepo, number), "/updates", "/rollouts", "/hosts/" + r.world.machines[0].name, "/activity", "/enroll",
		"/settings/" + fleetRepo, "/settings/notifications", "/settings/tokens", "/settings/people", "/settings/you", "/",
	} {
		phone.visit(path)
		phone.fits()
	}
	return phone
}

// holds has one hold the update; the other's open page shows it without being asked.
func (r *rig) holds(one, other *hand) {
	r.t.Helper()
	const release = `document.querySelector('[data-ask][href$="/ask/release"]')`
	one.do(`[data-ask][href$="/ask/hold"]`)
	other.Until(release + `?.checkVisibility()`)
	one.do(`[data-ask][href$="/ask/release"]`)
	other.Until(`!` + release)
}

// moves has the update get another head while one reads the question of a merge: its
// button locks.
func (r *rig) moves(one, other *hand, u fleet.Update) {
	r.t.Helper()
	one.press(`#updates [data-ask][href$="/ask/merge"]`)
	one.Until(`document.querySelector("#ask").open && !document.querySelector("#ask.moved")`)
	one.fits()
	r.open("update")
	var now fleet.Update
	r.await("another head", func(o fleet.Overview) bool {
		now, _ = find(o, u.Number)
		return now.HeadSHA != u.HeadSHA && now.State == fleet.UpdateHolding
	})
	one.Until(`document.querySelector("#ask").open && document.querySelector("#ask footer [type=submit]").disabled && document.querySelector("#ask .changed").checkVisibility()`)
	one.Click("#ask [data-close]")
	other.Until(fmt.Sprintf(`document.body.innerText.includes("%.7s")`, now.HeadSHA))
}

// breaks kills the server under open pages: they say so, and their buttons rest, until
// another server stands at the same address.
func (r *rig) breaks(server *process, pages ...*hand) {
	r.t.Helper()
	server.kill()
	for _, h := range pages {
		h.Until(`document.querySelector("#broken").checkVisibility() && [...document.querySelectorAll("[data-act]")].every((b) => b.disabled) && [...document.querySelectorAll("a[data-ask]")].every((a) => a.ariaDisabled === "true")`)
	}
	if say := pages[0].Text(`document.querySelector("#live").innerText`); !strings.HasPrefix(say, "Stale, last update") {
		r.t.Errorf("it says %q", say)
	}
	pages[0].Click(`[data-ask][href$="/ask/hold"]`)
	r.clock.forward(time.Minute) // longer than a lease
	r.spawn()
	for _, h := range pages {
		h.Until(`document.querySelector("#live").dataset.state === "live" && !document.querySelector("#broken").checkVisibility() && [...document.querySelectorAll("a[data-ask]")].every((a) => a.ariaDisabled === null)`)
		if h.Ask(`document.querySelector("#ask").open`) {
			r.t.Error("a button that rests opened a question")
		}
	}
}
