package dashboard

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/dashboard/stories"
	"github.com/nixfleet/nixfleet/fleet"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// ofHosts are the regions that show the same in the other stories.
var ofHosts = []string{"hosts", "hosts-head", "f-tag", "matches", "nav-updates"}

// tables are the stories whose hosts are of interest; the others show the same nine.
var tables = []string{"attention", "offline", "deploying", "no-hosts"}

func TestEveryStoryRendersAsItDid(t *testing.T) {
	t.Parallel()
	for _, s := range stories.All(noon) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			d := newDashboard(t, newWorld(s.Overview), Config{})
			if s.Path != "/" {
				golden(t, filepath.Join("testdata", "golden", s.Name+".html"),
					pressKeys.ReplaceAllString(strings.ReplaceAll(lines(mainOf(pageOf(t, s))), d.build, "BUILD"), `name="key" value="KEY"`))
				return
			}
			b, err := fleetOf(d, s.Overview)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, r := range b {
				if !slices.Contains(ofHosts, r.id) || slices.Contains(tables, s.Name) {
					got.WriteString("== " + r.id + "\n" + lines(string(r.html())))
				}
			}
			golden(t, filepath.Join("testdata", "golden", s.Name+".html"),
				strings.ReplaceAll(got.String(), d.build, "BUILD"))
		})
	}
}

// pressKeys are drawn anew for each form.
var pressKeys = regexp.MustCompile(`name="key" value="[A-Z2-7]+"`)

// fleetOf renders the Fleet page of a snapshot.
func fleetOf(d *Dashboard, o fleet.Overview) (board, error) {
	t, err := d.fleetTopic(httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil {
		return nil, err
	}
	return render(context.Background(), t, d.scene(o))
}

// lines puts each element on a line of its own, so that differences can be read.
func lines(html string) string { return strings.ReplaceAll(html, "><", ">\n<") + "\n" }

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./dashboard -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; if that is wanted, run with -update and read the diff:\n%s", path, diff)
	}
}

// pageOf is the whole page of a story.
func pageOf(t *testing.T, s stories.Story) string {
	t.Helper()
	w := newWorld(s.Overview)
	w.tell(s)
	w.sessions["them"] = s.Role
	w.acts, w.newcomer = s.Acts, s.Newcomer
	path, cookie := s.Path, "them"
	if s.Role == "" {
		cookie = ""
	}
	r := request(http.MethodGet, path, cookie, nil)
	r.AddCookie(&http.Cookie{Name: "__Host-nixfleet-visit", Value: "the secret"})
	rec := do(newDashboard(t, w, Config{}), r)
	if rec.Code != http.StatusOK && !strings.HasSuffix(s.Name, "-problem") {
		t.Fatalf("%s answered %d: %s", path, rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// mainOf is what a page holds beside what is around every page.
func mainOf(html string) string {
	_, html, _ = strings.Cut(html, "<main")
	html, _, _ = strings.Cut(html, "</main>")
	return "<main" + html + "</main>"
}

// forbidden is what the Content-Security-Policy would refuse, and what we never
// link to. A `<` of a value is escaped, so these only match markup of our own.
var forbidden = map[string]*regexp.Regexp{
	"an inline script":             regexp.MustCompile(`<script[^>]*>[^<]`),
	"an inline style":              regexp.MustCompile(`(?i)<[^>]*\sstyle=|<style`),
	"an event handler":             regexp.MustCompile(`(?i)<[a-z][^>"]*("[^"]*"[^>"]*)*\son[a-z]+=`),
	"an htmx attribute with eval":  regexp.MustCompile(`hx-on|hx-vals="js:|hx-trigger="[^"]*\[`),
	"a link that runs script":      regexp.MustCompile(`(?i)(href|src|action)="\s*javascript:`),
	"something from another place": regexp.MustCompile(`<(script|link|img|iframe)[^>]*(src|href)="(https?:)?//`),
}

func TestNoPageHoldsWhatThePolicyRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range stories.All(noon) {
		html := pageOf(t, s)
		for what, pattern := range forbidden {
			if found := pattern.FindString(html); found != "" {
				t.Errorf("story %s holds %s: %.200s", s.Name, what, found)
			}
		}
	}
}

var (
	ids  = regexp.MustCompile(` id="([^"]*)"`)
	refs = regexp.MustCompile(` (?:popovertarget|commandfor|aria-labelledby|aria-describedby|for|href)="#?([^"/][^"]*)"`)
)

func TestIdsAreUniqueAndReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, s := range stories.All(noon) {
		html := pageOf(t, s)
		seen := map[string]bool{}
		for _, m := range ids.FindAllStringSubmatch(html, -1) {
			if seen[m[1]] {
				t.Errorf("story %s has two elements %q", s.Name, m[1])
			}
			seen[m[1]] = true
		}
		for _, m := range refs.FindAllStringSubmatch(html, -1) {
			if !seen[m[1]] && !strings.HasPrefix(m[1], "http") {
				t.Errorf("story %s refers to %q, which it does not have", s.Name, m[0])
			}
		}
	}
}

func TestHostileStringsStayText(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hostile", "update-hostile", "ask-hostile", "notifications-hostile"} {
		html := pageOf(t, story(t, name))
		for _, bad := range []string{"<script>alert", "<img src=x", "<b>bold"} {
			if strings.Contains(html, bad) {
				t.Errorf("%s holds %q as markup", name, bad)
			}
		}
		if !strings.Contains(html, "&lt;script&gt;alert") {
			t.Errorf("%s does not show the title as the text that it is", name)
		}
	}
}
