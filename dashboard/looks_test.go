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
	for _, s := range stories.All(time.Now()) {
		if s.Alike {
			continue
		}
		b.Go("about:blank") // else the page before may reload itself over the next one
		b.change(func() { b.tell(s) })
		b.Go(b.server.URL + withQuery(s.Path, "story="+url.QueryEscape(s.Name)))
		b.Until(`document.body.classList.contains("script")`)
		for _, look := range []struct {
			width  int64
			scheme string
		}{{1280, "light"}, {390, "dark"}} {
			b.Size(look.width, 900)
			b.Prefers(look.scheme)
			b.Until(fmt.Sprintf("innerWidth === %d", look.width))
			if !b.Ask(`document.documentElement.scrollWidth <= innerWidth`) {
				t.Errorf("story %s does not fit into %d px", s.Name, look.width)
			}
			for _, v := range b.Judged() {
				t.Errorf("story %s, %d px, %s: %s", s.Name, look.width, look.scheme, v)
			}
		}
		b.Blameless()
	}
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}
