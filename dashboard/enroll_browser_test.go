package dashboard

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/nixfleet/nixfleet/fleet"
)

// A person adds a host, gets its token once, and sees it come without a reload.
func TestBrowserEnrolWaitsForTheMachine(t *testing.T) {
	b := browse(t, story(t, "idle").Overview)
	b.change(func() { b.sessions["op"] = RoleAdmin })
	b.Do(chromedp.Navigate(b.server.URL+"/enroll"), chromedp.SendKeys(chromedp.CSS("#name"), "web9"))
	b.Until(`document.querySelector("#attr").placeholder === "nixosConfigurations.web9"`)
	b.Click("form.enrol button.primary")
	b.Until(`document.querySelector("#token")?.textContent === "` + secretToken + `" && location.pathname === "/enroll/web9"`)
	b.Until(`document.querySelector("#live").dataset.state === "live" && document.querySelector("#newcomer").innerText.includes("Waiting for web9…")`)
	b.Click("[data-copy=place]")
	b.Until(`document.querySelector("[data-copy=place] .words").textContent !== "Copy"`)
	b.change(func() {
		b.newcomer.Host.EnrolledAt = time.Now()
		h := b.newcomer.Host
		h.Facts, h.LastSeen = b.overview.Hosts[0].Host.Facts, time.Now()
		b.overview.Hosts = append(b.overview.Hosts, fleet.HostView{Host: h, Online: true})
	})
	b.Until(`document.querySelector("#newcomer").innerText.includes("Connected, agent 2.1.0") && !!document.querySelector("#token")`)
	b.Do(chromedp.Evaluate[chromedp.Void](`location.reload()`))
	b.Until(`!document.querySelector("#token") && document.querySelector("#newcomer a.button")?.pathname === "/hosts/web9"`)
	if len(b.asks) != 1 {
		t.Errorf("to reload asked again: %v", b.asks)
	}
	b.Blameless()
}
