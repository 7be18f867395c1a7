package dashboard

import (
	"crypto/rand"
	"net/http"
	"net/url"

	"github.com/a-h/templ"
)

// asking is a dialog before something is done: it says exactly what pressing its
// button does, to which hosts, and what else one could do. It has an address of its
// own. A link or a form to it that carries data-ask opens it over the page; without
// script it is a page.
type asking struct {
	title   string          // what is asked, such as "Switch 3 hosts"
	rows    templ.Component // the rows, each a [term]: Does, Hosts, Stops at, Instead
	post    string          // path that the button posts to; served by [Dashboard.press]
	confirm string          // the button, which repeats what it does: "Switch 3 hosts"
	danger  bool            // it can't simply be taken back
	fields  url.Values      // what the form carries besides what the rows ask for
	once    bool            // what comes of it is a page that is shown once, so that no script may send it
	stops   string          // why it can't be done now; shown in the button's place

	// about is the id of an element of the page, and state what its data-state was when
	// the person began to read. The dialog locks itself when that is no longer so.
	about, state string
	// again is the address of the same question, asked once more, for what can't be
	// taken back: the first button leads there, and only the second one posts. Empty
	// when this is the second.
	again  string
	alone  bool // it is a page of its own, whose heading it is
	byPost bool // the question carries more than an address may hold, so it is asked by POST
}

// ask shows a question, as a fragment for the page's dialog or as a page.
func (d *Dashboard) ask(w http.ResponseWriter, r *http.Request, who visitor, a asking) {
	if a.fields == nil {
		a.fields = url.Values{}
	}
	a.fields.Set("build", d.build)
	if scripted(r) {
		d.show(w, r, http.StatusOK, askForm(a))
		return
	}
	a.alone = true
	d.show(w, r, http.StatusOK, askPage(d.page(w, r, who), a))
}

// pressKey names one showing of a form, so that it counts once however often its
// button is pressed.
func pressKey() string { return rand.Text() }
