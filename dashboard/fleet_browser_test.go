package dashboard

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestBrowserFiltersSelectsAndOrdersByKeyboard(t *testing.T) {
	b := browse(t, liveStory(t, "attention"))
	b.Press("/hsb")
	b.Until(`location.search === "?q=hsb" && document.querySelectorAll("#hosts tr").length === 3`)
	b.Until(`document.querySelector("#matches").innerText.includes("3 of 10 hosts match") && document.querySelector("#live").dataset.state === "live"`)
	b.Press("\x1bjxjjX") // the first three rows: one, then up to the last
	b.Until(`document.querySelector("#selected").innerText === "3 selected" && document.querySelector("#pick-all").checked`)
	b.Press("x") // the last one not
	b.Until(`document.querySelector("#selected").innerText === "2 selected" && document.querySelector("#pick-all").indeterminate`)

	// A change of a row, and another filter, leave the selection as it is.
	b.change(func() {
		b.overview.Hosts = slices.Clone(b.overview.Hosts)
		for i := range b.overview.Hosts {
			if h := &b.overview.Hosts[i]; h.Host.Name == "hsb0" {
				h.Host.Tags = []string{"moved"}
			}
		}
	})
	b.Until(`document.querySelector("#h-hsb0 .facts").innerText.includes("moved")`)
	b.Click(`#h-hsb0 .tag`)
	b.Until(`location.search === "?tag=moved" && document.querySelector("#selected").innerText === "2 selected, 1 of them not shown"`)
	if !b.Ask(`window.__same === true && document.querySelector("#q").value === "" && document.querySelector("#f-tag").value === "moved" && document.querySelector("#h-hsb0 input").checked`) {
		t.Error("the page was loaded anew, or does not show its filter")
	}
	b.Run(`history.back()`)
	b.Until(`document.querySelector("#q").value === "hsb" && document.querySelectorAll("#hosts tr").length === 3`)

	b.Click(`#selection [value="switch"]`)
	b.Until(`document.querySelector("#ask").open && document.querySelector("#ask-title").innerText === "Switch 2 hosts?"`)
	b.Press("?") // keys rest while a question is open
	b.Type("#reason", "as one does")
	b.Run(`{ const s = document.querySelector("#ask [type=submit]"); s.click(); s.click() }`)
	b.Until(`!document.querySelector("#ask").open && document.querySelector("#toast").innerText === "Switch 2 hosts: sent to 2 hosts."`)
	b.mu.Lock()
	if len(b.desk.asked) != 1 || b.desk.asked[0].Kind != "switch" || strings.Join(b.desk.asked[0].Names, " ") != "hsb0 hsb1" || b.desk.asked[0].Reason != "as one does" {
		t.Errorf("ordered %+v", b.desk.asked)
	}
	b.mu.Unlock()

	// The menu of a row, and a reboot, which is asked for twice.
	b.Run(`document.activeElement.blur()`)
	b.Press("jm")
	b.Until(`document.querySelector("#row-menu").matches(":popover-open") && document.activeElement.dataset.kind === "pull"`)
	b.Run(`document.querySelector("#row-menu [data-kind=reboot]").click()`)
	b.Until(`document.querySelector("#ask-title")?.innerText === "Reboot hsb0?" && !document.querySelector("#row-menu").matches(":popover-open")`)
	b.Click("#ask [type=submit]")
	b.Until(`document.querySelector("#ask-title").innerText === "Really reboot hsb0?"`)
	b.Click("#ask [type=submit]")
	b.Until(`document.querySelector("#toast").innerText === "Reboot hsb0: Sent."`)

	b.Press("?")
	b.Until(`document.querySelector("#keys").open`)
	b.Press("\x1b")
	b.Until(`!document.querySelector("#keys").open`)
	b.Press("gf")
	b.Until(`window.__same !== true && location.search === ""`)
	b.Blameless()
}

// TestBrowserTouchesOnlyTheRowThatChanged looks at what a patch costs a page with a
// thousand hosts: the rows beside it stay the elements that they were.
func TestBrowserTouchesOnlyTheRowThatChanged(t *testing.T) {
	b := browse(t, stories.Crowd(time.Now(), 1000))
	b.Run(`window.__touched = new Set();
		new MutationObserver((list) => { for (const m of list) {
			if (m.target.closest?.("[data-when]")) continue; // what the page counts by itself
			const row = (m.target.nodeType === 1 ? m.target : m.target.parentElement)?.closest("tr");
			__touched.add(row ? row.id : m.target.id);
		} }).observe(document.querySelector("#hosts"), { childList: true, subtree: true, characterData: true, attributes: true })`)
	b.change(func() {
		b.overview.Hosts = slices.Clone(b.overview.Hosts)
		b.overview.Hosts[500].Progress = &fleet.HostProgress{Host: "node0500", State: fleet.HostVerifying, Since: time.Now()}
	})
	b.Until(`document.querySelector("#h-node0500 .c-activity").textContent.includes("Verifying")`)
	if touched := b.Text(`[...__touched].join(" ")`); touched != "h-node0500" {
		t.Errorf("a change of one host touches %s", touched)
	}
	if !b.Ask(`getComputedStyle(document.querySelector("#h-node0900")).contentVisibility === "auto"`) {
		t.Error("rows out of sight are laid out")
	}
	b.Blameless()
}
