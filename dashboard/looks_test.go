package dashboard

import (
	_ "embed"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

// TestBrowserFitsEveryStory looks at every story that shows something of its own, on a
// phone and on a desk, in light and in dark: nothing is cut off, nothing violates the
// page's policy, and axe finds nothing.
func TestBrowserFitsEveryStory(t *testing.T) {
	b := browse(t, fleet.Overview{At: time.Now()})
	for n, s := range stories.All(time.Now()) {
		if s.Alike {
			continue
		}
		b.Go("about:blank") // else the page before may reload itself over the next one
		b.change(func() { b.tell(s) })
		b.Go(b.server.URL + withQuery(s.Path, "story="+url.QueryEscape(s.Name)))
		b.Until(`document.body.classList.contains("script")`)
		// axe takes its time: each story is judged in one of the two looks, and its
		// neighbours in the other.
		looks := []glance{{1280, "light"}, {390, "dark"}}
		for i, l := range looks {
			b.Size(l.width, 900)
			b.Prefers(l.scheme)
			b.Until(fmt.Sprintf("innerWidth === %d", l.width))
			if !b.Ask(`document.documentElement.scrollWidth <= innerWidth`) {
				t.Errorf("story %s does not fit into %d px", s.Name, l.width)
			}
			if i != n%len(looks) {
				continue
			}
			for _, v := range b.Judged() {
				t.Errorf("story %s, %d px, %s: %s", s.Name, l.width, l.scheme, v)
			}
		}
		b.Blameless()
	}
}

// glance is how somebody looks at a page.
type glance struct {
	width  int64 // of the window, in CSS pixels
	scheme string
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}
