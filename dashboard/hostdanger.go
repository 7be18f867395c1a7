package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// dangerRoutes are what only admins may do with a host.
func (d *Dashboard) dangerRoutes(mux *http.ServeMux) {
	for what, ask := range map[string]func(*http.Request, hostDetail) asking{
		"change": askChange, "readmit": askReadmit, "revoke": askRevoke,
	} {
		mux.Handle("GET /hosts/{name}/"+what, d.signedIn(d.askHost(ask)))
	}
	mux.Handle("POST /hosts/{name}/change", d.press(RoleAdmin, d.changeHost))
	mux.Handle("POST /hosts/{name}/readmit", d.signedIn(d.readmitHost))
	mux.Handle("POST /hosts/{name}/revoke", d.press(RoleAdmin, d.revokeHost))
}

// askHost shows a question about a host to those who may answer it.
func (d *Dashboard) askHost(ask func(*http.Request, hostDetail) asking) func(http.ResponseWriter, *http.Request, visitor) {
	return func(w http.ResponseWriter, r *http.Request, who visitor) {
		if !who.may(RoleAdmin) {
			d.answer(w, r, notice{http.StatusForbidden, "Read-only: this needs the " + RoleAdmin + " role, yours is " + who.role + "."})
			return
		}
		record, err := d.cfg.Hosts.HostRecord(r.Context(), r.PathValue("name"))
		if err != nil {
			d.answer(w, r, d.refusal(r, who, err))
			return
		}
		o, err := d.cfg.Views.Overview(r.Context())
		if err != nil {
			d.answer(w, r, d.refusal(r, who, err))
			return
		}
		d.ask(w, r, who, ask(r, d.scene(o).hostDetail(record)))
	}
}

// standing is what of a host its dangerous buttons are about: when it is another one,
// their questions are void.
func (v hostDetail) standing() string {
	h := v.Host
	return strings.Join([]string{h.Attr, h.Mode, strings.Join(h.Tags, " "), seenAt(h.EnrolledAt), seenAt(h.RevokedAt)}, "|")
}

func seenAt(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func askChange(_ *http.Request, v hostDetail) asking {
	return asking{
		title: "Change " + v.Host.Name, rows: changeRows(v), post: hostPath(v.Host.Name) + "/change", confirm: "Save",
		fields: url.Values{"seen_attr": {v.Host.Attr}, "seen_mode": {v.Host.Mode}, "seen_tags": {strings.Join(v.Host.Tags, " ")}},
		about:  "hd", state: v.standing(),
	}
}

func askReadmit(_ *http.Request, v hostDetail) asking {
	a := asking{
		title: "Enrol " + v.Host.Name + " again", rows: readmitRows(v), post: hostPath(v.Host.Name) + "/readmit",
		confirm: "Make another token", once: true,
		fields: url.Values{"seen": {seenAt(v.Host.EnrolledAt)}}, about: "hd", state: v.standing(),
	}
	switch {
	case !v.enrolled():
		a.stops = "It has not enrolled yet. The page on which it is waited for makes another token."
	case !v.revoked():
		a.confirm, a.danger = "Revoke its key and make a token", true
	}
	return a
}

// askRevoke asks twice: the second question is the one that can be answered.
func askRevoke(r *http.Request, v hostDetail) asking {
	a := asking{
		title: "Revoke " + v.Host.Name, rows: revokeHostRows(v, false), post: hostPath(v.Host.Name) + "/revoke",
		confirm: "Revoke " + v.Host.Name + "…", danger: true, about: "hd", state: v.standing(),
	}
	switch {
	case v.revoked():
		a.stops = "It is revoked already."
	case r.URL.Query().Get("sure") != "1":
		a.again, a.fields = hostPath(v.Host.Name)+"/revoke", url.Values{"sure": {"1"}}
	default:
		a.title, a.confirm, a.rows = "Really revoke "+v.Host.Name+"?", "Revoke "+v.Host.Name, revokeHostRows(v, true)
		a.fields = url.Values{"sure": {"yes"}}
	}
	return a
}

// What people may set of a host.
var (
	hostModes = []string{"fleet", "manual", "automatic"}
	hostAttr  = regexp.MustCompile(`^(nixos|darwin|home)Configurations\.[A-Za-z0-9_@.-]{1,280}$`)
	hostTag   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)
)

// mostTags is how many tags a host may have.
const mostTags = 100

// readSettings reads what a form sets, or what it showed before.
func readSettings(r *http.Request, prefix string) HostSettings {
	tags := strings.FieldsFunc(r.PostFormValue(prefix+"tags"), func(c rune) bool { return c == ',' || c <= ' ' })
	slices.Sort(tags)
	return HostSettings{
		Attr: strings.TrimSpace(r.PostFormValue(prefix + "attr")), Mode: r.PostFormValue(prefix + "mode"), Tags: slices.Compact(tags),
	}
}

// check says what of settings can't be right.
func (s HostSettings) check() error {
	switch {
	case !hostAttr.MatchString(s.Attr):
		return BadRequest("The attribute is not one: found " + clipped(s.Attr, 80) + ", expected something like nixosConfigurations.web1. Nothing was changed.")
	case !slices.Contains(hostModes, s.Mode):
		return BadRequest("The mode is not one of fleet, manual and automatic. Nothing was changed.")
	case len(s.Tags) > mostTags:
		return BadRequest(fmt.Sprintf("A host may have at most %d tags. Nothing was changed.", mostTags))
	}
	for _, t := range s.Tags {
		if !hostTag.MatchString(t) {
			return BadRequest("A tag is not one: found " + clipped(t, 80) + ", expected letters, digits, dots, underscores and hyphens. Nothing was changed.")
		}
	}
	return nil
}

func (d *Dashboard) changeHost(r *http.Request, who visitor) (pressed, error) {
	name, wanted := r.PathValue("name"), readSettings(r, "")
	if err := wanted.check(); err != nil {
		return pressed{}, err
	}
	if err := d.cfg.Hosts.ChangeHost(r.Context(), who.actor, name, readSettings(r, "seen_"), wanted); err != nil {
		return pressed{}, err
	}
	return d.onHost(r, "Saved. Rollouts go by it from now on.")
}

// readmitHost lets a host enrol again. Its answer is the page that shows the token, once.
func (d *Dashboard) readmitHost(w http.ResponseWriter, r *http.Request, who visitor) {
	if !d.mayPress(w, r, who, RoleAdmin) {
		return
	}
	name := r.PathValue("name")
	t, err := d.readmit(r, who)
	if err != nil {
		d.answer(w, r, d.refusal(r, who, err))
		return
	}
	d.cfg.Log.Info().Ctx(r.Context()).Str("host", name).Str("actor", who.actor.Login).Msg("host may enrol again")
	d.wake()
	d.showTicket(w, r, who, name, t)
}

func (d *Dashboard) readmit(r *http.Request, who visitor) (ticket, error) {
	name := r.PathValue("name")
	seen, err := time.Parse(time.RFC3339Nano, r.PostFormValue("seen"))
	if err != nil {
		return ticket{}, BadRequest("The request does not name what you saw. Reload the page and try again.")
	}
	record, err := d.cfg.Hosts.HostRecord(r.Context(), name)
	if err != nil {
		return ticket{}, err
	}
	// Once a machine has used the token the question is void: asked again, as by
	// reloading the answer, it would revoke the key that the machine has just got.
	if !record.Host.EnrolledAt.Equal(seen) {
		return ticket{}, Refused(name + " has enrolled since you looked, so nothing was done. Look at its page.")
	}
	token, expires, err := d.cfg.Newcomers.Enrol(r.Context(), who.actor, fleet.Newcomer{Host: fleet.Host{Name: name}}, true)
	return ticket{token, expires}, err
}

func (d *Dashboard) revokeHost(r *http.Request, who visitor) (pressed, error) {
	if r.PostFormValue("sure") != "yes" {
		return pressed{}, BadRequest("This is asked twice, and was answered once. Nothing was revoked.")
	}
	name := r.PathValue("name")
	if err := d.cfg.Hosts.RevokeHost(r.Context(), who.actor, name); err != nil {
		return pressed{}, err
	}
	return d.onHost(r, name+" is revoked. Its connection is cut.")
}

// onHost is the outcome of a press on a host's page.
func (d *Dashboard) onHost(r *http.Request, text string) (pressed, error) {
	p := pressed{text: text}
	if !scripted(r) {
		p.next = hostPath(r.PathValue("name"))
	}
	return p, nil
}
