package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// patience bounds what a browser test waits for; machines that build other things
// at the same time are slow.
const patience = 90 * time.Second

// watch records what no page may do: violate its policy, or throw.
const watch = `window.__faults = [];
addEventListener("securitypolicyviolation", (e) => __faults.push("policy: " + e.violatedDirective + " " + e.blockedURI));
addEventListener("error", (e) => __faults.push("error: " + e.message));
addEventListener("unhandledrejection", (e) => __faults.push("rejection: " + e.reason));`

// browser is a tab on a running dashboard, signed in through its own form.
type browser struct {
	*world
	t      *testing.T
	ctx    context.Context
	server *httptest.Server
	dash   atomic.Pointer[Dashboard]
	away   atomic.Bool // the server answers nothing
}

// browse starts a dashboard and a Chromium that has signed in to it.
func browse(t *testing.T, o fleet.Overview) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("NO BROWSER TESTED: Chromium is not installed (Debian: apt-get install chromium)")
	}
	b := &browser{world: newWorld(o), t: t}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.away.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		b.dash.Load().ServeHTTP(w, r)
	}))
	b.run(Config{PublicURL: b.server.URL, Now: time.Now, Beat: time.Second})
	t.Cleanup(b.server.Close) // after Run has ended the streams, which registers later

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	}))
	b.do(chromedp.Navigate(b.server.URL), chromedp.SendKeys(chromedp.CSS("#token"), "right\r"))
	b.until(`document.querySelector("#live")?.dataset.state === "live"`)
	b.do(chromedp.Evaluate[chromedp.Void](`window.__same = true`)) // lost by a reload
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

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits for a condition of the page, across navigations.
func (b *browser) until(js string) {
	b.t.Helper()
	deadline := time.After(patience / 2)
	again := time.NewTicker(30 * time.Millisecond)
	defer again.Stop()
	for {
		holds, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](js))
		if err == nil && holds {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText + __faults.join()`))
			b.t.Fatalf("waiting for %s: %v; the page says %.600s", js, err, page)
		}
	}
}

func (b *browser) ask(js string) bool {
	b.t.Helper()
	yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](js))
	if err != nil {
		b.t.Fatal(err)
	}
	return yes
}

// click presses an element as a person would.
func (b *browser) click(css string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(css)))
}

// blameless fails the test for anything that the page should not have done.
func (b *browser) blameless() {
	b.t.Helper()
	faults, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`__faults`))
	if err != nil || len(faults) > 0 {
		b.t.Errorf("the page did what it must not: %v %v", faults, err)
	}
}

func TestBrowserShowsChangesWithoutAReload(t *testing.T) {
	b := browse(t, liveStory(t, "deploying"))
	b.click("#h-hsb1 .c-system button") // a tooltip that stays open while its row changes
	b.until(`document.querySelector("#tip-hsb1-system").matches(":popover-open")`)
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
	b.until(`document.querySelector("#h-hsb1 .c-activity").innerText.includes("Verifying")`)
	b.until(`document.querySelector("#rollouts h2").innerText === "Deploying 4/9 hosts…"`)
	if !b.ask(`window.__same === true && document.querySelector("#tip-hsb1-system").matches(":popover-open")`) {
		t.Error("the page was reloaded, or the open tooltip was closed by the change")
	}
	b.until(`/^\d+ (s|m|m \d+ s)$/.test(document.querySelector("#h-hsb1 time").innerText)`) // counted by the browser
	b.blameless()
}

func TestBrowserMergesOnceAndHolds(t *testing.T) {
	b := browse(t, liveStory(t, "holding"))
	b.click("#u-42 [data-opens]")
	b.until(`document.querySelector("#merge-42").open`)
	if !b.ask(`document.querySelector("#merge-42 [type=submit]").innerText === "Merge & deploy to 9 hosts"`) {
		t.Error("the button does not say what it does")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`{ const s = document.querySelector("#merge-42 [type=submit]"); s.click(); s.click(); s.form.requestSubmit() }`))
	b.until(`!document.querySelector("#merge-42").open && document.querySelector("#toast").innerText.includes("Recorded")`)
	b.until(`document.querySelector("#toast").innerText === ""`) // what follows shows on the page itself
	b.click(`[commandfor="hold-42"]`)
	b.until(`document.querySelector("#hold-42").open`)
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#for-42").value = "2d"`))
	b.click("#hold-42 [type=submit]")
	b.until(`!document.querySelector("#hold-42").open && document.querySelector("#toast").innerText.includes("does not merge by itself")`)
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := "alice 42 " + b.overview.Updates[0].HeadSHA
	if len(b.asks) != 2 || b.asks[0] != seen+" deploy" || !strings.HasPrefix(b.asks[1], seen+" hold ") {
		t.Errorf("recorded %q", b.asks)
	}
	b.blameless()
}

func TestBrowserKeepsADialogAsItWasReadAndLocksIt(t *testing.T) {
	b := browse(t, liveStory(t, "holding"))
	b.click("#u-42 [data-opens]")
	b.until(`document.querySelector("#merge-42").open`)
	b.change(func() {
		b.overview.Updates = slices.Clone(b.overview.Updates)
		u := &b.overview.Updates[0]
		u.HeadSHA, u.Verdict.HeadSHA = strings.Repeat("e", 40), strings.Repeat("e", 40)
	})
	b.until(`document.querySelector("#u-42").dataset.head.startsWith("eee")`)
	b.until(`document.querySelector("#merge-42 [type=submit]").disabled`)
	if !b.ask(`(d => d.open && d.querySelector("[name=head_sha]").value.startsWith("9f8e") && d.innerText.includes("changed since you looked"))(document.querySelector("#merge-42"))`) {
		t.Error("the open dialog did not stay what the person was reading")
	}
	b.click("#merge-42 [data-closes]")
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
	b.until(`document.querySelector("#live").innerText.startsWith("Stale, last update")`)
	b.until(`document.querySelector("#broken").innerText.includes("What you see was true")`)
	b.until(`document.querySelector("#u-42 [data-opens]").disabled`)
	b.change(func() {
		b.overview.Updates = slices.Clone(b.overview.Updates)
		b.overview.Updates[0].Verdict.Headline = "What happened meanwhile."
	})
	b.away.Store(false)
	b.until(`document.querySelector("#live").dataset.state === "live" && !document.querySelector("#u-42 [data-opens]").disabled && document.querySelector("#broken").hidden`)
	b.until(`document.querySelector("#u-42").innerText.includes("What happened meanwhile.")`)
	if !b.ask(`window.__same === true`) {
		t.Error("it recovered by a reload")
	}
	b.blameless()
}

func TestBrowserReloadsForANewBuildAndLeavesWithItsSession(t *testing.T) {
	b := browse(t, liveStory(t, "holding"))
	upgrade := func(build string) {
		next := b.run(Config{PublicURL: b.server.URL, Now: time.Now, Beat: time.Second})
		next.build = build
		b.server.CloseClientConnections()
	}
	upgrade("second")
	b.until(`document.body.dataset.build === "second" && document.querySelector("#live").dataset.state === "live"`)
	// Somebody who reads a question is not torn away from it, but can't answer it either.
	b.do(chromedp.Evaluate[chromedp.Void](`sessionStorage.clear()`))
	b.click("#u-42 [data-opens]")
	b.until(`document.querySelector("#merge-42").open`)
	upgrade("third")
	b.until(`!document.querySelector("#skew").hidden && document.querySelector("#merge-42 [type=submit]").disabled`)
	b.click("#merge-42 [data-closes]")
	b.click("#skew a")
	b.until(`document.body.dataset.build === "third" && document.querySelector("#live").dataset.state === "live"`)
	b.change(func() { delete(b.sessions, "op") })
	b.until(`location.pathname === "/login"`)
}

func TestBrowserOpensTooltipsByKeyboard(t *testing.T) {
	b := browse(t, liveStory(t, "attention"))
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#h-imac0 .c-git button").focus()`), chromedp.KeyEvent("\t"))
	b.until(`document.querySelector("#tip-imac0-lock").matches(":popover-open")`)
	if !b.ask(`document.querySelector("#tip-imac0-lock").innerText.includes("Agent needs update")`) {
		t.Error("the tooltip does not say what SPEC says")
	}
	b.do(chromedp.KeyEvent("\x1b"))
	b.until(`!document.querySelector("#tip-imac0-lock").matches(":popover-open")`)
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
