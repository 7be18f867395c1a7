package dashboard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// storyNow is a story as of now, for browsers, which have a clock of their own.
func storyNow(t *testing.T, name string) stories.Story {
	t.Helper()
	for _, s := range stories.All(time.Now()) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no story %q", name)
	return stories.Story{}
}

// TestBrowserShowsAHostAsItChanges changes an order of a host while its page is open,
// and opens what stands behind the three dots.
func TestBrowserShowsAHostAsItChanges(t *testing.T) {
	s := storyNow(t, "host-working")
	b := browse(t, s.Overview)
	b.change(func() { b.tell(s) })
	b.Go(b.server.URL + s.Path)
	b.Until(`document.querySelector("#live")?.dataset.state === "live"`)
	b.Run(`window.__same = true`)
	b.Click("#hc-system summary")
	b.Click("#host-acts .square")
	b.Until(`document.querySelector("#host-more").matches(":popover-open")`)
	b.change(func() {
		r := *b.story.Host
		r.Orders = append([]fleet.Order(nil), r.Orders...)
		r.Orders[1].State, r.Orders[1].EndedAt = fleet.HostHealthy, time.Now()
		b.story.Host = &r
	})
	b.Until(`document.querySelector("#ho-01KAQB .o-state").innerText === "Healthy" && !document.querySelector("#hn-order-01KAQB")`)
	if !b.Ask(`window.__same && document.querySelector("#host-more").matches(":popover-open") && document.querySelector("#hc-system details").open`) {
		t.Error("the change reloaded the page, or closed what was open")
	}
	b.Blameless()
}

// TestBrowserFollowsALog lets an order print while its page is open: it is followed,
// stays where somebody reads, is found again, and keeps no more lines than it can bear.
func TestBrowserFollowsALog(t *testing.T) {
	s := storyNow(t, "order-running")
	s.Log = nil
	b := browse(t, s.Overview)
	b.change(func() { b.tell(s); b.printed = make(chan struct{}) })
	b.Go(b.server.URL + s.Path)
	b.Until(`document.querySelector("#log-state").innerText === "Nothing printed yet."`)
	lines := func(n int) string { return strings.Repeat("one more line\n", n) }
	end := `(f => f.scrollHeight - f.scrollTop - f.clientHeight < 2)(document.querySelector("#log-lines"))`

	b.prints("building", lines(120)+"half of")
	b.prints("building", " a line\n<img src=x onerror=alert(1)>\n")
	b.Until(`document.querySelector("#L121 span").textContent === "half of a line" && document.querySelector("#L122 span").textContent.startsWith("<img") && ` + end)
	// Somebody scrolls up: what is printed meanwhile is counted, and moves nothing.
	b.Run(`document.querySelector("#log-lines").scrollTop = 40`)
	b.Until(`!document.querySelector("#log-follow").hidden`)
	b.prints("switching", lines(30))
	b.Until(`document.querySelector("#log-follow").innerText === "Follow (paused, 30 more)"`)
	if !b.Ask(`document.querySelector("#log-lines").scrollTop === 40 && !document.querySelector("#L123")`) {
		t.Error("what was printed meanwhile moved the page")
	}
	b.Click("#log-follow")
	b.Until(`document.querySelector("#log-follow").hidden && document.querySelector("#L152") && ` + end)
	b.prints("switching", lines(2500))
	b.Until(`document.querySelectorAll("#log-lines .ln").length === 2000 && document.querySelector("#L2652") && ` + end)
	if !b.Ask(`document.querySelectorAll("#log-lines h3").length === 1 && document.querySelector("#log-state").innerText.includes("2,652 lines")`) {
		t.Error("the headings of lines that are gone are still there, or the count is wrong")
	}
	b.Type("#log-find", "half of a")
	b.Until(fmt.Sprintf(`document.querySelector("#L121.at.hit") && document.querySelector("#log-found").innerText === "1 of 1" && %s`, `!document.querySelector("#log-follow").hidden`))
	close(b.printed)
	b.Blameless()
}
