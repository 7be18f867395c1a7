package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/nixfleet/nixfleet/dashboard/browsertest"
	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// browser is a tab on a running dashboard, signed in through its own form.
type browser struct {
	*world
	*browsertest.Tab
	t      *testing.T
	server *httptest.Server
	dash   atomic.Pointer[Dashboard]
	away   atomic.Bool  // the server answers nothing
	doubts atomic.Int32 // how often a page asked whether it is still there
}

// browse starts a dashboard and a Chromium that has signed in to it.
func browse(t *testing.T, o fleet.Overview) *browser {
	t.Helper()
	b := &browser{world: newWorld(o), t: t}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.away.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		if r.Method == http.MethodHead {
			b.doubts.Add(1)
		}
		b.dash.Load().ServeHTTP(w, r)
	}))
	b.run(Config{PublicURL: b.server.URL, Now: time.Now, Beat: time.Second})
	t.Cleanup(b.server.Close) // after Run has ended the streams, which registers later

	b.Tab = browsertest.Open(t) // after the server, so that it leaves first
	b.Go(b.server.URL)
	b.Type("#token", "right\r")
	b.Until(`document.querySelector("#live")?.dataset.state === "live"`)
	b.Run(`window.__same = true`) // lost by a reload
	return b
}

// run puts a dashboard behind the server's address and runs it until the test ends.
func (b *browser) run(cfg Config) *Dashboard {
	d := newDashboard(b.t, b.world, cfg)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	b.t.Cleanup(func() { stop(); <-done })
	b.dash.Store(d)
	return d
}

func TestBrowserShowsChangesWithoutAReload(t *testing.T) {
	b := browse(t, liveStory(t, "deploying"))
	b.Click("#h-hsb1 .c-system button") // a tooltip that stays open while its row changes
	b.Until(`document.querySelector("#tip-hsb1-system").matches(":popover-open")`)
	b.change(func() {
		b.overview.Hosts = slices.Clone(b.overview.Hosts)
		for i := range b.overview.Hosts {
			if h := &b.overview.Hosts[i]; h.Host.Name == "hsb1" {
				h.Progress = &fleet.HostProgress{Host: "hsb1", State: fleet.HostVerifying, Since: time.Now()}
			}
		}
		b.overview.Rollouts = slices.Clone(b.overview.Rollouts)
		b.overview.Rollouts[0].Headline = "Deploying 4/9 hosts…"
	})
	b.Until(`document.querySelector("#h-hsb1 .c-activity").innerText.includes("Verifying")`)
	b.Until(`document.querySelector("#rollouts h2").innerText === "Deploying 4/9 hosts…"`)
	if !b.Ask(`window.__same === true && document.querySelector("#tip-hsb1-system").matches(":popover-open")`) {
		t.Error("the page was reloaded, or the open tooltip was closed by the change")
	}
	b.Until(`/^\d+ (s|m|m \d+ s)$/.test(document.querySelector("#h-hsb1 time").innerText)`) // counted by the browser
	b.Blameless()
	b.Go(b.server.URL + "/updates") // a page that is left is not taken for one that lost its connection
	b.Until(`document.querySelector("#live")?.dataset.state === "live"`)
	if n := b.doubts.Load(); n > 0 {
		t.Errorf("a page that was left asked %d times whether it is still there", n)
	}
}

func TestBrowserMergesOnceAndHolds(t *testing.T) {
	b := browse(t, liveStory(t, "holding"))
	b.Click(`#u-42 a[href$="/ask/merge"]`)
	b.Until(`document.querySelector("#ask").open`)
	if !b.Ask(`document.querySelector("#ask [type=submit]").innerText === "Merge & deploy to 9 hosts"`) {
		t.Error("the button does not say what it does")
	}
	b.Run(`{ const s = document.querySelector("#ask [type=submit]"); s.click(); s.click(); s.form.requestSubmit() }`)
	b.Until(`!document.querySelector("#ask").open && document.querySelector("#toast").innerText.includes("Recorded")`)
	b.Click(`#u-42 a[href$="/ask/hold"]`)
	b.Until(`document.querySelector("#ask").open && !!document.querySelector("#hold-for")`)
	b.Run(`document.querySelector("#hold-for").value = "2d"`)
	b.Click("#ask [type=submit]")
	b.Until(`!document.querySelector("#ask").open && document.querySelector("#toast").innerText.includes("does not merge by itself")`)
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := "alice 42 " + b.overview.Updates[0].HeadSHA
	if len(b.asks) != 2 || b.asks[0] != seen+" deploy" || !strings.HasPrefix(b.asks[1], seen+" hold ") {
		t.Errorf("recorded %q", b.asks)
	}
	b.Blameless()
}

// TestBrowserLocksAQuestionOfWhatMoved looks at the page of an update: a question of
// its merge locks when the head moves, one of a hold only when the hold does.
func TestBrowserLocksAQuestionOfWhatMoved(t *testing.T) {
	b := browse(t, liveStory(t, "holding"))
	b.Go(b.server.URL + "/updates/aurora/nixcfg/42")
	b.Until(`document.querySelector("#live")?.dataset.state === "live"`)
	head := func(with string) {
		b.change(func() {
			b.overview.Updates = slices.Clone(b.overview.Updates)
			u := &b.overview.Updates[0]
			u.HeadSHA, u.Verdict.HeadSHA = strings.Repeat(with, 40), strings.Repeat(with, 40)
		})
		b.Until(`document.querySelector("#u-42").dataset.state.startsWith("` + with + with + `")`)
	}
	b.Click(`#u-42 a[href$="/ask/merge"]`)
	b.Until(`document.querySelector("#ask").open`)
	head("e")
	b.Until(`document.querySelector("#ask [type=submit]").disabled`)
	if !b.Ask(`(d => d.open && d.querySelector("[name=head_sha]").value.startsWith("9f8e") && d.innerText.includes("changed since you looked"))(document.querySelector("#ask"))`) {
		t.Error("the open dialog did not stay what the person was reading")
	}
	b.Click("#ask [data-close]")
	b.Click(`#u-42 a[href$="/ask/hold"]`)
	b.Until(`document.querySelector("#ask").open && !!document.querySelector("#hold-for")`)
	head("f")
	if b.Ask(`document.querySelector("#ask [type=submit]").disabled`) {
		t.Error("a hold is for the update, whatever its head is; its question is locked")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asks) > 0 {
		t.Errorf("recorded %v", b.asks)
	}
}

func TestBrowserSaysThatItIsStaleAndRecovers(t *testing.T) {
	b := browse(t, liveStory(t, "holding"))
	b.away.Store(true)
	b.server.CloseClientConnections()
	b.Until(`document.querySelector("#live").innerText.startsWith("Stale, last update")`)
	b.Until(`document.querySelector("#broken").innerText.includes("What you see was true")`)
	b.Until(`document.querySelector("#u-42 [data-ask]").ariaDisabled === "true"`)
	b.change(func() {
		b.overview.Updates = slices.Clone(b.overview.Updates)
		b.overview.Updates[0].Verdict.Headline = "What happened meanwhile."
	})
	b.away.Store(false)
	b.Until(`document.querySelector("#live").dataset.state === "live" && !document.querySelector("#u-42 [data-ask]").ariaDisabled && document.querySelector("#broken").hidden`)
	b.Until(`document.querySelector("#u-42").innerText.includes("What happened meanwhile.")`)
	if !b.Ask(`window.__same === true`) {
		t.Error("it recovered by a reload")
	}
	b.Blameless()
}

func TestBrowserReloadsForANewBuildAndLeavesWithItsSession(t *testing.T) {
	b := browse(t, liveStory(t, "holding"))
	upgrade := func(build string) {
		next := b.run(Config{PublicURL: b.server.URL, Now: time.Now, Beat: time.Second})
		next.build = build
		b.server.CloseClientConnections()
	}
	upgrade("second")
	b.Until(`document.body.dataset.build === "second" && document.querySelector("#live").dataset.state === "live"`)
	// Somebody who reads a question is not torn away from it, but can't answer it either.
	b.Run(`sessionStorage.clear()`)
	b.Click("#u-42 [data-ask]")
	b.Until(`document.querySelector("#ask").open`)
	upgrade("third")
	b.Until(`!document.querySelector("#skew").hidden && document.querySelector("#ask [type=submit]").disabled`)
	b.Click("#ask [data-close]")
	b.Click("#skew a")
	b.Until(`document.body.dataset.build === "third" && document.querySelector("#live").dataset.state === "live"`)
	b.change(func() { delete(b.sessions, "op") })
	b.Until(`location.pathname === "/login"`)
}

func TestBrowserOpensTooltipsByKeyboard(t *testing.T) {
	b := browse(t, liveStory(t, "attention"))
	b.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#h-imac0 .c-git button").focus()`), chromedp.KeyEvent("\t"))
	b.Until(`document.querySelector("#tip-imac0-lock").matches(":popover-open")`)
	if !b.Ask(`document.querySelector("#tip-imac0-lock").innerText.includes("Agent needs update")`) {
		t.Error("the tooltip does not say what SPEC says")
	}
	b.Press("\x1b")
	b.Until(`!document.querySelector("#tip-imac0-lock").matches(":popover-open")`)
}

// liveStory is a story as of now, for browsers that have a clock of their own.
func liveStory(t *testing.T, name string) fleet.Overview {
	t.Helper()
	for _, s := range stories.All(time.Now()) {
		if s.Name == name {
			return s.Overview
		}
	}
	t.Fatalf("there is no story %q", name)
	return fleet.Overview{}
}
