package dashboard

import (
	"bytes"
	"net/http"

	"github.com/a-h/templ"
)

// page is what every page carries for r.
func (d *Dashboard) page(r *http.Request) page {
	p := page{Build: d.build, Now: d.cfg.Now().UnixMilli()}
	if c, err := r.Cookie("theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		p.Theme = c.Value
	}
	return p
}

func (d *Dashboard) fleetPage(w http.ResponseWriter, r *http.Request, who visitor) {
	if err := d.refresh(r.Context()); err != nil {
		d.cfg.Log.Error().Err(err).Msg("read the fleet")
		d.answer(w, r, notice{Status: http.StatusServiceUnavailable, Text: "The fleet could not be read, because the database did not answer. Hosts and rollouts are not affected; try again."})
		return
	}
	p := d.page(r)
	p.Who, p.Live = who, true
	v := fleetView{Page: p, Board: d.hub.newest(), Notice: notice{Text: asked[r.URL.Query().Get("asked")]}}
	d.show(w, r, http.StatusOK, fleetPage(v))
}

// done answers a post that was carried out: htmx with a line for the page, a
// plain form with a redirect, so that reloading does not post again.
func (d *Dashboard) done(w http.ResponseWriter, r *http.Request, what string) {
	if r.Header.Get("HX-Request") == "" {
		http.Redirect(w, r, "/?asked="+what, http.StatusSeeOther)
		return
	}
	d.answer(w, r, notice{Status: http.StatusAccepted, Text: asked[what]})
}

// answer shows n as a line for htmx, and as a page for everybody else.
func (d *Dashboard) answer(w http.ResponseWriter, r *http.Request, n notice) {
	if r.Header.Get("HX-Request") != "" {
		d.show(w, r, n.Status, noticeLine(n))
		return
	}
	d.show(w, r, n.Status, noticePage(d.page(r), n))
}

// show renders before it answers, so that a failing template is an error and not
// half a page.
func (d *Dashboard) show(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	var buf bytes.Buffer
	if err := c.Render(r.Context(), &buf); err != nil {
		d.cfg.Log.Error().Err(err).Str("path", r.URL.Path).Msg("render")
		http.Error(w, "This page could not be rendered.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes())
}
