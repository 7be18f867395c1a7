package dashboard

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"
)

// pages are the entries of the navigation.
var pages = []struct{ at, name, path string }{
	{"fleet", "Fleet", "/"},
	{"updates", "Updates", "/updates"},
	{"rollouts", "Rollouts", "/rollouts"},
	{"activity", "Activity", "/activity"},
	{"settings", "Settings", "/settings"},
}

// keys are what the keyboard does, on every page that has it.
var keys = []choice{
	{"/", "Search the hosts"}, {"j k", "Next and previous row"}, {"Enter", "Open the row"},
	{"x", "Select the row, with Shift up to it"}, {"m", "Orders to the row"},
	{"g f", "Fleet"}, {"g u", "Updates"}, {"g r", "Rollouts"}, {"g a", "Activity"}, {"g s", "Settings"},
	{"?", "This list"}, {"Esc", "Close, or leave the field"},
}

// page is what every page carries for r. A notice that waits for the next page is
// taken by it.
func (d *Dashboard) page(w http.ResponseWriter, r *http.Request, who visitor) page {
	p := page{Build: d.build, Now: d.cfg.Now().UnixMilli(), Who: who}
	if c, err := r.Cookie("theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		p.Theme = c.Value
	}
	if c, err := r.Cookie(flashCookie); err == nil {
		if b, err := base64.RawURLEncoding.DecodeString(c.Value); err == nil {
			_ = json.Unmarshal(b, &p.Notice) // what is none stays empty
		}
		http.SetCookie(w, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1})
	}
	return p
}

// flashCookie carries a notice over a redirect.
const flashCookie = "nixfleet-notice"

// flash keeps a notice for the page that a redirect leads to. The page shows it as
// text, whoever wrote the cookie.
func (d *Dashboard) flash(w http.ResponseWriter, n notice) {
	b, err := json.Marshal(n)
	if err != nil {
		return // strings and a number always encode
	}
	http.SetCookie(w, &http.Cookie{
		Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(b), Path: "/", MaxAge: 60,
		HttpOnly: true, Secure: d.secureCookies(), SameSite: http.SameSiteLaxMode,
	})
}

// answer shows n as a line for a script, and as a page for everybody else.
func (d *Dashboard) answer(w http.ResponseWriter, r *http.Request, n notice) {
	if scripted(r) {
		d.show(w, r, n.Status, noticeLine(n))
		return
	}
	d.show(w, r, n.Status, noticePage(d.page(w, r, visitor{}), n))
}

// scripted reports whether a page's script asks, which wants a fragment.
func scripted(r *http.Request) bool { return r.Header.Get("HX-Request") != "" }

// show renders before it answers, so that a failing template is an error and not
// half a page.
func (d *Dashboard) show(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	var buf bytes.Buffer
	err := c.Render(r.Context(), &buf)
	if gone(r) {
		return
	}
	if err != nil {
		d.cfg.Log.Error().Ctx(r.Context()).Err(err).Str("path", r.URL.Path).Msg("render")
		http.Error(w, "This page could not be rendered.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes())
}

// gone reports whether whoever asked went on to another page: nobody reads the answer,
// and that it could not be made is no fault.
func gone(r *http.Request) bool { return errors.Is(r.Context().Err(), context.Canceled) }

// now is the moment that a page shows.
func (p page) now() time.Time { return time.UnixMilli(p.Now) }

// escaped is a value within an address.
func escaped(value string) string { return url.QueryEscape(value) }
