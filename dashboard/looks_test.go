package dashboard

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// axe finds what keeps people with disabilities from using a page.
// axe-core 4.14.1, MPL-2.0; it is part of the tests alone.
//
//go:embed testdata/axe/axe.min.js
var axe string

// judge runs axe with the rules of WCAG 2.2 AA and its best practices, and names each
// violation with the elements that have it.
const judge = `axe.run(document, {resultTypes: ["violations"]}).then((r) =>
	r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? "")).join("; ")))`

// TestBrowserFitsEveryStory looks at every story on a phone and on a desk, in light
// and in dark: nothing is cut off, nothing violates the page's policy, and axe finds
// nothing.
func TestBrowserFitsEveryStory(t *testing.T) {
	b := browse(t, fleet.Overview{At: time.Now()})
	for _, s := range stories.All(time.Now()) {
		b.change(func() { b.tell(s) })
		b.do(chromedp.Navigate(b.server.URL + withQuery(s.Path, "story="+url.QueryEscape(s.Name))))
		b.until(`document.body.classList.contains("script")`)
		b.do(chromedp.Evaluate[chromedp.Void](axe))
		for _, look := range []struct {
			width  int64
			scheme string
		}{{1280, "light"}, {390, "dark"}} {
			b.do(chromedp.EmulateViewport(look.width, 900), prefers(look.scheme))
			b.until(fmt.Sprintf("innerWidth === %d", look.width))
			if !b.ask(`document.documentElement.scrollWidth <= innerWidth`) {
				t.Errorf("story %s does not fit into %d px", s.Name, look.width)
			}
			for _, v := range b.judged() {
				t.Errorf("story %s, %d px, %s: %s", s.Name, look.width, look.scheme, v)
			}
		}
		b.blameless()
	}
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// prefers makes the browser's person prefer a colour scheme, and no motion: what is
// half faded in has no contrast to measure.
func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	})
}

// judged is what axe has to say about the page.
func (b *browser) judged() []string {
	b.t.Helper()
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](judge, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}
