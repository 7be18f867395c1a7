// Package browsertest drives a real Chromium for tests: it opens pages as a person
// does, waits for what they show, and notices what no page may do. It stands beside
// the road from webhook to acknowledgement and belongs to tests alone.
//
// What may go wrong: without Chromium the tests that need one are skipped, loudly.
package browsertest

import (
	"context"
	_ "embed"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds what a test waits for; machines that build other things at the same
// time are slow.
const patience = 45 * time.Second

// watch records what no page may do: violate its policy, or throw.
const watch = `window.__faults = [];
addEventListener("securitypolicyviolation", (e) => __faults.push("policy: " + e.violatedDirective + " " + e.blockedURI));
addEventListener("error", (e) => __faults.push("error: " + e.message));
addEventListener("unhandledrejection", (e) => __faults.push("rejection: " + e.reason));`

// axe finds what keeps people with disabilities from using a page.
// axe-core 4.14.1, MPL-2.0.
//
//go:embed axe.min.js
var axe string

// judge runs axe with its rules of WCAG 2.2 AA and of good practice, and names each
// violation with the elements that have it.
const judge = `axe.run(document, {resultTypes: ["violations"]}).then((r) =>
	r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? "")).join("; ")))`

// Tab is a tab of a browser. Its methods fail the test where something does not go as
// it should.
type Tab struct {
	t   testing.TB
	ctx context.Context
}

// Open starts a Chromium with an empty tab. It ends with the test.
func Open(t testing.TB) *Tab {
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
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true))...)
	t.Cleanup(cancel)
	return tab(t, ctx)
}

// Another is a tab of somebody else: it shares no cookie with b.
func (b *Tab) Another() *Tab {
	b.t.Helper()
	return tab(b.t, b.ctx, chromedp.WithNewBrowserContext())
}

func tab(t testing.TB, parent context.Context, options ...chromedp.ContextOption) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	b := &Tab{t: t, ctx: ctx}
	// The first run starts what ctx stands for, and ends it with its own context.
	if err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	})); err != nil {
		t.Fatal(err)
	}
	return b
}

// Do carries out steps in order.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v; the page is %s", err, b.page())
	}
}

// Go opens an address.
func (b *Tab) Go(address string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(address))
}

// Run runs a script of the test in the page.
func (b *Tab) Run(js string) {
	b.t.Helper()
	b.Do(chromedp.Evaluate[chromedp.Void](js))
}

// Until waits for a condition of the page, across navigations.
func (b *Tab) Until(js string) {
	b.t.Helper()
	deadline := time.After(patience)
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
			b.t.Fatalf("waiting for %s: %v; the page is %s", js, err, b.page())
		}
	}
}

// page is the page in short, for those who find out why a test failed.
func (b *Tab) page() string {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + " " + (document.querySelector("dialog[open]") ?? document.body).innerText.slice(0, 900) + __faults.join()`))
	if err != nil {
		return err.Error()
	}
	return text
}

// Ask is what a condition of the page comes to now.
func (b *Tab) Ask(js string) bool {
	b.t.Helper()
	yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](js))
	if err != nil {
		b.t.Fatal(err)
	}
	return yes
}

// Text is what a script of the test reads from the page.
func (b *Tab) Text(js string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](js))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// Click presses an element as a person would.
func (b *Tab) Click(css string) {
	b.t.Helper()
	b.Do(chromedp.Click(chromedp.CSS(css)))
}

// Type writes into a field; "\r" ends it as the Enter key does.
func (b *Tab) Type(css, text string) {
	b.t.Helper()
	b.Do(chromedp.SendKeys(chromedp.CSS(css), text))
}

// Press presses keys on whatever has the focus, as a keyboard does: one that the page
// takes for itself writes nothing.
func (b *Tab) Press(keys string) {
	b.t.Helper()
	b.Do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		for _, key := range keys {
			for _, event := range kb.Encode(key) {
				if event.Type == kb.KeyDown {
					event.Type = "rawKeyDown"
				}
				if _, err := cdp.Call(ctx, tab, input.DispatchKeyEvent, *event); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

// Size makes the window so wide and high, in CSS pixels.
func (b *Tab) Size(width, height int64) {
	b.t.Helper()
	b.Do(chromedp.EmulateViewport(width, height))
}

// Prefers makes the browser's person prefer a colour scheme, and no motion: what is
// half faded in has no contrast to measure.
func (b *Tab) Prefers(scheme string) {
	b.t.Helper()
	b.Do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	}))
}

// Judged is what axe has to say about the page, one line for each violation.
func (b *Tab) Judged() []string {
	b.t.Helper()
	if !b.Ask(`"axe" in window`) {
		b.Run(axe)
	}
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](judge, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// Blameless fails the test for anything that the page should not have done.
func (b *Tab) Blameless() {
	b.t.Helper()
	faults, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`__faults`))
	if err != nil || len(faults) > 0 {
		b.t.Errorf("the page did what it must not: %v %v", faults, err)
	}
}
