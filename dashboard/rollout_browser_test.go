package dashboard

import (
	"slices"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// A rollout is followed live, and a question about it can be answered once, while it is
// about what the person saw.
func TestBrowserFollowsARolloutAndPausesItOnce(t *testing.T) {
	list := stories.All(time.Now())
	s := list[slices.IndexFunc(list, func(s stories.Story) bool { return s.Name == "rollout-early" })]
	b := browse(t, s.Overview)
	b.change(func() { b.tell(s) })
	b.Go(b.server.URL + s.Path)
	b.Until(`document.querySelector("#live")?.dataset.state === "live"`)
	change := func(f func(r *fleet.RolloutDetail)) {
		b.change(func() {
			b.rolls.of.Lock()
			defer b.rolls.of.Unlock()
			r := *b.rolls.detail
			r.Hosts = slices.Clone(r.Hosts)
			f(&r)
			b.rolls.detail = &r
		})
	}
	b.Run(`window.__same = true`)
	change(func(r *fleet.RolloutDetail) { r.Hosts[1].State, r.Hosts[1].Since = fleet.HostBuilding, time.Now() })
	b.Until(`document.querySelector("#at-csb1").textContent.includes("Building")`)
	if !b.Ask(`window.__same === true && document.querySelector("#at-csb1 .five").ariaLabel === "Step 2 of 5: build"`) {
		t.Error("the page was reloaded, or the step is not told to those who don't see it")
	}

	b.Click(`a[href$="/pause"]`)
	b.Until(`document.querySelector("#ask").open && document.querySelector("#ask [type=submit]").innerText === "Pause"`)
	b.Type("#why-field", "lunch")
	b.Run(`{ const s = document.querySelector("#ask [type=submit]"); s.click(); s.click(); s.form.requestSubmit() }`)
	b.Until(`!document.querySelector("#ask").open && document.querySelector("#toast").innerText.includes("Paused")`)
	b.Click(`a[href$="/abort"]`)
	b.Until(`document.querySelector("#ask").open && !document.querySelector("#ask [type=submit]").disabled`)
	change(func(r *fleet.RolloutDetail) { r.State = fleet.RolloutHalted })
	b.Until(`document.querySelector("#ask [type=submit]").disabled && document.querySelector("#ask").innerText.includes("It changed since you looked")`)
	b.rolls.of.Lock()
	defer b.rolls.of.Unlock()
	if want := "alice pause " + s.Rollout.ID + " running lunch"; len(b.rolls.wishes) != 1 || b.rolls.wishes[0] != want {
		t.Errorf("it asks for %q, want %q once", b.rolls.wishes, want)
	}
	b.Blameless()
}
