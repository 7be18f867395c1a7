package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"testing"

	"github.com/nixfleet/nixfleet/app"
	"github.com/nixfleet/nixfleet/dashboard/browsertest"
)

// hand is a person in front of a browser. It keeps account of every button that it was
// shown and of those that it pressed.
type hand struct {
	*browsertest.Tab
	r              *rig
	shown, pressed map[string]string // by what the button does; where it was first
}

// person opens a browser and signs in with a role, through the page as people do.
func (r *rig) person(a *app.App, role string) *hand {
	r.t.Helper()
	h := &hand{Tab: browsertest.Open(r.t), r: r, shown: map[string]string{}, pressed: map[string]string{}}
	h.signIn(a, role)
	return h
}

func (h *hand) signIn(a *app.App, role string) {
	h.r.t.Helper()
	link, err := a.LoginLink(h.r.t.Context(), "tess", role)
	if err != nil {
		h.r.t.Fatal(err)
	}
	h.Go(link)
	h.Click("form[action=\"/login\"] button.primary")
	h.Until(`document.querySelector("#live")?.dataset.state === "live"`)
}

// visit opens a page, waits until it is live where it is one that lives, and looks at
// its buttons.
func (h *hand) visit(path string) {
	h.r.t.Helper()
	h.Go("http://" + h.r.cfg.Listen + path)
	h.Until(`document.body.classList.contains("script") && (!("live" in document.body.dataset) || document.querySelector("#live").dataset.state === "live")`)
	h.look()
}

// names makes one name of the addresses that differ in whom they are about only.
var names = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{26}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "SHA"},
	{regexp.MustCompile(`/(hosts|enroll)/[a-z0-9-]+`), "/$1/NAME"},
	{regexp.MustCompile(`/updates/[^/]+/[^/]+/[0-9]+`), "/updates/REPO/N"},
	{regexp.MustCompile(`/settings/` + regexp.QuoteMeta(fleetRepo)), "/settings/REPO"},
	{regexp.MustCompile(`/[0-9]+\b`), "/N"},
}

// deed is what a button does: its address without whom it is about, and of its query
// only what kind of thing is asked for.
func deed(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	name := u.Path
	for _, n := range names {
		name = n.find.ReplaceAllString(name, n.with)
	}
	if kind := u.Query().Get("kind"); kind != "" {
		name += "?kind=" + kind
	}
	return name
}

// look takes account of the buttons that can be pressed now, those of an open question
// included.
func (h *hand) look() {
	h.r.t.Helper()
	var list []string
	found := h.Text(`JSON.stringify([
		...[...document.querySelectorAll("a[data-ask]")].map((a) => a.href),
		...[...document.querySelectorAll("form[data-ask], form[data-post], form[method=post]")].flatMap((f) =>
			[...f.querySelectorAll("[type=submit], button:not([type])")].filter((b) => b.form === f).map((b) => {
				const to = new URL(b.formAction && b.hasAttribute("formaction") ? b.formAction : f.action);
				if (b.name) to.searchParams.set(b.name, b.value);
				for (const i of f.querySelectorAll("input[type=hidden][name=kind]")) to.searchParams.set("kind", i.value);
				return to.href;
			})),
	])`)
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		h.r.t.Fatal(err)
	}
	for _, address := range list {
		if _, ok := h.shown[deed(address)]; !ok {
			h.shown[deed(address)] = h.Text("location.pathname")
		}
	}
}

// press presses a button that can be seen and pressed, and takes account of it.
func (h *hand) press(css string) {
	h.r.t.Helper()
	h.Until(fmt.Sprintf(`((b) => !!b && b.checkVisibility() && !b.disabled)(document.querySelector(%q))`, css))
	address := h.Text(fmt.Sprintf(`((b) => {
		if (b.href) return b.href;
		const f = b.form, to = new URL(b.hasAttribute("formaction") ? b.formAction : f.action);
		if (b.name) to.searchParams.set(b.name, b.value);
		for (const i of f.querySelectorAll("input[type=hidden][name=kind]")) to.searchParams.set("kind", i.value);
		return to.href;
	})(document.querySelector(%q))`, css))
	h.pressed[deed(address)] = css
	// Not by its place: rows change places while they are pressed.
	h.Run(fmt.Sprintf(`document.querySelector(%q).click()`, css))
}

// answer presses the button of the open question, and of the second one where it is
// asked twice.
func (h *hand) answer() {
	h.r.t.Helper()
	const button = "#ask footer [type=submit]"
	h.Until(`document.querySelector("#ask")?.open && !!document.querySelector("#ask footer [type=submit]")`)
	h.look()
	again := h.Ask(`document.querySelector("#ask form").hasAttribute("data-ask")`)
	title := h.Text(`document.querySelector("#ask-title").innerText`)
	h.press(button)
	if again { // what can't be taken back is asked twice
		h.Until(fmt.Sprintf(`!!document.querySelector("#ask form[data-post]") && document.querySelector("#ask-title").innerText !== "" && %q !== ""`, title))
		h.look()
		h.press(button)
	}
	h.Until(`!document.querySelector("#ask")?.open`)
}

// do asks for something and answers the question.
func (h *hand) do(css string) {
	h.r.t.Helper()
	h.press(css)
	h.answer()
}

// leftOut are the buttons that were shown and never pressed.
func leftOut(t *testing.T, hands ...*hand) []string {
	t.Helper()
	shown, pressed := map[string]string{}, map[string]string{}
	for _, h := range hands {
		maps.Copy(shown, h.shown)
		maps.Copy(pressed, h.pressed)
	}
	var list []string
	for _, deed := range slices.Sorted(maps.Keys(shown)) {
		if _, ok := pressed[deed]; !ok {
			list = append(list, fmt.Sprintf("%s (on %s)", deed, shown[deed]))
		}
	}
	return list
}

// says waits until the page's notice has a text.
func (h *hand) says(text string) {
	h.r.t.Helper()
	h.Until(fmt.Sprintf(`document.querySelector("#toast")?.innerText.includes(%q)`, text))
}
